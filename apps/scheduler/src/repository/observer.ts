import { runPaths } from '@app/config';
import type { ApiProcessStatus, RunnerProcessStatus, WorkerProcessStatus } from '@app/contracts';
import { fetchStatus } from '@app/process';

/** A process that is being started again is not taken for one that is gone. */
const DOWN_MS = 1000;

/** What a process says: its status; `down`: nothing listens; `silent`: it runs or has just ended, and did not answer. */
export type Answer<Status> = Status | 'down' | 'silent';

/** What the processes that serve models say at one moment. */
export interface Observation {
  workers: ReadonlyMap<string, Answer<WorkerProcessStatus>>;
  apis: ReadonlyMap<string, Answer<ApiProcessStatus>>;
  runner: Answer<RunnerProcessStatus>;
}

const NOBODY_LISTENS: ReadonlySet<unknown> = new Set(['ENOENT', 'ECONNREFUSED']);

/** Asks the processes of a node, whoever started them. */
export class Observer {
  private readonly downSinceMs = new Map<string, number>();

  constructor(
    private readonly runDir: string,
    private readonly apiIds: readonly string[],
  ) {}

  async look(workerIds: readonly string[]): Promise<Observation> {
    const ofAll = async <Status>(ids: readonly string[], ask: (id: string) => Promise<Status>): Promise<Map<string, Answer<Status>>> =>
      new Map(await Promise.all(ids.map(async (id) => [id, await this.answerOf(id, ask)] as const)));
    const [workers, apis, runner] = await Promise.all([
      ofAll(workerIds, (id) => fetchStatus('worker', this.socketOf(id))),
      ofAll(this.apiIds, (id) => fetchStatus('api', this.socketOf(id))),
      this.answerOf('runner', (id) => fetchStatus('runner', this.socketOf(id))),
    ]);
    return { workers, apis, runner };
  }

  private async answerOf<Status>(id: string, ask: (id: string) => Promise<Status>): Promise<Answer<Status>> {
    try {
      const status = await ask(id);
      this.downSinceMs.delete(id);
      return status;
    } catch (error) {
      if (!NOBODY_LISTENS.has((error as NodeJS.ErrnoException).code)) return 'silent';
      const nowMs = performance.now();
      const sinceMs = this.downSinceMs.get(id) ?? nowMs;
      this.downSinceMs.set(id, sinceMs);
      return nowMs - sinceMs < DOWN_MS ? 'silent' : 'down';
    }
  }

  private socketOf(id: string): string {
    return runPaths(this.runDir).statusSocket(id);
  }
}
