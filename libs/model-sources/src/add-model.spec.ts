import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { scanRepository } from '@app/models';
import { modelFiles, NEEDED, TestRepository, withExternalData, writeFiles } from './testing/repository';

let repository: TestRepository;
beforeEach(() => {
  repository = new TestRepository();
});
afterEach(() => repository.remove());

/** Rejects with the message; the repository must be as before. */
async function refusal(...request: Parameters<TestRepository['add']>): Promise<string> {
  const before = repository.paths();
  const message = await repository.add(...request).then(
    () => 'it was added',
    (error: Error) => `${error.name}: ${error.message}`,
  );
  expect(message).toMatch(/^SourceError: /);
  expect(repository.paths()).toEqual(before);
  return message;
}

const served = (): string[] =>
  scanRepository(repository.folder).map(({ name, version, reason }) => `${name}:${version}${reason === null ? '' : ` ${reason}`}`);

describe('a model from a folder', () => {
  it('becomes the next version, from a path or a URL, with its model.yaml beside the versions', async () => {
    const folder = repository.beside({ ...modelFiles(), 'model.yaml': Buffer.from('mergeRows: never\n') });
    await repository.add(folder, { name: 'acme/splade' });
    await repository.add(pathToFileURL(folder).href, { name: 'acme/splade', version: '7' });
    expect((await repository.add(`${folder}/`, { name: 'acme/splade' })).version).toBe('8');
    expect(served()).toEqual(['acme/splade:1', 'acme/splade:7', 'acme/splade:8']);
    expect(repository.read('acme/splade/model.yaml').toString()).toBe('mergeRows: never\n');
    expect(repository.paths().filter((path) => path.startsWith('acme/splade/7/'))).toEqual(
      [...NEEDED, 'source.json'].sort().map((path) => `acme/splade/7/${path}`),
    );
  });

  it('has the digest that sha256sum gives', async () => {
    const folder = repository.beside(modelFiles());
    const { record } = await repository.add(folder, { name: 'm' });
    const paths = record.files.map(({ path }) => path).join(' ');
    const [sum] = execFileSync('sh', ['-c', `sha256sum ${paths} | sha256sum`], { cwd: folder })
      .toString()
      .split(' ');
    expect(record.digest).toBe(`sha256:${sum}`);
  });

  it('is the one with the graph that the path names, and its data', async () => {
    const { 'model.onnx': graph = Buffer.of(), ...others } = modelFiles();
    const files = {
      'onnx/model.onnx': graph,
      'onnx/int8.onnx': withExternalData(graph, 'int8.onnx.data'),
      'onnx/int8.onnx.data': Buffer.from('x'),
    };
    const folder = repository.beside({ ...others, ...files });
    await repository.add(`${folder}/onnx/int8.onnx`, { name: 'small' });
    await repository.add(folder, { name: 'usual' });
    expect(repository.paths().filter((path) => path.includes('/onnx/'))).toEqual([
      'small/1/onnx/int8.onnx',
      'small/1/onnx/int8.onnx.data',
      'usual/1/onnx/model.onnx',
    ]);
  });

  it('has the weights of its modules', async () => {
    const modules = [
      ['', 'sentence_transformers.models.Transformer'],
      ['1_Pooling', 'sentence_transformers.models.Pooling'],
      ['2_Dense', 'sentence_transformers.models.Dense'],
    ].map(([path, type], idx) => ({ idx, name: String(idx), path, type }));
    const json = (value: object): Buffer => Buffer.from(JSON.stringify(value));
    const folder = repository.beside({
      ...modelFiles(),
      'config_sentence_transformers.json': json({}),
      'modules.json': json(modules),
      '1_Pooling/config.json': json({ pooling_mode_mean_tokens: true, word_embedding_dimension: 32 }),
      '2_Dense/config.json': json({
        in_features: 32,
        out_features: 8,
        bias: true,
        activation_function: 'torch.nn.modules.linear.Identity',
      }),
      '2_Dense/model.safetensors': Buffer.from('weights'),
      '2_Dense/pytorch_model.bin': Buffer.from('a pickle'),
    });
    await repository.add(folder, { name: 'dense' });
    expect(repository.paths().filter((path) => path.startsWith('dense/1/2_Dense/'))).toEqual([
      'dense/1/2_Dense/config.json',
      'dense/1/2_Dense/model.safetensors',
    ]);
  });

  it('keeps the mark of a ColBERT, which is refused as such', async () => {
    const plain = {
      ...modelFiles(),
      'modules.json': Buffer.from('[{"path": "", "type": "sentence_transformers.models.Transformer"}]'),
      'config_sentence_transformers.json': Buffer.from('{}'),
    };
    const folder = repository.beside({ ...plain, 'artifact.metadata': Buffer.from('{}') });
    expect(await refusal(folder, { name: 'colbert' })).toMatch(/cannot be served: .*ColBERT/);
  });

  it('is refused when it is not there, has no graph, several of them, links out of it, or pipes', async () => {
    expect(await refusal('/nowhere/at/all')).toMatch(/cannot be read \(ENOENT\)/);
    const { 'model.onnx': graph = Buffer.of(), ...others } = modelFiles();
    expect(await refusal(repository.beside(others))).toMatch(/has no \.onnx file; export the model first/);
    expect(await refusal(repository.beside({ ...others, 'a.onnx': graph, 'b.onnx': graph }))).toMatch(
      /end the URI with the one to serve, of: a\.onnx, b\.onnx/,
    );
    expect(await refusal(join(repository.beside(modelFiles()), 'b.onnx'))).toMatch(/has no b\.onnx; its graphs: model\.onnx/);
    const linked = repository.beside(modelFiles());
    symlinkSync('/etc/hostname', join(linked, 'labels.json'));
    expect(await refusal(linked)).toMatch(/labels\.json is a link that leads out of the folder or nowhere; copy the folder with "cp -rL"/);
    const piped = repository.beside(modelFiles());
    execFileSync('mkfifo', [join(piped, 'pipe.json')]);
    expect(await refusal(piped)).toMatch(/neither a file nor a folder/);
  });

  it('is refused where a link advises to copy, and the copy is taken', async () => {
    const target = repository.beside(modelFiles());
    const { 'config.json': config, ...others } = modelFiles();
    expect(config).toBeDefined();
    const linked = repository.beside(others);
    symlinkSync(join(target, 'config.json'), join(linked, 'config.json'));
    expect(await refusal(linked)).toMatch(/"cp -rL"/);
    execFileSync('cp', ['-rL', linked, `${target}/copy`]);
    await expect(repository.add(`${target}/copy`)).resolves.toMatchObject({ name: 'copy' });
  });
});

