import { gzipSync } from 'node:zlib';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { findS3Server, type S3ServerKind, TestS3Server } from '../support/s3-server';
import { openS3Client } from '@app/batches';
import { fileLines } from '../support/batch-job';
import { Stack, until } from '../support/stack';

const MODEL = 'encoder-tiny';
const ROWS = 2000;
const DONE_MS_MAX = 60_000;

interface View {
  status: string;
  output_file_id: string | null;
  request_counts: { total: number; completed: number; failed: number };
  errors: { data: { code: string; message: string }[] } | null;
}

for (const kind of ['moto', 'versitygw'] satisfies S3ServerKind[]) {
  (findS3Server(kind) === null ? describe.skip : describe)(`batches over objects of ${kind}`, () => {
    let server: TestS3Server;
    let stack: Stack;

    beforeAll(async () => {
      server = await TestS3Server.start(kind);
      const environment = server.environment();
      delete environment['STORAGE_URL'];
      stack = await Stack.start({ models: [MODEL], environment, config: `batch:\n  inputBuckets: [${bucket()}]\n` });
    });
    afterAll(async () => {
      await stack?.stop();
      await server?.kill();
    });

    const bucket = () => (server.location.kind === 'bucket' ? server.location.bucket : '');

    async function put(key: string, content: string | Buffer): Promise<void> {
      const client = await openS3Client(server.location);
      await client.send(new PutObjectCommand({ Bucket: bucket(), Key: key, Body: content }));
      client.destroy();
    }

    const create = (uri: string) =>
      fetch(`${stack.url}/v1/batches`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          endpoint: '/v1/embeddings',
          model: MODEL,
          completion_window: '24h',
          input: { uri, id_column: 'id', columns: { input: 'review' } },
        }),
      });

    async function ended(answer: Response): Promise<View> {
      if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
      const { id } = (await answer.json()) as { id: string };
      let view: View | undefined;
      await until(
        async () => {
          view = (await (await fetch(`${stack.url}/v1/batches/${id}`)).json()) as View;
          return view.status === 'completed' || view.status === 'failed';
        },
        DONE_MS_MAX,
        () => JSON.stringify(view),
      );
      return view as View;
    }

    const csv = () => `id,review\n${Array.from({ length: ROWS }, (_, row) => `review-${row},"text, of row ${row}"\n`).join('')}`;

    it.each([
      ['reviews.csv', (content: string) => content],
      ['folder with spaces/reviews ä.csv.gz', (content: string) => gzipSync(content)],
    ])('answers each row of s3://…/%s', async (key, pack) => {
      await put(key, pack(csv()));
      const view = await ended(await create(`s3://${bucket()}/${key}`));
      expect(view).toMatchObject({ status: 'completed', request_counts: { total: ROWS, completed: ROWS, failed: 0 } });
      const ids = (await fileLines(stack, view.output_file_id)).map(({ custom_id: id }) => id);
      expect(ids).toEqual(Array.from({ length: ROWS }, (_, row) => `review-${row}`));
    });

    it('says that an object is not there, and refuses buckets that are not named', async () => {
      const missing = await ended(await create(`s3://${bucket()}/none.csv`));
      expect(missing.status).toBe('failed');
      expect(missing.errors?.data[0]?.message).toContain('none.csv');
      const refused = await create('s3://another-bucket/reviews.csv');
      expect(refused.status).toBe(400);
      expect(await refused.text()).toContain('batch.inputBuckets');
    });
  });
}
