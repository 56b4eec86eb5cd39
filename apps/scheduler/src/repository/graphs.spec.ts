import type { GraphPlan } from '@app/contracts';
import { NodeFixture, until } from './testing/node-fixture';

const step = (model: string, from: string, to: string, rest = ''): string =>
  `  - { model: ${model}, ${rest}input_map: { x: ${from} }, output_map: { y: ${to} } }\n`;
const GRAPH = `steps:\n${step('a', 't', 'u')}${step('b', 'u', 'v')}`;
const FILES = { 'a/1/model.onnx': 'a one', 'b/1/model.onnx': 'b one', 'g/model.yaml': GRAPH };

describe('graphs of models while the node serves', () => {
  let node: NodeFixture;
  const begin = async (files: Record<string, string> = FILES, settings: ConstructorParameters<typeof NodeFixture>[0] = {}) => {
    node = new NodeFixture(settings);
    for (const [path, content] of Object.entries(files)) node.write(path, content);
    await node.serve();
    node.start();
  };
  const serving = (name = 'g', version = '1'): number | null => node.version(name, version)?.serving ?? null;
  const graph = (): GraphPlan | undefined => node.placement().graphs?.find(({ revision }) => revision === serving());
  const stepsServed = () => graph()?.steps.map(({ model, version, revision }) => [model, version, revision]);
  afterEach(() => node.close());

  it('serve once the models of their steps do, in the lanes that have all of them', async () => {
    await begin();
    expect(node.version('g', '1')).toMatchObject({
      serving: null,
      state: 'loading',
      reason: expect.stringContaining('its model is loading') as string,
    });
    await until(() => serving() !== null);
    expect(stepsServed()).toEqual([
      ['a', '1', serving('a')],
      ['b', '1', serving('b')],
    ]);
    expect(graph()).toMatchObject({ lanes: ['realtime', 'batch'], outputs: ['v'] });
    expect(node.planned('default-realtime')).toEqual([serving('a'), serving('b')]);
  });

  it('become another revision with the files of a step, which keep what was before until then, and for batches', async () => {
    await begin();
    await until(() => serving() !== null);
    const before = { graph: serving() as number, a: serving('a') as number };
    node.saying('api-1').isLoading = ({ name, revision }) => name === 'g' && revision !== before.graph;
    node.saying('runner').pinned = [before.graph];
    node.write('a/1/model.onnx', 'a two');
    await until(() => serving('a') !== before.a);
    await new Promise((resolve) => setTimeout(resolve, 2500)); // longer than what leaves lingers
    expect([serving(), node.planned('default-realtime').includes(before.a)]).toEqual([before.graph, true]);
    node.saying('api-1').isLoading = () => false;
    await until(() => serving() !== before.graph);
    expect(stepsServed()?.[0]).toEqual(['a', '1', serving('a')]);
    await until(() => !node.planned('default-realtime').includes(before.a));
    expect(node.planned('default-batch')).toContain(before.a);
    node.saying('runner').pinned = [];
    await until(() => !node.planned('default-batch').includes(before.a));
  });

  it('keep the former files of a step that they run on when another scheduler takes over', async () => {
    await begin();
    await until(() => serving() !== null);
    const before = { graph: serving() as number, a: serving('a') as number };
    node.saying('api-1').isLoading = ({ name, revision }) => name === 'g' && revision !== before.graph;
    node.write('a/1/model.onnx', 'a two');
    await until(() => serving('a') !== before.a);
    await node.repository.stop();
    node.compose(true);
    expect([serving(), node.planned('default-realtime').includes(before.a)]).toEqual([before.graph, true]);
    node.repository.start();
    await node.repository.nextTurn(performance.now() + 3000);
    expect([serving(), node.planned('default-realtime').includes(before.a)]).toEqual([before.graph, true]);
  });

  it('go on as before where a process finds that the new files of a step do not fit', async () => {
    await begin();
    await until(() => serving() !== null);
    const before = serving() as number;
    node.saying('api-1').problemOf = ({ name, revision }) => (name === 'g' && revision !== before ? 'the types differ' : null);
    node.write('a/1/model.onnx', 'a two');
    await until(() => node.version('g', '1')?.reason?.includes('the types differ') === true);
    expect(serving()).toBe(before);
  });

  it('wait for a model that is not there, and end with one that goes', async () => {
    const { 'b/1/model.onnx': b, ...others } = FILES;
    await begin(others);
    await until(() => node.version('g', '1')?.state === 'failed');
    expect(node.version('g', '1')?.reason).toBe(
      'step 2 b: there is no model "b" in the repository; add it, name another one, or write "fleet: true" where other nodes serve it',
    );
    node.write('b/1/model.onnx', b);
    await until(() => serving() !== null);
    node.remove('b');
    await until(() => serving() === null);
    expect(node.placement().graphs).toHaveLength(1); // what was asked before is answered
    await until(() => node.version('g', '1')?.state === 'failed');
  });

  it('stay with the newest version of when they were read, also for the next scheduler', async () => {
    await begin();
    await until(() => serving() !== null);
    const before = serving();
    node.write('a/2/model.onnx', 'a of another version');
    await until(() => serving('a', '2') !== null);
    await node.repository.stop();
    node.start(true);
    await node.repository.nextTurn(performance.now() + 3000);
    expect([serving(), stepsServed()?.[0]?.[1]]).toEqual([before, '1']);
  });

  it.each([
    ['a graph as a step', { ...FILES, 'h/model.yaml': `steps:\n${step('g', 't', 'v')}` }, 'step 1 g is a graph of models itself'],
    [
      'a version that is not there',
      { ...FILES, 'h/model.yaml': `steps:\n${step('a', 't', 'v', 'version: 7, ')}` },
      'model "a" has no version 7; it has 1',
    ],
    [
      'a lane that lacks a step',
      { ...FILES, 'a/model.yaml': 'lanes: [batch]', 'h/model.yaml': `steps:\n${step('a', 't', 'v')}` },
      'is not placed in the realtime lane',
    ],
    [
      'a step that runs equal inputs once where the graph must not',
      { ...FILES, 'h/model.yaml': `deduplicate: false\nsteps:\n${step('a', 't', 'v')}` },
      'step 1 a runs equal inputs once; write "deduplicate: false" into its model.yaml too',
    ],
    [
      'a step that must not run equal inputs once where the graph does',
      { ...FILES, 'a/model.yaml': 'deduplicate: false', 'h/model.yaml': `steps:\n${step('a', 't', 'v')}` },
      'step 1 a has "deduplicate: false"; write it into the model.yaml of the graph too',
    ],
  ])('refuse %s', async (_, files, reason) => {
    await begin(files);
    await until(() => node.version('h', '1')?.state === 'failed');
    expect(node.version('h', '1')?.reason).toContain(reason);
  });

  it('have the models of their steps loaded', async () => {
    await begin(FILES, { mode: 'explicit' });
    await node.commands['/models/load']?.({ name: 'g', waitMs: 20_000 });
    expect([serving('a'), serving('b'), serving()].includes(null)).toBe(false);
  });

  it('keep their steps in memory where they are pinned', async () => {
    const files = { 'a/1/model.onnx': 'x'.repeat(100), 'b/1/model.onnx': 'y'.repeat(100), 'c/1/model.onnx': 'z'.repeat(100) };
    await begin({ ...files, 'g/model.yaml': `pinned: true\n${GRAPH}` }, { memoryMax: 250 });
    await until(() => serving() !== null && serving('a') !== null && serving('b') !== null);
    await new Promise((resolve) => setTimeout(resolve, 2100)); // what was loaded stays for 2 s
    node.commands['/models/want']?.({ name: 'c' });
    await until(() => node.version('c', '1')?.reason?.includes('pinned are a, b') === true);
    expect([serving('a'), serving('b'), serving('c')].map((number) => number !== null)).toEqual([true, true, false]);
  });

  it('wake up steps that were unloaded to make room', async () => {
    const files = { ...FILES, 'a/1/model.onnx': 'x'.repeat(100), 'b/1/model.onnx': 'y'.repeat(100), 'c/1/model.onnx': 'z'.repeat(100) };
    await begin(files, { memoryMax: 250 });
    await until(() => serving() !== null);
    await new Promise((resolve) => setTimeout(resolve, 2100)); // what was loaded stays for 2 s
    await until(() => (node.commands['/models/want']?.({ name: 'c' }), serving('c') !== null));
    const asleep = ['a', 'b'].find((name) => serving(name) === null) as string;
    expect(serving()).not.toBeNull();
    await until(() => (node.commands['/models/want']?.({ name: 'g' }), serving(asleep) !== null));
  });
});
