import { setTimeout as sleep } from 'node:timers/promises';
import type { Outcome } from '../../online/open-loop';
import { HttpConnection } from '../../support/http-connection';
import type { Gate } from './gate';

/** After a refusal, a failure or a lost connection, and between two looks at a gate. */
const PAUSE_MS = 100;
const OK = 200;

/** Callers on connections of their own, each of which waits for its answer, and for the gate if there is one, before it asks again. */
export async function closedLoop(
  url: string,
  requests: Buffer[],
  options: { callers: number; durationMs: number; gate: Gate | null },
): Promise<Outcome[]> {
  let inFlight = 0;
  const outcomes: Outcome[] = [];
  const endMs = performance.now() + options.durationMs;
  const caller = async (first: number): Promise<void> => {
    let connection: HttpConnection | null = null;
    for (let i = first; performance.now() < endMs; i += options.callers) {
      if (options.gate?.allows(inFlight) === false) {
        await sleep(PAUSE_MS);
        continue;
      }
      inFlight += 1;
      const dueMs = performance.now();
      let status = 0;
      try {
        connection ??= await HttpConnection.open(url);
        ({ status } = await connection.send(requests[i % requests.length] ?? Buffer.alloc(0)));
      } catch {
        connection?.close();
        connection = null;
      }
      inFlight -= 1;
      const latencyMs = performance.now() - dueMs;
      outcomes.push({ status, dueMs, latencyMs, serviceMs: latencyMs });
      if (status !== OK) await sleep(PAUSE_MS);
    }
    connection?.close();
  };
  await Promise.all(Array.from({ length: options.callers }, (_, i) => caller(i)));
  return outcomes;
}
