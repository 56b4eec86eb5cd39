import { readFileSync, writeFileSync } from 'node:fs';
import { runPaths } from '@app/config';
import type { WorkerModelPlan } from '@app/contracts';
import { NodeFixture, until } from './testing/node-fixture';

describe('models that change while the node serves', () => {
  let node: NodeFixture;
  const begin = async (
    settings: ConstructorParameters<typeof NodeFixture>[0] = {},
    files: Record<string, string> = { 'm/1/model.onnx': 'one' },
  ) => {
    node = new NodeFixture(settings);
    for (const [path, content] of Object.entries(files)) node.write(path, content);
    await node.serve();
    node.start();
  };
  const serving = (version = '1', name = 'm'): number | null => node.version(name, version)?.serving ?? null;
  const isNew = (revision: number) => (plan: Pick<WorkerModelPlan, 'revision'>) => plan.revision > revision;
  const kinds = (): string[] => node.events.newest().map(({ kind }) => kind);
  const keepOut = (id: string, revision: number): void => void (node.saying(id).isLoading = isNew(revision));
  const letIn = (id: string): void => void (node.saying(id).isLoading = () => false);
  afterEach(() => node.close());

  it('places at once what is there as it starts, and says when it serves', async () => {
    await begin();
    expect(node.version('m', '1')).toEqual({ name: 'm', version: '1', serving: null, next: 1, state: 'loading', reason: null });
    expect([node.planned('default-realtime'), node.planned('default-batch')]).toEqual([[1], [1]]);
    await until(() => serving() === 1);
    expect(node.version('m', '1')).toMatchObject({ next: null, state: 'serving' });
  });

  it('switches to new files once every process has them, and lets the old ones leave', async () => {
    await begin();
    await until(() => serving() === 1);
    keepOut('api-1', 1);
    node.write('m/1/model.onnx', 'two');
    await until(() => node.version('m', '1')?.next === 2);
    expect([node.planned('default-realtime'), serving()]).toEqual([[1, 2], 1]);
    letIn('api-1');
    await until(() => serving() === 2);
    expect(node.planned('default-realtime')).toEqual([1, 2]);
    await until(() => node.planned('default-realtime').length === 1 && node.planned('default-batch').length === 1);
    expect(node.planned('default-batch')).toEqual([2]);
    await until(() => kinds().includes('retired'));
    expect(kinds()).toEqual(['serving', 'found', 'serving', 'retired']);
  });

  it('leaves the old files to batches that began with them', async () => {
    await begin();
    await until(() => serving() === 1);
    node.saying('runner').pinned = [1];
    node.write('m/1/model.onnx', 'two');
    await until(() => serving() === 2);
    await until(() => node.planned('default-realtime').length === 1);
    expect(node.planned('default-batch')).toEqual([1, 2]);
    node.saying('runner').pinned = null; // started again, and has not looked
    await node.repository.nextTurn(performance.now() + 5000);
    await node.repository.nextTurn(performance.now() + 5000);
    expect(node.planned('default-batch')).toEqual([1, 2]);
    node.saying('runner').pinned = [];
    await until(() => node.planned('default-batch').length === 1);
  });

  it.each(['default-realtime', 'default-batch', 'api-1', 'runner'])(
    'goes on with the old files when %s cannot have the new ones',
    async (id) => {
      await begin();
      await until(() => serving() === 1);
      node.saying(id).problemOf = (plan) => (plan.revision > 1 ? 'the graph is broken' : null);
      node.write('m/1/model.onnx', 'two');
      await until(() => node.version('m', '1')?.reason !== null);
      expect(node.version('m', '1')).toMatchObject({
        serving: 1,
        next: null,
        state: 'serving',
        reason: `its new files cannot be served: ${id}: the graph is broken`,
      });
      await until(() => node.planned('default-realtime').length === 1);
      node.write('m/1/model.onnx', 'three');
      node.saying(id).problemOf = () => null;
      await until(() => serving() === 3);
      expect(node.version('m', '1')?.reason).toBeNull();
    },
  );

  it('refuses files that cannot be read or placed without asking anybody', async () => {
    await begin();
    await until(() => serving() === 1);
    node.write('m/model.yaml', 'tusk: tensor');
    await until(() => node.version('m', '1')?.reason?.includes('tusk') === true);
    node.write('m/model.yaml', 'device: gpu');
    await until(() => node.version('m', '1')?.reason?.includes('start the node again') === true);
    expect([serving(), node.planned('default-realtime')]).toEqual([1, [1]]);
    node.remove('m/model.yaml');
    await until(() => node.version('m', '1')?.reason === null);
  });

  it('goes on with every version while it cannot be told which there are', async () => {
    await begin({}, { 'm/1/model.onnx': 'one', 'm/2/model.onnx': 'two' });
    await until(() => serving() === 1 && serving('2') === 2);
    node.write('m/model.onnx', 'stray');
    await until(() => node.version('m', '2')?.reason !== null);
    expect(node.version('m', '2')).toMatchObject({ serving: 2, reason: expect.stringContaining('move one of them away') as string });
    node.remove('m/model.onnx');
    await until(() => node.version('m', '1')?.reason === null && node.version('m', '2')?.reason === null);
    expect([serving(), serving('2'), node.planned('default-realtime')]).toEqual([1, 2, [1, 2]]);
  });

  it('tells why the folder cannot be looked at', async () => {
    await begin();
    await until(() => serving() === 1);
    expect(node.repository.status().folderProblem).toBeNull();
    node.remove('');
    await until(() => node.repository.status().folderProblem?.startsWith('MODELS_DIR cannot be read') === true);
    expect(serving()).toBe(1);
  });

  it('waits until costs are measured, where another revision serves', async () => {
    await begin();
    await until(() => serving() === 1);
    node.saying('default-batch').calibration = 'measuring';
    node.write('m/1/model.onnx', 'two');
    await until(() => node.version('m', '1')?.next === 2);
    for (let turn = 0; turn < 3; turn++) await node.repository.nextTurn(performance.now() + 5000);
    expect(serving()).toBe(1);
    node.saying('default-batch').calibration = 'measured';
    await until(() => serving() === 2);
  });

  it('does not wait for a process that is down, but for one that died of the new files', async () => {
    await begin();
    await until(() => serving() === 1);
    await node.end('default-batch');
    node.write('m/1/model.onnx', 'two');
    await until(() => serving() === 2);
    await node.serve('default-batch');
    keepOut('default-realtime', 2);
    node.write('m/1/model.onnx', 'three');
    await until(() => node.version('m', '1')?.next === 3);
    node.repository.workerDied(3, 'SIGSEGV');
    await node.end('default-batch');
    letIn('default-realtime');
    await new Promise((resolve) => setTimeout(resolve, 1500)); // long enough for a process to count as down
    expect(serving()).toBe(2);
    node.repository.workerDied(3, 'SIGSEGV');
    expect(node.version('m', '1')).toMatchObject({ serving: 2, next: null });
    expect(node.version('m', '1')?.reason).toContain('2 workers died of it, the last one: SIGSEGV');
  });

  it('retires what is removed, and serves what is added', async () => {
    await begin({}, { 'm/1/model.onnx': 'one', 'n/1/model.onnx': 'other' });
    await until(() => serving() === 1 && serving('1', 'n') === 2);
    node.remove('m');
    node.write('o/1/model.onnx', 'new');
    await until(() => node.version('m', '1') === undefined && serving('1', 'o') === 3);
    await until(() => node.planned('default-realtime').length === 2);
    expect(node.placement().repository).toMatchObject({ lastRevision: 3 });
  });

  it('keeps an old version until the new one serves, by the policy of release.yaml', async () => {
    await begin({}, { 'm/1/model.onnx': 'one', 'm/release.yaml': 'versions: { policy: latest, keep: 1 }' });
    await until(() => serving() === 1);
    node.saying('api-1').problemOf = (plan) => (plan.version === '2' ? 'no tokenizer' : null);
    node.write('m/2/model.onnx', 'two');
    await until(() => node.version('m', '2')?.state === 'failed');
    expect([serving(), node.version('m', '2')?.reason]).toEqual([1, 'api-1: no tokenizer']);
    node.write('m/3/model.onnx', 'three');
    keepOut('runner', 2);
    await until(() => node.version('m', '3')?.next === 3);
    expect(serving()).toBe(1);
    letIn('runner');
    await until(() => serving('3') === 3);
    await until(() => node.version('m', '1')?.state === 'unloaded');
    expect(node.version('m', '1')?.reason).toContain('latest, keep: 1');
  });

  it('starts a node although a worker refuses a model, and says which', async () => {
    node = new NodeFixture();
    node.write('m/1/model.onnx', 'one');
    node.write('n/1/model.onnx', 'two');
    node.saying('default-batch').problemOf = ({ name }) => (name === 'm' ? 'no memory' : null);
    node.saying('default-realtime').problemOf = () => 'no memory';
    await node.serve();
    node.start();
    await until(() => node.version('m', '1')?.state === 'failed' && node.version('n', '1')?.state === 'serving');
    expect(node.version('n', '1')?.reason).toBe('default-realtime: no memory');
    expect(node.planned('default-realtime')).toEqual([1, 2]);
    node.saying('default-realtime').problemOf = () => null; // started again
    await until(() => serving() === 1);
  });

  it('gives new files of a quarantined model a chance', async () => {
    await begin();
    await until(() => serving() === 1);
    node.quarantined.push({ name: 'm', version: '1', lane: 'realtime' });
    keepOut('default-realtime', 1);
    node.write('m/1/model.onnx', 'two');
    await until(() => node.version('m', '1')?.next === 2);
    expect([node.planned('default-realtime'), node.planned('default-batch'), node.quarantined]).toEqual([[2], [1, 2], []]);
  });

  describe('another scheduler', () => {
    /** Ends the scheduler as SIGKILL does: nothing is written any more. */
    const killScheduler = async (): Promise<void> => {
      const path = runPaths(node.runDir).placement;
      const text = readFileSync(path, 'utf8');
      await node.repository.stop();
      writeFileSync(path, text);
    };

    it('gives the same files the same number, and others a larger one than any before', async () => {
      await begin();
      await until(() => serving() === 1);
      await killScheduler();
      node.start();
      expect(node.version('m', '1')).toMatchObject({ next: 1 });
      await killScheduler();
      node.write('m/1/model.onnx', 'two');
      node.start();
      expect(node.version('m', '1')).toMatchObject({ serving: null, next: 2 });
      expect(node.planned('default-batch')).toEqual([2]);
      await killScheduler();
      node.remove('m');
      node.start();
      await killScheduler();
      node.write('m/1/model.onnx', 'three');
      node.start();
      expect(node.version('m', '1')).toMatchObject({ next: 3 });
    });

    it.each([
      ['before the new files were found', false],
      ['with both revisions in the plans', true],
    ])('goes on with what serves, and switches: killed %s', async (_when, hasNext) => {
      await begin();
      await until(() => serving() === 1);
      keepOut('default-realtime', 1);
      if (!hasNext) await killScheduler();
      node.write('m/1/model.onnx', 'two');
      if (hasNext) {
        await until(() => node.version('m', '1')?.next === 2);
        await killScheduler();
      }
      node.start(true);
      expect(node.version('m', '1')).toMatchObject({ serving: 1, next: 2 });
      expect(node.planned('default-realtime')).toEqual([1, 2]);
      letIn('default-realtime');
      await until(() => serving() === 2);
      await until(() => node.planned('default-batch').length === 1);
    });

    it('lets the old files leave that it finds after the switch, once batches do not need them', async () => {
      await begin();
      await until(() => serving() === 1);
      node.saying('runner').pinned = [1];
      node.write('m/1/model.onnx', 'two');
      await until(() => serving() === 2);
      await killScheduler();
      node.start(true);
      expect(node.version('m', '1')).toMatchObject({ serving: 2, next: null });
      expect(node.planned('default-batch')).toEqual([1, 2]);
      await node.repository.nextTurn(performance.now() + 5000);
      expect(node.planned('default-batch')).toEqual([1, 2]);
      node.saying('runner').pinned = [];
      await until(() => node.planned('default-batch').length === 1);
    });

    it('takes the new files where nobody has the old ones any more', async () => {
      await begin();
      await until(() => serving() === 1);
      await killScheduler();
      node.write('m/1/model.onnx', 'two');
      for (const id of ['default-realtime', 'default-batch', 'api-1', 'runner'])
        node.saying(id).problemOf = ({ revision }) => (revision === 1 ? 'its files have changed' : null);
      node.saying('default-batch').problemOf = () => 'no memory';
      node.start(true);
      await until(() => serving() === 2);
    });
  });

  describe('commands', () => {
    const say = async (path: string, body: object): Promise<unknown> => node.commands[path]?.(body);

    it('load and unload models', async () => {
      await begin({ mode: 'explicit', load: ['m'] }, { 'm/1/model.onnx': 'one', 'n/1/model.onnx': 'two' });
      await until(() => serving() === 1);
      expect(node.version('n', '1')).toMatchObject({ state: 'unloaded', reason: expect.stringContaining('explicit') as string });
      await say('/models/load', { name: 'n' });
      expect(serving('1', 'n')).toBe(2);
      await say('/models/unload', { name: 'm' });
      expect(node.version('m', '1')).toMatchObject({ serving: null, state: 'unloaded' });
      node.write('n/1/model.onnx', 'three');
      await say('/models/load', { name: 'n', version: '1' });
      expect(serving('1', 'n')).toBe(3);
      await expect(say('/models/load', { name: 'x' })).rejects.toThrow('expected model x in');
      node.saying('api-1').problemOf = () => 'no tokenizer';
      await expect(say('/models/load', { name: 'm' })).rejects.toThrow('model m version 1: api-1: no tokenizer');
      node.saying('api-1').problemOf = () => null;
      await say('/models/load', { name: 'm' });
      expect(node.version('m', '1')).toMatchObject({ state: 'serving', reason: null });
    });

    it('say what is not loaded in time, and refuse what cannot be', async () => {
      await begin({ mode: 'none' });
      await expect(say('/models/load', { name: 'm' })).rejects.toThrow('repository.mode is none');
      await expect(say('/models/unload', { name: 'm' })).rejects.toThrow('repository.mode is none');
      await expect(say('/models/used', { models: 1 })).rejects.toThrow('models: ');
      await node.close();
      await begin({ mode: 'explicit' });
      keepOut('runner', 0);
      await expect(say('/models/load', { name: 'm', waitMs: 300 })).rejects.toThrow('is not loaded after 300 ms');
      expect(await say('/models/want', { name: 'm' })).toEqual({ state: 'loading', reason: null });
      expect(await say('/models/want', { name: 'x' })).toMatchObject({ state: 'unavailable' });
    });

    it('promote and roll back, and keep it on disk', async () => {
      const release =
        'labels: { stable: 1, canary: 2 }\ncanary: [{ version: 2, trafficPercent: 10 }]\nrollback: { errorRate: 0.1, window: 90s }';
      await begin({}, { 'm/1/model.onnx': 'one', 'm/2/model.onnx': 'two', 'm/release.yaml': release });
      await until(() => serving() !== null && serving('2') !== null);
      const releases = () => node.placement().releases;
      expect(releases()).toMatchObject([
        { name: 'm', labels: { stable: '1', canary: '2' }, canary: { version: '2', trafficPercent: 10 }, rollback: { windowMs: 90_000 } },
      ]);
      await say('/releases/decide', { name: 'm', action: 'rollback', reason: 'errors', by: 'rule', figures: { errorRate: 0.2 } });
      expect(releases()).toMatchObject([{ labels: { stable: '1' }, canary: null }]);
      await node.repository.stop();
      node.start();
      await until(() => serving() !== null && serving('2') !== null);
      expect(releases()).toMatchObject([{ labels: { stable: '1' }, canary: null }]);
      node.write('m/release.yaml', `${release}\n# anew`);
      await until(() => releases()?.[0]?.canary !== null);
      await say('/releases/decide', { name: 'm', action: 'promote', reason: 'good', by: 'command' });
      expect(releases()).toMatchObject([{ labels: { stable: '2' }, canary: null }]);
      await expect(say('/releases/decide', { name: 'm', action: 'promote', reason: 'x', by: 'rule' })).rejects.toThrow('has no canary');
      node.write('m/release.yaml', 'labels: { stable: 0 }');
      await until(() => kinds().includes('problem'));
      expect(releases()).toMatchObject([{ labels: { stable: '2' } }]);
    });
  });

  describe('with a budget', () => {
    const files = { 'a/1/model.onnx': 'x'.repeat(100), 'b/1/model.onnx': 'x'.repeat(100), 'c/1/model.onnx': 'x'.repeat(100) };
    const want = (name: string): unknown => node.commands['/models/want']?.({ name });
    const states = (): (string | undefined)[] => ['a', 'b', 'c'].map((name) => node.version(name, '1')?.state);

    it('loads what fits, and unloads what was not used for longest', async () => {
      await begin({ memoryMax: 250 }, files);
      await until(() => states().join() === 'serving,serving,unloaded');
      node.commands['/models/used']?.({ models: [{ name: 'a', version: '1' }] });
      await until(() => (want('c') as { state: string }).state === 'serving');
      expect(states()).toEqual(['serving', 'unloaded', 'serving']);
      expect(node.planned('default-realtime')).toHaveLength(2);
      expect(node.version('b', '1')?.reason).toContain('unloaded to make room for model c');
      expect(['a', 'b', 'c'].map((name) => node.version(name, '1')?.onDemand)).toEqual([undefined, true, undefined]);
      await until(() => (want('b') as { state: string }).state === 'serving');
      expect(states()).toEqual(['unloaded', 'serving', 'serving']);
    });

    it('makes room for those who asked first, whatever their names are', async () => {
      await begin({ memoryMax: 150 }, files);
      await until(() => states().join() === 'serving,unloaded,unloaded');
      want('c');
      want('b');
      await until(() => states().slice(1).includes('serving'));
      expect(states()[2]).toBe('serving');
    });

    it('counts new files beside the old ones', async () => {
      await begin({ memoryMax: 250 }, files);
      await until(() => states().join() === 'serving,serving,unloaded');
      node.write('a/1/model.onnx', 'y'.repeat(100));
      await until(() => node.version('a', '1')?.next === 4);
      expect(states()).toEqual(['serving', 'unloaded', 'unloaded']);
      node.write('a/1/model.onnx', 'y'.repeat(200));
      await until(() => node.version('a', '1')?.reason !== null);
      expect(node.version('a', '1')).toMatchObject({
        state: 'serving',
        reason: expect.stringMatching(/200 bytes beside 100 bytes.*raise it to at least 300 bytes, or unload the model first/) as string,
      });
    });

    it('never unloads pinned models, and says so', async () => {
      await begin({ memoryMax: 250 }, { ...files, 'a/model.yaml': 'pinned: true', 'c/model.yaml': 'pinned: true' });
      await until(() => states().join() === 'serving,unloaded,serving');
      want('b');
      await until(() => node.version('b', '1')?.reason?.includes('pinned are a, c') === true);
      expect(states()[0]).toBe('serving');
    });

    it('says which version of a model finds no room beside the others, and what helps', async () => {
      await begin({ memoryMax: 150, mode: 'explicit' }, { 'a/1/model.onnx': 'x'.repeat(100), 'a/2/model.onnx': 'x'.repeat(100) });
      await expect(node.commands['/models/load']?.({ name: 'a', waitMs: 10_000 })).rejects.toThrow(
        /^model a version 1: unloaded to make room for model a version 2.*what was to be loaded has 200 bytes; raise it, or .*keep: 1/,
      );
      expect(serving('2', 'a')).not.toBeNull();
      node.write('a/release.yaml', 'versions: { policy: latest, keep: 1 }');
      await until(() => node.version('a', '1')?.reason?.includes('keep: 1') === true);
      expect(await node.commands['/models/load']?.({ name: 'a', waitMs: 10_000 })).toEqual({});
    });

    it('fails a model that is larger than the budget', async () => {
      await begin({ memoryMax: 50 }, { 'a/1/model.onnx': 'x'.repeat(100) });
      expect(want('a')).toMatchObject({ state: 'loading' });
      await until(() => node.version('a', '1')?.state === 'failed');
      expect(node.version('a', '1')?.reason).toContain('raise it to at least 100 bytes');
    });
  });
});
