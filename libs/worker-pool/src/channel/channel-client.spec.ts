import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChannelItem, loadAddon, fromNative, IllegalStateError } from '@app/native';
import { type ChannelAnswer, ChannelClient, type AnswerReceiver } from './channel-client';
import { COMMANDS, ECHO_MODELS, echoReport, EchoWorker } from '../testing/echo-worker';

const ignoring: AnswerReceiver = { answered: () => undefined };

const textItem = (text: string): ChannelItem => ({
  revision: 1,
  priority: 3,
  alone: false,
  ahead: false,
  timeoutMs: null,
  outputs: null,
  responseBytes: 4096,
  inputs: [{ index: 0, type: 2, shape: [text.length], data: Buffer.from(text) }],
});

const holdItem = (): ChannelItem => ({
  ...textItem(''),
  revision: 2,
  inputs: [{ index: 0, type: 7, shape: [2], data: new Uint8Array(BigInt64Array.of(COMMANDS.hold, 0n).buffer) }],
});

/** Collects what the listener was told, and lets a test wait for it. */
class Events {
  readonly seen: string[] = [];
  private readonly waiters = new Set<() => void>();

  readonly listener = {
    up: (): void => this.add('up'),
    down: (): void => this.add('down'),
    report: (): void => this.add('report'),
    room: (): void => this.add('room'),
  };

  async until(event: string, count = 1): Promise<void> {
    while (this.seen.filter((seen) => seen === event).length < count) await new Promise<void>((resolve) => this.waiters.add(resolve));
  }

  private add(event: string): void {
    this.seen.push(event);
    for (const waiter of this.waiters) waiter();
    this.waiters.clear();
  }
}

