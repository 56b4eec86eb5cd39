import { setTimeout as sleep } from 'node:timers/promises';
import { InterleaveError, type Lane, type NodeHeartbeat } from '@app/contracts';
import { AccessFiles, type NodeAccess } from './access-files';
import { NodeClient, type CallOptions } from './node-client';

/** A model of other nodes. */
export interface WantedModel {
  name: string;
  version: string;
}

/** One run on another node. */
export interface NodeCall<T> {
  lane: Lane;
  wanted: WantedModel;
  method: string;
  message: Buffer;
  /** Those that may be asked, of the nodes that serve the model now. What it throws ends the call. */
  among: (nodes: NodeHeartbeat[]) => NodeHeartbeat[];
  /** Makes something of an answer. What it throws is as if the node had said it. */
  read: (answer: Buffer, node: NodeHeartbeat) => T;
  /** Called with a node that has no such model, although it said so. */
  onMissing: (node: NodeHeartbeat) => void;
}

/** Between two tries where no node is left: a process of a node that dies has a successor within this. */
const AGAIN_MS = 100;
/** With less time left no answer would come in time. */
const LEFT_MS_MIN = 20;
/** Of a lane's items at other nodes; more are refused. */
const IN_FLIGHT_MAX = 4096;

/** Another node may answer what this one did not. */
const ELSEWHERE_TOO: ReadonlySet<string> = new Set(['worker_unavailable', 'overloaded', 'model_not_found']);

/** Connections to the other nodes of the fleet. Close it when done. */
export class FleetNodes {
  /** By id, address, port, and the files for TLS that were current. */
  private readonly clients = new Map<string, NodeClient>();
  private readonly inFlight: Record<Lane, number> = { realtime: 0, batch: 0 };
  private readonly access: AccessFiles;

  /** `list`: the other nodes as they are known now; null: this node is in no fleet. */
  constructor(
    private readonly list: () => readonly NodeHeartbeat[] | null,
    access: NodeAccess,
  ) {
    this.access = new AccessFiles(access);
  }

  /** Null: this node is in no fleet. */
  serving({ name, version }: WantedModel): NodeHeartbeat[] | null {
    const has = ({ state, models }: NodeHeartbeat): boolean =>
      state === 'ready' && models.some((model) => model.name === name && model.version === version && model.state === 'ready');
    return this.list()?.filter(has) ?? null;
  }

  /** The connection to a node; kept until the node has left, or there are new files for TLS. */
  clientOf(node: NodeHeartbeat): NodeClient {
    const key = this.keyOf(node);
    const known = this.clients.get(key);
    if (known !== undefined) return known;
    const client = new NodeClient(node, this.access);
    this.clients.set(key, client);
    return client;
  }

  /**
   * Calls the node with the least to do, and another one where that does not answer, until the time is over. Runs are repeated: that changes
   * no answer.
   */
  async call<T>(of: NodeCall<T>, options: CallOptions): Promise<T> {
    const { lane } = of;
    if (this.inFlight[lane] >= IN_FLIGHT_MAX)
      throw new InterleaveError('overloaded', `${IN_FLIGHT_MAX} items are at other nodes, and no more are sent; try again`, {
        retryAfterSeconds: 1,
      });
    this.inFlight[lane]++;
    try {
      return await this.callUntil(performance.now() + options.timeoutMs, of, options);
    } finally {
      this.inFlight[lane]--;
    }
  }

  /** Ends connections that are not to be used any more. */
  forgetGone(): void {
    const there = new Set((this.list() ?? []).map((node) => this.keyOf(node)));
    for (const [key, client] of this.clients)
      if (!there.has(key) && client.inFlight === 0) {
        client.close();
        this.clients.delete(key);
      }
  }

  close(): void {
    for (const client of this.clients.values()) client.close();
    this.clients.clear();
  }

  private async callUntil<T>(untilMs: number, of: NodeCall<T>, options: CallOptions): Promise<T> {
    const { wanted, method, message, among, read, onMissing } = of;
    let wasTried = false;
    for (;;) {
      let last = new InterleaveError('worker_unavailable', `no node of the fleet serves ${wanted.name} version ${wanted.version} now`, {
        retryAfterSeconds: 1,
      });
      for (const node of this.inOrder(among(this.serving(wanted) ?? []))) {
        const timeoutMs = untilMs - performance.now();
        if (timeoutMs < LEFT_MS_MIN)
          throw wasTried ? last : new InterleaveError('deadline_exceeded', 'no time is left for a call of another node');
        wasTried = true;
        try {
          return read(await this.clientOf(node).call(method, message, { ...options, timeoutMs }), node);
        } catch (error) {
          if (!(error instanceof InterleaveError) || !ELSEWHERE_TOO.has(error.code)) throw error;
          last = error;
          if (error.code !== 'model_not_found') continue;
          // It said that it serves the model: what it says now is no word on whether another will.
          onMissing(node);
          last = new InterleaveError('worker_unavailable', error.message, { retryAfterSeconds: 1 });
        }
      }
      const isHopeless = last.code !== 'worker_unavailable' || options.signal?.aborted === true;
      if (isHopeless || untilMs - performance.now() < AGAIN_MS + LEFT_MS_MIN) throw last;
      await sleep(AGAIN_MS);
    }
  }

  private keyOf({ id, bootId, address, grpcPort, tls }: NodeHeartbeat): string {
    return `${id} ${bootId} ${address} ${grpcPort} ${tls ? this.access.tlsSet() : 'plain'}`;
  }

  /** The least busy one first, by what this node sent there and by what it says of itself; those that do not answer last. */
  private inOrder(nodes: NodeHeartbeat[]): NodeHeartbeat[] {
    const sent = (node: NodeHeartbeat): number => this.clients.get(this.keyOf(node))?.inFlight ?? 0;
    const silent = (node: NodeHeartbeat): number => Number(this.clients.get(this.keyOf(node))?.isSilent ?? false);
    return nodes.sort(
      (left, right) => silent(left) - silent(right) || sent(left) - sent(right) || left.liveBacklogMs - right.liveBacklogMs,
    );
  }
}
