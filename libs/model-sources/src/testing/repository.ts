import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { SourceSettings } from '@app/config';
import { splade } from '../../../../tools/model-builder/src/text-models';
import type { ModelFiles } from '../../../../tools/model-builder/src/files';
import { addModel, type AddedModel, type AddRequest } from '../add-model';
import { SOURCE_LIMITS, type SourceLimits } from '../limits';
import type { SourceRecord } from '../source-record';

/** A real model as exporters lay it out, with what a repository has beside it. */
export function modelFiles(): ModelFiles {
  const text = (content: string): Uint8Array => Buffer.from(content);
  return {
    ...splade(),
    '.gitattributes': text('*.onnx filter=lfs\n'),
    'README.md': text('# A model\n'),
    'modeling.py': text('raise SystemExit\n'),
    'pytorch_model.bin': text('a pickle'),
    'model.safetensors': text('weights of the training'),
  };
}

/** What is fetched of `modelFiles`. */
export const NEEDED = [
  '1_SpladePooling/config.json',
  'config.json',
  'config_sentence_transformers.json',
  'model.onnx',
  'modules.json',
  'tokenizer.json',
  'tokenizer_config.json',
];

/**
 * `graph`, and a tensor whose values are said to lie in another file: messages of protobuf that follow each other are one. ONNX Runtime is
 * not asked here.
 */
export function withExternalData(graph: Uint8Array, location: string): Uint8Array {
  const field = (number: number, content: Uint8Array): Buffer => {
    const length: number[] = [];
    let rest = content.length;
    for (; rest >= 0x80; rest >>>= 7) length.push((rest & 0x7f) | 0x80);
    return Buffer.concat([Buffer.from([number * 8 + 2, ...length, rest]), content]);
  };
  const entry = Buffer.concat([field(1, Buffer.from('location')), field(2, Buffer.from(location))]);
  return Buffer.concat([graph, field(7, field(5, field(13, entry)))]);
}

export function writeFiles(folder: string, files: ModelFiles): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
}

/** An empty MODELS_DIR of a test. */
export class TestRepository {
  readonly folder = mkdtempSync(join(tmpdir(), 'il-sources-'));
  readonly arrived: string[] = [];
  settings: SourceSettings = {
    hub: { url: 'http://127.0.0.1:1', token: null },
    bucketEndpoint: null,
    registryAuthFile: '/nowhere/config.json',
  };
  limits: SourceLimits = { ...SOURCE_LIMITS, freeBytesMin: 0, silentMsMax: 5_000, retryMs: 1 };

  add(uri: string, request: Omit<AddRequest, 'uri'> = {}): Promise<AddedModel> {
    const progress = { begin: () => undefined, bytes: () => undefined, end: (path: string) => void this.arrived.push(path) };
    return addModel({ uri, ...request }, { modelsDir: this.folder, settings: this.settings, limits: this.limits, progress });
  }

  /** Of everything in it, links and what is half done included. */
  paths(below = ''): string[] {
    return readdirSync(join(this.folder, below), { withFileTypes: true })
      .flatMap((entry) => {
        const path = join(below, entry.name);
        return entry.isDirectory() ? this.paths(path) : [path];
      })
      .sort();
  }

  read(path: string): Buffer {
    return readFileSync(join(this.folder, path));
  }

  record(model: string): SourceRecord {
    return JSON.parse(this.read(`${model}/source.json`).toString('utf8')) as SourceRecord;
  }

  /** A new folder outside of it. */
  beside(files: ModelFiles): string {
    const folder = mkdtempSync(join(tmpdir(), 'il-source-of-'));
    writeFiles(folder, files);
    this.others.push(folder);
    return folder;
  }

  private readonly others: string[] = [];

  remove(): void {
    for (const folder of [this.folder, ...this.others]) rmSync(folder, { recursive: true, force: true });
  }
}
