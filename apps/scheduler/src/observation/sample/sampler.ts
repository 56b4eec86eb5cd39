import { runPaths, type Config } from '@app/config';
import type { FleetView, SchedulerProcessStatus, WorkerProcessStatus } from '@app/contracts';
import { commandProcess, fetchMetrics, fetchStatus, FLEET_COMMAND, type MetricsJson } from '@app/process';
import type { Registry } from 'prom-client';
import { CpuReader } from '../cpu/cpu-reading';
import { countsOf } from './counted';
import { DiskSpace } from './disk-space';
import { MetricsView } from './metrics-view';
import type { NodeCounts } from './node-counts';
import type { Sample } from './sample';

/** Longer, and a process that hangs would hold up the sample of all others. */
const ANSWER_MS_MAX = 1_000;

/** Without these a status is that of a former release, or of something else. */
const WORKER_PARTS = ['models', 'executors', 'queue', 'calibration', 'isolation', 'memory'] as const;
const RUNNER_PARTS = ['batches', 'chunks'] as const;

/** Asks all processes of the node once a call. */
export class Sampler {
  private readonly cpus = new CpuReader();
  private readonly disk: DiskSpace;
  private missedBefore: ReadonlySet<string> = new Set();

  constructor(
    private readonly config: Pick<Config, 'runDir' | 'dataDir' | 'storage' | 'redisUrl'>,
    private readonly own: { registry: Registry; status: () => SchedulerProcessStatus },
    private readonly counts: NodeCounts,
  ) {
    this.disk = new DiskSpace(config);
  }

  async take(): Promise<Sample> {
    const scheduler = this.own.status();
    const workerIds = scheduler.placement.workers.map(({ id }) => id);
    const [workers, metrics, runner, api, fleet, disk] = await Promise.all([
      Promise.all(workerIds.map(async (id) => [id, await this.worker(id)] as const)),
      this.allMetrics(workerIds),
      this.ask('runner', (path) => fetchStatus('runner', path, ANSWER_MS_MAX)).then((status) => whole(status, RUNNER_PARTS)),
      this.ask('api', (path) => fetchStatus('api', path, ANSWER_MS_MAX)),
      this.config.redisUrl === null ? null : this.ask('api', (path) => commandProcess<FleetView>(path, FLEET_COMMAND, {}, ANSWER_MS_MAX)),
      this.disk.worst(ANSWER_MS_MAX),
    ]);
    const pidOf = (id: string): number | null =>
      (id === 'api' ? api?.pid : scheduler.processes.find((each) => each.id === id)?.pid) ?? null;
    for (const [id, of] of metrics) this.counts.add(id, id === 'scheduler' ? process.pid : pidOf(id), countsOf(of));
    const isStarted = (id: string): boolean => scheduler.processes.some((each) => each.id === id && each.state === 'ready');
    const missed = workers.filter(([id, status]) => status === null && isStarted(id)).map(([id]) => id);
    const silentWorkers = new Set(missed.filter((id) => this.missedBefore.has(id)));
    this.missedBefore = new Set(missed);
    this.counts.keepOnly(new Set([...workerIds, 'runner', 'api', 'scheduler']));
    return {
      atMs: Date.now(),
      steadyMs: performance.now(),
      scheduler,
      workers: new Map(workers),
      silentWorkers,
      runner,
      api,
      fleet,
      metrics: new MetricsView(metrics.map(([, of]) => of)),
      cpu: this.cpus.read(scheduler.workers.flatMap(({ pid, lane }) => (pid === null ? [] : [{ pid, lane }]))),
      disk,
    };
  }

  private async allMetrics(workerIds: readonly string[]): Promise<[id: string, MetricsJson][]> {
    const asked = [...workerIds, 'runner', 'api'].map(async (id): Promise<[string, MetricsJson][]> => {
      const metrics = await this.ask(id, (path) => fetchMetrics(path, ANSWER_MS_MAX));
      return Array.isArray(metrics) ? [[id, metrics]] : [];
    });
    return [['scheduler', (await this.own.registry.getMetricsAsJSON()) as MetricsJson], ...(await Promise.all(asked)).flat()];
  }

  private async worker(id: string): Promise<WorkerProcessStatus | null> {
    return whole(await this.ask(id, (path) => fetchStatus('worker', path, ANSWER_MS_MAX)), WORKER_PARTS);
  }

  private ask<T>(processId: string, how: (socketPath: string) => Promise<T>): Promise<T | null> {
    return how(runPaths(this.config.runDir).statusSocket(processId)).catch(() => null);
  }
}

/** Null where parts of it are missing: the view of all others must not go with it. */
const whole = <Status extends object>(status: Status | null, parts: readonly (keyof Status)[]): Status | null =>
  status !== null && parts.every((part) => typeof status[part] === 'object' && status[part] !== null) ? status : null;
