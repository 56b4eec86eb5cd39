import type { LostNode, NodeHeartbeat } from '@app/contracts';
import { withDeadline, type Redis } from '@app/queues';
import { HEARTBEAT_CHARS_MAX, parseHeartbeat } from './heartbeat';
import { fleetKeys, HEARTBEAT_LIFE_MS, LOST_MS, NODES_MAX } from './keys';
import { LIST } from './scripts';

/** Whoever asks more often is told what was read last. */
const FRESH_MS = 1_000;
/** So often it is read where nobody asks, so that there is a list when Redis goes away. */
const BACKGROUND_MS = 10_000;
const ANSWER_MS_MAX = 2_000;
/** While Redis was away no node could say that it lives; once it is back, they have as long as always. */
const GRACE_MS = HEARTBEAT_LIFE_MS + 2_000;

export interface KnownFleet {
  nodes: NodeHeartbeat[];
  lost: LostNode[];
  unreadable: number;
  /** `performance.now()` at which it was read; null: never. */
  readMs: number | null;
  /** Why it is not read now; null: it is. */
  problem: string | null;
}

type Row = [id: string, seenMs: string, lives: number, heartbeat: string];

/** All nodes of the fleet as Redis has them. While Redis is away: as they were. Close it when done. */
export class FleetList {
  private known: KnownFleet = { nodes: [], lost: [], unreadable: 0, readMs: null, problem: 'Redis was not reached yet' };
  private reading: Promise<void> | null = null;
  private triedMs = -Infinity;
  /** After an outage. Who has read nothing before has nothing to keep. */
  private reconnectedMs = -Infinity;
  private readonly timer = setInterval(() => void this.read(), BACKGROUND_MS).unref();

  constructor(
    private readonly redis: Redis,
    private readonly fleet: string,
  ) {
    redis.on('ready', () => {
      if (this.known.readMs !== null) this.reconnectedMs = performance.now();
      void this.read();
    });
  }

  /** At most a second old while Redis answers. Never rejects, and waits for Redis no longer than `ANSWER_MS_MAX`. */
  async current(): Promise<KnownFleet> {
    if (performance.now() - this.triedMs > FRESH_MS) await this.read();
    return this.known;
  }

  /** What was read last. */
  get latest(): KnownFleet {
    return this.known;
  }

  close(): void {
    clearInterval(this.timer);
  }

  private read(): Promise<void> {
    this.reading ??= this.readNow().finally(() => (this.reading = null));
    return this.reading;
  }

  private async readNow(): Promise<void> {
    this.triedMs = performance.now();
    const { seen, nodePrefix, lastPrefix } = fleetKeys(this.fleet);
    try {
      const answer = this.redis.eval(LIST, 1, seen, nodePrefix, lastPrefix, NODES_MAX, LOST_MS, HEARTBEAT_CHARS_MAX);
      this.take((await withDeadline(answer, ANSWER_MS_MAX, 'Redis')) as Row[]);
    } catch (error) {
      this.known = { ...this.known, problem: `Redis: ${(error as Error).message}` };
    }
  }

  private take(rows: Row[]): void {
    const read = rows.map(([id, seenMs, lives, text]) => ({
      id,
      seenMs: Number(seenMs),
      lives: lives === 1,
      node: parseHeartbeat(id, text),
    }));
    const nodes = read.flatMap(({ lives, node }) => (lives && node !== null ? [node] : []));
    const kept =
      performance.now() - this.reconnectedMs < GRACE_MS ? this.known.nodes.filter(({ id }) => !nodes.some((node) => node.id === id)) : [];
    const isKept = (id: string): boolean => kept.some((node) => node.id === id);
    this.known = {
      nodes: [...nodes, ...kept],
      lost: read.filter(({ id, lives }) => !lives && !isKept(id)).map(({ id, seenMs, node }) => ({ id, lastSeenMs: seenMs, last: node })),
      unreadable: read.filter(({ lives, node }) => lives && node === null).length,
      readMs: performance.now(),
      problem: null,
    };
  }
}