describe('ChannelClient', () => {
  let folder: string;
  let socketPath: string;
  let client: ChannelClient;
  let events: Events;
  let worker: EchoWorker | null;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'channel-'));
    socketPath = join(folder, 'worker.sock');
    events = new Events();
    client = new ChannelClient({ socketPath, channelBytes: 1 << 20, queueItemsMax: 16, gatherMs: 0 }, events.listener);
    worker = null;
  });

  afterEach(async () => {
    client.close();
    await worker?.kill();
    rmSync(folder, { recursive: true });
  });

  const submit = (item: ChannelItem): Promise<ChannelAnswer> =>
    new Promise((resolve) => {
      expect(client.submit([item], [{ answered: resolve }])).toHaveLength(1);
    });

  const connect = async (): Promise<EchoWorker> => {
    worker = await EchoWorker.start(socketPath);
    client.start();
    await events.until('up');
    return worker;
  };

  it('connects when the worker appears, however late', async () => {
    client.start();
    expect(client.submit([textItem('early')], [ignoring])).toBeNull();
    worker = await EchoWorker.start(socketPath);
    await events.until('up');
    expect(await submit(textItem('hello'))).toMatchObject({
      kind: 'completed',
      completion: { status: 0, outputs: [{ index: 0, shape: [5] }] },
    });
  });

  it('lets answers gather before it takes them, and hears of the end meanwhile', async () => {
    const gatherMs = 60;
    client = new ChannelClient({ socketPath, channelBytes: 1 << 20, queueItemsMax: 16, gatherMs }, events.listener);
    worker = await EchoWorker.start(socketPath);
    client.start();
    await events.until('up');
    const submittedMs = performance.now();
    const answers = await new Promise<ChannelAnswer[]>((resolve) => {
      const received: ChannelAnswer[] = [];
      const receive = { answered: (answer: ChannelAnswer): unknown => received.push(answer) === 2 && resolve(received) };
      client.submit([textItem('hello'), textItem('again')], [receive, receive]);
    });
    for (const answer of answers) expect(answer).toMatchObject({ kind: 'completed', completion: { status: 0 } });
    expect(performance.now() - submittedMs).toBeGreaterThanOrEqual(gatherMs - 1);
    const last = new Promise<ChannelAnswer>((resolve) => client.submit([holdItem()], [{ answered: resolve }]));
    await worker.untilStarted(3);
    await worker.kill();
    expect(await last).toEqual({ kind: 'lost', suspicion: 'possible' });
  });

  it('takes an answer at once where no other item is in flight', async () => {
    client = new ChannelClient({ socketPath, channelBytes: 1 << 20, queueItemsMax: 16, gatherMs: 3_600_000 }, events.listener);
    worker = await EchoWorker.start(socketPath);
    client.start();
    await events.until('up');
    for (const text of ['one', 'two']) {
      const answer = await new Promise<ChannelAnswer>((resolve) => client.submit([textItem(text)], [{ answered: resolve }]));
      expect(answer).toMatchObject({ kind: 'completed', completion: { status: 0 } });
    }
  });

  it('passes a new report on', async () => {
    const running = await connect();
    await running.publish(echoReport(ECHO_MODELS.slice(0, 1)));
    await events.until('report');
  });

  it('tells of each item of a dead worker whether it was running, and then that the worker is down', async () => {
    const running = await connect();
    const order: string[] = [];
    const record = (name: string): AnswerReceiver => ({
      answered: (answer) =>
        void order.push(`${name} ${answer.kind === 'lost' ? `lost ${answer.suspicion}` : answer.kind} ${events.seen.includes('down')}`),
    });
    client.submit([holdItem(), textItem('waits')], [record('first'), record('second')]);
    await running.untilStarted(1);
    await running.kill();
    await events.until('down');
    expect(order).toEqual(['first lost possible false', 'second lost none false']);
    expect(client.inFlightItems).toBe(0);
    worker = await EchoWorker.start(socketPath);
    await events.until('up', 2);
    expect(await submit(textItem('again'))).toMatchObject({ kind: 'completed' });
  });

  it('delivers answers that a stopping worker still gave', async () => {
    const running = await connect();
    const receivers: AnswerReceiver[] = [];
    const texts = ['a', 'b', 'c'];
    const answers = Promise.all(
      texts.map((_text, position) => new Promise<ChannelAnswer>((answered) => (receivers[position] = { answered }))),
    );
    await running.shut();
    client.submit(texts.map(textItem), receivers);
    await running.open();
    await running.untilStarted(texts.length); // one after the other: the last one may still run, and its answer be on its way
    await running.stop();
    for (const answer of await answers) expect(answer).toMatchObject({ kind: 'completed', completion: { status: 0 } });
  });

  it('loses its items on close, and refuses more', async () => {
    const running = await connect();
    const held = submit(holdItem());
    await running.untilStarted(1);
    client.close();
    client.close();
    expect(await held).toEqual({ kind: 'lost', suspicion: 'possible' });
    expect(() => client.submit([textItem('late')], [ignoring])).toThrow(IllegalStateError);
  });

  it('names the item that is at fault', async () => {
    await connect();
    const wrong: ChannelItem = { ...textItem('abc'), inputs: [{ index: 0, type: 2, shape: [4], data: Buffer.from('abc') }] };
    const receivers = [ignoring, ignoring];
    expect(() => client.submit([textItem('ok'), wrong], receivers)).toThrow(
      expect.objectContaining({ name: 'ChannelError', code: 'INVALID', item: 1 }) as Error,
    );
    const large: ChannelItem = { ...textItem(''), responseBytes: 2 ** 50 };
    expect(() => client.submit([large], receivers)).toThrow(expect.objectContaining({ code: 'TOO_LARGE', item: 0 }) as Error);
    expect(client.inFlightItems).toBe(0);
  });

  it('leaves a worker that talks nonsense, and tries again', async () => {
    let connections = 0;
    const server: Server = createServer((socket) => {
      connections += 1;
      socket.on('error', () => undefined);
      socket.resume().end(Buffer.alloc(64, 0xff));
    });
    await new Promise<void>((resolve) => server.listen(socketPath, resolve));
    client.start();
    while (connections < 3) await new Promise((resolve) => server.once('connection', resolve));
    expect(events.seen).toEqual([]);
    await new Promise((resolve) => server.close(resolve));
  });

  it('gives descriptors and mappings back', async () => {
    await connect();
    const holdings = (): { descriptors: string[]; regions: number } => ({
      descriptors: readdirSync('/proc/self/fd').flatMap((fd) => {
        try {
          return [readlinkSync(`/proc/self/fd/${fd}`)];
        } catch {
          return []; // that of the folder itself, closed by now
        }
      }),
      regions: readFileSync('/proc/self/maps', 'utf8').split('memfd:interleave-channel').length,
    });
    const before = holdings();
    for (let round = 0; round < 20; round += 1) {
      const other = new Events();
      const second = new ChannelClient({ socketPath, channelBytes: 1 << 20, queueItemsMax: 16, gatherMs: 0 }, other.listener);
      second.start();
      await other.until('up');
      second.submit([textItem('left behind')], [ignoring]);
      second.close();
    }
    await new Promise((resolve) => setImmediate(resolve)); // sockets close at the end of the turn
    const after = holdings();
    expect(after.regions).toBe(before.regions);
    // What a file before this one left, such as kept connections, may go meanwhile; nothing may come.
    const left = [...before.descriptors];
    const come = after.descriptors.filter((target) => {
      const at = left.indexOf(target);
      if (at !== -1) left.splice(at, 1);
      return at === -1;
    });
    expect(come).toEqual([]);
  });
});

describe('the addon', () => {
  const thrownBy = async (body: () => unknown): Promise<Error> => {
    try {
      await body();
    } catch (error) {
      return fromNative(error);
    }
    throw new Error('nothing was thrown');
  };

  it('says what it expected instead of crashing', async () => {
    const addon = loadAddon();
    const anything = {} as never;
    expect((await thrownBy(() => addon.channelConnect(undefined as never))).message).toBe('expected an object for options');
    expect((await thrownBy(() => addon.channelConnect(anything))).message).toBe('expected a string for socketPath');
    expect((await thrownBy(() => addon.channelSubmit(anything, anything, []))).message).toBe('expected a channel for channel');
    expect((await thrownBy(() => addon.channelReceive(new Date() as never, anything))).message).toBe('expected a channel for channel');
    expect((await thrownBy(() => addon.channelClose(1 as never))).message).toBe('expected an object for channel');
  });

  it('rejects with a code when nobody listens', async () => {
    const options = { socketPath: '/nonexistent/worker.sock', arenaBytes: 4096, itemsMax: 1, timeoutMs: 100 };
    expect(await thrownBy(() => loadAddon().channelConnect(options))).toMatchObject({ name: 'ChannelError', code: 'UNREACHABLE' });
    expect(await thrownBy(() => loadAddon().channelConnect({ ...options, itemsMax: 0 }))).toMatchObject({ code: 'INVALID' });
  });
});
