import { mergingText } from '@app/contracts';
import type { WorkerHandle } from '@app/native';
import type { Logger } from '@app/telemetry';

const POLL_MS = 200;

/** Logs every model once it is ready or has failed; ends by itself when all are. Returns the way to end it before. */
export function logModelChanges(worker: Pick<WorkerHandle, 'models'>, log: Logger): () => void {
  const logged = new Set<string>();
  const timer = setInterval(() => {
    const models = worker.models();
    for (const { name, version, state, reason, signature } of models) {
      const key = `${name}/${version}`;
      if (state === 'loading' || logged.has(key)) continue;
      logged.add(key);
      if (state === 'failed') log.error({ model: name, version, reason }, 'model cannot be served');
      else log.info({ model: name, version, rows: signature === null ? undefined : mergingText(signature) }, 'model is ready');
    }
    if (logged.size === models.length) clearInterval(timer);
  }, POLL_MS);
  return () => clearInterval(timer);
}
