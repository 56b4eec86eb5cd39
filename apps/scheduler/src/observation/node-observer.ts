import type { NodeEvent } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import { CpuSharesWindow } from './cpu/cpu-shares';
import type { EventLog } from './events/event-log';
import { eventsBetween } from './events/events-between';
import type { NewEvent } from './events/new-event';
import { factsOf, type NodeFactsNow } from './events/node-facts';
import { historyPoint } from './history/history-point';
import type { NodeHistoryStore } from './history/node-history';
import { CounterHistory, RATE_WINDOW_MS, SHARE_WINDOW_MS } from './sample/counter-window';
import type { NodeCounts } from './sample/node-counts';
import type { Sampler } from './sample/sampler';
import type { ObservationStream } from './stream/observation-stream';
import { nodeView, type NodeIdentity } from './view/node-view';

/** Between two looks at the node. */
export const SAMPLE_MS = 2_000;
/** As many as are shown, and those of 15 minutes. */
const EVENTS_LOOKED_AT = 1_000;

export interface NodeObserverParts {
  identity: NodeIdentity;
  sampler: Sampler;
  counts: NodeCounts;
  events: EventLog;
  history: NodeHistoryStore;
  stream: ObservationStream;
  log: Logger;
  /** What is known before the first look, as that the node was started. */
  beginning: NewEvent[];
}

/** Looks at the node again and again, and shows what it sees: the loop around the pure parts. */
export class NodeObserver {
  private readonly counters = new CounterHistory();
  private readonly shares = new CpuSharesWindow();
  private facts: NodeFactsNow | null = null;
  private untold: NewEvent[];
  /** In the log, and not in the stream yet. */
  private unshown: NodeEvent[] = [];
  private timer: NodeJS.Timeout | null = null;
  private turn: Promise<void> | null = null;

  constructor(private readonly parts: NodeObserverParts) {
    this.untold = parts.beginning;
  }

  start(): void {
    this.look();
    this.timer = setInterval(() => this.look(), SAMPLE_MS);
  }

  async stop(): Promise<void> {
    if (this.timer !== null) clearInterval(this.timer);
    await this.turn;
    this.parts.stream.close();
  }

  /** A look that takes longer than a step is waited for. */
  private look(): void {
    this.turn ??= this.takeTurn()
      .catch((error: Error) => this.parts.log.error({ err: error }, 'cannot look at the node'))
      .finally(() => (this.turn = null));
  }

  private async takeTurn(): Promise<void> {
    const { identity, sampler, counts, events, history, stream } = this.parts;
    const sample = await sampler.take();
    this.counters.add(counts.total, sample.steadyMs);
    this.shares.add(sample.cpu, sample.steadyMs);
    const windows = { seconds: this.counters.last(RATE_WINDOW_MS), minute: this.counters.last(SHARE_WINDOW_MS) };
    const before = this.facts;
    this.facts = factsOf(sample, windows.minute, before);
    this.unshown.push(...events.add([...this.untold, ...eventsBetween(before, this.facts)]));
    this.unshown = this.unshown.slice(-EVENTS_LOOKED_AT);
    this.untold = [];
    const view = nodeView(sample, identity, windows, this.shares, events.newest(EVENTS_LOOKED_AT));
    const point = historyPoint(view);
    history.add(point);
    const told = this.unshown;
    this.unshown = [];
    stream.show(view, told, point);
  }
}
