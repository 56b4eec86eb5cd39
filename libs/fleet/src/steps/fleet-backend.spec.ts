import { ELSEWHERE, type GraphPlan, type InferenceRequest, InterleaveError, type Lane, type Placement, RevisionGone } from '@app/contracts';
import { CONTENT_HEADER } from '@app/protocols';
import { serveModels, type ServedModels } from '../../../../test/fixtures/served-models';
import { until } from '../../../../test/support/redis-servers';
import * as grpc from '@grpc/grpc-js';
import { FleetBackend } from './fleet-backend';
import { FleetModels } from './fleet-models';
import { FleetNodes } from './fleet-nodes';
import { OtherNode, stopOtherNodes } from './testing/other-node';

const ACCESS = { keyFile: null, caFile: null, certFile: null, certKeyFile: null, answerBytesMax: 1 << 20 };
const STEP = { kind: 'model' as const, model: 'other', version: '1', revision: ELSEWHERE, inputMap: { x: 'x' }, outputMap: { y: 'y' } };
const GRAPH: GraphPlan = { name: 'g', version: '1', revision: 7, fingerprint: 'f', lanes: ['realtime'], steps: [STEP], outputs: ['y'] };
const SUM = ['x', 'y'].map((name, i) => ({
  name,
  datatype: 'FP32' as const,
  shape: i === 0 ? [2, 3] : [3],
  data: new Uint8Array(i === 0 ? 24 : 12),
}));

const ANSWER = { outputs: [{ name: 'y', datatype: 'FP32', shape: ['1'] }], raw_output_contents: [Buffer.alloc(4)] };

let served: ServedModels;
let backend: FleetBackend;
beforeAll(async () => {
  served = await serveModels(['no-batch']);
  const placement = { placement: { graphs: [GRAPH] } as unknown as Placement, onChange: () => undefined };
  backend = new FleetBackend({ own: served.backend, placement, models: new FleetModels(new FleetNodes(() => null, ACCESS)) });
});
afterAll(async () => {
  await backend.close();
  await served.close();
});

const request = (changes: Partial<InferenceRequest>): InferenceRequest => ({
  ...{ model: 'other', version: '1', revision: ELSEWHERE, timeoutMs: 200, priority: 0, signal: null },
  items: [{ inputs: [], outputs: null }],
  ...changes,
});
const codeOf = (answer: Promise<unknown>): Promise<string> => answer.then(String, (error: InterleaveError) => error.code);

it('reports models of other nodes beside its own, and runs its own here', async () => {
  expect(backend.models().map(({ name, revision, state }) => [name, revision === ELSEWHERE, state])).toEqual([
    ['no-batch', false, 'ready'],
    ['other', true, 'failed'],
  ]);
  const own = backend.models()[0];
  const items = [{ inputs: SUM, outputs: null }];
  const [result] = await backend.infer(request({ model: 'no-batch', revision: own?.revision ?? 0, items, timeoutMs: null }));
  expect(result).toMatchObject({ outputs: [{ name: 'sum', shape: [2, 3] }] });
});

it('refuses rows that must run alone, callers that have gone, and requests whose time is over', async () => {
  const hangUp = new AbortController();
  hangUp.abort();
  expect(await codeOf(backend.infer(request({ runAlone: true })))).toBe('not_supported');
  expect(await codeOf(backend.infer(request({ signal: hangUp.signal })))).toBe('client_closed');
  expect(await codeOf(backend.infer(request({ timeoutMs: 0 })))).toBe('deadline_exceeded');
});

it('has an error for each item that no node answers', async () => {
  const [error] = await backend.infer(request({}));
  expect(error).toMatchObject({
    code: 'worker_unavailable',
    message: expect.stringMatching(/no node of the fleet serves other version 1/),
  });
});

