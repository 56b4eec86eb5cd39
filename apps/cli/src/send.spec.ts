import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { Certificates, type Issued } from '../../../test/support/certificates';
import { ApiClient } from './client';
import { checkTls } from './doctor/tls-check';
import { send } from './send';

const NOTHING = { caFile: null, certFile: null, keyFile: null };
const DAY_MS = 86_400_000;

describe('the command line over TLS', () => {
  let certificates: Certificates;
  let authority: Issued;
  let node: Issued;
  let server: Server;
  let url: string;

  beforeAll(async () => {
    certificates = new Certificates();
    authority = certificates.authority('authority');
    node = certificates.issue(authority, 'node');
    const [cert, key, ca] = [node.certFile, node.keyFile, authority.certFile].map((path) => readFileSync(path));
    server = createServer({ cert, key, ca, requestCert: true, rejectUnauthorized: true }, (request, response) => {
      void request.toArray().then((parts) => response.writeHead(201, { 'x-seen': request.method }).end(Buffer.concat(parts as Buffer[])));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `https://localhost:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
    certificates.remove();
  });

  it('trusts the authority that it is told, and shows its certificate', async () => {
    const tls = { caFile: authority.certFile, ...certificates.issue(authority, 'caller') };
    const response = await send(`${url}/x`, { method: 'POST', body: Readable.from(['a', 'b']) }, tls);
    expect([response.status, response.headers.get('x-seen'), await response.text()]).toEqual([201, 'POST', 'ab']);
    await expect(send(url, {}, { ...tls, certFile: null, keyFile: null })).rejects.toThrow();
    await expect(send(url, {}, NOTHING)).rejects.toThrow();
  });

  it('says what to set where it does not trust the server', async () => {
    await expect(new ApiClient({ url }).get('/v1/models')).rejects.toThrow(/cannot be reached \(\w+\); name the file .*INTERLEAVE_CA_FILE/);
  });

  it('is told by doctor about the files of a node', async () => {
    const tls = { ...node, clientCaFile: null };
    const at = async (days: number): Promise<unknown> => (await checkTls(tls, Date.now() + days * DAY_MS)).map(({ verdict }) => verdict);
    expect([await checkTls(null), await at(0), await at(20), await at(40)]).toEqual([[], ['ok'], ['degraded'], ['broken']]);
    expect(await checkTls({ ...tls, keyFile: authority.keyFile })).toMatchObject([{ verdict: 'broken' }]);
  });
});
