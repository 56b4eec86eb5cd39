import { hostname } from 'node:os';
import { HostNames } from './host-names';

describe('HostNames', () => {
  const names = (host: string, allowedHosts: string[] = []): HostNames => new HostNames({ host, allowedHosts });

  it.each([
    '10.1.2.3:8080',
    '[fd00::1]:80',
    'interleave:8080',
    `${hostname()}:1`,
    'interleave.default.svc',
    'box.local',
    'a.b.internal',
    'localhost',
  ])('on all interfaces: allows %s', (host) => {
    for (const bound of ['0.0.0.0', '::']) expect(names(bound).allows(host, '172.17.0.2')).toBe(true);
  });

  it.each(['evil.example', 'evil.local.example', '10.1.2.3.evil.example', 'a b', '', '[::1', 'x@y'])(
    'on all interfaces: refuses %j',
    (host) => {
      expect(names('0.0.0.0').allows(host, '172.17.0.2')).toBe(false);
    },
  );

  it('on one interface: allows its name and the address of the connection, not those of others', () => {
    const one = names('models.lan');
    expect(
      ['models.lan:8080', 'MODELS.LAN.', '192.168.1.5:8080', '192.168.1.6', 'other.lan'].map((host) =>
        one.allows(host, '::ffff:192.168.1.5'),
      ),
    ).toEqual([true, true, true, false, false]);
  });

  it('allows what HTTP/1.0 does not say, what is set, and with "*" everything', () => {
    expect(names('127.0.0.1').allows(undefined, '127.0.0.1')).toBe(true);
    expect(names('127.0.0.1', ['models.example.com']).allows('models.example.com:443', '127.0.0.1')).toBe(true);
    expect(names('127.0.0.1', ['*']).allows('evil.example', '127.0.0.1')).toBe(true);
  });

  it('does not let an allowed name vouch for the next one', () => {
    const own = names('127.0.0.1');
    expect(['localhost', 'evil.example', 'localhost'].map((host) => own.allows(host, '127.0.0.1'))).toEqual([true, false, true]);
  });
});
