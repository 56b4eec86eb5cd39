import { createHash } from 'node:crypto';
import { GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, S3ServiceException, type S3Client } from '@aws-sdk/client-s3';
import { openS3Client } from '@app/batches';
import type { SourceSettings } from '@app/config';
import type { SourceLimits } from './limits';
import type { ModelSource, SourceFile } from './model-source';
import { checkPath } from './safe-path';
import { SourceError, TransientError } from './source-error';
import type { ModelUri } from './uri';

type BucketUri = Extract<ModelUri, { kind: 's3' }>;

const MESSAGE_CHARS_MAX = 200;
/** Looks at objects at once. */
const HEADS_AT_ONCE = 16;

interface S3File extends SourceFile {
  tag: string;
  versionId?: string;
}

/**
 * The objects below a prefix, each at the version that it has now: by its version id where the bucket keeps versions, else by its
 * ETag. Its revision is a digest over this list. Rejects with a `SourceError`.
 */
export async function openBucket(uri: BucketUri, endpoint: SourceSettings['bucketEndpoint'], limits: SourceLimits): Promise<ModelSource> {
  const bucket = new Bucket(uri, await openS3Client({ endpoint }), limits);
  const files = await bucket.list();
  const hash = createHash('sha256');
  for (const { path, bytes, tag, versionId = '' } of files) hash.update(`${path}\0${bytes}\0${tag}\0${versionId}\n`);
  return {
    uri: `s3://${uri.bucket}/${uri.prefix}${uri.graph ?? ''}`,
    revision: `sha256:${hash.digest('hex')}`,
    files: files.map(({ path, bytes, sha256 }) => ({ path, bytes, ...(sha256 === undefined ? {} : { sha256 }) })),
    open: (file, start) => bucket.open(files.find(({ path }) => path === file.path) as S3File, start),
  };
}

class Bucket {
  constructor(
    private readonly uri: BucketUri,
    private readonly client: S3Client,
    private readonly limits: SourceLimits,
  ) {}

  async list(): Promise<S3File[]> {
    const { bucket, prefix } = this.uri;
    const paths: string[] = [];
    let token: string | undefined;
    do {
      const page = await this.explained(prefix, () =>
        this.client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ContinuationToken: token })),
      );
      // Keys that end with a slash are folders as some programs make them.
      const keys = (page.Contents ?? []).flatMap(({ Key: key }) => (key === undefined || key.endsWith('/') ? [] : [key]));
      paths.push(...keys.map((key) => checkPath(key.slice(prefix.length), `s3://${bucket}/${prefix}`)));
      if (paths.length > this.limits.filesMax)
        throw new SourceError(`s3://${bucket}/${prefix} has more than ${this.limits.filesMax} objects; expected those of one model`);
      token = page.NextContinuationToken;
    } while (token !== undefined);
    if (paths.length === 0) throw new SourceError(`s3://${bucket}/${prefix} has no objects; check bucket, prefix and AWS_ENDPOINT_URL_S3`);
    const files: S3File[] = [];
    for (let at = 0; at < paths.length; at += HEADS_AT_ONCE)
      files.push(...(await Promise.all(paths.slice(at, at + HEADS_AT_ONCE).map((path) => this.look(path)))));
    return files;
  }

  async open(file: S3File, start: number): Promise<AsyncIterable<Uint8Array>> {
    const { Body: body } = await this.explained(file.path, () =>
      this.client.send(
        new GetObjectCommand({
          ...this.target(file.path),
          ...(file.versionId === undefined ? { IfMatch: file.tag } : { VersionId: file.versionId }),
          ...(start === 0 ? {} : { Range: `bytes=${start}-` }),
        }),
      ),
    );
    if (body === undefined) throw new TransientError(`${this.nameOf(file.path)} has no bytes`);
    return this.parts(file.path, body as AsyncIterable<Uint8Array>);
  }

  private async look(path: string): Promise<S3File> {
    const answer = await this.explained(path, () =>
      this.client.send(new HeadObjectCommand({ ...this.target(path), ChecksumMode: 'ENABLED' })),
    );
    const { ContentLength: bytes, ETag: tag, VersionId: versionId, ChecksumSHA256: checksum, ChecksumType: type } = answer;
    if (bytes === undefined || tag === undefined) throw new SourceError(`${this.nameOf(path)}: the store gives neither length nor ETag`);
    // A checksum over the checksums of parts ends with their number, and is not that of the object.
    const isOfAll = checksum !== undefined && type !== 'COMPOSITE' && !checksum.includes('-');
    return {
      path,
      bytes,
      tag,
      ...(versionId === undefined || versionId === 'null' ? {} : { versionId }),
      ...(isOfAll ? { sha256: Buffer.from(checksum, 'base64').toString('hex') } : {}),
    };
  }

  private async *parts(path: string, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
    try {
      yield* body;
    } catch (error) {
      throw this.explain(path, error);
    }
  }

  private async explained<T>(path: string, send: () => Promise<T>): Promise<T> {
    try {
      return await send();
    } catch (error) {
      throw this.explain(path, error);
    }
  }

  /** The client has tried three times what may be gone the next time; once more is tried where a file breaks off. */
  private explain(path: string, error: unknown): Error {
    const { name, message } = error as Error;
    const where = this.nameOf(path);
    const status = error instanceof S3ServiceException ? (error.$metadata.httpStatusCode ?? 0) : 0;
    const key = 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE';
    if (name === 'CredentialsProviderError') return new SourceError(`${where}: there are no credentials for S3; set ${key}`);
    if (status === 401 || status === 403)
      return new SourceError(`${where}: the store refuses the credentials (${status} ${name}); check ${key}, and what they may read`);
    if (status === 404) return new SourceError(`${where} is not there (${name}); check bucket, prefix and AWS_ENDPOINT_URL_S3`);
    if (status === 412) return new SourceError(`${where} was replaced while the model was fetched; add the model again`);
    const reason = `${where}: ${name}, ${message.slice(0, MESSAGE_CHARS_MAX)}`;
    return status >= 400 && status < 500 && status !== 408 && status !== 429 ? new SourceError(reason) : new TransientError(reason);
  }

  private target(path: string): { Bucket: string; Key: string } {
    return { Bucket: this.uri.bucket, Key: `${this.uri.prefix}${path}` };
  }

  private nameOf(path: string): string {
    return path === this.uri.prefix ? `s3://${this.uri.bucket}/${path}` : `s3://${this.uri.bucket}/${this.uri.prefix}${path}`;
  }
}
