import { loadConfig } from '@app/config';
import { fastify } from 'fastify';
import { guardAgainstBrowsers } from './browser-guard';

describe('answers to pages of allowed origins', () => {
  it('let the page read every header that answers of this node have of their own', async () => {
    const config = loadConfig({});
    const server = fastify();
    const origin = 'http://page.example';
    guardAgainstBrowsers(server, { ...config, http: { ...config.http, allowedOrigins: [origin] } });
    server.get('/', () => '');
    const { headers } = await server.inject({ url: '/', headers: { host: 'localhost', origin } });
    const exposed = String(headers['access-control-expose-headers']).split(', ');
    expect(exposed).toEqual(expect.arrayContaining(['x-request-id', 'x-interleave-tokens', 'x-interleave-degraded', 'ratelimit']));
    await server.close();
  });
});
