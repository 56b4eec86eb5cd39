import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkWeightFiles, loadBytes, modelFileBytes } from './model-bytes';
import { protobufField as field } from './testing/protobuf-field';

describe('bytes of a model', () => {
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

  it.each([
    ['.weights', true],
    ['.hidden/weights', true],
    ['a/b/c/d/e/f/g/h/i', true],
    ['./weights', false],
    ['a/we.ights', false],
  ])('looks whether the fingerprint sees external data at %s: refused %s', (location, isRefused) => {
    const path = join(folder, 'seen.onnx');
    writeFileSync(path, field(7, field(5, field(13, field(1, 'location'), field(2, location)))));
    const check = (): void => checkWeightFiles(path);
    if (isRefused) expect(check).toThrow(/names begin with no dot.*save the model with another name/);
    else expect(check).not.toThrow();
  });

  it('counts what loading leaves behind for a while once, however many copies are loaded', () => {
    const mib = 1024 * 1024;
    const path = join(folder, 'large.onnx');
    writeFileSync(path, new Uint8Array(mib));
    expect(loadBytes(path)).toBe(17.25 * mib);
    expect(loadBytes(path, 3)).toBe(19.25 * mib);
  });
});
