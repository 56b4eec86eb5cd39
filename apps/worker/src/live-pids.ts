import { runPaths } from '@app/config';
import type { Placement } from '@app/contracts';
import { fetchStatus } from '@app/process';

const ANSWER_MS_MAX = 500;

/** Workers of the real-time lane that run now; one that does not answer is not among them. */
export async function livePids(runDir: string, { workers }: Placement): Promise<number[]> {
  const live = workers.filter(({ lane }) => lane === 'realtime');
  const pids = await Promise.all(
    live.map(({ id }) =>
      fetchStatus('worker', runPaths(runDir).statusSocket(id), ANSWER_MS_MAX).then(
        ({ pid }) => [pid],
        () => [],
      ),
    ),
  );
  return pids.flat();
}
