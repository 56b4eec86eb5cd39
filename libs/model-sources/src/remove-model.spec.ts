import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { removeModel } from './remove-model';
import { modelFiles, TestRepository, writeFiles } from './testing/repository';

describe('removeModel', () => {
  let repository: TestRepository;
  beforeEach(async () => {
    repository = new TestRepository();
    const folder = repository.beside(modelFiles());
    for (const name of ['m', 'm', 'acme/n']) await repository.add(folder, { name });
    writeFiles(join(repository.folder, 'export'), modelFiles());
  });
  afterEach(() => repository.remove());

  const remove = (name: string, version?: string, all = false): Promise<string[]> => removeModel({ name, version, all }, repository.folder);

  it('removes one version and leaves the others', async () => {
    expect(await remove('m', '1')).toEqual(['1']);
    expect(readdirSync(join(repository.folder, 'm'))).toEqual(['2']);
    expect(readdirSync(repository.folder).sort()).toEqual(['acme', 'export', 'm']);
  });

  it('removes the last version with the model only, and an organisation without models with it', async () => {
    await expect(remove('acme/n', '1')).rejects.toThrow(
      '1 is the only version of acme/n; remove the model: interleave models remove acme/n --all',
    );
    expect(await remove('acme/n', undefined, true)).toEqual(['1']);
    expect(await remove('export', undefined, true)).toEqual(['1']);
    expect(readdirSync(repository.folder)).toEqual(['m']);
  });

  it.each([
    ['m', undefined, false, /m has the versions 1, 2; name one, or remove the model: interleave models remove m --all/],
    ['m', '3', false, /m has no version 3; it has 1, 2/],
    ['m', '1', true, /expected a version or --all but received both/],
    ['export', '1', false, /the only version of export/],
    ['none', '1', false, /has no model "none"/],
    ['acme', undefined, true, /has no model "acme"/],
    ['../m', undefined, true, /has no model/],
    ['', undefined, true, /has no model/],
  ])('refuses %j %j, all: %j', async (name, version, all, message) => {
    const before = repository.paths();
    await expect(remove(name, version, all)).rejects.toThrow(message);
    expect(repository.paths()).toEqual(before);
  });

  it('finishes what a killed process began', async () => {
    mkdirSync(join(repository.folder, '.removed-1-abc/files'), { recursive: true });
    await remove('m', '2');
    expect(readdirSync(repository.folder).sort()).toEqual(['acme', 'export', 'm']);
  });
});
