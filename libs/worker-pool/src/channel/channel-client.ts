import { type ConnectOpts, Socket, type SocketConstructorOpts } from 'node:net';
import type { WorkerReport } from '@app/contracts';
import {
  type ChannelHandle,
  type ChannelItem,
  type Completion,
  type ConnectedChannel,
  completionsOf,
  loadAddon,
  submitItems,
  ChannelError,
  fromNative,
  IllegalStateError,
} from '@app/native';

export interface ChannelClientOptions {
  socketPath: string;
  channelBytes: number;
  queueItemsMax: number;
  /**
   * How long to let answers gather after the worker rang, while several items are in flight. It does not ring again before they are
   * taken, so this bounds the wake-ups on both sides. 0: they are taken at once.
   */
  gatherMs: number;
}

/**
 * What became of one submitted item: the worker's answer, or the channel broke before there was one. `suspicion` of a lost one, that
 * it killed the worker: `none`; `possible`, it was running then, and may have spoilt the memory of what died; `strong`, it was in the run
 * that died.
 */
export type ChannelAnswer = { kind: 'completed'; completion: Completion } | { kind: 'lost'; suspicion: Suspicion };
export type Suspicion = 'none' | 'possible' | 'strong';

/**
 * Who submitted an item. It lets go of all it holds with its answer: tables that the Map has left behind may name it until the whole heap
 * is collected, as `Bag` says.
 */
export interface AnswerReceiver {
  answered(answer: ChannelAnswer): void;
}

/** Called on the event loop; may call back into the client. */
export interface ChannelListener {
  up(report: WorkerReport): void;
  /** Every item of the connection has had its answer before. */
  down(reason: string): void;
  report(report: WorkerReport): void;
  /** Memory was given back: what was refused for want of room may fit now. */
  room(): void;
}

const CONNECT_TIMEOUT_MS = 2000;
const BACKOFF_MIN_MS = 20;
const BACKOFF_MAX_MS = 1000;
const READ_BUFFER_BYTES = 4096;

interface Connection {
  channel: ChannelHandle;
  socket: Socket;
  /** Came over the socket while answers gather; null: none gather. */
  gathered: Uint8Array[] | null;
}

/**
 * The channel to one worker; connects, and connects again whenever the worker is gone.
 *
 *   idle ─start→ connecting ─→ up ─socket closed→ waiting ─backoff→ connecting
 *                     └─failed→ waiting            any ─close→ closed
 */
export class ChannelClient {
  private state: 'idle' | 'connecting' | 'up' | 'waiting' | 'closed' = 'idle';
  private connection: Connection | null = null;
  private backoffMs = BACKOFF_MIN_MS;
  private retryTimer: NodeJS.Timeout | null = null;
  private readonly receivers = new Map<number, AnswerReceiver>();

  constructor(
    private readonly options: ChannelClientOptions,
    private readonly listener: ChannelListener,
  ) {}

  get isUp(): boolean {
    return this.state === 'up';
  }

  /** Items submitted and not yet answered. */
  get inFlightItems(): number {
    return this.receivers.size;
  }

  start(): void {
    if (this.state === 'idle') this.connect();
  }

  /** Connects now instead of after the backoff. */
  retryNow(): void {
    if (this.state !== 'waiting') return;
    this.backoffMs = BACKOFF_MIN_MS;
    this.connect();
  }

  /**
   * Submits all items or none; `receivers[i]` is answered exactly once for item i, never before this returns. Returns one
   * id for each item, or null when there is no room or no connection. Throws a ChannelError INVALID or TOO_LARGE.
   */
  submit(items: ChannelItem[], receivers: AnswerReceiver[]): number[] | null {
    if (this.state === 'closed') throw new IllegalStateError('the channel is closed');
    if (this.connection === null || this.inFlightItems + items.length > this.options.queueItemsMax) return this.checkSize(items);
    try {
      const itemIds = submitItems(this.connection.channel, items);
      itemIds?.forEach((itemId, position) => this.receivers.set(itemId, receivers[position] as AnswerReceiver));
      return itemIds;
    } catch (error) {
      return this.onSubmitError(fromNative(error));
    }
  }

  /** Takes the item out of the worker's queue if it still waits there. */
  cancel(itemId: number): void {
    if (this.connection !== null && this.receivers.has(itemId)) loadAddon().channelCancel(this.connection.channel, itemId);
  }

