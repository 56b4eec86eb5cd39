import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ItemResult } from '@app/contracts';
import { createLogger } from '@app/telemetry';
import { OrtBackend } from '../../../../test/fixtures/ort-backend';
import { openModelCatalog, type ModelCatalog } from '..';
import { ACTIVATIONS } from './activations';

const FIXTURES = join(__dirname, '../../../../test/fixtures/sentence-transformers');
const TOLERANCE = 1e-5;

interface Expected {
  texts: string[];
  cases: { name: string; shared: string; answers: { promptName: string | null; vectors: number[][] }[] }[];
  activations: { x: number[]; y: Record<string, number[]> };
}
const expected = JSON.parse(readFileSync(join(FIXTURES, 'expected.json'), 'utf8')) as Expected;

/** What sentence-transformers answered (tools/record-sentence-transformers), from the same files. */
describe('sentence-transformers exports', () => {
  const root = mkdtempSync(join(tmpdir(), 'parity-'));
  let backend: OrtBackend;
  let catalog: ModelCatalog;
  beforeAll(async () => {
    for (const { name, shared } of expected.cases) {
      cpSync(join(FIXTURES, 'shared', shared), join(root, name), { recursive: true });
      cpSync(join(FIXTURES, 'cases', name), join(root, name), { recursive: true });
    }
    backend = await OrtBackend.load(expected.cases.map(({ name }) => ({ name, version: '1', path: join(root, name, 'model.onnx') })));
    catalog = await openModelCatalog(root, 'realtime', createLogger('test', 'silent'));
    catalog.applyReports(backend.models());
  });
  afterAll(async () => {
    await backend.close();
    rmSync(root, { recursive: true, force: true });
  });

  const embed = async (model: string, promptName: string | null): Promise<Float32Array[]> => {
    const { text } = catalog.find(model, null);
    if (text === null) throw new Error(`${model}: ${catalog.list().find(({ name }) => name === model)?.reason}`);
    const rows = await text.encode(expected.texts, { truncate: true, topK: null, promptName });
    const results = await backend.infer({
      model,
      version: '1',
      items: rows.map(({ item }) => item),
      timeoutMs: null,
      priority: 0,
      signal: null,
    });
    return rows.map((row, i) => row.decodeVector(results[i] as ItemResult));
  };
  const difference = (a: ArrayLike<number>, b: number[]): number =>
    a.length === b.length ? Math.max(...b.map((value, i) => Math.abs(value - (a[i] as number)))) : Infinity;

  const rows = expected.cases.flatMap(({ name, answers }) =>
    answers.map(({ promptName, vectors }) => [name, promptName, vectors] as const),
  );
  it.each(rows)('%s with prompt %s', async (name, promptName, vectors) => {
    const answers = await embed(name, promptName);
    const largest = Math.max(...answers.map((vector, i) => difference(vector, vectors[i] as number[])));
    expect(largest).toBeLessThanOrEqual(TOLERANCE);
  });

  it('activations are those of PyTorch', () => {
    expect([...ACTIVATIONS.keys()].sort()).toEqual(Object.keys(expected.activations.y).sort());
    for (const [kind, activate] of ACTIVATIONS)
      expect([kind, difference(expected.activations.x.map(activate), expected.activations.y[kind] as number[])]).toEqual([
        kind,
        expect.closeTo(0, 5),
      ]);
  });
});
