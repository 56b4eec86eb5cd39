import { SingleBar } from 'cli-progress';
import { byteText } from '@app/contracts';
import type { FetchProgress } from '@app/model-sources';
import { RateMeter } from './rate-meter';

const UPDATE_MS = 100;

/** Bytes and rate of one file after the other on a terminal; elsewhere one line for each file that has arrived. `close` when done. */
export function fetchProgress(output: NodeJS.WriteStream): FetchProgress & { close(): void } {
  return output.isTTY ? new Bars(output) : new Lines(output);
}

class Lines implements FetchProgress {
  private size = 0;
  private received = 0;

  constructor(private readonly output: NodeJS.WritableStream) {}

  begin(_path: string, bytes: number): void {
    this.size = bytes;
    this.received = 0;
  }

  bytes(count: number): void {
    this.received += count;
  }

  end(path: string): void {
    if (this.received === this.size) this.output.write(`${path} ${byteText(this.size)}\n`);
  }

  close(): void {
    // each line is written at once
  }
}

class Bars implements FetchProgress {
  private bar: SingleBar | null = null;
  private rate = new RateMeter();
  private received = 0;
  private updatedMs = 0;

  constructor(private readonly stream: NodeJS.WriteStream) {}

  begin(path: string, bytes: number): void {
    this.rate = new RateMeter();
    this.received = 0;
    this.bar = new SingleBar({
      format: '{path} {bar} {done} of {size} | {rate}/s',
      barsize: 30,
      stream: this.stream,
    });
    this.bar.start(Math.max(bytes, 1), 0, { path: path.slice(-40), done: byteText(0), size: byteText(bytes), rate: '-' });
  }

  bytes(count: number): void {
    this.received += count;
    const now = performance.now();
    if (now - this.updatedMs < UPDATE_MS) return;
    this.updatedMs = now;
    const perSecond = this.rate.add(this.received, now);
    this.bar?.update(this.received, { done: byteText(this.received), rate: perSecond === null ? '-' : byteText(Math.round(perSecond)) });
  }

  end(): void {
    this.bar?.update(this.received, { done: byteText(this.received) });
    this.close();
  }

  close(): void {
    this.bar?.stop();
    this.bar = null;
  }
}
