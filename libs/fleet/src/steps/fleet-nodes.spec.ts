import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ELSEWHERE, InterleaveError, type NodeHeartbeat } from '@app/contracts';
import { inferCallMessage, modelCallMessage } from '@app/protocols';
import * as grpc from '@grpc/grpc-js';
import { Certificates, type Issued } from '../../../../test/support/certificates';
import { FleetModels } from './fleet-models';
import { FleetNodes } from './fleet-nodes';
import type { NodeAccess } from './access-files';
import { OtherNode, stopOtherNodes, type Answering } from './testing/other-node';

const MODEL = { name: 'm', version: '1' };
const NO_ACCESS: NodeAccess = { keyFile: null, caFile: null, certFile: null, certKeyFile: null, answerBytesMax: 1 << 20 };
const ITEM = { inputs: [{ name: 'x', datatype: 'FP32' as const, shape: [1], data: new Uint8Array(4) }], outputs: null };

const opened: { stop(): void }[] = [];
afterEach(() => {
  opened.splice(0).forEach((one) => one.stop());
  stopOtherNodes();
});

function nodesOf(list: NodeHeartbeat[], access: Partial<NodeAccess> = {}): FleetNodes {
  const nodes = new FleetNodes(() => list, { ...NO_ACCESS, ...access });
  opened.push({ stop: () => nodes.close() });
  return nodes;
}

const infer = (nodes: FleetNodes, timeoutMs = 5_000, signal: AbortSignal | null = null): Promise<Buffer> =>
  nodes.call(
    {
      lane: 'realtime',
      wanted: MODEL,
      method: 'ModelInfer',
      message: inferCallMessage('m', '1', ITEM),
      among: (all) => all,
      read: (answer) => answer,
      onMissing: () => undefined,
    },
    { timeoutMs, signal, metadata: {} },
  );
const refusalOf = (answer: Promise<unknown>): Promise<InterleaveError> =>
  answer.then(
    () => Promise.reject(new Error('answered')),
    (error) => error,
  );

const answers: Answering = (_call, callback) => callback(null, { model_name: 'm' });
const fails =
  (code: grpc.status, metadata = new grpc.Metadata()): Answering =>
  (_call, callback) =>
    callback({ code, details: 'why', metadata });
function withRetryAfter(): grpc.Metadata {
  const metadata = new grpc.Metadata();
  metadata.set('retry-after', '3');
  return metadata;
}