describe('a place in the repository', () => {
  it.each(['..', '.hidden', 'a/b/c', 'a b', 'a/../b', ''])('cannot have the name %j', async (name) => {
    expect(await refusal(repository.beside(modelFiles()), { name })).toMatch(/expected a name of letters/);
  });

  it.each(['0', '-1', '1.0', 'latest', '01'])('cannot have the version %j', async (version) => {
    expect(await refusal(repository.beside(modelFiles()), { name: 'm', version })).toMatch(/--version: expected a number/);
  });

  it('is not one that another version has', async () => {
    const folder = repository.beside(modelFiles());
    await repository.add(folder, { name: 'm', version: '3' });
    expect(await refusal(folder, { name: 'm', version: '3' })).toMatch(/m has a version 3 already/);
  });

  it('is not beside an export without versions, until that is moved as the message says', async () => {
    const files = { ...modelFiles(), 'model.yaml': Buffer.from('mergeRows: never\n') };
    writeFiles(join(repository.folder, 'm'), files);
    const folder = repository.beside(modelFiles());
    const [, command = ''] = (await refusal(folder, { name: 'm' })).split(':\n');
    execFileSync('sh', ['-c', command]);
    await expect(repository.add(folder, { name: 'm' })).resolves.toMatchObject({ version: '2' });
    expect(served()).toEqual(['m:1', 'm:2']);
    expect(repository.paths()).toContain('m/model.yaml');
  });

  it('hides no other model', async () => {
    const folder = repository.beside(modelFiles());
    await repository.add(folder, { name: 'acme/one' });
    expect(await refusal(folder, { name: 'acme' })).toMatch(/would no longer serve acme\/one version 1/);
    await repository.add(folder, { name: 'plain' });
    expect(await refusal(folder, { name: 'plain/one' })).toMatch(/plain is a model, so it cannot hold plain\/one/);
  });

  it('has one model.yaml for all versions', async () => {
    const folder = repository.beside(modelFiles());
    const other = repository.beside({ ...modelFiles(), 'model.yaml': Buffer.from('mergeRows: never\n') });
    await repository.add(folder, { name: 'm' });
    expect(await refusal(other, { name: 'm' })).toMatch(/the source has a model\.yaml, which .* does not have; .*Make .* the same/);
    writeFileSync(join(repository.folder, 'm/model.yaml'), 'mergeRows: auto\n');
    expect(await refusal(other, { name: 'm' })).toMatch(/has another one/);
    writeFileSync(join(repository.folder, 'm/model.yaml'), 'mergeRows: never\n');
    await expect(repository.add(other, { name: 'm' })).resolves.toMatchObject({ version: '2' });
  });

  it('has the graph that the model.yaml there names', async () => {
    const { 'model.onnx': graph = Buffer.of(), ...others } = modelFiles();
    const folder = repository.beside({ ...others, 'deep/er/model.onnx': graph });
    expect(await refusal(`${folder}`, { name: 'm' })).toMatch(/end the URI with the one to serve, of: deep\/er\/model\.onnx/);
    mkdirSync(join(repository.folder, 'm'));
    writeFileSync(join(repository.folder, 'm/model.yaml'), 'file: deep/er/model.onnx\n');
    await repository.add(folder, { name: 'm' });
    expect(served()).toEqual(['m:1']);
  });

  it('is given to each of those that come at once', async () => {
    const folder = repository.beside(modelFiles());
    const added = await Promise.all(Array.from({ length: 6 }, () => repository.add(folder, { name: 'acme/m' })));
    expect(added.map(({ version }) => version).sort()).toEqual(['1', '2', '3', '4', '5', '6']);
    expect(served()).toEqual(['1', '2', '3', '4', '5', '6'].map((version) => `acme/m:${version}`));
  });

  it('is given to one of those that ask for the same version', async () => {
    const folder = repository.beside(modelFiles());
    const done = await Promise.allSettled(Array.from({ length: 6 }, () => repository.add(folder, { name: 'm', version: '4' })));
    expect(done.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const each of done) if (each.status === 'rejected') expect((each.reason as Error).message).toMatch(/m has a version 4 already/);
    expect(served()).toEqual(['m:4']);
    expect(readdirSync(repository.folder)).toEqual(['m']);
  });
});

