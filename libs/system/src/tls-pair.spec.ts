import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { Certificates, type Issued } from '../../../test/support/certificates';
import { isInDate, readTlsPair } from './tls-pair';

describe('the TLS files', () => {
  let certificates: Certificates;
  let authority: Issued;
  let node: Issued;

  beforeAll(() => {
    certificates = new Certificates();
    authority = certificates.authority('authority');
    node = certificates.issue(authority, 'node');
  });
  afterAll(() => certificates.remove());
  beforeEach(() => certificates.put(certificates.paths(), node));

  it('are read with their dates', async () => {
    const pair = await readTlsPair(certificates.paths(authority));
    expect(pair).toMatchObject({ subject: 'DNS:localhost, IP Address:127.0.0.1', isChainInOrder: true });
    expect(pair.clientCa).toBe(readFileSync(authority.certFile, 'utf8'));
    expect([isInDate(pair), isInDate(pair, pair.validToMs), isInDate(pair, pair.validFromMs - 1)]).toEqual([true, false, false]);
  });

  it('may be a chain, whose order is told', async () => {
    const { certFile } = certificates.paths();
    appendFileSync(certFile, readFileSync(authority.certFile));
    expect((await readTlsPair(certificates.paths())).isChainInOrder).toBe(true);
    appendFileSync(certFile, readFileSync(node.certFile));
    expect((await readTlsPair(certificates.paths())).isChainInOrder).toBe(false);
  });

  it.each([
    ['keyFile', () => authority.keyFile, /tls\.keyFile .*key of the first certificate/],
    ['keyFile', () => node.certFile, /tls\.keyFile .*expected a private key/],
    ['certFile', () => node.keyFile, /tls\.certFile .*expected PEM/],
    ['clientCaFile', () => node.keyFile, /tls\.clientCaFile .*expected PEM/],
    ['certFile', () => '/nowhere', /tls\.certFile \/nowhere: cannot be read: ENOENT/],
    ['certFile', () => '/dev', /tls\.certFile \/dev: cannot be read: it is no file/],
  ])('are refused with the reason: %s (%#)', async (setting, path, message) => {
    await expect(readTlsPair({ ...certificates.paths(), [setting]: path() })).rejects.toThrow(message);
  });

  it('are refused with what to do about a passphrase, and past a size', async () => {
    const { keyFile } = certificates.paths();
    writeFileSync(keyFile, '-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END ENCRYPTED PRIVATE KEY-----\n');
    await expect(readTlsPair(certificates.paths())).rejects.toThrow(/without a passphrase.*openssl pkey/);
    writeFileSync(keyFile, 'x'.repeat(2 ** 20 + 1));
    await expect(readTlsPair(certificates.paths())).rejects.toThrow(/at most 1048576 are read/);
  });
});
