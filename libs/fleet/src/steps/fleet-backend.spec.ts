import { ELSEWHERE, type GraphPlan, type InferenceRequest, InterleaveError, type Placement } from '@app/contracts';
import { serveModels, type ServedModels } from '../../../../test/fixtures/served-models';
import { FleetBackend } from './fleet-backend';
import { FleetNodes } from './fleet-nodes';

const ACCESS = { keyFile: null, caFile: null, certFile: null, certKeyFile: null, answerBytesMax: 1 << 20 };
const STEP = { kind: 'model' as const, model: 'other', version: '1', revision: ELSEWHERE, inputMap: { x: 'x' }, outputMap: { y: 'y' } };
const GRAPH: GraphPlan = { name: 'g', version: '1', revision: 7, fingerprint: 'f', lanes: ['realtime'], steps: [STEP], outputs: ['y'] };
const SUM = ['x', 'y'].map((name, i) => ({
  name,
  datatype: 'FP32' as const,
  shape: i === 0 ? [2, 3] : [3],
  data: new Uint8Array(i === 0 ? 24 : 12),
}));

let served: ServedModels;
let backend: FleetBackend;
beforeAll(async () => {
  served = await serveModels(['no-batch']);
  const placement = { placement: { graphs: [GRAPH] } as unknown as Placement, onChange: () => undefined };
  backend = new FleetBackend({ own: served.backend, placement, nodes: new FleetNodes(() => null, ACCESS) });
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
