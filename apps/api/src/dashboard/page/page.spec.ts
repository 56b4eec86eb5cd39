import { rmSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createServer, type ApiOptions } from '../../server';
import { apiOn, EchoBackend } from '../../testing/fakes';
import { PageFiles } from './page-files';

const GZIPPED_BYTES_MAX = 100 * 1024;

describe('the page for operators', () => {
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;
  const files = PageFiles.read();

  beforeAll(async () => {
    if (files === null) throw new Error('expected the page in dist/apps/dashboard but it was not built; run npm run build');
    options = apiOn(new EchoBackend());
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });
  afterAll(async () => {
    await app.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  it('lets in only what it was built of, and is kept nowhere', async () => {
    const page = await fetch(`${url}/dashboard`);
    expect([page.status, page.headers.get('content-type'), page.headers.get('cache-control')]).toEqual([
      200,
      'text/html; charset=utf-8',
      'no-store',
    ]);
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toMatch(/^default-src 'none'; .*script-src 'self'; style-src 'self'; frame-ancestors 'none'; form-action 'none'$/);
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
  });

  it('names parts that are there and may be kept, and nothing of another host', async () => {
    const html = await (await fetch(`${url}/dashboard`)).text();
    const named = [...html.matchAll(/(?:src|href)="([^"]+)"/g)]
      .map(([, target = '']) => target)
      .filter((target) => !target.startsWith('data:'));
    expect(named).toHaveLength(4);
    for (const target of named.filter((each) => each !== '/metrics')) {
      expect(target).toMatch(/^\/dashboard\/assets\/[a-z-]+-[A-Z0-9]{8}\.(js|css)$/);
      const part = await fetch(url + target);
      expect([part.status, part.headers.get('cache-control')]).toEqual([200, 'private, max-age=31536000, immutable']);
      expect(part.headers.get('content-type')).toMatch(target.endsWith('.js') ? /^text\/javascript/ : /^text\/css/);
      expect(part.headers.get('x-content-type-options')).toBe('nosniff');
      const again = await fetch(url + target, { headers: { 'if-none-match': part.headers.get('etag') ?? '' } });
      expect([again.status, await again.text()]).toEqual([304, '']);
      const text = (await part.text()).replaceAll('http://www.w3.org/', '');
      expect(text).not.toMatch(/url\(\s*["']?https?:|["'`]https?:\/\//);
    }
  });

  it('has no other parts', async () => {
    const missing = await fetch(`${url}/dashboard/assets/main.js`);
    expect([missing.status, await missing.text()]).toEqual([404, expect.stringContaining('reload the page')]);
    expect((await fetch(`${url}/dashboard/assets/..%2findex.html`)).status).toBe(404);
  });

  it(`is at most ${GZIPPED_BYTES_MAX / 1024} KiB as sent`, () => {
    const sent = [files?.index, ...(files?.assets.values() ?? [])].map((file) => gzipSync(file?.body ?? '').byteLength);
    expect(sent.reduce((sum, bytes) => sum + bytes)).toBeLessThan(GZIPPED_BYTES_MAX);
  });
});
