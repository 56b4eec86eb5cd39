import { readdirSync, readFileSync } from 'node:fs';
import type { Stack } from '../../test/support/stack';
import { HttpConnection } from '../support/http-connection';
import { infer } from '../support/infer-request';

const TOKENS = 32;
const WARM_MS = 3_000;

/** What a request takes of the two threads of a node that there is one of, at full load, in µs of CPU time. */
export interface NodeTimes {
  requestsPerSecond: number;
  apiLoopUs: number;
  channelUs: number;
}

/** So many connections send binary requests of one row without pause. */
export async function measureNode(stack: Stack, model: string, connections: number, durationMs: number): Promise<NodeTimes> {
  await load(stack, model, connections, WARM_MS);
  const apis = [await stack.pidOf('api-1'), await stack.pidOf('api-2')];
  const worker = await stack.pidOf('default-realtime');
  // One of the two answers, the other one waits.
  const used = (): { api: number; channel: number } => ({
    api: apis.reduce((sum, pid) => sum + cpuUs(pid, String(pid)), 0),
    channel: cpuUs(worker, threadOf(worker, 'channel')),
  });
  const before = used();
  const startMs = performance.now();
  const requests = await load(stack, model, connections, durationMs);
  const after = used();
  return {
    requestsPerSecond: (requests * 1000) / (performance.now() - startMs),
    apiLoopUs: (after.api - before.api) / requests,
    channelUs: (after.channel - before.channel) / requests,
  };
}

async function load(stack: Stack, model: string, connections: number, durationMs: number): Promise<number> {
  const endMs = performance.now() + durationMs;
  const caller = async (index: number): Promise<number> => {
    const connection = await HttpConnection.open(stack.url);
    // Equal requests in flight would share a run.
    const ids = Array.from({ length: TOKENS }, (_, position) => 5 + position + index);
    const request = infer({ model, ids, output: 'sentence_embedding', headers: {} });
    let requests = 0;
    for (; performance.now() < endMs; requests++) {
      const { status, body } = await connection.send(request);
      if (status !== 200) throw new Error(`status ${status}: ${body.toString('utf8', 0, 500)}`);
    }
    connection.close();
    return requests;
  };
  const counts = await Promise.all(Array.from({ length: connections }, (_, index) => caller(index)));
  return counts.reduce((sum, count) => sum + count, 0);
}

function threadOf(pid: number, name: string): string {
  const found = readdirSync(`/proc/${pid}/task`).find((id) => readFileSync(`/proc/${pid}/task/${id}/comm`, 'utf8').trim() === name);
  if (found === undefined) throw new Error(`process ${pid} has no thread ${name}`);
  return found;
}

/** CPU time of a thread so far. */
function cpuUs(pid: number, thread: string): number {
  return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1000;
}
