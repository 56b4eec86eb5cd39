import { readFileSync, writeFileSync } from 'node:fs';
import { runPaths } from '@app/config';
import { NodeFixture, until } from './testing/node-fixture';

describe('a scheduler that takes over from another one', () => {
  let node: NodeFixture;
  afterEach(() => node.close());
  const serving = (): number | null => node.version('m', '1')?.serving ?? null;

  /** Ends the scheduler as SIGKILL does, and lets another one start: nothing is written in between. */
  const startAnother = async (): Promise<void> => {
    const path = runPaths(node.runDir).placement;
    const text = readFileSync(path, 'utf8');
    await node.repository.stop();
    writeFileSync(path, text);
    node.start(true);
  };
  const begin = async (mode: 'explicit' | 'none'): Promise<void> => {
    node = new NodeFixture({ mode, load: ['m'] });
    node.write('m/1/model.onnx', 'one');
    await node.serve();
    node.start();
    await until(() => serving() === 1);
  };
  const someTurns = async (): Promise<void> => {
    for (let turn = 0; turn < 3; turn++) await node.repository.nextTurn(performance.now() + 200);
  };

  it.each(['explicit', 'none'] as const)('keeps to the files that serve in mode %s', async (mode) => {
    await begin(mode);
    node.write('m/1/model.onnx', 'two');
    for (let another = 0; another < 2; another++) {
      await startAnother();
      await someTurns();
      expect(node.version('m', '1')).toMatchObject({ serving: 1, next: null });
      expect(node.planned('default-realtime')).toEqual([1]);
    }
  });

  it('loads other files once somebody says so, also where that had begun before', async () => {
    await begin('explicit');
    node.write('m/1/model.onnx', 'two');
    await startAnother();
    node.saying('api-1').isLoading = ({ revision }) => revision > 1;
    const load = async (waitMs: number): Promise<unknown> => node.commands['/models/load']?.({ name: 'm', waitMs });
    await expect(load(300)).rejects.toThrow('is not loaded after 300 ms');
    expect(node.version('m', '1')).toMatchObject({ serving: 1, next: 2 });
    await startAnother();
    expect(node.version('m', '1')).toMatchObject({ serving: 1, next: 2 });
    node.saying('api-1').isLoading = () => false;
    await until(() => serving() === 2);
    node.write('m/1/model.onnx', 'three');
    await startAnother();
    await load(10_000);
    expect(serving()).toBe(3);
  });
});
