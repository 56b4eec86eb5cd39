import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { fetchStatus } from '@app/process';
import { Stack, until } from '../support/stack';

const BODY = JSON.stringify({ model: 'encoder-tiny', input: 'the rest comes later' });
const HEAD = `POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n`;

describe('an API process that is told to end', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await Stack.start({ models: ['encoder-tiny'] });
  });
  afterAll(() => stack?.stop());

  it('answers what it has begun to receive, ends cleanly, and is replaced', async () => {
    const pid = await apiPid(stack);
    const begun = await open(stack);
    begun.write(HEAD + BODY.slice(0, 10));
    // An answer on another connection: the process has read what was sent before.
    const idle = await open(stack);
    idle.write('GET /v2/health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(await firstData(idle)).toMatch(/^HTTP\/1.1 200/);
    const idleClosed = once(idle, 'close');

    process.kill(pid, 'SIGTERM');
    await idleClosed;
    begun.write(BODY.slice(10));
    const answer = await firstData(begun);
    expect(answer).toMatch(/^HTTP\/1.1 200 [\s\S]*connection: close[\s\S]*"embedding"/i);

    await until(
      async () => (await apiPid(stack).catch(() => pid)) !== pid,
      30_000,
      () => `not replaced:\n${stack.log()}`,
    );
    await stack.ready();
    await until(
      async () => (await apiEnds(stack)).length > 0,
      30_000,
      () => `did not end:\n${stack.log()}`,
    );
    expect(await apiEnds(stack)).toEqual(['exit code 0']);
  });

  it('costs one request at most when it is killed, the one that it has in hand', async () => {
    for (let kill = 0; kill < 3; kill++) {
      await until(
        async () => (await stack.processes()).filter(({ id, state }) => id.startsWith('api-') && state === 'ready').length === 2,
        30_000,
        () => `no second one:\n${stack.log()}`,
      );
      const killed = await apiPid(stack);
      const answers: (number | string)[] = [];
      const asking = askOneByOne(stack, answers, async () => (await apiPid(stack).catch(() => killed)) !== killed && answers.length > 20);
      process.kill(killed, 'SIGKILL');
      await asking;
      expect(answers.filter((answer) => answer !== 200).length).toBeLessThanOrEqual(1);
    }
  });
});

/** Asks on a new connection each time, until `isOver`. */
async function askOneByOne(stack: Stack, answers: (number | string)[], isOver: () => Promise<boolean>): Promise<void> {
  do {
    const headers = { 'content-type': 'application/json', connection: 'close' };
    const asked = fetch(`${stack.url}/v1/embeddings`, { method: 'POST', headers, body: BODY });
    answers.push(await asked.then((answer) => answer.text().then(() => answer.status)).catch((error: Error) => error.message));
  } while (!(await isOver()));
}

async function apiPid(stack: Stack): Promise<number> {
  return (await fetchStatus('api', join(stack.runDir, 'api.status.sock'), 2000)).pid;
}

/** How the scheduler saw the API processes end that have. */
async function apiEnds(stack: Stack): Promise<string[]> {
  const { processes } = await fetchStatus('scheduler', join(stack.runDir, 'scheduler.status.sock'), 2000);
  return processes.flatMap(({ id, reason }) => (id.startsWith('api-') && reason !== null ? [reason] : []));
}

async function open(stack: Stack): Promise<Socket> {
  const { hostname, port } = new URL(stack.url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  return socket;
}

async function firstData(socket: Socket): Promise<string> {
  const [part] = (await once(socket, 'data')) as [Buffer];
  return part.toString();
}
