import { readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** The file and what exporters put beside it: `model.onnx_data`, `model.onnx.data`. A graph, and a model whose file is gone, count nothing. */
export function modelFileBytes(modelPath: string | null): number {
  if (modelPath === null) return 0;
  const folder = dirname(modelPath);
  const name = basename(modelPath);
  try {
    const files = readdirSync(folder).filter((file) => file === name || (file.startsWith(name) && file.endsWith('data')));
    return files.reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
  } catch {
    return 0;
  }
}
