import type { NodeHeartbeat } from '@app/contracts';
import { withDeadline, type Redis } from '@app/queues';
import type { Logger } from '@app/telemetry';
import { fleetKeys, HEARTBEAT_LIFE_MS, HEARTBEAT_MS, LOST_MS, NODES_MAX } from './keys';
import { BEAT, BEAT_AGAIN, LEAVE } from './scripts';

const ANSWER_MS_MAX = 2_000;
const ID_CHARS_MAX = 64;
const BOOT_CHARS = 6;

export interface FleetMemberOptions {
  redis: Redis;
  fleet: string;
  /** As configured. */
  id: string;
  bootId: string;
  log: Logger;
  /** What this node says of itself now. */
  describe: () => Promise<Omit<NodeHeartbeat, 'id' | 'bootId'>>;
}

/**
 * Says every two seconds that this node lives. One process of a node does, which the others follow when it ends. Nothing here waits for
 * Redis, and nobody waits for this.
 */
export class FleetMember {
  private said: NodeHeartbeat | null = null;
  /** As it is in Redis: what another process of this node writes in its place is never overwritten once this one drains. */
  private written: { id: string; text: string } | null = null;
  private timer: NodeJS.Timeout | null = null;
  private beating: Promise<void> | null = null;
  private isTaken = false;
  private isDraining = false;
  private isClosed = false;

  constructor(private readonly options: FleetMemberOptions) {}

  /** What it said last; null: nothing yet. */
  get self(): NodeHeartbeat | null {
    return this.said;
  }

  start(): void {
    if (this.isClosed || this.timer !== null) return;
    this.timer = setInterval(() => void this.beat(), HEARTBEAT_MS).unref();
    void this.beat();
  }

  /** Says it now. From now on another process of this node may take over. */
  async drain(): Promise<void> {
    this.isDraining = true;
    if (this.timer === null) return;
    await this.beating;
    await this.beat();
  }

  /** The node is gone, and not lost, unless another process of it has taken over. */
  async leave(): Promise<void> {
    this.isClosed = true;
    if (this.timer !== null) clearInterval(this.timer);
    await this.beating;
    await this.erase();
  }

  private beat(): Promise<void> {
    this.beating ??= this.beatNow()
      .catch((error: Error) => this.options.log.debug({ err: error }, 'the heartbeat of this node was not written'))
      .finally(() => (this.beating = null));
    return this.beating;
  }

  private async beatNow(): Promise<void> {
    const { id, bootId, describe } = this.options;
    const described = await describe();
    if (this.isClosed) return;
    const own: NodeHeartbeat = { ...described, id, bootId };
    this.said ??= own;
    const isOurs = await this.write(own);
    this.tell(!isOurs && !this.isDraining);
    if (isOurs) this.said = own;
    else if (!this.isDraining || this.written?.id !== id) await this.writeUnderOtherId(own);
  }

  /** Two nodes with one id would hide each other: the one that came later is listed under a longer one. */
  private async writeUnderOtherId(own: NodeHeartbeat): Promise<void> {
    const { id, bootId } = this.options;
    const other = `${id.slice(0, ID_CHARS_MAX - BOOT_CHARS - 1)}-${bootId.slice(0, BOOT_CHARS)}`;
    const warning = `another node has NODE_ID ${id}, so this one is listed as ${other}; give each node an id of its own`;
    const node = { ...own, id: other, warnings: [warning, ...own.warnings] };
    if (await this.write(node)) this.said = node;
  }

  private tell(isTaken: boolean): void {
    if (isTaken && !this.isTaken)
      this.options.log.error(
        { nodeId: this.options.id },
        'another node of this fleet has the same NODE_ID; give each node an id of its own. This one is listed under a longer one',
      );
    this.isTaken = isTaken;
  }

  /** False: another has the id. */
  private async write(node: NodeHeartbeat): Promise<boolean> {
    const { redis, fleet, bootId } = this.options;
    const text = JSON.stringify(node);
    const values = [node.id, bootId, text, HEARTBEAT_LIFE_MS, LOST_MS, NODES_MAX];
    const { written } = this;
    const follows = this.isDraining && written?.id === node.id ? written.text : null;
    const answer = redis.eval(
      follows === null ? BEAT : BEAT_AGAIN,
      3,
      ...fleetKeys(fleet).of(node.id),
      ...values,
      ...(follows === null ? [] : [follows]),
    );
    if ((await withDeadline(answer, ANSWER_MS_MAX, 'Redis')) !== 1) return false;
    if (written !== null && written.id !== node.id) await this.erase();
    this.written = { id: node.id, text };
    return true;
  }

  private async erase(): Promise<void> {
    const { redis, fleet, log } = this.options;
    const { written } = this;
    if (written === null) return;
    this.written = null;
    const answer = redis.eval(LEAVE, 3, ...fleetKeys(fleet).of(written.id), written.id, written.text);
    await withDeadline(answer, ANSWER_MS_MAX, 'Redis').catch((error: Error) =>
      log.debug({ err: error }, 'this node could not say that it leaves'),
    );
  }
}
