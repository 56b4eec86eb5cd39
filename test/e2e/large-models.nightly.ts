import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildModels } from '../../tools/model-builder/src/models';
import { Stack, until } from '../support/stack';

const MODEL = 'encoder-large';
const LOADED_MS_MAX = 120_000;
const TEST_MS_MAX = 2 * LOADED_MS_MAX;
const JSON_HEADERS = { 'content-type': 'application/json' };

/** A model of 3 GiB whose weights are external data, in a partition that has room for it and in one that has not. */
describe('a large model', () => {
  const root = mkdtempSync(join(tmpdir(), 'il-large-'));
  let stack: Stack;
  beforeAll(() => buildModels(join(root, 'models'), [MODEL]), TEST_MS_MAX);
  afterEach(() => stack.stop());
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  const start = async (memory: string): Promise<void> => {
    const partitions = [{ id: 'all', class: 'reserved', cpus: [0], memory }];
    const config = JSON.stringify({ partitions, realtime: { timeoutMs: 60_000 }, calibration: { budgetMs: 0 } });
    stack = await Stack.start({ models: [], environment: { MODELS_DIR: join(root, 'models') }, config, until: 'live' });
  };

  const stateNow = async (): Promise<{ state: string; reason: string }> => {
    const response = await fetch(`${stack.url}/v2/repository/index`, { method: 'POST', body: '{}', headers: JSON_HEADERS });
    const [entry] = (await response.json()) as { state: string; reason: string }[];
    return entry ?? { state: '', reason: '' };
  };

  it(
    'is refused where it finds no memory, with what would make it fit, and the worker lives on',
    async () => {
      await start('2GiB');
      const pid = await stack.pidOf('all-realtime');
      await until(
        async () => (await stateNow()).reason.includes('memory'),
        LOADED_MS_MAX,
        () => stack.log().slice(-4000),
      );
      const { state, reason } = await stateNow();
      expect(state).toBe('UNAVAILABLE');
      expect(reason).toMatch(/it needs about 3\.2 GiB of memory.* of the 2\.0 GiB of this worker are free/);
      expect(reason).toMatch(/raise memory of its partition.* interleave split encoder-large --stages 2/);
      expect(await stack.pidOf('all-realtime')).toBe(pid);
    },
    TEST_MS_MAX,
  );

  it(
    'says how far its load is, and answers',
    async () => {
      await start('6GiB');
      const reasons = new Set<string>();
      const isReady = async (): Promise<boolean> => {
        reasons.add((await stateNow()).reason);
        return (await fetch(`${stack.url}/v2/models/${MODEL}/ready`)).status === 200;
      };
      await until(isReady, LOADED_MS_MAX, () => stack.log().slice(-4000));
      expect([...reasons].join('\n')).toMatch(/loading for \d+ s, about \d+ % of 3\.2 GiB/);
      const response = await fetch(`${stack.url}/v1/models/${MODEL}:predict`, {
        method: 'POST',
        headers: JSON_HEADERS,
        body: JSON.stringify({ instances: ['Water boils at a lower temperature high up in the mountains.'] }),
      });
      expect([response.status, await response.text()]).toEqual([200, expect.stringMatching(/^\{"predictions":\[/)]);
    },
    TEST_MS_MAX,
  );
});
