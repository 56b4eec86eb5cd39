import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildModels } from './models';

const digests = (folder: string): string[] =>
  readdirSync(folder)
    .sort()
    .map(
      (name) =>
        `${name} ${createHash('sha256')
          .update(readFileSync(join(folder, name)))
          .digest('hex')}`,
    );

describe('model builder', () => {
  const root = mkdtempSync(join(tmpdir(), 'model-builder-'));
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it('writes the same bytes in every run', () => {
    buildModels(join(root, 'a'), ['encoder-tiny']);
    buildModels(join(root, 'b'), ['encoder-tiny']);
    expect(digests(join(root, 'a/encoder-tiny'))).toEqual(digests(join(root, 'b/encoder-tiny')));
  });

  it('builds only what is missing or damaged', () => {
    const out = join(root, 'c');
    expect(buildModels(out, ['encoder-tiny'])).toEqual(['encoder-tiny']);
    expect(buildModels(out, ['encoder-tiny'])).toEqual([]);
    truncateSync(join(out, 'encoder-tiny/config.json'), 3);
    expect(buildModels(out, ['encoder-tiny'])).toEqual(['encoder-tiny']);
  });

  it('names the models that exist when asked for another', () => {
    expect(() => buildModels(root, ['nope'])).toThrow(/expected one of encoder-tiny, .* but received "nope"/);
  });
});
