import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256OfWeights } from './content-digest';
import { protobufField as field } from './testing/protobuf-field';

describe('the digest of weights', () => {
  let folder: string;
  beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'il-digest-'))));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('changes with the weights beside a graph, and with nothing else there', async () => {
    const path = join(folder, 'model.onnx');
    writeFileSync(path, field(7, field(5, field(13, field(1, 'location'), field(2, 'weights')))));
    writeFileSync(join(folder, 'weights'), 'one');
    const first = await sha256OfWeights(path);
    writeFileSync(join(folder, 'model.yaml'), 'runRowsMax: 8');
    expect(await sha256OfWeights(path)).toBe(first);
    writeFileSync(join(folder, 'weights'), 'two');
    expect(await sha256OfWeights(path)).not.toBe(first);
  });
});