describe('calls of other nodes', () => {
  it.each([
    ['is away', grpc.status.UNAVAILABLE, undefined],
    ['is full', grpc.status.RESOURCE_EXHAUSTED, withRetryAfter()],
    ['has just unloaded the model', grpc.status.NOT_FOUND, undefined],
  ])('go to another node where one %s', async (_what, code, metadata) => {
    const [first, second] = [await OtherNode.start('a', fails(code, metadata)), await OtherNode.start('b', answers)];
    await expect(infer(nodesOf([first.heartbeat(), second.heartbeat({ liveBacklogMs: 9 })]))).resolves.toBeInstanceOf(Buffer);
    expect([first.calls, second.calls]).toEqual([1, 1]);
  });

  it.each([
    [grpc.status.INVALID_ARGUMENT, 'invalid_request'],
    [grpc.status.INTERNAL, 'inference_failed'],
    [grpc.status.RESOURCE_EXHAUSTED, 'too_large'],
    [grpc.status.UNAUTHENTICATED, 'model_not_servable'],
  ])('are not repeated where another node would say the same (%s)', async (code, expected) => {
    const [first, second] = [await OtherNode.start('a', fails(code)), await OtherNode.start('b', answers)];
    const error = await refusalOf(infer(nodesOf([first.heartbeat(), second.heartbeat({ liveBacklogMs: 9 })])));
    expect([error.code, second.calls]).toEqual([expected, 0]);
    expect(error.message).toMatch(/^node a: why/);
  });

  it.each([
    ['a stream that is reset', grpc.status.CANCELLED],
    ['an answer without a status', grpc.status.INTERNAL],
    ['a redirect', grpc.status.UNKNOWN],
    ['another program', grpc.status.INVALID_ARGUMENT],
  ])('go to another node after %s, which is no fault of callers', async (_what, code) => {
    const foreign = Object.assign({ code, details: 'why' }, { isForeign: true });
    const [first, second] = [await OtherNode.start('a', (_call, callback) => callback(foreign)), await OtherNode.start('b', answers)];
    const [one, two] = [first.heartbeat(), second.heartbeat({ liveBacklogMs: 9 })];
    await expect(infer(nodesOf([one, two]))).resolves.toBeInstanceOf(Buffer);
    expect([first.calls, second.calls]).toEqual([1, 1]);
    expect((await refusalOf(infer(nodesOf([one]), 100))).code).toBe('worker_unavailable');
  });

  it('go to others once a node holds them without a word, until it speaks again', async () => {
    let isFrozen = true;
    const [frozen, other] = [
      await OtherNode.start('a', (call, callback) => (isFrozen ? undefined : answers(call, callback))),
      await OtherNode.start('b', answers),
    ];
    const nodes = nodesOf([frozen.heartbeat(), other.heartbeat({ liveBacklogMs: 9 })]);
    expect((await refusalOf(infer(nodes, 200))).code).toBe('deadline_exceeded');
    for (let i = 0; i < 3; i++) await infer(nodes);
    expect([frozen.calls, other.calls]).toEqual([1, 3]);
    isFrozen = false;
    await nodes
      .clientOf(frozen.heartbeat())
      .call('ModelConfig', modelCallMessage('m', '1'), { timeoutMs: 5_000, signal: null, metadata: {} });
    await infer(nodes);
    expect([frozen.calls, other.calls]).toEqual([2, 3]);
  });

  it('stay with a node that answers in its own words that the time is over', async () => {
    const [first, second] = [await OtherNode.start('a', fails(grpc.status.DEADLINE_EXCEEDED)), await OtherNode.start('b', answers)];
    const nodes = nodesOf([first.heartbeat(), second.heartbeat({ liveBacklogMs: 9 })]);
    for (let i = 0; i < 2; i++) expect((await refusalOf(infer(nodes))).code).toBe('deadline_exceeded');
    expect([first.calls, second.calls]).toEqual([2, 0]);
  });

  it('wait for a node that is away as long as there is time', async () => {
    let left = 3;
    const node = await OtherNode.start('a', (call, callback) => (left-- > 0 ? fails(grpc.status.UNAVAILABLE) : answers)(call, callback));
    await expect(infer(nodesOf([node.heartbeat()]))).resolves.toBeInstanceOf(Buffer);
    expect(node.calls).toBe(4);
  });

  it('carry the deadline, and end with it', async () => {
    let deadlineMs = 0;
    const node = await OtherNode.start('a', (call) => (deadlineMs = Number(call.getDeadline()) - Date.now()));
    const error = await refusalOf(infer(nodesOf([node.heartbeat()]), 300));
    expect(error.code).toBe('deadline_exceeded');
    expect(deadlineMs).toBeLessThanOrEqual(300);
  });

  it('end at the node when the caller hangs up', async () => {
    const hangUp = new AbortController();
    const cancelled = new Promise<void>((resolve) => {
      void OtherNode.start('a', (call) => {
        call.once('cancelled', () => resolve());
        hangUp.abort();
      }).then(async (node) =>
        expect((await refusalOf(infer(nodesOf([node.heartbeat()]), 5_000, hangUp.signal))).code).toBe('client_closed'),
      );
    });
    await cancelled;
  });

  it('show the key of the file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fleet-'));
    const keyFile = join(folder, 'key');
    writeFileSync(keyFile, 'il_secret\n');
    const node = await OtherNode.start('a', (call, callback) =>
      call.metadata.get('x-api-key')[0] === 'il_secret' ? answers(call, callback) : fails(grpc.status.UNAUTHENTICATED)(call, callback),
    );
    await expect(infer(nodesOf([node.heartbeat()], { keyFile }))).resolves.toBeInstanceOf(Buffer);
    rmSync(folder, { recursive: true });
  });

  it('are made by TLS, with a certificate of its own, to nodes that ask for it', async () => {
    const certificates = new Certificates();
    const [authority, other] = [certificates.authority('nodes'), certificates.authority('others')];
    const [server, client] = [certificates.issue(authority, 'a'), certificates.issue(authority, 'door')];
    const read = ({ certFile, keyFile }: Issued) => ({ cert_chain: readFileSync(certFile), private_key: readFileSync(keyFile) });
    const tls = grpc.ServerCredentials.createSsl(readFileSync(authority.certFile), [read(server)], true);
    const node = await OtherNode.start('a', answers, { tls });
    const own = { certFile: client.certFile, certKeyFile: client.keyFile };
    const list = [node.heartbeat({ tls: true })];
    await expect(infer(nodesOf(list, { ...own, caFile: authority.certFile }))).resolves.toBeInstanceOf(Buffer);
    const refused = [
      infer(nodesOf(list, { ...own, caFile: other.certFile }), 300),
      infer(nodesOf(list, { caFile: authority.certFile }), 300),
    ];
    for (const answer of refused) expect((await refusalOf(answer)).code).toMatch(/worker_unavailable|deadline_exceeded/);
    certificates.remove();
  });

  it('follow new files for TLS, and a node that begins to ask for it', async () => {
    const certificates = new Certificates();
    const [before, after] = [certificates.authority('before'), certificates.authority('after')];
    const { certFile, keyFile } = certificates.issue(after, 'a');
    const pair = [{ cert_chain: readFileSync(certFile), private_key: readFileSync(keyFile) }];
    const [plain, secure] = [
      await OtherNode.start('a', answers),
      await OtherNode.start('a', answers, { tls: grpc.ServerCredentials.createSsl(null, pair) }),
    ];
    const list = [plain.heartbeat()];
    const caFile = join(certificates.dir, 'ca.pem');
    copyFileSync(before.certFile, caFile);
    const nodes = nodesOf(list, { caFile });
    await infer(nodes);
    // At the same address and port, as far as this node knows.
    const client = nodes.clientOf(plain.heartbeat());
    expect(nodes.clientOf(plain.heartbeat({ tls: true }))).not.toBe(client);
    list[0] = secure.heartbeat({ tls: true });
    expect((await refusalOf(infer(nodes, 300))).code).toMatch(/worker_unavailable|deadline_exceeded/);
    copyFileSync(after.certFile, caFile);
    const now = jest.spyOn(performance, 'now');
    const startMs = performance.timeOrigin;
    now.mockImplementation(() => Date.now() - startMs + 20_000);
    await expect(infer(nodes)).resolves.toBeInstanceOf(Buffer);
    writeFileSync(caFile, 'no certificate');
    now.mockImplementation(() => Date.now() - startMs + 40_000);
    await expect(infer(nodes)).resolves.toBeInstanceOf(Buffer);
    now.mockRestore();
    nodes.forgetGone();
    expect(() => client.close()).not.toThrow();
    certificates.remove();
  });

  it.each([
    ['drains', { state: 'draining' as const }],
    ['loads the model', { models: [{ ...MODEL, state: 'loading' as const }] }],
    ['has another version', { models: [{ name: 'm', version: '2', state: 'ready' as const }] }],
  ])('never go to a node that %s', async (_what, changes) => {
    const node = await OtherNode.start('a', answers);
    const error = await refusalOf(infer(nodesOf([node.heartbeat(changes)]), 100));
    expect([error.code, node.calls]).toEqual(['worker_unavailable', 0]);
    expect(error.message).toMatch(/no node of the fleet serves m version 1 now/);
  });
});

