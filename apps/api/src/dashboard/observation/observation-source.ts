import { request, type ClientRequest } from 'node:http';
import { OBSERVATION_DOORS } from '@app/process';
import { EventBlocks, type EventBlock } from './event-blocks';

/** A scheduler that says nothing for so long, hangs: it has something to say each 2 s. */
const SILENCE_MS_MAX = 10_000;
const RETRY_MS = 1_000;

export interface SourceListener {
  onEvent(event: EventBlock): void;
  /** Once for each time that it goes. */
  onAway(reason: string): void;
}

/** The observation of the scheduler, read from its status socket until `close`; whoever is away is tried again and again. */
export class ObservationSource {
  private outgoing: ClientRequest | null = null;
  private timer: NodeJS.Timeout | null = null;
  private isAway = false;
  private isClosed = false;

  constructor(
    private readonly socketPath: string,
    private readonly listener: SourceListener,
  ) {
    this.connect();
  }

  close(): void {
    this.isClosed = true;
    if (this.timer !== null) clearTimeout(this.timer);
    this.outgoing?.destroy();
  }

  private connect(): void {
    const { socketPath } = this;
    const blocks = new EventBlocks();
    const outgoing = request({ socketPath, path: OBSERVATION_DOORS.stream, timeout: SILENCE_MS_MAX, agent: false }, (response) => {
      if (response.statusCode !== 200) return void outgoing.destroy(new Error(`it answered ${response.statusCode}`));
      response.setEncoding('utf8');
      response.on('data', (text: string) => this.took(outgoing, blocks, text));
      response.once('close', () => this.gone(outgoing, 'its connection was closed'));
      response.on('error', (error) => this.gone(outgoing, error.message));
    });
    this.outgoing = outgoing;
    outgoing.on('timeout', () => outgoing.destroy(new Error(`it said nothing for ${SILENCE_MS_MAX / 1000} s`)));
    outgoing.on('error', (error) => this.gone(outgoing, error.message));
    outgoing.end();
  }

  private took(outgoing: ClientRequest, blocks: EventBlocks, text: string): void {
    try {
      for (const event of blocks.take(text)) {
        this.isAway = false;
        this.listener.onEvent(event);
      }
    } catch (error) {
      outgoing.destroy(error as Error);
    }
  }

  private gone(outgoing: ClientRequest, reason: string): void {
    if (this.isClosed || this.outgoing !== outgoing) return;
    this.outgoing = null;
    if (!this.isAway) this.listener.onAway(reason);
    this.isAway = true;
    this.timer = setTimeout(() => this.connect(), RETRY_MS);
  }
}
