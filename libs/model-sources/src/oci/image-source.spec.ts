import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { scanRepository } from '@app/models';
import {
  digestOf,
  IMAGE_LAYER,
  imageOf,
  INDEX,
  LOGIN,
  MANIFEST,
  startRegistry,
  tarOf,
  type Contents,
  type Descriptor,
  type TestRegistry,
} from '../testing/registry';
import { modelFiles, NEEDED, TestRepository } from '../testing/repository';
import { WebServer } from '../testing/web-server';

const REPOSITORY = 'acme/splade';
const GZIP = `${IMAGE_LAYER}+gzip`;

let repository: TestRepository;
let standIn: TestRegistry;
let contents: Contents;

async function serve(secured = false): Promise<void> {
  standIn = await startRegistry(REPOSITORY, secured);
  contents = standIn.contents;
}

const uri = (reference = ':1.0'): string => `oci://${standIn.registry.host}/${REPOSITORY}${reference}`;

function login(): void {
  const [folder = ''] = [repository.beside({})];
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify({ auths: { [standIn.registry.host]: { auth: LOGIN } }, credsStore: 'desktop' }));
  repository.settings.registryAuthFile = path;
}

beforeEach(() => {
  repository = new TestRepository();
});
afterEach(async () => {
  await standIn.stop();
  repository.remove();
});

async function refusal(reference?: string): Promise<string> {
  const message = await repository.add(uri(reference)).then(
    () => 'it was added',
    (error: Error) => `${error.name}: ${error.message}`,
  );
  expect(message).toMatch(/^SourceError: /);
  expect(message).not.toContain('secret');
  expect(repository.paths()).toEqual([]);
  return message;
}

const expected = [...NEEDED, 'source.json'].sort().map((path) => `splade/1/${path}`);

describe('a model in a registry', () => {
  it('is an image with the model below /models, found by a tag over an index, with a token', async () => {
    await serve(true);
    login();
    const image = contents.image('by-digest', [contents.blob(GZIP, gzipSync(imageOf(modelFiles())))]);
    const other = {
      ...contents.image('other', [contents.blob(GZIP, gzipSync(imageOf({})))]),
      platform: { os: 'linux', architecture: 's390x' },
    };
    const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
    const index = contents.manifest('1.0', { manifests: [other, { ...image, platform: { os: 'linux', architecture } }] }, INDEX);
    const { record } = await repository.add(uri());
    expect(record).toMatchObject({ uri: uri(), revision: index.digest });
    expect(repository.paths()).toEqual(expected);
    expect(scanRepository(repository.folder)).toMatchObject([{ name: 'splade', version: '1', reason: null }]);
    const { registry, storage } = standIn;
    expect(storage.requests.length).toBeGreaterThan(0);
    expect(storage.requests.every(({ authorization }) => authorization === undefined)).toBe(true);
    expect(registry.requests.filter(({ path }) => path === '/token')).toHaveLength(1);
  });

  it('is a ModelPack of single files and archives; its code and documents are left', async () => {
    await serve();
    const { 'model.onnx': graph = Buffer.of(), ...others } = modelFiles();
    const pack = 'application/vnd.cncf.model';
    const layers = [
      contents.blob(`${pack}.weight.v1.raw`, graph, { 'org.cncf.model.filepath': 'model.onnx' }),
      contents.blob(
        `${pack}.weight.config.v1.tar+gzip`,
        gzipSync(tarOf(Object.entries(others).map(([path, content]) => ({ path, content })))),
      ),
      contents.blob(`${pack}.code.v1.tar`, tarOf([{ path: '../../evil.json', content: Buffer.from('{}') }])),
    ];
    const manifest = contents.manifest('1.0', {
      artifactType: `${pack}.manifest.v1+json`,
      config: contents.blob(`${pack}.config.v1+json`, Buffer.from('{}')),
      layers,
    });
    await repository.add(uri(`@${manifest.digest}`));
    expect(repository.paths()).toEqual(expected);
  });

  it('is what the layers together show', async () => {
    await serve();
    const below = imageOf({
      ...modelFiles(),
      'config.json': Buffer.from('{"old": 1}'),
      'gone/a.json': Buffer.from('1'),
      'vocab.txt': Buffer.from('old'),
    });
    const above = tarOf([
      { path: './models/config.json', content: modelFiles()['config.json'] ?? Buffer.of() },
      { path: 'models/.wh.gone' },
      { path: 'models/.wh.vocab.txt' },
    ]);
    contents.image('latest', [contents.blob(GZIP, gzipSync(below)), contents.blob(IMAGE_LAYER, above)]);
    await repository.add(uri(''));
    expect(repository.paths()).toEqual(expected);
    expect(repository.read('splade/1/config.json')).toEqual(Buffer.from(modelFiles()['config.json'] ?? ''));
  });

  it('hides all of the layers below where a layer says so', async () => {
    await serve();
    const below = contents.blob(IMAGE_LAYER, imageOf({ 'vocab.txt': Buffer.from('old') }));
    const above = tarOf([
      ...Object.entries(modelFiles()).map(([path, content]) => ({ path: `models/${path}`, content })),
      { path: 'models/.wh..wh..opq' },
    ]);
    contents.image('1.0', [below, contents.blob(IMAGE_LAYER, above)]);
    await repository.add(uri());
    expect(repository.paths()).toEqual(expected);
  });
});