describe('models of other nodes', () => {
  const reportOf = async (nodes: FleetNodes) => {
    let changed = (): void => undefined;
    const models = new FleetModels(nodes);
    models.join(() => changed());
    const known = new Promise<void>((resolve) => {
      changed = () => (models.reports()[0]?.state !== 'loading' || models.reports()[0]?.reason !== null) && resolve();
    });
    models.want([MODEL]);
    await known;
    return models.reports()[0];
  };

  it('are reported with what their node says of them', async () => {
    const node = await OtherNode.start('a', answers);
    expect(await reportOf(nodesOf([node.heartbeat()]))).toMatchObject({
      ...MODEL,
      ...{ revision: ELSEWHERE, state: 'ready', reason: null },
      signature: { inputs: [{ name: 'x', datatype: 'FP32', shape: [-1], axes: ['batch'] }] },
    });
  });

  it('fail or wait with what would help', async () => {
    const graph = await OtherNode.start('a', answers, { platform: 'ensemble' });
    expect(await reportOf(nodesOf([graph.heartbeat()]))).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/a graph of models there/),
    });
    expect(await reportOf(nodesOf([]))).toMatchObject({
      state: 'loading',
      reason: expect.stringMatching(/no node of the fleet serves m version 1/),
    });
    const alone = new FleetNodes(() => null, NO_ACCESS);
    expect(await reportOf(alone)).toMatchObject({ state: 'failed', reason: expect.stringMatching(/set REDIS_URL/) });
  });
});
