import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { modelFileBytes } from './model-bytes';

/** A field of protobuf with fewer than 128 bytes. */
function field(number: number, ...contents: (Uint8Array | string)[]): Buffer {
  const content = Buffer.concat(contents.map((each) => Buffer.from(each)));
  return Buffer.concat([Buffer.from([number * 8 + 2, content.length]), content]);
}

describe('modelFileBytes', () => {
  let folder: string;
  beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'il-bytes-'))));
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each(['a\0b', 'weights/'])('counts no file for external data at %j', (location) => {
    const graph = field(7, field(5, field(13, field(1, 'location'), field(2, location))));
    const path = join(folder, 'model.onnx');
    writeFileSync(path, graph);
    writeFileSync(join(folder, 'weights'), 'a file, no folder');
    expect(modelFileBytes(path)).toBe(graph.length);
  });
});
