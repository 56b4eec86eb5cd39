import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { buildModels } from '../../../tools/model-builder/src/models';
import { scanRepository } from './repository';
import { protobufField as field } from './testing/protobuf-field';
import { TextTokenizer } from './tokenizer';

const BUILT = mkdtempSync(join(tmpdir(), 'il-built-'));
buildModels(BUILT, ['encoder-tiny']);
const SHIPPED = join(BUILT, 'encoder-tiny');
const GRAPH = readFileSync(join(SHIPPED, 'model.onnx'));
const LFS = `version https://git-lfs.github.com/spec/v1\noid sha256:${'4d'.repeat(32)}\nsize 90387630\n`;
const ANNEX = `/annex/objects/SHA256E-s90387630--${'4d'.repeat(32)}.onnx\n`;
const PAGE = '<!DOCTYPE html>\n<html><head><title>404</title></head></html>';

/** A zip archive's first entry, as `torch.save` and others write it. */
const zip = (name: string): Buffer => Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(26), Buffer.from(`${name}contents`)]);

describe('a file in the place of another', () => {
  afterAll(() => rmSync(BUILT, { recursive: true }));
  let modelsDir: string;
  beforeEach(() => (modelsDir = mkdtempSync(join(tmpdir(), 'il-other-'))));
  afterEach(() => rmSync(modelsDir, { recursive: true }));

  function reasonWith(files: Record<string, string | Uint8Array>): string | null | undefined {
    cpSync(SHIPPED, join(modelsDir, 'm'), { recursive: true });
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(modelsDir, 'm', name)), { recursive: true });
      writeFileSync(join(modelsDir, 'm', name), content);
    }
    return scanRepository(modelsDir)[0]?.reason;
  }

  it.each<[string, string | Uint8Array, RegExp]>([
    ['a pointer of Git LFS', LFS, /pointer of Git LFS.*git lfs pull/],
    ['a pointer of git-annex', ANNEX, /pointer of git-annex.*git annex get/],
    ['a page', PAGE, /HTML.*anew/],
    ['a page of S3', '<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', /XML.*anew/],
    ['an answer in JSON', '{"error":"Invalid username or password."}', /JSON.*anew/],
    ['nothing', '', /model\.onnx is empty.*anew/],
    ['zeros', new Uint8Array(4096), /zeros.*anew/],
    ['half of it', GRAPH.subarray(0, GRAPH.length / 2), /cut off or damaged.*anew/],
    ['a few bytes of it', GRAPH.subarray(0, 3), /cut off or damaged.*anew/],
    ['gzip', gzipSync(GRAPH), /gzip.*gunzip/],
    ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 4, 0]), /zstd/],
    ['zip', zip('model.onnx'), /zip.*unzip/],
    ['PyTorch', zip('archive/data.pkl'), /PyTorch.*export/],
    ['PyTorch of old', Buffer.from([0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46]), /PyTorch.*export/],
    ['safetensors', Buffer.from('\x40\0\0\0\0\0\0\0{"w":{"dtype":"F32"', 'latin1'), /safetensors.*export/],
  ])('is named where the graph should be: %s', (_name, content, expected) => {
    expect(reasonWith({ 'model.onnx': content })).toMatch(expected);
  });

  it('is named where weights, settings or the parts of a sentence model should be', () => {
    const graph = field(7, field(5, field(13, field(1, 'location'), field(2, 'model.onnx.data'))));
    expect(reasonWith({ 'model.onnx': graph, 'model.onnx.data': LFS })).toMatch(/model\.onnx\.data: .*git lfs pull/);
    expect(reasonWith({ 'model.onnx': GRAPH, 'config.json': ANNEX })).toMatch(/config\.json: .*git annex get/);
    expect(reasonWith({ 'config.json': '{}', 'modules.json': PAGE })).toMatch(/modules\.json: .*HTML/);
  });

  it('is named where the tokenizer should be', async () => {
    const path = join(modelsDir, 'tokenizer.json');
    writeFileSync(path, LFS);
    await expect(TextTokenizer.load(path)).rejects.toThrow(/tokenizer\.json: .*git lfs pull/);
  });

  it('is not seen in files that are what they should be', () => {
    expect(reasonWith({})).toBeNull();
    const data = Buffer.concat([Buffer.from('{"'), gzipSync('weights')]);
    const graph = field(7, field(5, field(13, field(1, 'location'), field(2, 'model.onnx.data'))));
    expect(reasonWith({ 'model.onnx': graph, 'model.onnx.data': data })).toBeNull();
  });
});
