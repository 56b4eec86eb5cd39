import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WorkerModelPlan } from '@app/contracts';
import { modelFileBytes } from '@app/models';
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
    const path = file('model.onnx', 10);
    file('model.onnx_data', 1000);
    file('model.onnx.data', 200);
    file('tokenizer.json', 5);
    expect(modelFileBytes(path)).toBe(1210);
    expect(modelFileBytes(join(folder, 'gone', 'model.onnx'))).toBe(0);
    const model = { modelPath: path } as WorkerModelPlan;
    expect(workerMemory({ models: [model, model], memoryBytes: 7 })).toEqual({
      resident: expect.any(Number) as number,
      modelFiles: 1210,
      limit: 7,
    });
    expect(workerMemory({ models: [], memoryBytes: null }).resident).toBeGreaterThan(0);
  });
});
