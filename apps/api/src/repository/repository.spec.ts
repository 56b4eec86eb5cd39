import { rmSync } from 'node:fs';
import { addKey, keyFilePath } from '@app/access';
import { runPaths, type Config } from '@app/config';
import { RevisionGone, type InferenceRequest, type ItemResult, type InterleaveError, type WantedModel } from '@app/contracts';
import { serveProcessStatus, type Command, type ProcessStatusServer } from '@app/process';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Registry } from 'prom-client';
import { GRANT } from '../../../../test/fixtures/key-grant';
import { createServer, type ApiOptions } from '../server';
import { DocumentedAnswers } from '../testing/documented-answers';
import { apiOn, EchoBackend } from '../testing/fakes';

const JSON_TYPE = { 'content-type': 'application/json' };
const ROW = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 2] }] };

/** Its workers have replaced revision 1, which this process learns at the first refusal. */
class SwitchingBackend extends EchoBackend {
  /** Refusals before it tells. */
  silent = 0;

  override infer(request: InferenceRequest): Promise<(ItemResult | InterleaveError)[]> {
    if (request.revision !== 1) return super.infer(request);
    if (this.silent === 0) this.report(this.reports.map((report) => ({ ...report, revision: 2 })));
    this.silent -= 1;
    return Promise.reject(new RevisionGone('echo', '1'));
  }
}

