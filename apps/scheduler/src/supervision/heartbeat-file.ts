import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** What a thread of a worker does with a model, by the numbers that libs/native/src/run/heartbeat.h gives them. */
const PHASES = ['running', 'loading', 'probing', 'measuring'] as const;
export type Phase = (typeof PHASES)[number];

export interface ModelInPhase {
  /** `WorkerModelPlan.revision` of the model. */
  revision: number;
  phase: Phase;
}

/** What a slot of a worker is busy with: an executor or a loader. */
export interface Activity extends ModelInPhase {
  /** On the clock of `process.hrtime`, which is the native side's too. */
  sinceNs: bigint;
}

export interface HeartbeatReading {
  /** Grows by 1 every 100 ms while the worker's threads get to run; 0: it has not begun. */
  beats: bigint;
  /** What the process died of; null: not known. */
  culprit: ModelInPhase | null;
  activities: Activity[];
}

/** In memory, so that no write of a worker ever waits for a disk. */
const MEMORY_FOLDER = '/dev/shm';
/** The worker's own number for the file; it follows its standard streams. */
export const HEARTBEAT_FD = 3;
/** Threads that load models in one worker: kLoadersMax of libs/native/src/run/loaders.h. */
const LOADERS_MAX = 4;
/** The express executor, which has no CPU of its own: libs/native/src/run/work_queue.h. */
const EXPRESS_EXECUTORS = 1;

/** What the heartbeat of a worker with so many executors has a slot for. */
export const heartbeatSlots = (executors: number): number => executors + EXPRESS_EXECUTORS + LOADERS_MAX;
const WORD_BYTES = 8;

/**
 * The page in which a worker shows what it does, as libs/native/src/run/heartbeat.h lays it out. It has no name, so nothing
 * is left behind; it outlives the worker for as long as it is open here.
 */
export class HeartbeatFile {
  private constructor(
    readonly fd: number,
    private readonly buffer: Buffer,
  ) {}

  /** For a worker to be started with `slotsCount` slots; it inherits `fd`. Falls back to `folder` without memory files. */
  static create(slotsCount: number, folder: string): HeartbeatFile {
    const buffer = bufferOf(slotsCount);
    const fd = createUnnamed(MEMORY_FOLDER, buffer) ?? createUnnamed(folder, buffer);
    if (fd === null) throw new Error(`neither ${MEMORY_FOLDER} nor ${folder} takes a file for the worker's heartbeat`);
    return new HeartbeatFile(fd, buffer);
  }

  /** The heartbeat of a process that runs already; null when it has none. */
  static ofProcess(pid: number, slotsCount: number): HeartbeatFile | null {
    try {
      return new HeartbeatFile(openSync(`/proc/${pid}/fd/${HEARTBEAT_FD}`, 'r'), bufferOf(slotsCount));
    } catch {
      return null;
    }
  }

  read(): HeartbeatReading {
    readSync(this.fd, this.buffer, 0, this.buffer.length, 0);
    const word = (index: number): bigint => this.buffer.readBigUInt64LE(index * WORD_BYTES);
    const activities: Activity[] = [];
    for (let index = 2; index * WORD_BYTES < this.buffer.length; index += 2) {
      if (word(index) !== 0n) activities.push({ ...modelInPhase(word(index)), sinceNs: word(index + 1) });
    }
    return { beats: word(0), culprit: word(1) === 0n ? null : modelInPhase(word(1)), activities };
  }

  close(): void {
    closeSync(this.fd);
  }
}

const modelInPhase = (word: bigint): ModelInPhase => ({
  revision: Number(word & 0xffff_ffffn),
  phase: PHASES[Number(word >> 32n)] ?? 'running',
});

const bufferOf = (slotsCount: number): Buffer => Buffer.alloc((2 + 2 * slotsCount) * WORD_BYTES);

/** Filled at once, so that the memory is there: a hole that cannot be filled later would kill the worker. */
function createUnnamed(folder: string, content: Buffer): number | null {
  const path = join(folder, `interleave-${process.pid}.heartbeat`);
  let fd: number | null = null;
  try {
    fd = openSync(path, 'wx+', 0o600);
    unlinkSync(path);
    writeSync(fd, content);
    return fd;
  } catch {
    if (fd !== null) closeSync(fd);
    return null;
  }
}