describe('an image is refused', () => {
  const push = (layer: Uint8Array, type = IMAGE_LAYER): Descriptor => contents.image('1.0', [contents.blob(type, layer)]);
  const evil = (entry: Parameters<typeof tarOf>[0][number]): Buffer =>
    Buffer.concat([imageOf(modelFiles()).subarray(0, -1024), tarOf([entry])]);

  it.each([
    { path: 'models/../../evil.json', content: Buffer.from('1') },
    { path: '../evil.json', content: Buffer.from('1') },
    { path: '/evil.json', content: Buffer.from('1') },
    { path: 'models/a\\b.json', content: Buffer.from('1') },
    { path: 'models/config.json', type: 'SymbolicLink', linkpath: '/etc/passwd' },
    { path: 'models/config.json', type: 'Link', linkpath: 'etc/passwd' },
    { path: 'models/null', type: 'CharacterDevice' },
    { path: 'models/pipe', type: 'FIFO' },
  ] as const)('that holds $path, $type', async (entry) => {
    await serve();
    push(evil(entry));
    expect(await refusal()).toMatch(/^SourceError: oci:\/\/.* holds .*(a path that|which is a)/);
  });

  it('whose layer or manifest was altered', async () => {
    await serve();
    const { digest } = push(imageOf(modelFiles()));
    const [layer = ''] = contents.blobs.keys();
    contents.blobs.set(layer, Buffer.from(contents.blobs.get(layer) ?? '').fill(0x20, 5000, 5001));
    expect(await refusal()).toMatch(/layer [0-9a-f]{12} was altered on its way: expected the SHA-256/);
    contents.manifests.set(digest, { type: MANIFEST, bytes: Buffer.from('{"schemaVersion":2}') });
    expect(await refusal(`@${digest}`)).toMatch(/manifest .* was altered on its way/);
  });

  it('whose layer ends early, or is no archive', async () => {
    await serve();
    push(gzipSync(imageOf(modelFiles())).subarray(0, -100), GZIP);
    expect(await refusal()).toMatch(/no sound archive/);
    push(imageOf(modelFiles()).subarray(0, 200_000));
    expect(await refusal()).toMatch(/no sound archive/);
    push(Buffer.alloc(4096, 'x'));
    expect(await refusal()).toMatch(/no sound archive/);
  });

  it('that is small and unpacks to more than allowed', async () => {
    await serve();
    repository.limits.bytesMax = 4 * 1024 * 1024;
    push(gzipSync(imageOf({ 'model.onnx': Buffer.alloc(8 * 1024 * 1024) })), GZIP);
    expect(await refusal()).toMatch(/unpacks to more than 4194304 bytes/);
    const beside = { path: 'usr/share/large', content: Buffer.alloc(8 * 1024 * 1024) };
    push(gzipSync(Buffer.concat([imageOf(modelFiles()).subarray(0, -1024), tarOf([beside])])), GZIP);
    expect(await refusal()).toMatch(/a layer unpacks to more than 4194304 bytes/);
    push(gzipSync(gzipSync(imageOf({ 'model.onnx': Buffer.alloc(8 * 1024 * 1024) }))), GZIP);
    expect(await refusal()).toMatch(/unpacks to more than 4194304 bytes|no sound archive/);
  });

  it('with layers larger than allowed, more files than a model, another kind of layer, or zstd', async () => {
    await serve();
    push(imageOf(modelFiles()));
    repository.limits.bytesMax = 100_000;
    expect(await refusal()).toMatch(/layers of \d+ bytes, more than the 100000/);
    repository.limits.bytesMax = 1e9;
    repository.limits.filesMax = 3;
    expect(await refusal()).toMatch(/more than 3 files/);
    push(Buffer.from('{}'), 'application/vnd.oci.empty.v1+json');
    expect(await refusal()).toMatch(/layer of type application\/vnd\.oci\.empty\.v1\+json; expected an image/);
    push(Buffer.from('x'), `${IMAGE_LAYER}+zstd`);
    expect(await refusal()).toMatch(/zstd, which are not read; push it with gzip/);
  });

  it('without credentials, with wrong ones, and where there is no such tag', async () => {
    await serve(true);
    push(imageOf(modelFiles()));
    expect(await refusal()).toMatch(/refuses a token of .* \(401\) without credentials; run "docker login/);
    login();
    expect(await refusal(':2.0')).toMatch(/does not have the manifest 2\.0 \(404\); check repository and tag/);
    writeFileSync(repository.settings.registryAuthFile, '{"auths": secret');
    expect(await refusal()).toMatch(/expected credentials as "docker login" writes them/);
  });

  it('whose registry wants the password elsewhere, in the clear', async () => {
    await serve(true);
    login();
    const thief = await WebServer.start((_request, response) => response.writeHead(200).end('{}'));
    standIn.registry.before = (_request, response) => {
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${thief.url}/token"` }).end();
      return true;
    };
    try {
      expect(await refusal()).toMatch(/tokens to be fetched from http:.*; expected https or the registry itself/);
    } finally {
      await thief.stop();
    }
    expect(thief.requests).toEqual([]);
  });
});

/** Debian's package docker-registry. */
const program = (process.env['PATH'] ?? '')
  .split(delimiter)
  .map((folder) => join(folder, 'docker-registry'))
  .find((path) => existsSync(path));

(program === undefined ? describe.skip : describe)('the registry of the CNCF', () => {
  const port = 20_000 + (process.pid % 20_000);
  const base = `http://127.0.0.1:${port}/v2/${REPOSITORY}`;
  let child: ChildProcess;

  beforeEach(async () => {
    await serve();
    const folder = repository.beside({});
    const path = join(folder, 'registry.yml');
    writeFileSync(
      path,
      `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${folder}}}\nhttp: {addr: "127.0.0.1:${port}"}\n`,
    );
    child = spawn(program ?? '', ['serve', path], { stdio: 'ignore' });
    while (
      !(await fetch(`http://127.0.0.1:${port}/v2/`).then(
        ({ ok }) => ok,
        () => false,
      ))
    )
      await sleep(50);
  });
  afterEach(async () => {
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  });

  async function put(digest: string, content: Uint8Array): Promise<void> {
    const { headers } = await fetch(`${base}/blobs/uploads/`, { method: 'POST' });
    const upload = new URL(headers.get('location') ?? '', base);
    upload.searchParams.set('digest', digest);
    const { status } = await fetch(upload, { method: 'PUT', body: content, headers: { 'content-type': 'application/octet-stream' } });
    expect(status).toBe(201);
  }

  it('gives an image that was pushed to it', async () => {
    const { digest } = contents.image('1.0', [contents.blob(GZIP, gzipSync(imageOf(modelFiles())))]);
    for (const [name, content] of contents.blobs) await put(name, content);
    const body = contents.manifests.get(digest)?.bytes ?? '';
    const { status } = await fetch(`${base}/manifests/1.0`, { method: 'PUT', body, headers: { 'content-type': MANIFEST } });
    expect(status).toBe(201);
    const { record } = await repository.add(`oci://127.0.0.1:${port}/${REPOSITORY}:1.0`);
    expect(record.revision).toBe(digest);
    expect(digest).toBe(digestOf(Buffer.from(body)));
    expect(repository.paths()).toEqual(expected);
  });
});
