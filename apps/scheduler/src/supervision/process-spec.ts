import type { InheritedEnvironment, ProcessKind } from '@app/config';

/** How one process of this node is started and how one sees that it makes progress. */
export interface ProcessSpec {
  /** Unique on the node: names the process in logs, metrics, status and its pid file. */
  id: string;
  kind: ProcessKind;
  /** Throws with a message for the operator when the program is not there; tried again at every start. */
  command: () => string;
  args: string[];
  /**
   * True: a session of its own, out of reach of the terminal's signals, for a program that does not ignore them. Never for
   * workers and runner: where the kernel groups by session, the lanes' priorities hold within one session only.
   */
  ownSession: boolean;
  /** What it gets of the scheduler's own environment. */
  inherits: InheritedEnvironment;
  /** On top of that. */
  environment: Record<string, string>;
  /**
   * What this process was started with, as text. A running process that was started with another text by an earlier
   * scheduler is replaced.
   */
  fingerprint: string;
  /** Slots of the page in which the process shows what it does; null: it shows nothing. */
  heartbeatSlots: number | null;
  /** Open files that it gets, in order, after the standard ones (and after the heartbeat's, if it has one). */
  inheritedFds: readonly number[];
  /** Rejects while the process does not answer; an answer proves progress. Must take at most `timeoutMs`. */
  probe: (timeoutMs: number) => Promise<void>;
}

/** Times of supervision. A probe counts as failed once per interval, however it failed. */
export interface SupervisionTimings {
  startingProbeIntervalMs: number;
  probeIntervalMs: number;
  probeTimeoutMs: number;
  /** Failed probes in a row after which a process that was ready counts as hung, and is killed, unless it uses or waits for a CPU. */
  failedProbesMax: number;
  /** The same for a process that has not answered since its start; loading may block it for a while. */
  failedStartingProbesMax: number;
  /** CPU time of a process that does not answer, after which it counts as hung all the same. */
  busyMsMax: number;
  heartbeatLookMs: number;
  /** Looks in a row that find no new beat, after which the process counts as frozen, and is killed. */
  missedBeatsMax: number;
  /** The same for a process that uses or waits for a CPU all the time. */
  missedBeatsStarvedMax: number;
  backoffMinMs: number;
  backoffMaxMs: number;
  /** Ready for this long: the next restart waits the shortest time again. */
  healthyMs: number;
}

/**
 * 2 s without a heartbeat make a frozen process, 10 s of silence a hung one, 2 min a start that hangs. A process that is starved
 * of CPUs is none of that: it gets 30 s for a heartbeat, and 60 s of CPU time for an answer.
 */
export const DEFAULT_TIMINGS: SupervisionTimings = {
  startingProbeIntervalMs: 50,
  probeIntervalMs: 1000,
  probeTimeoutMs: 1000,
  failedProbesMax: 10,
  failedStartingProbesMax: 2400,
  busyMsMax: 60_000,
  heartbeatLookMs: 250,
  missedBeatsMax: 8,
  missedBeatsStarvedMax: 120,
  backoffMinMs: 100,
  backoffMaxMs: 10_000,
  healthyMs: 30_000,
};
