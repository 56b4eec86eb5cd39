import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WorkerModelPlan } from '@app/contracts';
import { loadBytes, modelFileBytes } from '@app/models';
import { writeModel } from '../../../tools/model-builder/src/files';
import { externalEncoder } from '../../../tools/model-builder/src/large-models';
import { anonymousBytes, workerMemory } from './worker-memory';

describe('memory of a worker', () => {
  let folder: string;
  const file = (name: string, bytes: number): string => {
    writeFileSync(join(folder, name), new Uint8Array(bytes));
    return join(folder, name);
  };

  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'memory-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  it('counts what no file backs', () => {
    expect(anonymousBytes('VmRSS:\t  900 kB\nRssAnon:\t   123 kB\nRssFile:\t 5 kB\n')).toBe(123 * 1024);
    expect(anonymousBytes('VmRSS:\t  900 kB\n')).toBe(0);
  });

  it('counts a model with its external data, each file once', () => {
    const shape = { layers: 1, width: 32, heads: 2, feedForward: 64, vocabulary: 3000, positions: 16 };
    writeModel(folder, externalEncoder('external', shape), '');
    file('tokenizer.json', 5);
    file('model.onnx_data', 7); // of no weight
    const path = join(folder, 'model.onnx');
    const bytes = statSync(path).size + statSync(join(folder, 'model.onnx.data')).size;
    expect(modelFileBytes(path)).toBe(bytes);
    expect(loadBytes(path)).toBeGreaterThan(bytes);
    expect(modelFileBytes(join(folder, 'gone', 'model.onnx'))).toBe(0);
    expect(modelFileBytes(file('other.onnx', 10))).toBe(10);
    const model = { modelPath: path } as WorkerModelPlan;
    expect(workerMemory({ models: [model, model], memoryBytes: 7 })).toEqual({
      resident: expect.any(Number) as number,
      modelFiles: bytes,
      limit: 7,
    });
    expect(workerMemory({ models: [], memoryBytes: null }).resident).toBeGreaterThan(0);
  });
});