describe('a process that is killed while it fetches', () => {
  it('leaves no version, and a folder that the next one removes', async () => {
    const registerTs = join(__dirname, '../../../test/fixtures/register-ts.cjs');
    const child = fork(join(__dirname, 'testing', 'add-until-killed.ts'), [repository.folder], {
      execArgv: ['--require', registerTs],
      env: process.env,
    });
    await once(child, 'message');
    const [incoming = ''] = readdirSync(repository.folder);
    expect(incoming).toMatch(new RegExp(`^\\.incoming-${child.pid}-`));
    // It is not taken away from a process that lives.
    const folder = repository.beside(modelFiles());
    await repository.add(folder, { name: 'm' });
    expect(readdirSync(repository.folder).sort()).toEqual([incoming, 'm']);
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
    expect(served()).toEqual(['m:1']);
    await repository.add(folder, { name: 'm' });
    expect(readdirSync(repository.folder)).toEqual(['m']);
  }, 60_000);

  it('is told from another one with its number, and from those of other machines', async () => {
    const folder = repository.beside(modelFiles());
    const leftovers = { reused: { pid: process.pid, start: '1' }, elsewhere: { pid: 1, boot: 'another' } };
    const own = await import('./incoming').then(({ makeIncoming }) => makeIncoming(repository.folder));
    const identity = JSON.parse(readFileSync(join(own, 'owner.json'), 'utf8')) as object;
    for (const [name, owner] of Object.entries(leftovers))
      writeFiles(join(repository.folder, `.incoming-1-${name}`), { 'owner.json': Buffer.from(JSON.stringify({ ...identity, ...owner })) });
    await repository.add(folder, { name: 'm' });
    expect(readdirSync(repository.folder).filter((name) => name.startsWith('.incoming-1-'))).toEqual(['.incoming-1-elsewhere']);
  });
});
