import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { openS3Client } from './s3-client';
import { S3Store } from './s3-store';

describe('errors of a bucket', () => {
  let server: Server;
  let store: S3Store;

  beforeAll(async () => {
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test-key', AWS_SECRET_ACCESS_KEY: 'test-secret' });
    server = createServer((request, response) => {
      response.writeHead(403).end(request.method === 'HEAD' ? '' : '<Error><Code>AccessDenied</Code><Message>not yours</Message></Error>');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const endpoint = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, region: 'us-east-1' };
    store = new S3Store(await openS3Client({ endpoint }), { bucket: 'bucket', prefix: '' });
  });
  afterAll(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });

  it('say what the bucket says, and the status where it says nothing more', async () => {
    await expect(store.get('a')).rejects.toThrow('s3://bucket/ does not do what it is asked: AccessDenied, not yours. Try');
    await expect(store.head('a')).rejects.toThrow('s3://bucket/ does not do what it is asked: status 403. Try');
    expect(await store.refusal()).toContain('AccessDenied');
  });
});
