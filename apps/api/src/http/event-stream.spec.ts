import { once } from 'node:events';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import fastify, { type FastifyInstance } from 'fastify';
import { EventStream } from './event-stream';

/** More than the time between two looks at the key. */
const LOOKED_MS = 1_200;

let app: FastifyInstance;
beforeEach(() => void (app = fastify()));
afterEach(() => app.close());

it('looks at no key for a caller who hung up before it began', async () => {
  let looks = 0;
  const opened = new Promise<EventStream>((resolve) => {
    app.get('/', async (_request, reply) => {
      caller.destroy();
      await once(reply.raw, 'close');
      resolve(
        new EventStream(reply, () => {
          looks += 1;
          return Promise.resolve();
        }),
      );
    });
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const caller = request({ host: '127.0.0.1', port, agent: false }).on('error', () => undefined);
  caller.end();
  const stream = await opened;
  const told: string[] = [];
  stream.onClose(() => told.push('closed'));
  expect([stream.isOver, told]).toEqual([true, ['closed']]);
  await sleep(LOOKED_MS);
  expect(looks).toBe(0);
});
