import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openModelCatalog, type ModelCatalog } from '@app/models';
import { createLogger } from '@app/telemetry';
import { OrtBackend } from '../../../test/fixtures/ort-backend';
import { buildModels } from '../../../tools/model-builder/src/models';
import { parseEndpoint, prepare, runPrepared, type Endpoint } from '.';

const limits = { itemsMax: 16, tensorBytesMax: 1 << 20 };
const endpoint = parseEndpoint('/v1/embeddings') as Endpoint;

describe('POST /v1/embeddings', () => {
  const modelsDir = mkdtempSync(join(tmpdir(), 'embeddings-'));
  let catalog: ModelCatalog;
  let backend: OrtBackend;

  const post = async (body: object): Promise<any> => {
    const answer = await runPrepared(backend, await prepare(endpoint, body, null, catalog, limits), null);
    return answer.body;
  };

  beforeAll(async () => {
    buildModels(modelsDir, ['encoder-tiny']);
    backend = await OrtBackend.load([{ name: 'encoder-tiny', version: '1', path: join(modelsDir, 'encoder-tiny/model.onnx') }]);
    catalog = await openModelCatalog(modelsDir, createLogger('test', 'fatal'));
    catalog.applyReports(backend.models());
  });
  afterAll(async () => {
    await backend.close();
    rmSync(modelsDir, { recursive: true, force: true });
  });

  it('answers in the OpenAI shape', async () => {
    const body = await post({ model: 'encoder-tiny', input: ['Hello', 'All human beings are born free.'] });
    expect(body).toMatchObject({ object: 'list', model: 'encoder-tiny', data: [{ object: 'embedding', index: 0 }, { index: 1 }] });
    expect(body.data[0].embedding).toHaveLength(128);
  });
});
