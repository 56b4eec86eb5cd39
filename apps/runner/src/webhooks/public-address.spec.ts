import { isPublicAddress } from './public-address';

describe('isPublicAddress', () => {
  it.each(['1.1.1.1', '8.8.8.8', '172.15.0.1', '172.32.0.1', '100.63.255.255', '223.255.255.255', '2606:4700:4700::1111', '2a00::1'])(
    'takes %s',
    (address) => expect(isPublicAddress(address)).toBe(true),
  );

  it.each([
    ['this machine', '127.0.0.1'],
    ['this machine', '127.255.255.254'],
    ['this machine', '0.0.0.0'],
    ['this machine', '::1'],
    ['this machine', '::'],
    ['private networks', '10.0.0.1'],
    ['private networks', '172.16.0.1'],
    ['private networks', '172.31.255.255'],
    ['private networks', '192.168.1.1'],
    ['private networks', 'fd00::1'],
    ['private networks', 'fec0::1'],
    ['providers', '100.64.0.1'],
    ['a cloud', '169.254.169.254'],
    ['a cloud', 'fd00:ec2::254'],
    ['a link', 'fe80::1'],
    ['a link', 'fe80::1%eth0'],
    ['a link', '2606::1%eth0'],
    ['groups', '224.0.0.1'],
    ['groups', 'ff02::1'],
    ['everybody', '255.255.255.255'],
    ['tests', '198.18.0.1'],
    ['documentation', '2001:db8::1'],
    ['an IPv4 address in IPv6', '::ffff:127.0.0.1'],
    ['an IPv4 address in IPv6', '::ffff:7f00:1'],
    ['an IPv4 address in IPv6', '::127.0.0.1'],
    ['an IPv4 address in IPv6', '64:ff9b::7f00:1'],
    ['an IPv4 address in IPv6', '2002:7f00:1::'],
    ['an IPv4 address in IPv6', '2001:0:1::1'],
    ['no address', 'localhost'],
    ['no address', ''],
  ])('refuses one of %s: %s', (_of, address) => expect(isPublicAddress(address)).toBe(false));
});
