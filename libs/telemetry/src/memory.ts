import { Gauge, type Registry } from 'prom-client';

/** Registers `interleave_resident_bytes{process}`: physical memory of this process, read at every scrape. */
export function observeMemory(registry: Registry, processId: string): void {
  new Gauge({
    name: 'interleave_resident_bytes',
    help: 'Resident memory of the process',
    labelNames: ['process'],
    registers: [registry],
    collect() {
      this.set({ process: processId }, process.memoryUsage.rss());
    },
  });
}
