import { setTimeout as sleep } from 'node:timers/promises';
import { runPaths, type Config } from '@app/config';
import { commandProcess, DRAIN_COMMAND } from '@app/process';
import type { Logger } from '@app/telemetry';
import { drainEnvoy, envoyRequests } from './envoy';

const LOOK_MS = 500;

/**
 * Before anything ends: tells the world that this node takes no more requests, and waits until the world has heard it. Requests
 * that come meanwhile are answered. Never rejects.
 */
export async function giveNotice(config: Config, log: Logger, isHurried: () => boolean): Promise<void> {
  const hasEnvoy = config.envoy !== null && config.processes.includes('envoy');
  const hasApi = config.processes.includes('api');
  if (config.drainWaitMs > 0) log.info({ waitMs: config.drainWaitMs }, 'not ready any more; waiting until nobody sends requests');
  if (hasEnvoy) await attempt(log, 'envoy', () => drainEnvoy(config));
  const beganMs = performance.now();
  const elapsedMs = (): number => performance.now() - beganMs;
  while (elapsedMs() < config.drainWaitMs && !isHurried()) {
    // Again and again: another API process may have taken over.
    if (hasApi) await attempt(log, 'api', () => commandProcess(runPaths(config.runDir).statusSocket('api'), DRAIN_COMMAND, {}));
    await sleep(Math.ceil(Math.min(LOOK_MS, Math.max(0, config.drainWaitMs - elapsedMs()))));
  }
  if (!hasEnvoy) return;
  const untilMs = Math.min(config.drainTimeoutMs, config.drainWaitMs + config.realtime.timeoutMs);
  while (elapsedMs() < untilMs && !isHurried() && (await isBusy(config))) await sleep(LOOK_MS);
}

const isBusy = (config: Config): Promise<boolean> =>
  envoyRequests(config).then(
    (count) => count > 0,
    () => false,
  );

async function attempt(log: Logger, whom: string, tell: () => Promise<unknown>): Promise<void> {
  try {
    await tell();
  } catch (error) {
    log.warn({ err: error }, `cannot tell ${whom} that this node ends`);
  }
}
