import { scanRepository } from '@app/models';
import { COMMIT, startHub, type TestHub } from './testing/hub';
import { modelFiles, NEEDED, TestRepository, withExternalData } from './testing/repository';

const NAME = 'acme/splade';
const TOKEN = 'hf_secret-token';

let repository: TestRepository;
let standIn: TestHub | null = null;

async function serve(files = modelFiles(), token: string | null = TOKEN): Promise<TestHub> {
  standIn = await startHub(NAME, files, token);
  repository.settings.hub = { url: standIn.hub.url, token: TOKEN };
  return standIn;
}

beforeEach(() => {
  repository = new TestRepository();
});
afterEach(async () => {
  await standIn?.stop();
  standIn = null;
  repository.remove();
});

/** Rejects with the message; the repository must be as empty as before. */
async function refusal(uri = `hf://${NAME}`, request = {}): Promise<string> {
  const message = await repository.add(uri, request).then(
    () => 'it was added',
    (error: Error) => `${error.name}: ${error.message}`,
  );
  expect(message).toMatch(/^SourceError: /);
  expect(message).not.toContain(TOKEN);
  expect(repository.paths()).toEqual([]);
  return message;
}

describe('a model of the hub', () => {
  it('is fetched at one commit, without code and what nothing reads, and can be served', async () => {
    await serve();
    const { name, version, record } = await repository.add(`hf://${NAME}`);
    expect({ name, version }).toEqual({ name: NAME, version: '1' });
    expect(repository.paths()).toEqual([...NEEDED, 'source.json'].sort().map((path) => `${NAME}/1/${path}`));
    expect(repository.record(`${NAME}/1`)).toEqual(record);
    expect(record).toMatchObject({
      uri: `hf://${NAME}`,
      revision: COMMIT,
      digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) as string,
    });
    expect(record.files.map(({ path }) => path)).toEqual(NEEDED);
    expect(scanRepository(repository.folder)).toMatchObject([{ name: NAME, version: '1', reason: null, manifest: { task: 'sparse' } }]);
  });

  it('has the same digest from every source', async () => {
    await serve();
    const { record } = await repository.add(`hf://${NAME}@main`);
    const copied = await repository.add(repository.beside(modelFiles()), { name: 'copy', digest: record.digest });
    expect(copied.record.digest).toBe(record.digest);
    await expect(repository.add(`hf://${NAME}`, { digest: `sha256:${'0'.repeat(64)}` })).rejects.toThrow(
      /digest sha256:0+ but they have sha256:/,
    );
  });

  it('shows its token to the hub alone, also where that leads elsewhere', async () => {
    const { hub, storage } = await serve();
    await repository.add(`hf://${NAME}`);
    expect(hub.requests.every(({ authorization }) => authorization === `Bearer ${TOKEN}`)).toBe(true);
    expect(storage.requests.length).toBeGreaterThan(0);
    expect(storage.requests.every(({ authorization }) => authorization === undefined)).toBe(true);
  });

  it('does not show its token to a host that the hub names for the next page', async () => {
    const { hub, storage } = await serve();
    hub.before = (_request, response, url) => {
      if (!url.pathname.includes('/tree/')) return false;
      response.writeHead(200, { link: `<${storage.url}/more>; rel="next"`, 'content-type': 'application/json' }).end('[]');
      return true;
    };
    expect(await refusal()).toMatch(/names another host/);
    expect(storage.requests).toEqual([]);
  });

  it('is served with the graph that the URI names, and the files that this graph names', async () => {
    const { 'model.onnx': graph = Buffer.of(), ...others } = modelFiles();
    const data = Buffer.from('weights');
    await serve({
      ...others,
      'onnx/model.onnx': graph,
      'onnx/fp16.onnx': withExternalData(graph, 'fp16.weights'),
      'onnx/fp16.weights': data,
    });
    await repository.add(`hf://${NAME}@${COMMIT}/onnx/fp16.onnx`, { name: 'half' });
    expect(repository.paths().filter((path) => path.startsWith('half/1/onnx/'))).toEqual([
      'half/1/onnx/fp16.onnx',
      'half/1/onnx/fp16.weights',
    ]);
    expect(repository.read('half/1/onnx/fp16.weights')).toEqual(data);
  });

  it('goes on where a connection broke off', async () => {
    const { storage } = await serve();
    const graph = modelFiles()['model.onnx'] as Uint8Array;
    let breaks = 2;
    storage.before = (request, response) => {
      if (breaks-- <= 0) return false;
      const start = Number(/\d+/.exec(request.headers.range ?? '0')?.[0]);
      response.writeHead(start === 0 ? 200 : 206, { 'content-length': graph.length - start });
      response.write(graph.subarray(start, start + 1000), () => response.destroy());
      return true;
    };
    await repository.add(`hf://${NAME}`);
    expect(storage.requests.slice(0, 3).map(({ range }) => range)).toEqual([undefined, 'bytes=1000-', 'bytes=2000-']);
    expect(repository.read(`${NAME}/1/model.onnx`).equals(graph)).toBe(true);
  });

  it('tries again where the hub is busy', async () => {
    const { hub } = await serve();
    let busy = 3;
    hub.before = (_request, response) => {
      if (busy-- <= 0) return false;
      response.writeHead(429, { 'retry-after': '0' }).end();
      return true;
    };
    await expect(repository.add(`hf://${NAME}`)).resolves.toMatchObject({ version: '1' });
  });
});