describe('with another node', () => {
  afterEach(stopOtherNodes);

  /** A backend of the lane, once it knows one of these nodes. */
  const amidst = (lane: Lane, others: OtherNode[]): Promise<FleetBackend> => sharing(modelsOf(others), lane);
  const modelsOf = (others: OtherNode[]): FleetModels =>
    new FleetModels(new FleetNodes(() => others.map((node) => node.heartbeat()), ACCESS));
  async function sharing(models: FleetModels, lane: Lane): Promise<FleetBackend> {
    const steps = [{ ...STEP, model: 'm' }];
    const placement = { placement: { graphs: [{ ...GRAPH, steps }] } as unknown as Placement, onChange: () => undefined };
    const own = Object.assign(Object.create(served.backend) as typeof served.backend, { lane, close: async () => undefined });
    const made = new FleetBackend({ own, placement, models });
    const isReady = (): boolean => made.models().some(({ name, state }) => name === 'm' && state === 'ready');
    await until(isReady);
    return made;
  }

  /** A backend of the lane, for which that node has the model, and what it was told in the last call. */
  async function beside(lane: 'realtime' | 'batch', code: grpc.status | null) {
    const told: Record<string, unknown> = {};
    const node = await OtherNode.start('a', (call, callback) => {
      Object.assign(told, call.metadata.getMap());
      if (code === null) callback(null, ANSWER);
      else callback({ code, details: 'why' });
    });
    return { made: await amidst(lane, [node]), told };
  }

  it('answers all items of a request by the same files, and begins anew once there are others', async () => {
    const asks = (call: grpc.ServerUnaryCall<object, object>): unknown => call.metadata.getMap()[CONTENT_HEADER];
    const nodeWith = async (id: string, content: string): Promise<OtherNode> => {
      const node: OtherNode = await OtherNode.start(id, (call, callback) => {
        if (asks(call) === node.content) callback(null, ANSWER);
        else callback({ code: grpc.status.NOT_FOUND, details: 'other files' });
      });
      node.content = content;
      return node;
    };
    const [first, second, third] = [await nodeWith('a', 'one'), await nodeWith('b', 'two'), await nodeWith('c', 'one')];
    const made = await amidst('realtime', [first, second, third]);
    const items = Array.from({ length: 8 }, () => ({ inputs: [], outputs: null }));
    const infer = () => made.infer(request({ model: 'm', items, timeoutMs: 5_000 }));
    await until(async () => {
      expect((await infer()).every((result) => 'outputs' in result)).toBe(true);
      return first.calls > 0 && third.calls > 0;
    });
    expect(second.calls).toBe(0);
    expect(made.models().at(-1)).toMatchObject({ name: 'm', remoteFiles: 'one' });
    expect(await made.infer(request({ model: 'm', remoteFiles: 'one', timeoutMs: 5_000 }))).toMatchObject([{ outputs: [{}] }]);
    await expect(made.infer(request({ model: 'm', remoteFiles: 'two', timeoutMs: 5_000 }))).rejects.toBeInstanceOf(RevisionGone);
    first.content = 'two';
    third.content = 'two';
    expect((await infer()).every((result) => result instanceof RevisionGone)).toBe(true);
    expect((await infer()).every((result) => 'outputs' in result)).toBe(true);
    expect(second.calls).toBeGreaterThan(0);
    await made.close();
  });

  it('knows the same files in all lanes of a process, and ends the connections with the last', async () => {
    const node: OtherNode = await OtherNode.start('a', (call, callback) => {
      if (call.metadata.getMap()[CONTENT_HEADER] === node.content) callback(null, ANSWER);
      else callback({ code: grpc.status.NOT_FOUND, details: 'other files' });
    });
    node.content = 'one';
    const models = modelsOf([node]);
    const [live, batch] = [await sharing(models, 'realtime'), await sharing(models, 'batch')];
    const filesOf = (backend: FleetBackend) => backend.models().at(-1)?.remoteFiles;
    const asked = request({ model: 'm', timeoutMs: 5_000 });
    expect([filesOf(live), filesOf(batch)]).toEqual(['one', 'one']);
    node.content = 'two';
    let told = 0;
    batch.onModelsChanged(() => (told += 1));
    expect(await live.infer(asked)).toMatchObject([expect.any(RevisionGone)]);
    expect([filesOf(live), filesOf(batch), told]).toEqual(['two', 'two', 1]);
    const close = jest.spyOn(models.nodes, 'close');
    await live.close();
    expect(close).not.toHaveBeenCalled();
    expect(await batch.infer({ ...asked, remoteFiles: 'two' })).toMatchObject([{ outputs: [{ name: 'y' }] }]);
    await batch.close();
    expect(close).toHaveBeenCalledTimes(1);
  });

  it('takes no answer that the model cannot have made, and asks another node', async () => {
    const float = (...values: number[]): Buffer => Buffer.from(Float32Array.from(values).buffer);
    const output = { name: 'y', datatype: 'FP32', shape: ['1'] };
    const wrong = [
      {},
      { outputs: [{ ...output, name: 'z' }], raw_output_contents: [float(1)] },
      { outputs: [{ ...output, datatype: 'INT32' }], raw_output_contents: [float(1)] },
      { outputs: [{ ...output, shape: ['2'] }], raw_output_contents: [float(1, 2)] },
      { outputs: [{ ...output, shape: ['-1'] }], raw_output_contents: [float(1)] },
      { outputs: [output], raw_output_contents: [Buffer.of(1)] },
    ];
    let next = 0;
    const broken = await OtherNode.start('a', (_call, callback) => callback(null, wrong[next++ % wrong.length] as object));
    const right = await OtherNode.start('b', (_call, callback) => callback(null, { outputs: [output], raw_output_contents: [float(7)] }));
    const made = await amidst('realtime', [broken, right]);
    const inputs = [{ name: 'x', datatype: 'FP32' as const, shape: [1], data: new Uint8Array(4) }];
    const infer = async (timeoutMs: number): Promise<unknown> => {
      const [result] = await made.infer(request({ model: 'm', items: [{ inputs, outputs: ['y'] }], timeoutMs }));
      return result instanceof InterleaveError ? result.code : result?.outputs.map(({ data, ...rest }) => ({ ...rest, data: [...data] }));
    };
    await until(async () => {
      expect(await infer(5_000)).toEqual([{ name: 'y', datatype: 'FP32', shape: [1], data: [...float(7)] }]);
      return broken.calls >= wrong.length;
    });
    right.stop();
    expect(await infer(200)).toBe('worker_unavailable');
    await made.close();
  });

  it('passes time and priority on, and lets no stand-in answer', async () => {
    const { made, told } = await beside('realtime', null);
    await made.infer(request({ model: 'm', timeoutMs: 2_000, priority: 3 }));
    expect(told).toMatchObject({ 'x-interleave-timeout-ms': '2000', 'x-interleave-priority': '3', 'x-interleave-degrade': 'never' });
    expect(told).not.toHaveProperty('x-interleave-service-tier');
    await made.close();
  });

  it.each([
    ['batch', null, 'worker_unavailable'],
    ['realtime', 2_000, 'deadline_exceeded'],
  ] as const)('takes a call that was too long in the %s lane for what it is', async (lane, timeoutMs, code) => {
    const { made, told } = await beside(lane, grpc.status.DEADLINE_EXCEEDED);
    expect(await made.infer(request({ model: 'm', timeoutMs }))).toMatchObject([{ code }]);
    expect(told['x-interleave-service-tier']).toBe(lane === 'batch' ? 'flex' : undefined);
    await made.close();
  });
});