  /** Unanswered items are lost. Idempotent. */
  close(): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    if (this.retryTimer !== null) clearTimeout(this.retryTimer);
    this.dropConnection();
  }

  private checkSize(items: ChannelItem[]): null {
    const { queueItemsMax } = this.options;
    if (items.length > queueItemsMax) {
      throw new ChannelError('TOO_LARGE', `${items.length} items, but a worker takes at most ${queueItemsMax} at once`, null);
    }
    return null;
  }

  private onSubmitError(error: Error): null {
    if (!(error instanceof ChannelError) || error.code !== 'PROTOCOL') throw error;
    this.connection?.socket.destroy(error);
    return null;
  }

  private connect(): void {
    if (this.retryTimer !== null) clearTimeout(this.retryTimer);
    this.retryTimer = null;
    this.state = 'connecting';
    const { socketPath, channelBytes, queueItemsMax } = this.options;
    loadAddon()
      .channelConnect({ socketPath, arenaBytes: channelBytes, itemsMax: queueItemsMax, timeoutMs: CONNECT_TIMEOUT_MS })
      .then((connected) => this.onConnected(connected))
      .catch((error: unknown) => this.onConnectFailed(fromNative(error)));
  }

  private onConnected({ channel, fd, text }: ConnectedChannel): void {
    const options: SocketConstructorOpts & ConnectOpts = {
      fd,
      readable: true,
      writable: true,
      onread: { buffer: new Uint8Array(READ_BUFFER_BYTES), callback: (bytes, buffer) => this.onBytes(channel, buffer.subarray(0, bytes)) },
    };
    const socket = new Socket(options);
    let reason = 'the worker closed the channel';
    socket.on('error', (error) => (reason = error.message));
    if (this.state === 'closed') {
      socket.destroy();
      loadAddon().channelClose(channel);
      return;
    }
    const report = parseReport(text);
    this.connection = { channel, socket, gathered: null };
    this.backoffMs = BACKOFF_MIN_MS;
    this.state = 'up';
    socket.on('close', () => this.onClosed(socket, reason));
    if (report === null) socket.destroy(new Error('the worker sent no report'));
    else this.listener.up(report);
  }

  private onConnectFailed(_error: Error): void {
    if (this.state === 'connecting') this.retryLater();
  }

  private retryLater(): void {
    this.state = 'waiting';
    this.retryTimer = setTimeout(() => this.connect(), this.backoffMs);
    this.backoffMs = Math.min(this.backoffMs * 2, BACKOFF_MAX_MS);
  }

  private onBytes(channel: ChannelHandle, bytes: Uint8Array): boolean {
    if (this.connection?.channel !== channel) return true;
    // Where one item is in flight, nothing can gather: suspects go one by one.
    const gathers = this.connection.gathered !== null || (this.options.gatherMs > 0 && this.inFlightItems > 1);
    if (!gathers) this.receive(channel, bytes);
    else this.gather(this.connection, Uint8Array.from(bytes));
    return true;
  }

  private gather(connection: Connection, bytes: Uint8Array): void {
    if (connection.gathered !== null) {
      connection.gathered.push(bytes);
      return;
    }
    connection.gathered = [bytes];
    setTimeout(() => {
      const gathered = connection.gathered ?? [];
      connection.gathered = null;
      if (this.connection === connection) this.receive(connection.channel, Buffer.concat(gathered));
    }, this.options.gatherMs);
  }

  private receive(channel: ChannelHandle, bytes: Uint8Array): void {
    const received = loadAddon().channelReceive(channel, bytes);
    const completions = completionsOf(received);
    for (const completion of completions) this.answer(completion.itemId, { kind: 'completed', completion });
    const broken = received.broken ?? this.takeTexts(received.texts);
    if (broken !== null) this.connection?.socket.destroy(new Error(broken));
    else if (completions.length > 0) this.listener.room();
  }

  /** Returns what is wrong with them, or null. */
  private takeTexts(texts: string[]): string | null {
    for (const text of texts) {
      const report = parseReport(text);
      if (report === null) return 'the worker sent no report';
      this.listener.report(report);
    }
    return null;
  }

  private onClosed(socket: Socket, reason: string): void {
    if (this.connection?.socket !== socket) return;
    this.dropConnection();
    this.listener.down(reason);
    // The listener may have closed us.
    if (this.state === 'up') this.retryLater();
  }

  /** Ends the connection and answers all of its items. */
  private dropConnection(): void {
    const connection = this.connection;
    if (connection === null) return;
    this.connection = null;
    connection.socket.destroy();
    const closed = loadAddon().channelClose(connection.channel);
    for (const completion of completionsOf(closed)) this.answer(completion.itemId, { kind: 'completed', completion });
    const { guiltyItemIds, runningItemIds, waitingItemIds } = closed;
    for (const itemId of guiltyItemIds) this.answer(itemId, { kind: 'lost', suspicion: 'strong' });
    for (const itemId of runningItemIds) this.answer(itemId, { kind: 'lost', suspicion: 'possible' });
    for (const itemId of waitingItemIds) this.answer(itemId, { kind: 'lost', suspicion: 'none' });
  }

  private answer(itemId: number, answer: ChannelAnswer): void {
    const receiver = this.receivers.get(itemId);
    this.receivers.delete(itemId);
    receiver?.answered(answer);
  }
}

/** Null when the text is not a report. */
function parseReport(text: string): WorkerReport | null {
  try {
    const value = JSON.parse(text) as WorkerReport | null;
    return value !== null && typeof value.workerId === 'string' && Array.isArray(value.models) ? value : null;
  } catch {
    return null;
  }
}
