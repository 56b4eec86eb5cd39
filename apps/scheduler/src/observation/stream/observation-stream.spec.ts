import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import type { NodeDelta, NodeEvent, NodeSnapshot } from '@app/contracts';
import { HISTORY_SERIES } from '@app/contracts';
import { quietView } from '../testing/views';
import { ObservationStream } from './observation-stream';

const event = { id: 9, atMs: 5, kind: 'redis', level: 'ok', text: 'Redis is back.', meaning: '', advice: null, subject: null } as NodeEvent;
const point = { atMs: 5, values: HISTORY_SERIES.map(() => 1) };

describe('the stream of the observation', () => {
  let stream: ObservationStream;
  let server: Server;

  beforeEach(async () => {
    stream = new ObservationStream(() => ({ stepMs: 2_000, series: HISTORY_SERIES, points: [point] }));
    server = createServer((_incoming, response) => stream.open(response)).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  /** What a reader gets, as it comes. */
  function read(): Promise<{ status: number; blocks: string[]; next: () => Promise<string> }> {
    return new Promise((resolve, reject) => {
      const outgoing = request({ port: (server.address() as AddressInfo).port, agent: false }, (response) => {
        const blocks: string[] = [];
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          const parts = (text + part).split('\n\n');
          text = parts.pop() ?? '';
          blocks.push(...parts);
        });
        response.on('error', () => undefined);
        const next = async (): Promise<string> => {
          while (blocks.length === 0) await once(response, 'data');
          return blocks.shift() ?? '';
        };
        resolve({ status: response.statusCode ?? 0, blocks, next });
      });
      outgoing.on('error', reject).end();
    });
  }

  const dataOf = <T>(block: string) => JSON.parse(/^data: (.*)$/m.exec(block)?.[1] ?? 'null') as T;
  const idOf = (block: string) => /^id: (.*)$/m.exec(block)?.[1];

  it('begins with all there is, and goes on with what changes', async () => {
    stream.show(quietView(), [], point);
    const reader = await read();
    const first = await reader.next();
    expect(first).toMatch(/^event: snapshot$/m);
    expect(dataOf<NodeSnapshot>(first)).toEqual({ view: quietView(), history: { stepMs: 2_000, series: HISTORY_SERIES, points: [point] } });
    const inflation = [{ worker: 'w' }] as never;
    stream.show(quietView({ atMs: 7, inflation, events: [event] }), [event], point);
    const second = await reader.next();
    expect(dataOf<NodeDelta>(second)).toEqual({ view: { atMs: 7, inflation }, events: [event], points: [point] });
    stream.show(quietView({ atMs: 8, inflation, events: [event] }), [], point);
    expect(dataOf<NodeDelta>(await reader.next())).toEqual({ view: { atMs: 8 }, events: [], points: [point] });
    const [epoch, number] = (idOf(second) ?? '').split('-');
    expect([idOf(first), number]).toEqual([`${epoch}-1`, '2']);
  });

  it('tells those that came before anything was seen everything at once', async () => {
    const reader = await read();
    stream.show(quietView(), [], point);
    expect(await reader.next()).toMatch(/^event: snapshot$/m);
  });

  it('has a limit of readers, and room again once one has gone', async () => {
    const readers = await Promise.all(Array.from({ length: 17 }, read));
    expect(readers.filter(({ status }) => status === 200)).toHaveLength(16);
    expect(readers.filter(({ status }) => status === 503)).toHaveLength(1);
    server.closeAllConnections();
    let status = 503;
    while (status === 503) status = (await read()).status;
  });
});
