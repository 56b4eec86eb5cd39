import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { Agent, request } from 'node:https';
import { connect, type AddressInfo } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { openListeningSocket } from '@app/native';
import type { TlsPaths } from '@app/system';
import { promisify } from 'node:util';
import { createLogger } from '@app/telemetry';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Registry } from 'prom-client';
import { Certificates, type Issued } from '../../../../test/support/certificates';
import { createServer, type ApiOptions } from '../server';
import { apiOn, EchoBackend } from '../testing/fakes';
import { TLS_FILES } from '../tokens';
import { TlsFiles } from './tls-files';
import { createTlsListener } from './tls-server';

const read = (path: string): Buffer => readFileSync(path);
const BODY = '{"instances":[{"x":[1,2]}]}';

describe('HTTP over TLS', () => {
  let certificates: Certificates;
  let paths: TlsPaths;
  let first: Issued;
  let second: Issued;
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let port: number;
  let files: TlsFiles;

  beforeAll(() => {
    certificates = new Certificates();
    first = certificates.selfSigned('first');
    second = certificates.selfSigned('second');
  });
  afterAll(() => certificates.remove());

  async function open(clientCa: Issued | null = null, connectionsMax = 100): Promise<void> {
    paths = certificates.paths(clientCa);
    certificates.put(paths, first);
    const base = apiOn(new EchoBackend());
    options = { ...base, config: { ...base.config, tls: paths, http: { ...base.config.http, connectionsMax } } };
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    port = Number(new URL(await app.getUrl()).port);
    files = app.get<TlsFiles>(TLS_FILES);
  }
  afterEach(async () => {
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  function predict(how: ConnectionOptions & { agent?: Agent } = {}): Promise<number> {
    const headers = { 'content-type': 'application/json', 'content-length': BODY.length };
    return new Promise((resolve, reject) => {
      const outgoing = request(`https://127.0.0.1:${port}/v1/models/echo:predict`, {
        method: 'POST',
        headers,
        rejectUnauthorized: false,
        agent: false,
        ...how,
      });
      outgoing.on('error', reject).on('response', (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0));
      });
      outgoing.end(BODY);
    });
  }

  async function subjectNow(how: ConnectionOptions = {}): Promise<string> {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...how });
    await once(socket, 'secureConnect');
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return String(CN);
  }

  /** All bytes that come back for these. */
  async function answerTo(bytes: string): Promise<string> {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    socket.write(bytes);
    let text = '';
    socket.setEncoding('latin1').on('data', (part: string) => (text += part));
    await once(socket, 'close');
    return text;
  }

  it('changes the certificate without a failed request, and keeps open connections', async () => {
    await open();
    const agent = new Agent({ keepAlive: true, maxSockets: 4, rejectUnauthorized: false });
    const kept = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(kept, 'secureConnect');
    let isOver = false;
    const statuses: number[] = [];
    const load = async (how: { agent?: Agent }): Promise<void> => {
      while (!isOver) statuses.push(await predict(how));
    };
    const loads = [load({ agent }), load({ agent }), load({}), load({})];
    const seen = [await subjectNow()];
    for (const next of [second, first, second]) {
      certificates.put(paths, next);
      await files.look();
      seen.push(await subjectNow());
      const enough = statuses.length + 20;
      while (statuses.length < enough) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    isOver = true;
    await Promise.all(loads);
    agent.destroy();
    expect(seen).toEqual(['first', 'second', 'first', 'second']);
    expect(new Set(statuses)).toEqual(new Set([200]));
    kept.write('GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
    const [answer] = (await once(kept, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1.1 200 /);
  });

  it('keeps the pair in use while the files are half written, broken, gone or out of date', async () => {
    await open();
    const refuse = async (change: () => void): Promise<void> => {
      change();
      await files.look();
      expect(await subjectNow()).toBe('first');
    };
    await refuse(() => certificates.put(paths, { ...second, keyFile: first.keyFile }));
    await refuse(() => certificates.put(paths, { ...second, certFile: first.certFile }));
    await refuse(() => writeFileSync(paths.certFile, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'));
    await refuse(() => writeFileSync(paths.keyFile, ''));
    await refuse(() => rmSync(paths.certFile));
    await refuse(() => certificates.put(paths, certificates.selfSigned('old', -1)));
    certificates.put(paths, second);
    await files.look();
    expect(await subjectNow()).toBe('second');
  });

  it('says once what is wrong with the files, and not what is put right at once', async () => {
    await open();
    const log = createLogger('test', 'silent');
    const errors = jest.spyOn(log, 'error');
    const looked = await TlsFiles.open(paths, log);
    certificates.put(paths, { ...second, keyFile: first.keyFile });
    await looked.look();
    certificates.put(paths, second);
    await looked.look();
    expect(errors).not.toHaveBeenCalled();
    writeFileSync(paths.keyFile, '');
    for (let looks = 0; looks < 4; looks++) await looked.look();
    expect(errors).toHaveBeenCalledTimes(1);
    looked.close();
  });

  it.each([
    ['plain HTTP', `GET / HTTP/1.1\r\nhost: localhost\r\n\r\n`, /^HTTP\/1.1 400 [\s\S]*https URL/],
    ['garbage', '\x00garbage'.repeat(100), /^/],
    ['a broken hello', `\x16\x03\x01\x02\x00\x01${'x'.repeat(600)}`, /^/],
  ])('ends a connection with %s', async (_what, bytes, answer) => {
    await open();
    expect(await answerTo(bytes)).toMatch(answer);
    expect(await predict()).toBe(200);
  });

  it.each([
    ['TLS 1.1', { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'ALL@SECLEVEL=0' }],
    ['HTTP/2 only', { ALPNProtocols: ['h2'] }],
  ] as [string, ConnectionOptions][])('refuses callers that speak %s', async (_what, how) => {
    await open();
    await expect(subjectNow(how)).rejects.toThrow();
  });

  it('lets go at once of a caller that goes during the handshake', async () => {
    await open();
    const server = app.getHttpServer();
    for (const bytes of ['', '\x16\x03\x01\x02\x00\x01']) {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => undefined);
      socket.end(bytes, 'latin1');
      await once(server, 'tlsClientError');
      socket.destroy();
    }
    expect(await promisify(server.getConnections.bind(server))()).toBe(0);
  });

  it('ends connections that do not finish the handshake', async () => {
    await open();
    const grpc = createTlsListener({ alpn: ['h2'], files }).listen(0, '127.0.0.1');
    await once(grpc, 'listening');
    const doors = [port, (grpc.address() as AddressInfo).port];
    const sockets = doors.flatMap((door) =>
      ['', '\x16\x03\x01\x02\x00\x01'].map((bytes) => {
        const socket = connect({ port: door, host: '127.0.0.1' }).on('error', () => undefined);
        socket.write(bytes, 'latin1');
        return socket.resume();
      }),
    );
    await Promise.all(sockets.map((socket) => once(socket, 'close')));
    expect(await predict()).toBe(200);
    grpc.close();
  }, 60_000);

  it('has the limit of connections', async () => {
    await open(null, 1);
    const held = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(held, 'secureConnect');
    await expect(predict()).rejects.toThrow();
    held.destroy();
  });

  it('tells when the certificate ends', async () => {
    await open();
    const metric = await app.get(Registry).getSingleMetricAsString('interleave_tls_certificate_expiry_seconds');
    expect(metric).toContain(`\ninterleave_tls_certificate_expiry_seconds ${files.current.validToMs / 1000}`);
  });

  it('takes callers whose certificate a client authority issued, no others, and no more once that was removed', async () => {
    const authority = certificates.authority('authority');
    const other = certificates.authority('other');
    const caOf = { ...authority, certFile: `${authority.certFile}.in-use` };
    writeFileSync(caOf.certFile, read(authority.certFile));
    await open(caOf);
    const shows = ({ certFile, keyFile }: Issued): ConnectionOptions => ({ cert: read(certFile), key: read(keyFile) });
    const caller = certificates.issue(authority, 'caller');
    expect(await predict(shows(caller))).toBe(200);
    await expect(predict()).rejects.toThrow();
    await expect(predict(shows(certificates.issue(other, 'caller')))).rejects.toThrow();
    await expect(predict(shows(certificates.selfSigned('caller')))).rejects.toThrow();
    const session = await sessionOf(shows(caller));
    writeFileSync(caOf.certFile, read(other.certFile));
    await files.look();
    await expect(predict(shows(caller))).rejects.toThrow();
    await expect(predict({ ...shows(caller), session })).rejects.toThrow();
    expect(await predict(shows(certificates.issue(other, 'caller')))).toBe(200);
  });

  async function sessionOf(how: ConnectionOptions): Promise<Buffer> {
    const socket: TLSSocket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...how });
    const [session] = (await once(socket, 'session')) as [Buffer];
    socket.destroy();
    return session;
  }

  it('is there for other protocols as well', async () => {
    await open();
    const fd = await openListeningSocket('127.0.0.1', 0);
    const listener = createTlsListener({ alpn: ['h2'], files }).listen({ fd });
    await once(listener, 'listening');
    const agreed = once(listener, 'secureConnection') as Promise<[TLSSocket]>;
    const client = connectHttp2(`https://127.0.0.1:${(listener.address() as AddressInfo).port}`, { rejectUnauthorized: false });
    client.on('error', () => undefined);
    const [socket] = await agreed;
    const [preface] = (await once(socket, 'data')) as [Buffer];
    expect({ alpn: socket.alpnProtocol, preface: preface.subarray(0, 14).toString() }).toEqual({ alpn: 'h2', preface: 'PRI * HTTP/2.0' });
    client.destroy();
    socket.destroy();
    listener.close();
  });
});
