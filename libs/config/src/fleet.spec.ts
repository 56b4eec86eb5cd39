import { loadConfig } from './index';

const configOf = (environment: NodeJS.ProcessEnv) => loadConfig({ DATA_DIR: '/tmp/d', ...environment });

describe('who a node is', () => {
  it('has an id of its own for each data directory', () => {
    const [one, again, other] = ['/tmp/one', '/tmp/one', '/tmp/other'].map((DATA_DIR) => loadConfig({ DATA_DIR }).nodeId);
    expect(one).toMatch(/^[a-z0-9.-]{1,55}-[0-9a-f]{8}$/);
    expect([again === one, other === one]).toEqual([true, false]);
  });

  it.each([
    [{}, '127.0.0.1'],
    [{ HOST: '10.1.2.3' }, '10.1.2.3'],
    [{ HOST: '0.0.0.0', NODE_ADDRESS: 'node-1.models.internal' }, 'node-1.models.internal'],
    [{ NODE_ADDRESS: 'fd00::1' }, 'fd00::1'],
  ])('is reached with %j at %s', (environment, address) => {
    expect(configOf(environment).nodeAddress).toBe(address);
  });

  it('is never reached at every address', () => {
    for (const HOST of ['0.0.0.0', '::']) expect(configOf({ HOST }).nodeAddress).not.toBe(HOST);
  });

  it.each([
    [{ NODE_ID: 'Node_1' }, /NODE_ID: lower-case letters/],
    [{ NODE_ID: 'x'.repeat(65) }, /NODE_ID/],
    [{ NODE_ADDRESS: 'http://node' }, /NODE_ADDRESS: expected a name or an address without scheme and port/],
    [{ NODE_ADDRESS: 'node 1' }, /NODE_ADDRESS/],
    [{ FLEET_NAME: 'a:b' }, /FLEET_NAME/],
  ])('refuses %j', (environment, message) => {
    expect(() => configOf(environment)).toThrow(message);
  });
});
