import { setTimeout as sleep } from 'node:timers/promises';
import type { BatchPriority } from '@app/contracts';
import type { OpenRunner } from './open-runner';
import { openTestRunner } from './testing/open-test-runner';
import { QueueEngine } from './testing/queue-engine';
import { echoRow, toJsonl, Workspace } from './testing/workspace';

const ROWS = 18_000;
/** What was in flight before all batches had begun, and more. */
const SKIPPED = 1_500;
/** So many chunks that one more or less is little. */
const COUNTED = 8_400;

describe('shares of batches that all want more than they get', () => {
  let workspace: Workspace;
  let engine: QueueEngine;
  let lane: OpenRunner;

  beforeEach(async () => {
    workspace = new Workspace({ chunkRows: 64, chunkConcurrency: 4 });
    engine = new QueueEngine(8);
    await workspace.redis.start();
    lane = await openTestRunner(workspace.config, engine);
  });

  afterEach(async () => {
    await lane.close(0);
    await workspace.close();
  });

  const submit = async (name: string, rows: number, changes: object = {}): Promise<string> =>
    workspace.createBatch(await workspace.upload(toJsonl(Array.from({ length: rows }, (_, i) => echoRow(i, `${name} ${i}`)))), {}, changes);

  /** However slow the machine is, none has got rows before all have begun. */
  async function beginTogether(submissions: Promise<string>[]): Promise<string[]> {
    engine.isHeld = true;
    const ids = await Promise.all(submissions);
    for (const id of ids) await workspace.until(id, ({ status }) => status === 'in_progress');
    engine.isHeld = false;
    return ids;
  }

  async function untilAnswered(count: number): Promise<void> {
    while (engine.answered.length < count) await sleep(5);
  }

  /** All three are at work: what each gets from here on. */
  async function measure(names: string[]): Promise<number[]> {
    while (names.some((name) => !engine.answered.some((input) => input.startsWith(name)))) await sleep(5);
    const skipped = engine.answered.length + SKIPPED;
    await untilAnswered(skipped + COUNTED);
    return names.map((name) => engine.answered.slice(skipped, skipped + COUNTED).filter((input) => input.startsWith(name)).length);
  }

  function expectShares(rows: number[], weights: number[]): void {
    const whole = weights.reduce((sum, weight) => sum + weight, 0);
    rows.forEach((count, at) => {
      const expected = (COUNTED * (weights[at] ?? 0)) / whole;
      expect(count).toBeGreaterThan(expected * 0.85);
      expect(count).toBeLessThan(expected * 1.15);
    });
  }

  it('are 1:2:4 by priority, and follow a change of it', async () => {
    const priorities: BatchPriority[] = ['low', 'normal', 'high'];
    const ids = await beginTogether(priorities.map((priority) => submit(priority, ROWS, { priority })));
    expectShares(await measure(priorities), [1, 2, 4]);
    const manifest = await workspace.batches.read(ids[0] ?? '');
    if (manifest === null) throw new Error('no manifest');
    await workspace.batches.changeControl(manifest, { priority: 'high' });
    await sleep(300); // two looks of the owner
    expectShares(await measure(priorities), [4, 2, 4]);
  });

  it('are those of the tenants first, however many batches one has', async () => {
    const many = ['m1', 'm2', 'm3'].map((name) => submit(name, ROWS, { tenant: 'many', tenantWeight: 1 }));
    await beginTogether([...many, submit('one', ROWS, { tenant: 'other', tenantWeight: 2 })]);
    expectShares(await measure(['m1', 'm2', 'm3', 'one']), [1, 1, 1, 6]);
  });

  it('a small batch beside a large one is done while few rows of the large one are', async () => {
    await submit('large', 20_000);
    await untilAnswered(2_000);
    await workspace.untilOver(await submit('small', 100));
    const lastSmall = engine.answered.findLastIndex((input) => input.startsWith('small'));
    const firstSmall = engine.answered.findIndex((input) => input.startsWith('small'));
    const between = engine.answered.slice(firstSmall, lastSmall).filter((input) => input.startsWith('large')).length;
    // What is in flight comes first, then both get the same; two chunks, between which it is heard of the first one.
    expect(between).toBeLessThan(1_200);
  });
});
