import { DeleteObjectCommand, PutBucketVersioningCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { openS3Client } from '@app/batches';
import { findS3Server, TestS3Server } from '../../../test/support/s3-server';
import { modelFiles, NEEDED, TestRepository } from './testing/repository';
import { openBucket } from './s3-source';
import { parseModelUri, type ModelUri } from './uri';

const describeWithServer = findS3Server('moto') === null ? describe.skip : describe;

describeWithServer('a model in a bucket', () => {
  let server: TestS3Server;
  let client: S3Client;
  let repository: TestRepository;
  let bucket: string;

  beforeAll(async () => {
    server = await TestS3Server.start('moto');
    client = await openS3Client(server.location);
    bucket = server.location.bucket;
    for (const [path, content] of Object.entries(modelFiles())) await put(`models/splade/${path}`, content);
  }, 90_000);
  afterAll(async () => {
    client.destroy();
    await server.remove();
  });
  beforeEach(() => {
    repository = new TestRepository();
    repository.settings.bucketEndpoint = server.location.endpoint;
  });
  afterEach(() => repository.remove());

  async function put(key: string, content: Uint8Array, checksum = true): Promise<void> {
    await client.send(
      new PutObjectCommand({ Bucket: bucket, Key: key, Body: content, ...(checksum ? { ChecksumAlgorithm: 'SHA256' } : {}) }),
    );
  }

  async function refusal(uri: string): Promise<string> {
    const message = await repository.add(uri).then(
      () => 'it was added',
      (error: Error) => `${error.name}: ${error.message}`,
    );
    expect(message).toMatch(/^SourceError: /);
    expect(repository.paths()).toEqual([]);
    return message;
  }

  it('is fetched as its list says, without code and what nothing reads', async () => {
    const { name, version, record } = await repository.add(`s3://${bucket}/models/splade`);
    expect({ name, version }).toEqual({ name: 'splade', version: '1' });
    expect(repository.paths()).toEqual([...NEEDED, 'source.json'].sort().map((path) => `splade/1/${path}`));
    expect(record).toMatchObject({ uri: `s3://${bucket}/models/splade/`, revision: expect.stringMatching(/^sha256:/) as string });
  });

  it('has another revision once one object is another', async () => {
    const { record } = await repository.add(`s3://${bucket}/models/splade/model.onnx`);
    await put('models/splade/README.md', Buffer.from('changed'));
    const again = await repository.add(`s3://${bucket}/models/splade`);
    expect(again.version).toBe('2');
    expect(again.record.revision).not.toBe(record.revision);
    expect(again.record.digest).toBe(record.digest);
  });

  it('is what was listed, whatever is put over it: refused, or in a bucket with versions the listed one', async () => {
    const uri = parseModelUri(`s3://${bucket}/one`) as Extract<ModelUri, { kind: 's3' }>;
    const read = async (): Promise<string> => {
      await put('one/a.json', Buffer.from('old'));
      const source = await openBucket(uri, server.location.endpoint, repository.limits);
      await put('one/a.json', Buffer.from('new'));
      const [file] = source.files;
      const parts: Uint8Array[] = [];
      for await (const part of await source.open(file ?? { path: '', bytes: 0 }, 0)) parts.push(part);
      return Buffer.concat(parts).toString();
    };
    await expect(read()).rejects.toThrow(/was replaced while the model was fetched/);
    await client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: 'Enabled' } }));
    await expect(read()).resolves.toBe('old');
    await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: 'one/a.json' }));
  });

  it('has the SHA-256 that the store keeps', async () => {
    await put('sums/with.json', Buffer.from('x'));
    await put('sums/without.json', Buffer.from('x'), false);
    const uri = parseModelUri(`s3://${bucket}/sums`) as Extract<ModelUri, { kind: 's3' }>;
    const { files } = await openBucket(uri, server.location.endpoint, repository.limits);
    expect(files).toEqual([
      { path: 'with.json', bytes: 1, sha256: '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881' },
      { path: 'without.json', bytes: 1 },
    ]);
  });

  it('is refused when it is not there, too large, or has keys that lead out', async () => {
    expect(await refusal(`s3://${bucket}/models/none`)).toMatch(/has no objects; check bucket, prefix/);
    expect(await refusal('s3://no-such-bucket/models')).toMatch(/is not there \(NoSuchBucket\); check bucket/);
    repository.limits.bytesMax = 1000;
    expect(await refusal(`s3://${bucket}/models/splade`)).toMatch(/allow more with --bytes-max/);
    repository.limits.filesMax = 3;
    expect(await refusal(`s3://${bucket}/models/splade`)).toMatch(/more than 3 objects/);
    await put('evil/a\\b.json', Buffer.from('x'));
    expect(await refusal(`s3://${bucket}/evil`)).toMatch(/a path that .*nothing of it is fetched/);
  });
});