describe('models that change while the process serves', () => {
  const answers = new DocumentedAnswers();
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let scheduler: ProcessStatusServer | null = null;
  let url: string;

  const open = async (backend: EchoBackend, repository: Partial<Config['repository']> = {}): Promise<void> => {
    const own = apiOn(backend);
    options = { ...own, config: { ...own.config, repository: { ...own.config.repository, ...repository } } };
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    answers.watch();
  };
  /** In place of the scheduler. */
  const schedule = async (commands: Record<string, Command>): Promise<void> => {
    const socketPath = runPaths(options.config.runDir).statusSocket('scheduler');
    scheduler = await serveProcessStatus({ socketPath, registry: new Registry(), status: () => ({}), commands });
  };
  afterEach(async () => {
    expect(await answers.faults()).toEqual([]);
    await app.close();
    await scheduler?.close();
    scheduler = null;
    rmSync(options.config.dataDir, { recursive: true });
  });

  const post = async (path: string, body: object | null = null, headers: Record<string, string> = {}) => {
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { ...JSON_TYPE, ...headers },
      ...(body !== null && { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as object, retryAfter: response.headers.get('retry-after') };
  };
  const infer = (headers: Record<string, string> = {}) => post('/v2/models/echo/infer', ROW, headers);

  describe('a request whose files are replaced under it', () => {
    it.each([0, 1, 3])('is answered with those of now, also when this process hears of it after %d refusals', async (silent) => {
      const backend = new SwitchingBackend();
      backend.silent = silent;
      await open(backend);
      expect((await infer()).status).toBe(200);
      expect(backend.requests.map(({ revision }) => revision)).toEqual([2]);
    });

    it('is refused, to be tried again, where there is no end of it', async () => {
      const backend = new SwitchingBackend();
      backend.silent = Infinity;
      await open(backend);
      expect(await infer()).toMatchObject({ status: 503, retryAfter: '1', body: { error: expect.stringMatching(/replaced/) as string } });
    });
  });

  describe('a model that is not loaded', () => {
    let backend: EchoBackend;
    let wanted: unknown[];
    const want = (answer: WantedModel, then = (): void => undefined): Promise<void> =>
      schedule({
        '/models/want': (body) => {
          wanted.push(body);
          setImmediate(then);
          return answer;
        },
      });
    beforeEach(() => {
      wanted = [];
      backend = new EchoBackend();
      backend.unloaded.add('echo');
    });

    it('is loaded by one command however many ask for it, and all are answered', async () => {
      await open(backend);
      let load = (): void => undefined;
      const asked = new Promise<void>((resolve) => (load = resolve));
      await want({ state: 'loading', reason: null }, load);
      const requests = Promise.all(Array.from({ length: 20 }, () => infer()));
      await asked;
      backend.unloaded.clear();
      backend.report(backend.reports);
      expect((await requests).map(({ status }) => status)).toEqual(Array(20).fill(200));
      expect(wanted).toEqual([{ name: 'echo' }]);
    });

    it('that the scheduler will not load is refused at once with the reason', async () => {
      await open(backend);
      await want({ state: 'unavailable', reason: 'unloaded by command' });
      expect(await infer()).toMatchObject({
        status: 503,
        retryAfter: '5',
        body: { error: expect.stringMatching(/unloaded by command/) as string },
      });
    });

    it('is waited for no longer than the setting says', async () => {
      await open(backend, { loadWaitMs: 30 });
      await want({ state: 'loading', reason: null });
      expect(await infer()).toMatchObject({
        status: 503,
        retryAfter: '5',
        body: { error: expect.stringMatching(/not loaded within 30 ms.* raise repository.loadWaitMs/) as string },
      });
    });

    it('is waited for no longer than the caller allows', async () => {
      await open(backend);
      await want({ state: 'loading', reason: null });
      expect((await infer({ 'x-interleave-timeout-ms': '50' })).status).toBe(503);
    });

    it('is in the index', async () => {
      await open(backend);
      expect((await post('/v2/repository/index')).body).toEqual([
        { name: 'echo', version: '1', state: 'UNAVAILABLE', reason: 'it is not loaded' },
      ]);
    });
  });

  it('tells which models are used, where others are unloaded for them', async () => {
    await open(new EchoBackend(), { memoryMax: 1 });
    const used = new Promise((resolve) => {
      void schedule({ '/models/used': (body) => (resolve(body), {}) }).then(() => infer());
    });
    expect(await used).toEqual({ models: [{ name: 'echo', version: '1' }] });
  });

  describe('commands', () => {
    it('are told to the scheduler, and answered when it has done them', async () => {
      await open(new EchoBackend());
      const told: unknown[] = [];
      const tell = (what: string): Command => {
        return (body) => {
          told.push([what, body]);
          return {};
        };
      };
      await schedule({ '/models/load': tell('load'), '/models/unload': tell('unload') });
      expect(await post('/v2/repository/models/echo/load')).toMatchObject({ status: 200, body: {} });
      expect((await post('/v2/repository/models/org/name/load', {})).status).toBe(200);
      expect((await post('/v2/repository/models/org%2Fload/unload', { parameters: { unload_dependents: true } })).status).toBe(200);
      expect(told).toEqual([
        ['load', { name: 'echo', waitMs: 600_000 }],
        ['load', { name: 'org/name', waitMs: 600_000 }],
        ['unload', { name: 'org/load' }],
      ]);
    });

    it('say why they are not done', async () => {
      await open(new EchoBackend());
      expect(await post('/v2/repository/models/echo/load')).toMatchObject({ status: 503, retryAfter: '1' });
      const refuse = (): never => {
        throw new Error('expected a model in the folder, but there is none');
      };
      await schedule({ '/models/load': refuse, '/models/unload': refuse });
      const refusal = { status: 400, body: { error: 'expected a model in the folder, but there is none' } };
      expect(await post('/v2/repository/models/none/load')).toMatchObject(refusal);
      expect(await post('/v2/repository/models/none/unload')).toMatchObject(refusal);
      expect(await post('/v2/repository/models/echo/load', { parameters: { config: '{}' } })).toMatchObject({
        status: 501,
        body: { error: expect.stringMatching(/"config".*MODELS_DIR/) as string },
      });
      expect((await post('/v2/repository/models/echo/load', { parameters: 1 })).status).toBe(400);
      expect((await post('/v2/repository/other/models/echo/load')).status).toBe(501);
    });

    it('are for operators', async () => {
      await open(new EchoBackend());
      await schedule({ '/models/load': () => ({}) });
      const keys = keyFilePath(options.config.dataDir);
      const [caller, operator] = [await addKey(keys, GRANT), await addKey(keys, { ...GRANT, isOperator: true })];
      const load = async ({ secret }: { secret: string }) =>
        (await post('/v2/repository/models/echo/load', null, { authorization: `Bearer ${secret}` })).status;
      while ((await load(caller)) !== 403) await new Promise((resolve) => setTimeout(resolve, 20));
      expect(await load(operator)).toBe(200);
    });
  });
});
