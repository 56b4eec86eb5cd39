import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { buildModels } from '../../../../tools/model-builder/src/models';
import type { ModelCheck } from '../models-check/check-model';
import { addModelsCheckCommand } from './models-check';

describe('models check of the folder of one model', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'models-check-'));
  });
  afterEach(() => {
    rmSync(root, { recursive: true, force: true });
    process.exitCode = undefined;
  });

  const check = async (...options: string[]): Promise<ModelCheck | undefined> => {
    const written = jest.spyOn(console, 'log').mockImplementation();
    try {
      const program = new Command();
      addModelsCheckCommand(program);
      await program.parseAsync(['check', join(root, 'classifier'), '--json', ...options], { from: 'user' });
      return (JSON.parse(String(written.mock.calls[0]?.[0])) as { models: ModelCheck[] }).models[0];
    } finally {
      written.mockRestore();
    }
  };

  it('names its files where they lie', async () => {
    buildModels(root, ['classifier']);
    expect(await check('--record')).toMatchObject({ ok: true, samples: join(root, 'classifier/samples.jsonl') });
    writeFileSync(join(root, 'classifier/model.yaml'), 'degrade: [\n  - other\n');
    expect((await check())?.reason).toContain(join(root, 'classifier/model.yaml'));
  });
});
