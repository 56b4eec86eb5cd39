import { NodeFixture, until } from './testing/node-fixture';

describe('versions of a model with a release.yaml', () => {
  let node: NodeFixture;
  const begin = async (settings: ConstructorParameters<typeof NodeFixture>[0], files: Record<string, string>) => {
    node = new NodeFixture(settings);
    for (const [path, content] of Object.entries(files)) node.write(path, content);
    await node.serve();
    node.start();
  };
  afterEach(() => node.close());

  const three = { 'm/1/model.onnx': 'one', 'm/2/model.onnx': 'two', 'm/3/model.onnx': 'three' };
  const release = () => node.placement().releases?.[0];
  const serving = (version: string): number | null => node.version('m', version)?.serving ?? null;
  const states = (): (string | undefined)[] => ['1', '2', '3'].map((version) => node.version('m', version)?.state);

  it('serves the newest version in place of a stable one that fails', async () => {
    node = new NodeFixture();
    for (const id of ['default-realtime', 'default-batch'])
      node.saying(id).problemOf = ({ version }) => (version === '3' ? 'the graph is broken' : null);
    for (const [path, content] of Object.entries(three)) node.write(path, content);
    node.write('m/release.yaml', 'labels: { stable: 3 }');
    await node.serve();
    node.start();
    await until(() => states().join() === 'serving,serving,failed' && release()?.labels['stable'] === '2');
  });

  it('loads the stable version beside a canary that is the latest, and lets it go once another is stable', async () => {
    const { 'm/3/model.onnx': third, ...two } = three;
    await begin({}, { ...two, 'm/release.yaml': 'versions: { policy: latest }\ncanary: [{ version: 2, trafficPercent: 10 }]' });
    await until(() => serving('2') !== null && release()?.canary?.version === '2');
    await until(() => states().join() === 'serving,serving,' && release()?.labels['stable'] === '1');
    node.write('m/3/model.onnx', third);
    await until(() => states().join() === 'unloaded,serving,serving');
    expect(release()).toMatchObject({ labels: { stable: '3' }, canary: { version: '2' } });
  });

  it('keeps what was promoted, when the policy would leave it out', async () => {
    const { 'm/3/model.onnx': third, ...two } = three;
    await begin({}, { ...two, 'm/release.yaml': 'versions: { policy: latest, keep: 1 }' });
    await until(() => states().join() === 'unloaded,serving,');
    node.commands['/releases/decide']?.({ name: 'm', action: 'promote', version: '2', reason: 'good', by: 'command' });
    node.write('m/3/model.onnx', third);
    await until(() => serving('3') !== null);
    expect([states().join(), release()?.labels]).toEqual(['unloaded,serving,serving', { stable: '2' }]);
  });

  it('takes back no version where only such are left that are on trial or were taken back', async () => {
    await begin({}, { ...three, 'm/release.yaml': 'mirror: { version: 3, percent: 5 }' });
    await until(() => states().join() === 'serving,serving,serving');
    const decide = (action: string, version: string) =>
      node.commands['/releases/decide']?.({ name: 'm', action, version, reason: 'by hand', by: 'command' });
    decide('rollback', '2');
    expect(release()?.labels).toEqual({ stable: '1' });
    expect(() => decide('rollback', '1')).toThrow(
      /on trial, were rolled back or do not serve; .*interleave models promote m --model-version 3$/,
    );
    expect(release()?.labels).toEqual({ stable: '1' });
    decide('promote', '3');
    decide('rollback', '1');
    expect(release()?.labels).toEqual({ stable: '3' });
    expect(() => decide('rollback', '3')).toThrow(/promote m --model-version 2$/);
  });

  it('takes back no version where the one that would be stable does not serve', async () => {
    const release = 'labels: { stable: 1 }\ncanary: { version: 2, percent: 5 }';
    await begin({}, { ...three, 'm/1/model.yaml': 'task: none such', 'm/release.yaml': release });
    await until(() => states().slice(1).join() === 'serving,serving');
    const rollback = { name: 'm', action: 'rollback', version: '2', reason: 'by hand', by: 'command' };
    expect(() => node.commands['/releases/decide']?.(rollback)).toThrow(
      /the others are on trial, were rolled back or do not serve; promote another one first/,
    );
  });

  it('waits for a stable version that is loaded for whoever asks', async () => {
    const { 'm/3/model.onnx': _third, ...two } = three;
    await begin({ memoryMax: 4 }, { ...two, 'm/release.yaml': 'labels: { stable: 2 }', 'm/1/model.yaml': 'pinned: true' });
    await until(() => serving('1') !== null);
    expect([node.version('m', '2')?.onDemand, release()?.labels]).toEqual([true, { stable: '2' }]);
  });
});
