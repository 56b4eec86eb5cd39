import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLogger } from '@app/telemetry';
import { exportJWK, SignJWT, UnsecuredJWT, type JWTPayload } from 'jose';
import { TokenVerifier } from './token-verifier';

const AUDIENCE = 'interleave';
const log = createLogger('test', 'silent');

describe('tokens of an issuer', () => {
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });
  let server: Server;
  let issuer: string;
  let asked: string[];
  let isDown: boolean;

  beforeEach(async () => {
    asked = [];
    isDown = false;
    const keys = [{ ...(await exportJWK(pair.publicKey)), kid: 'one', alg: 'RS256', use: 'sig' }];
    server = createServer((request, response) => {
      asked.push(request.url ?? '');
      const answers: Record<string, object> = {
        '/keys': { keys },
        '/.well-known/openid-configuration': { issuer, jwks_uri: `${issuer}/keys` },
      };
      response.writeHead(isDown ? 500 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answers[request.url ?? ''] ?? {}));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => new Promise((resolve) => server.close(resolve)));

  const verifier = (settings: object = {}) =>
    new TokenVerifier(
      {
        ...{ issuer, audience: AUDIENCE, algorithms: ['RS256'], clockToleranceSeconds: 5, tenantClaim: 'tenant' },
        ...{ modelsClaim: 'models', lanesClaim: 'lanes', operatorClaim: 'realm.operator' },
        ...settings,
      },
      log,
    );

  interface Signing {
    key?: KeyObject | Uint8Array;
    alg?: string;
    kid?: string;
    /** Seconds from now; null: none. */
    expires?: number | null;
    aud?: string;
    iss?: string;
  }
  function token(claims: JWTPayload = { tenant: 'acme' }, signing: Signing = {}): Promise<string> {
    const { key = pair.privateKey, alg = 'RS256', kid = 'one', expires = 60, aud = AUDIENCE, iss = issuer } = signing;
    const jwt = new SignJWT(claims).setProtectedHeader({ alg, kid }).setAudience(aud).setIssuer(iss);
    if (expires !== null) jwt.setExpirationTime(Math.floor(Date.now() / 1000) + expires);
    return jwt.sign(key);
  }

  it('tell tenant, models, lanes and operators; one that was seen is known without a check', async () => {
    const tokens = verifier();
    const plain = await token();
    expect(tokens.callerOf(plain)).toBeNull();
    const caller = await tokens.verify(plain);
    expect(caller).toMatchObject({ tenant: 'acme', keyId: null, models: null, lanes: ['realtime', 'batch'], isOperator: false });
    expect(tokens.callerOf(plain)).toBe(caller);
    const claims = { tenant: 'b', models: ['m'], lanes: ['batch'], realm: { operator: true } };
    expect(await tokens.verify(await token(claims))).toMatchObject({ tenant: 'b', models: ['m'], lanes: ['batch'], isOperator: true });
    expect(asked).toEqual(['/.well-known/openid-configuration', '/keys']);
  });

  it.each([
    ['that is over', () => token({ tenant: 'a' }, { expires: -60 })],
    ['without an end', () => token({ tenant: 'a' }, { expires: null })],
    ['for somebody else', () => token({ tenant: 'a' }, { aud: 'other' })],
    ['of another issuer', () => token({ tenant: 'a' }, { iss: 'http://127.0.0.1:1' })],
    ['signed by a stranger', () => token({ tenant: 'a' }, { key: stranger.privateKey })],
    ['of a key that the issuer does not have', () => token({ tenant: 'a' }, { kid: 'two', key: stranger.privateKey })],
    ['with an algorithm that is not allowed', () => token({ tenant: 'a' }, { alg: 'RS512' })],
    ['signed with the public key as a shared secret', () => token({ tenant: 'a' }, { alg: 'HS256', key: publicKeyAsSecret() })],
    ['without a signature', async () => unsigned({ tenant: 'a' })],
    ['that was changed', async () => forged(await token({ tenant: 'a' }), { tenant: 'b' })],
    ['that is none', async () => 'a.b.c'],
    ['without a tenant', () => token({})],
    ['with a tenant that is no name', () => token({ tenant: '../x' })],
    ['with models that are no list', () => token({ tenant: 'a', models: 'm' })],
    ['with a lane that there is not', () => token({ tenant: 'a', lanes: ['live'] })],
  ])('let nobody in: one %s', async (_title, make) => {
    const tokens = verifier();
    const bad = await make();
    expect(await tokens.verify(bad)).toBeNull();
    expect(tokens.callerOf(bad)).toBeNull();
  });

  it('make nobody an operator who does not say true', async () => {
    expect(await verifier().verify(await token({ tenant: 'a', realm: { operator: 'true' } }))).toMatchObject({ isOperator: false });
    expect(await verifier({ operatorClaim: undefined }).verify(await token({ tenant: 'a', undefined: true }))).toMatchObject({
      isOperator: false,
    });
  });

  it('do not make the node ask the issuer again and again, whatever keys they name', async () => {
    const tokens = verifier({ jwksUrl: `${issuer}/keys` });
    for (let i = 0; i < 50; i++)
      expect(await tokens.verify(await token({ tenant: 'a' }, { kid: `k${i}`, key: stranger.privateKey }))).toBeNull();
    expect(asked.length).toBeLessThanOrEqual(2);
  });

  it('are not judged while the issuer does not answer, which is asked seldom then', async () => {
    isDown = true;
    const tokens = verifier();
    const good = await token();
    for (let i = 0; i < 20; i++) await expect(tokens.verify(good)).rejects.toMatchObject({ code: 'worker_unavailable', status: 503 });
    expect(asked).toHaveLength(1);
  });

  const publicKeyAsSecret = () => Buffer.from(pair.publicKey.export({ type: 'spki', format: 'pem' }));
  const unsigned = (claims: JWTPayload) =>
    new UnsecuredJWT(claims).setAudience(AUDIENCE).setIssuer(issuer).setExpirationTime('1m').encode();

  function forged(from: string, claims: object): string {
    const [head, payload = '', signature] = from.split('.');
    const changed = { ...(JSON.parse(Buffer.from(payload, 'base64url').toString()) as object), ...claims };
    return [head, Buffer.from(JSON.stringify(changed)).toString('base64url'), signature].join('.');
  }
});
