import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { RepositoryEvent } from '@app/contracts';
import type { Logger } from '@app/telemetry';

const KEPT_MAX = 100;
const FILE_BYTES_MAX = 1024 * 1024;
const MESSAGE_LENGTH_MAX = 2000;

const LEVELS: Partial<Record<RepositoryEvent['kind'], 'warn'>> = { failed: 'warn', kept: 'warn', problem: 'warn', 'rolled-back': 'warn' };

/**
 * What became of the models, and why: the newest 100 in memory, more in a file, one JSON object a line. A file that grows past
 * 1 MiB is renamed to `<path>.1`, in place of the one before.
 */
export class RepositoryEvents {
  private readonly events: RepositoryEvent[] = [];
  private cannotWrite = false;

  constructor(
    private readonly path: string,
    private readonly log: Logger,
    private readonly nowMs: () => number = Date.now,
  ) {}

  /** In order of time. */
  newest(): RepositoryEvent[] {
    return [...this.events];
  }

  add(event: Omit<RepositoryEvent, 'atMs'>): void {
    const told = { atMs: this.nowMs(), ...event, message: event.message.slice(0, MESSAGE_LENGTH_MAX) };
    this.events.push(told);
    if (this.events.length > KEPT_MAX) this.events.shift();
    this.log[LEVELS[event.kind] ?? 'info']({ model: event.model, version: event.version, revision: event.revision }, subject(told));
    this.append(`${JSON.stringify(told)}\n`);
  }

  /** A full disk costs the file, not the models. */
  private append(line: string): void {
    try {
      const size = statSync(this.path, { throwIfNoEntry: false })?.size ?? 0;
      if (size === 0) mkdirSync(dirname(this.path), { recursive: true });
      if (size + line.length > FILE_BYTES_MAX) renameSync(this.path, `${this.path}.1`);
      appendFileSync(this.path, line, { mode: 0o600 });
      this.cannotWrite = false;
    } catch (error) {
      if (!this.cannotWrite) this.log.error({ err: error }, `cannot write ${this.path}; events are in the log and in the status only`);
      this.cannotWrite = true;
    }
  }
}

function subject({ model, version, message }: RepositoryEvent): string {
  return `model ${model}${version === null ? '' : ` version ${version}`}: ${message}`;
}
