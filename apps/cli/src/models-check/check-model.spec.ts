import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '@app/config';
import { scanRepository } from '@app/models';
import { readTopology } from '@app/system';
import { buildModels } from '../../../../tools/model-builder/src/models';
import { checkModel, type ModelCheck } from './check-model';

describe('the check of a model', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'check-model-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const check = async (options: { records?: boolean } = {}): Promise<ModelCheck> => {
    const [entry] = scanRepository(root);
    if (entry === undefined) throw new Error('there is no model');
    return checkModel(entry, { config: loadConfig({ DATA_DIR: join(root, '.data') }), modelsDir: root, records: options.records ?? false });
  };
  const samples = (): { input: unknown; expected: { label: string; score: number }[] }[] =>
    readFileSync(join(root, 'classifier/samples.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { input: unknown; expected: { label: string; score: number }[] });
  const write = (lines: object[]): void =>
    writeFileSync(join(root, 'classifier/samples.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));

  it('says what is served, and runs made-up rows where there are no samples', async () => {
    buildModels(root, ['classifier']);
    expect(await check()).toMatchObject({
      model: 'classifier',
      version: '1',
      ok: true,
      reason: null,
      task: 'sequence-classification',
      rows: 'merged (padded)',
      tokenizer: 'fast',
      samples: null,
      answered: 8,
      outputs: ['logits FP32 [-1, 3]'],
      loadMs: expect.any(Number),
    });
  });

  it('names the file that cannot be used where it lies', async () => {
    buildModels(root, ['classifier']);
    writeFileSync(join(root, 'classifier/model.onnx'), '{"');
    expect((await check()).reason).toContain(join(root, 'classifier/model.onnx'));
  });

  it('gives runs of several threads the CPUs that they need', async () => {
    buildModels(root, ['classifier']);
    writeFileSync(join(root, 'classifier/model.yaml'), `executorThreads: ${readTopology().effective.length}\n`);
    expect(await check()).toMatchObject({ ok: true, reason: null });
  });

  it('records samples, which then agree, and finds the one that does not', async () => {
    buildModels(root, ['classifier']);
    expect(await check({ records: true })).toMatchObject({ ok: true, answered: 8 });
    expect(await check()).toMatchObject({ ok: true, compared: 8, samples: join(root, 'classifier/samples.jsonl') });
    const [first, second, ...others] = samples();
    if (first === undefined || second === undefined) throw new Error('nothing was recorded');
    const wrong = { ...second, expected: second.expected.map(({ label, score }) => ({ label, score: score + 0.01 })) };
    write([first, wrong, ...others]);
    const found = await check();
    expect(found).toMatchObject({ ok: false, reason: '1 of 8 samples have other answers' });
    expect(found.differences).toEqual([expect.stringMatching(/samples\.jsonl:2: answer\["\w+"\]: expected 0\.\d+ but received 0\.\d+/)]);
    write([{ ...wrong, tolerance: 0.02, parameters: { top_k: 3 } }]);
    expect(await check()).toMatchObject({ ok: true, compared: 1 });
  });

  it('keeps inputs, parameters and tolerances when it records again', async () => {
    buildModels(root, ['classifier']);
    write([{ input: 'hello', parameters: { top_k: 1 }, tolerance: 0.5, expected: [] }]);
    await check({ records: true });
    expect(samples()).toEqual([
      { input: 'hello', parameters: { top_k: 1 }, tolerance: 0.5, expected: [{ label: expect.any(String), score: expect.any(Number) }] },
    ]);
  });

  it('names a line that is no sample, and an input that is refused', async () => {
    buildModels(root, ['classifier']);
    write([{ input: 'x', expects: [] }]);
    await expect(check()).rejects.toThrow(/samples\.jsonl:1: expected \{"input": …, "expected": …\}/);
    write([{ input: 7, expected: [] }]);
    expect((await check()).differences).toEqual([expect.stringMatching(/samples\.jsonl:1: expected a string .* but received 7/)]);
  });

  it('says why a model cannot be served', async () => {
    buildModels(root, ['classifier']);
    writeFileSync(join(root, 'classifier/model.onnx'), 'no graph');
    expect(await check()).toMatchObject({ ok: false, reason: expect.stringMatching(/./), task: null });
    writeFileSync(join(root, 'classifier/model.yaml'), 'taks: tensor');
    expect(await check()).toMatchObject({ ok: false, reason: expect.stringMatching(/model\.yaml: .*taks/) });
  });
});
