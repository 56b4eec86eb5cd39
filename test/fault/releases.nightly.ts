import { join } from 'node:path';
import { fetchStatus } from '@app/process';
import { askScale, ChangingModel, readScale, scaleGraph, sendOnes, slowScaleGraph } from '../support/changing-model';
import { startLiveLoad } from '../support/live-load';
import { Stack, until } from '../support/stack';

const MINUTES_5 = 5 * 60_000;
const WAIT_MS = 120_000;
const USERS = 20_000;
const CALLERS = 8;

/** Whole nodes: what is routed, compared and decided, by the processes that do it. */
describe('canaries and mirrors', () => {
  let stack: Stack;
  let model: ChangingModel;
  beforeEach(async () => {
    stack = await Stack.start({ models: ['encoder-tiny'] });
    model = new ChangingModel(join(stack.dir, 'models'));
    model.addVersion(1, 1);
    await untilAnswers('1');
  });
  afterEach(() => stack?.stop());

  const log = (): string => stack.log().slice(-6000);
  const untilAnswers = (version: string, name = 'scale'): Promise<void> =>
    until(async () => (await askScale(stack.url, name)).version === version, WAIT_MS, log);
  const events = async () => {
    const { events: all } = await fetchStatus('scheduler', join(stack.runDir, 'scheduler.status.sock'), 5_000);
    return all.filter((event) => event.model === 'scale');
  };
  /** Sends requests of many users until the scheduler has decided. */
  async function untilDecided(kind: string): Promise<string> {
    let user = 0;
    const load = startLiveLoad({ concurrency: 4, send: () => sendOnes(stack.url, 'scale', null, `user-${user++}`) });
    try {
      await until(async () => (await events()).some((event) => event.kind === kind), WAIT_MS, log);
    } finally {
      await load.stop();
    }
    expect(load.report.failures).toEqual([]);
    return (await events()).find((event) => event.kind === kind)?.message ?? '';
  }

  it(
    'share out one in ten within 1 %, each caller always the same way',
    async () => {
      model.addVersion(2, 1);
      model.write('release.yaml', 'labels: { stable: 1 }\ncanary: [{ version: 2, trafficPercent: 10 }]\n');
      await until(async () => (await versionsOf(100)).some((version) => version === '2'), WAIT_MS, log);
      const first = await versionsOf(USERS);
      const share = first.filter((version) => version === '2').length / USERS;
      console.log(`share of the canary: ${share}`);
      expect(Math.abs(share - 0.1)).toBeLessThan(0.01);
      expect((await versionsOf(500)).every((version, user) => version === first[user])).toBe(true);
    },
    MINUTES_5,
  );

  it.each([
    ['wrong', scaleGraph(1.5), 'rollback: { minAgreement: 0.99, window: 30s }'],
    ['slow', slowScaleGraph(1), 'rollback: { p99Ratio: 2, window: 30s }'],
  ])(
    'take back a %s canary without a person',
    async (_what, graph, rule) => {
      model.addVersion(2, 2, graph);
      model.write('release.yaml', `labels: { stable: 1 }\ncanary: [{ version: 2, trafficPercent: 30 }]\n${rule}\n`);
      console.log(await untilDecided('rolled-back'));
      expect((await versionsOf(300)).every((version) => version === '1')).toBe(true);
    },
    MINUTES_5,
  );

  it(
    'promote a good canary by rule',
    async () => {
      model.addVersion(2, 1);
      const rules = 'rollback: { minAgreement: 0.99, errorRate: 0.01, window: 30s }\npromote: { after: 5s, requests: 200 }\n';
      model.write('release.yaml', `labels: { stable: 1 }\ncanary: [{ version: 2, trafficPercent: 30 }]\n${rules}`);
      console.log(await untilDecided('promoted'));
      expect((await versionsOf(300)).every((version) => version === '2')).toBe(true);
    },
    MINUTES_5,
  );

  async function versionsOf(users: number): Promise<(string | null)[]> {
    const versions: (string | null)[] = [];
    let next = 0;
    const caller = async (): Promise<void> => {
      for (let user = next++; user < users; user = next++)
        versions[user] = (await readScale(await sendOnes(stack.url, 'scale', null, `user-${user}`))).version;
    };
    await Promise.all(Array.from({ length: CALLERS }, caller));
    return versions;
  }
});