describe('a download of the hub is refused', () => {
  const instead = (path: RegExp, content: (whole: Uint8Array) => Uint8Array, announce = false) => {
    const { hub, storage } = standIn as TestHub;
    for (const server of [hub, storage])
      server.before = (_request, response, url) => {
        if (!path.test(url.pathname)) return false;
        const files = modelFiles();
        const sent = content(files[decodeURIComponent(url.pathname.split(`${COMMIT}/`)[1] ?? '')] ?? (files['model.onnx'] as Uint8Array));
        response.writeHead(200, announce ? { 'content-length': sent.length } : {}).end(sent);
        return true;
      };
  };
  const altered = (whole: Uint8Array): Uint8Array => Buffer.from(whole).fill(0x20, 5, 6);

  it('that ends early each time', async () => {
    await serve();
    instead(/model\.onnx$/, (whole) => whole.subarray(0, 1000), true);
    expect(await refusal()).toMatch(/model\.onnx ends at 1000 of \d+ bytes, \d+ times/);
  });

  it('that was altered: in the large file storage by SHA-256, elsewhere by git', async () => {
    await serve();
    instead(/model\.onnx$/, altered);
    expect(await refusal()).toMatch(/model\.onnx was altered on its way: expected the SHA-256/);
    instead(/config\.json$/, altered);
    expect(await refusal()).toMatch(/config\.json was altered on its way: expected the git hash/);
  });

  it('that goes on and on', async () => {
    await serve();
    instead(/model\.onnx$/, (whole) => Buffer.concat([whole, whole]));
    expect(await refusal()).toMatch(/model\.onnx has more than the \d+ bytes that were announced/);
  });

  it('that is larger than allowed, before it begins', async () => {
    const { storage } = await serve();
    repository.limits.bytesMax = 200 * 1024;
    expect(await refusal()).toMatch(/has at least \d+ bytes, more than the 204800 that are allowed; allow more with --bytes-max/);
    expect(storage.requests.filter(({ range }) => range !== undefined)).toEqual([]);
  });

  it('that the disk has no room for', async () => {
    await serve();
    repository.limits.freeBytesMin = Number.MAX_SAFE_INTEGER;
    expect(await refusal()).toMatch(/^SourceError: the disk of .* make room there/);
  });

  it.each(['../../evil.json', '/etc/evil.json', 'a/../../evil.json', 'a\\evil.json', 'a//evil.json', 'a/\u0000.json', ''])(
    'with the path %j in its list',
    async (path) => {
      const { entries } = await serve();
      entries.push({ type: 'file', path, size: 1, oid: COMMIT });
      expect(await refusal()).toMatch(/a path that .*nothing of it is fetched/);
    },
  );

  it.each(['../../outside', '/etc/passwd', 'weights.py', 'absent'])('whose graph has its weights in %s', async (location) => {
    const files = modelFiles();
    await serve({ ...files, 'model.onnx': withExternalData(files['model.onnx'] as Uint8Array, location), 'weights.py': Buffer.from('1') });
    expect(await refusal()).toMatch(/model\.onnx has weights in .*; it is not/);
  });

  it('that has more files than a model', async () => {
    await serve();
    repository.limits.filesMax = 5;
    expect(await refusal()).toMatch(/more than 5 files/);
  });

  it('whose graph is none', async () => {
    await serve({ ...modelFiles(), 'model.onnx': Buffer.from('version https://git-lfs.github.com/spec/v1\n') });
    expect(await refusal()).toMatch(/the source\/model\.onnx: expected an ONNX graph/);
  });

  it('that cannot be served, with the reason', async () => {
    await serve({ ...modelFiles(), 'tokenizer_config.json': Buffer.from('{"model_max_length": "long"}') });
    expect(await refusal()).toMatch(
      /acme\/splade cannot be served: .*acme\/splade\/1\/tokenizer_config\.json: model_max_length.* It was not put in place/,
    );
  });

  it.each([
    ['hangs before its answer', () => undefined],
    [
      'hangs in its answer',
      (response: { writeHead(status: number): void; write(text: string): void }) => (response.writeHead(200), response.write('{')),
    ],
  ])('of a server that %s', async (_what, hang) => {
    const { hub } = await serve();
    repository.limits.silentMsMax = 50;
    hub.before = (_request, response) => (hang(response), true);
    expect(await refusal()).toMatch(/was silent for 50 ms, 5 times; try again later/);
  });

  it('of a server that redirects for ever, or to a file', async () => {
    const { hub } = await serve();
    hub.before = (request, response) => (response.writeHead(302, { location: request.url }).end(), true);
    expect(await refusal()).toMatch(/redirects more than 5 times/);
    hub.before = (_request, response) => (response.writeHead(302, { location: 'file:///etc/passwd' }).end(), true);
    expect(await refusal()).toMatch(/leads to no http\(s\) address/);
  });

  it('of an address that is no hub, or nobody', async () => {
    const { hub } = await serve();
    hub.before = (_request, response) => (response.writeHead(200).end('<html>'), true);
    expect(await refusal()).toMatch(/is HF_ENDPOINT the address of a hub/);
    repository.settings.hub.url = 'http://127.0.0.1:1';
    expect(await refusal()).toMatch(/cannot be reached/);
  });

  it('with a reason that names token, terms, revision or name', async () => {
    const { hub } = await serve();
    expect(await refusal(`hf://${NAME}@v9`)).toMatch(/has no revision v9; give a branch, a tag or a commit/);
    expect(await refusal('hf://acme/other')).toMatch(/\(404\); check the name/);
    expect(await refusal(`hf://${NAME}/onnx/model_q.onnx`)).toMatch(/has no onnx\/model_q\.onnx; its graphs: model\.onnx/);
    expect(await refusal(`hf://${NAME}`, { revision: 'v9' })).toMatch(/has no revision v9/);
    hub.before = (_request, response) => (response.writeHead(403, { 'x-error-code': 'GatedRepo' }).end(), true);
    expect(await refusal()).toMatch(/accept its terms at .*acme\/splade first/);
    hub.before = () => false;
    repository.settings.hub.token = null;
    expect(await refusal()).toMatch(/\(401\) without a token; set HF_TOKEN/);
  });
});
