import { VERSION } from '@app/contracts';
import { Counter, Gauge, type Registry } from 'prom-client';
import { observeEventLoop } from './event-loop';

const MICROSECONDS = 1e6;

/**
 * Registers what every process tells of itself, under the label `process`; read at every scrape. `awakeSeconds`: CPU time of threads that
 * keep CPUs awake, which does not count.
 */
export function observeProcess(registry: Registry, processId: string, awakeSeconds: () => number = () => 0): void {
  const registers = [registry];
  const labels = { process: processId };
  new Gauge({
    name: 'interleave_build_info',
    help: '1 for the version that a process runs',
    labelNames: ['process', 'version'],
    registers,
  }).set({ ...labels, version: VERSION }, 1);
  new Gauge({
    name: 'interleave_process_start_time_seconds',
    help: 'When the process began, in Unix time',
    labelNames: ['process'],
    registers,
  }).set(labels, performance.timeOrigin / 1000);
  new Gauge({
    name: 'interleave_resident_bytes',
    help: 'Resident memory of the process',
    labelNames: ['process'],
    registers,
    collect() {
      this.set(labels, process.memoryUsage.rss());
    },
  });
  new Counter({
    name: 'interleave_process_cpu_seconds_total',
    help: 'CPU time of the process, user and system, all threads but those that keep CPUs awake',
    labelNames: ['process'],
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc(labels, Math.max(0, (user + system) / MICROSECONDS - awakeSeconds()));
    },
  });
  observeEventLoop(registry, processId);
}
