import { NodeAddress } from './node-address';

it.each([
  ['10.0.0.7', '10.0.0.7'],
  ['fd00::7', 'fd00::7'],
  ['localhost', expect.stringMatching(/^(127\.0\.0\.1|::1)$/)],
  ['no-such-name.invalid', null],
])('%s stands for %p', async (address, ip) => {
  const node = new NodeAddress(address);
  expect(await node.ip()).toEqual(ip);
  expect(await node.ip()).toEqual(ip);
});
