import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { buildModels } from '../../../../tools/model-builder/src/models';
import { addSourceCommands } from './models-sources';

describe('interleave models add and remove', () => {
  let folder: string;
  let models: string;
  const before = { ...process.env };

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'il-cli-sources-'));
    models = join(folder, 'models');
    mkdirSync(models);
    buildModels(folder, ['splade']);
    Object.assign(process.env, { MODELS_DIR: models, DATA_DIR: join(folder, 'data') });
  });
  afterAll(() => {
    process.env = before;
    rmSync(folder, { recursive: true });
  });

  /** What it prints. */
  async function run(...args: string[]): Promise<string> {
    const program = new Command('models').exitOverride().configureOutput({ writeErr: () => undefined });
    addSourceCommands(program);
    program.commands.forEach((command) => command.exitOverride().configureOutput({ writeErr: () => undefined }));
    const lines = jest.spyOn(console, 'log').mockImplementation(() => undefined);
    const errors = jest.spyOn(process.stderr, 'write').mockImplementation(() => true);
    try {
      await program.parseAsync(args, { from: 'user' });
      return lines.mock.calls.map(([line]) => String(line)).join('\n');
    } finally {
      lines.mockRestore();
      errors.mockRestore();
    }
  }

  it('puts a model in place, says which files it has, and takes it away', async () => {
    const source = join(folder, 'splade');
    const said = await run('add', source, '--name', 'acme/splade', '--version', '3');
    expect(said).toMatch(
      /^acme\/splade version 3 is in .*models: 7 files, [\d.]+ KiB\nrevision sha256:[0-9a-f]{64}\ndigest {3}sha256:[0-9a-f]{64}$/,
    );
    const [, digest = ''] = /digest {3}(\S+)/.exec(said) ?? [];
    expect(await run('add', source, '--name', 'acme/splade', '--digest', digest, '--bytes-max', '4MiB')).toContain('acme/splade version 4');
    expect(await run('remove', 'acme/splade', '3')).toMatch(/acme\/splade version 3 is removed/);
    expect(await run('remove', 'acme/splade', '--all')).toMatch(/acme\/splade version 4 is removed/);
    expect(readdirSync(models)).toEqual([]);
  });

  it('says in one line what is wrong', async () => {
    await expect(run('add', 'https://example.com/model.onnx')).rejects.toMatchObject({
      name: 'CliError',
      message: expect.stringMatching(/^expected file:/) as string,
    });
    await expect(run('remove', 'none', '1')).rejects.toMatchObject({ name: 'CliError' });
    await expect(run('add', folder, '--bytes-max', '20')).rejects.toThrow(/expected a whole number of MiB or GiB/);
  });
});
