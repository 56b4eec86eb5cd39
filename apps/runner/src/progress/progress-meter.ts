import type { BatchProgress } from '@app/contracts';
import type { ChunkLedger } from '../chunks/chunk-ledger';
import { RowPace, WINDOW_MS } from './row-pace';

/** The shortest time whose pace says something of what comes. */
const RECENT_MS_MIN = 10_000;

export interface Reading {
  ledger: ChunkLedger;
  /** Rows of the batch. */
  total: number;
  /** Which part of the executor time of the owner's batches this one has, above 0 and at most 1. */
  share: number;
  nowMs: number;
}

/** Predicts when a batch will be done, for its owner. Rows of chunks that run count as their nodes tell of them. */
export class ProgressMeter {
  private readonly pace = new RowPace();
  /** Rows that have a line in chunks that run, by chunk. */
  private running = new Map<number, number>();
  private doneRows = 0;
  /** When rows were last done; null: nothing was to be done. */
  private movedMs: number | null = null;

  /** What a node that works on the chunk has done of it. */
  noteRows(chunkIndex: number, rows: number): void {
    this.running.set(chunkIndex, rows);
  }

  /** Nothing is worked on, by somebody's wish or because something is away. */
  pause(): void {
    this.pace.forget();
    this.movedMs = null;
  }

  /** For how long no row has been done; 0 until it is read for the first time. */
  idleMs(nowMs: number): number {
    return this.movedMs === null ? 0 : nowMs - this.movedMs;
  }

  /** Rows per second; 0: none is known. */
  get rowsPerSecond(): number {
    return this.pace.read()?.perSecond ?? 0;
  }

  read({ ledger, total, share, nowMs }: Reading): BatchProgress {
    this.dropEnded(ledger);
    const { completed, failed } = ledger.rows();
    const done = completed + failed + [...this.running.values()].reduce((sum, rows) => sum + rows, 0);
    this.pace.add(done, nowMs);
    if (this.movedMs === null || done !== this.doneRows) this.movedMs = nowMs;
    this.doneRows = done;
    const pace = this.pace.read();
    const failures = ledger.failures();
    if (pace === null) return { rows_per_second: null, seconds_left: null, failures };
    return { rows_per_second: rounded(pace.perSecond), seconds_left: this.secondsLeft(total - done, pace.perSecond, share), failures };
  }

  /** The less is left, the more what was last counts. */
  private secondsLeft(rows: number, perSecond: number, share: number): BatchProgress['seconds_left'] {
    const recentMs = Math.min(Math.max((rows / perSecond) * 500, RECENT_MS_MIN), WINDOW_MS);
    const pace = this.pace.read(recentMs);
    if (pace === null) return null;
    const expected = Math.max(0, rows) / pace.perSecond;
    return {
      expected: rounded(expected),
      // At best the others end now, and it has the lane to itself.
      low: rounded((expected * share) / (1 + pace.spread)),
      high: rounded(expected / (1 - pace.spread)),
    };
  }

  private dropEnded(ledger: ChunkLedger): void {
    const rowsNow = ledger.handedChunks().flatMap(({ index, state }) => {
      const rows = state === 'running' ? this.running.get(index) : undefined;
      return rows === undefined ? [] : [[index, rows] as const];
    });
    this.running = new Map(rowsNow);
  }
}

/** Three digits are more than is known. */
const rounded = (value: number): number => Number(value.toPrecision(3));
