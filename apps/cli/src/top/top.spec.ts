import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiClient } from '../client';
import { nodeStates, type NodeState } from './node-stream';
import { snapshotText } from './run-top';
import { AT_MS, batch, nodeHistory, nodeView } from './testing/node-view';
import { VirtualScreen } from './testing/virtual-screen';

const TERMINAL = join(__dirname, 'testing/terminal.py');
const REGISTER = join(__dirname, '../../../../test/fixtures/register-ts.cjs');
const SHOWS_MS_MAX = 25_000;
/** Leaves the other screen, and shows the cursor. */
const RESTORED = /\u001b\[\?1049l/;

const snapshot = (changes: Parameters<typeof nodeView>[0] = {}): string =>
  JSON.stringify({ view: nodeView(changes), history: nodeHistory() });
const event = (id: string, name: string, data: string): string => `${id === '' ? '' : `id: ${id}\n`}event: ${name}\ndata: ${data}\n\n`;

describe('interleave top', () => {
  let server: Server;
  let url: string;
  /** Answers the streams one after another; the last answers those after it too. */
  let streams: ((response: ServerResponse) => void)[];
  let requests: IncomingMessage[];
  let actions: string[];

  beforeEach(async () => {
    streams = [(response) => response.write(event('1', 'snapshot', snapshot()))];
    requests = [];
    actions = ['pause', 'cancel', 'priority'];
    server = createServer((request, response) => {
      requests.push(request);
      if (request.url === '/dashboard/events') return (streams.length > 1 ? streams.shift() : streams[0])?.(response);
      const body = request.url === '/dashboard/view' ? nodeView() : { status: 'in_progress', isPausedByRequest: true, actions };
      response.end(JSON.stringify(body));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });

  const asked = (method: string): string[] => requests.filter((one) => one.method === method).map((one) => one.url ?? '');

  describe('in a terminal', () => {
    let terminal: ChildProcessWithoutNullStreams;
    let output: string;
    let screen: VirtualScreen;

    afterEach(() => terminal.kill('SIGKILL'));

    function open(environment: Record<string, string> = {}): void {
      const program = [process.execPath, '--require', REGISTER, join(__dirname, 'testing/main.ts'), 'top', '--url', url];
      const env = { PATH: process.env['PATH'] ?? '', TERM: 'xterm-256color', ...environment };
      terminal = spawn('python3', [TERMINAL, '100', '30', ...program], { env });
      output = '';
      screen = new VirtualScreen();
      terminal.stdout.setEncoding('utf8').on('data', (part: string) => {
        output += part;
        screen.write(part);
      });
    }

    async function until(isSo: () => boolean): Promise<void> {
      const end = performance.now() + SHOWS_MS_MAX;
      while (!isSo()) {
        if (performance.now() > end) throw new Error(`the terminal shows ${screen.text}`);
        await sleep(20);
      }
    }
    const shows = (text: string): Promise<void> => until(() => screen.text.includes(text));
    const press = (keys: string): boolean => terminal.stdin.write(`keys ${JSON.stringify(keys)}\n`);

    async function end(): Promise<unknown> {
      let told = '';
      terminal.stderr.setEncoding('utf8').on('data', (part: string) => (told += part));
      await new Promise((resolve) => terminal.once('close', resolve));
      return JSON.parse(told);
    }

    it('pauses a batch once that is confirmed, follows the size, and leaves the terminal as it was', async () => {
      open();
      await shows('Live is fine');
      await shows('batch_two');
      press('p');
      await shows('Pause batch batch_one');
      expect(asked('POST')).toEqual([]);
      press('y');
      await shows('is paused now');
      expect(asked('POST')).toEqual(['/dashboard/batches/batch_one/pause']);
      terminal.stdin.write('size 60 20\n');
      await until(() => !screen.text.includes('PADDING'));
      press('?');
      await shows('CPU bars');
      press('xq');
      expect(await end()).toEqual({ code: 0, isRestored: true });
      expect(output).toMatch(RESTORED);
    });

    it('leaves the terminal as it was when it is killed, and uses no colour where that is wanted', async () => {
      open({ NO_COLOR: '1' });
      await shows('Live is fine');
      // Colours are set by 30 to 38, 90 to 97 or by 38;5.
      expect(output).not.toMatch(/\u001b\[(?:\d+;)*(?:3[0-8]|9[0-7])(?:;\d+)*m/);
      terminal.stdin.write('end 15\n');
      expect(await end()).toEqual({ code: 143, isRestored: true });
      expect(output).toMatch(RESTORED);
    });
  });

  it('prints the node once as text', async () => {
    const text = await snapshotText(new ApiClient({ url }), 100);
    expect(text).toContain('● OK  Live is fine');
    expect(text).toContain('batch_one');
    expect(text).not.toContain('\u001b');
  });

  describe('as it reads the stream', () => {
    async function states(count: number): Promise<NodeState[]> {
      const end = new AbortController();
      const seen: NodeState[] = [];
      for await (const state of nodeStates(new ApiClient({ url }), end.signal)) {
        seen.push(state);
        if (seen.length === count) end.abort();
      }
      return seen;
    }

    it('takes a snapshot, what changed, and that the scheduler is away', async () => {
      const delta = { view: { batches: [batch('batch_three')], atMs: AT_MS + 2_000 }, events: [], points: [] };
      streams = [
        (response) =>
          response.write(
            `retry: 2000\n\n${event('1', 'snapshot', snapshot())}: still here\n\n${event('2', 'delta', JSON.stringify(delta))}` +
              event('', 'away', JSON.stringify({ sinceMs: 5, reason: 'it restarts' })),
          ),
      ];
      const [first, second, third] = await states(3);
      expect(first?.snapshot?.view.batches.map(({ id }) => id)).toEqual(['batch_one', 'batch_two']);
      expect(second?.snapshot?.view).toMatchObject({ atMs: AT_MS + 2_000, batches: [{ id: 'batch_three' }], version: '0.2.0' });
      expect(third).toMatchObject({ connection: { kind: 'away', sinceMs: 5, reason: 'it restarts' }, snapshot: second?.snapshot });
    });

    it('says that the connection is lost, and goes on after its last event', async () => {
      streams.unshift((response) => response.write(event('7', 'snapshot', snapshot()), () => response.destroy()));
      const seen = await states(3);
      expect(seen.map(({ connection }) => connection.kind)).toEqual(['live', 'lost', 'live']);
      expect(requests.map(({ headers }) => headers['last-event-id'])).toEqual([undefined, '7']);
    });

    it('tells why where the first answer is a refusal', async () => {
      streams = [(response) => response.writeHead(403).end('{"error":"This is for operators"}')];
      await expect(states(1)).rejects.toThrow('This is for operators');
      await expect(nodeStates(new ApiClient({ url: 'http://127.0.0.1:1' }), new AbortController().signal).next()).rejects.toThrow(
        /cannot be reached/,
      );
    });
  });
});
