import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { findAddon, loadAddon } from './addon';

export interface RuntimeReport {
  path: string;
  version: string;
  /** Execution providers that it offers, by ONNX Runtime's names. */
  providers: string[];
}

export interface AddonReport {
  path: string;
  builtMs: number;
  /** Modification time of its newest source file; null where the sources are not there. */
  changedMs: number | null;
}

/** The addon that is loaded here. Throws with what to do when it is missing or cannot be loaded. */
export function inspectAddon(): AddonReport {
  loadAddon();
  const path = findAddon();
  const sources = join(dirname(path), '..', 'src');
  const files = existsSync(sources) ? readdirSync(sources, { recursive: true, encoding: 'utf8' }) : [];
  const changes = files.map((file) => statSync(join(sources, file)).mtimeMs);
  return { path, builtMs: statSync(path).mtimeMs, changedMs: changes.length === 0 ? null : Math.max(...changes) };
}

/**
 * Whether this machine can run models: loads the addon, and with it ONNX Runtime (null: the library that comes with
 * onnxruntime-node). Throws with what to do when either cannot be used.
 */
export function inspectRuntime(ortLibraryPath: string | null): RuntimeReport {
  const path = ortLibraryPath ?? bundledRuntime();
  return { path, ...loadAddon().inspectRuntime({ ortLibraryPath: path }) };
}

/** The runtime inside the npm package, whose JavaScript is not loaded. */
export function bundledRuntime(): string {
  const folder = dirname(require.resolve('onnxruntime-node/package.json'));
  const path = join(folder, 'bin', 'napi-v6', process.platform, process.arch, 'libonnxruntime.so.1');
  if (!existsSync(path)) {
    throw new Error(
      `onnxruntime-node has no runtime for ${process.platform}/${process.arch}: expected ${path}; set ORT_LIBRARY to a libonnxruntime.so`,
    );
  }
  return path;
}
