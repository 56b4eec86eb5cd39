import { accessSync, constants, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Config } from '@app/config';
import type { FileManifest } from '@app/models';
import { parseDocument, type Document } from 'yaml';
import { CliError } from '../cli-error';
import { liveCpusOf } from '../live-cpus';
import { versionFiles } from '../optimize/scratch-repository';
import { modelsOf } from '../parallel/cpu-sets';
import { isSame } from './search';
import type { TuneResult } from './tuner';

interface ModelFileSettings {
  runRowsMax: number;
  runTokensMax: number;
  /** Null: as it is. */
  width: number | null;
}

/** Throws a `CliError` where the settings of a model cannot be written: better before they are measured. */
export function requireWritable(config: Config, manifest: FileManifest): void {
  const folder = dirname(settingsPath(config, manifest));
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    throw new CliError(`--write: ${folder} cannot be written to`);
  }
}

/**
 * Writes what was chosen to `model.yaml` of the whole model, or of each stage: to all of them or, with a `CliError`, to none. Comments
 * and other keys stay; how many executors there are is up to the partitions, so nothing is written that they have no room for.
 */
export async function writeSettings(config: Config, manifest: FileManifest, { best, present }: TuneResult): Promise<string> {
  const { layout, ...sizes } = best.settings;
  const isKept = layout.stages === 1 && layout.width === present.settings.layout.width;
  if (isKept && isSame({ ...best.settings, layout: present.settings.layout }, present.settings))
    return 'nothing is written: model.yaml stays as it is';
  const { width } = layout;
  const models = modelsOf(manifest.name, layout);
  for (const model of isKept ? [] : models) {
    const cpus = Math.min(...(await liveCpusOf(config, model)).map((set) => set.length));
    if (cpus < width)
      return (
        `nothing is written: with executorThreads ${width} no node would start, because a partition of ${model} has ${cpus} ` +
        `${cpus === 1 ? 'CPU' : 'CPUs'}; change partitions in interleave.yaml, then ask again`
      );
  }
  const paths = layout.stages === 1 ? [settingsPath(config, manifest)] : models.map((model) => join(config.modelsDir, model, 'model.yaml'));
  writeAll(paths, { ...sizes, width: isKept ? null : width });
  return `written to ${paths.join(', ')}`;
}

/** That of the version, where it has one: its keys replace those of the model's. */
function settingsPath({ modelsDir }: Config, { name, version, modelPath }: FileManifest): string {
  const { folder, versionFolder } = versionFiles(modelsDir, name, version, modelPath);
  const own = join(versionFolder, 'model.yaml');
  return existsSync(own) ? own : join(folder, 'model.yaml');
}

function writeAll(paths: readonly string[], settings: ModelFileSettings): void {
  const temporaryOf = (path: string): string => `${path}.${process.pid}`;
  try {
    for (const path of paths) writeFileSync(temporaryOf(path), changed(path, settings));
    for (const path of paths) renameSync(temporaryOf(path), path);
  } catch (error) {
    for (const path of paths) rmSync(temporaryOf(path), { force: true });
    throw new CliError(`the settings cannot be written: ${(error as Error).message}`);
  }
}

function changed(path: string, { runRowsMax, runTokensMax, width }: ModelFileSettings): string {
  const document: Document = parseDocument(existsSync(path) ? readFileSync(path, 'utf8') : '');
  document.contents ??= document.createNode({});
  for (const formerName of ['batchRowsMax', 'batchTokensMax']) document.delete(formerName);
  document.set('runRowsMax', runRowsMax);
  document.set('runTokensMax', runTokensMax);
  if (width !== null) {
    const given: unknown = document.get('executorThreads');
    if (typeof given === 'number') document.set('executorThreads', document.createNode({ batch: given }));
    document.setIn(['executorThreads', 'realtime'], width);
  }
  return document.toString();
}
