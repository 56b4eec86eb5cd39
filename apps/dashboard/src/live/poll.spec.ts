import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { Poll } from './poll';

const EVERY_MS = 5;

/** A node that answers when it is let. */
class SlowNode {
  reads = 0;
  atOnce = 0;
  atOnceMax = 0;
  private waiting: (() => void)[] = [];

  readonly read = async (): Promise<void> => {
    this.reads += 1;
    this.atOnceMax = Math.max(this.atOnceMax, ++this.atOnce);
    await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.atOnce -= 1;
  };

  async answer(): Promise<void> {
    this.waiting.shift()?.();
    await turn();
  }
}

describe('a poll', () => {
  const polls: Poll[] = [];
  const start = (...parts: ConstructorParameters<typeof Poll>): Poll => {
    const poll = new Poll(...parts);
    polls.push(poll);
    return poll;
  };
  afterEach(() => {
    for (const poll of polls.splice(0)) poll.stop();
  });

  it('reads at once and again, but never while a read is under way', async () => {
    const node = new SlowNode();
    start(node.read, EVERY_MS);
    await sleep(10 * EVERY_MS);
    expect(node.reads).toBe(1);
    while (node.reads < 4) {
      await node.answer();
      await sleep(EVERY_MS);
    }
    expect(node.atOnceMax).toBe(1);
  });

  it('reads once more for all who ask meanwhile, unless it was stopped', async () => {
    const node = new SlowNode();
    const poll = start(node.read, 3_600_000);
    poll.reload();
    poll.reload();
    expect(node.reads).toBe(1);
    await node.answer();
    expect(node.reads).toBe(2);
    await node.answer();
    expect([node.reads, node.atOnceMax]).toEqual([2, 1]);
    poll.reload();
    poll.reload();
    poll.stop();
    await node.answer();
    expect(node.reads).toBe(3);
  });

  it('lets a read be left out', async () => {
    const node = new SlowNode();
    let isDue = false;
    start(node.read, EVERY_MS, () => isDue);
    await node.answer();
    await sleep(10 * EVERY_MS);
    expect(node.reads).toBe(1);
    isDue = true;
    while (node.reads < 2) await sleep(EVERY_MS);
  });
});
