import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  existsSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Config } from '@app/config';
import type { Lane, ThreadsChange } from '@app/contracts';
import type { FileManifest } from '@app/models';
import { isMap, parseDocument, type Document } from 'yaml';
import { CliError } from '../cli-error';
import { findModelFiles } from '../find-model-files';
import { versionFiles } from '../optimize/scratch-repository';
import { modelsOf } from '../parallel/cpu-sets';
import { plannedWorkers } from '../planned-workers';
import { stageNamesIn } from '../split/model-folders';
import { isSame } from './search';
import type { TuneResult } from './tuner';

/** Throws a `CliError` where the settings of a model or of its stages cannot be written: better before they are measured. */
export function requireWritable(config: Config, manifest: FileManifest): void {
  const { path } = settingsFile(config, manifest);
  const stages = stageNamesIn(config.modelsDir, manifest.name).map((name) => join(config.modelsDir, name));
  for (const folder of [dirname(targetOf(path)), ...stages])
    try {
      accessSync(folder, constants.W_OK);
    } catch {
      throw new CliError(`--write: ${folder} cannot be written to`);
    }
  const owner = statSync(path, { throwIfNoEntry: false })?.uid;
  if (owner !== undefined && ![owner, 0].includes(process.geteuid?.() ?? owner))
    throw new CliError(`--write: ${path} belongs to another user; write it as that one`);
}

/**
 * Writes what was chosen to `model.yaml` of the whole model, or of each stage: to all of them or, with a `CliError`, to none. Comments,
 * other keys and the threads of the other lane stay. Nothing is written by which the next start of a node would be refused.
 */
export async function writeSettings(
  config: Config,
  { manifest, lane, best, present }: Pick<TuneResult, 'best' | 'present'> & { manifest: FileManifest; lane: Lane },
): Promise<string> {
  const { layout, ...sizes } = best.settings;
  const isKept = layout.stages === 1 && layout.width === present.settings.layout.width;
  if (isKept && isSame({ ...best.settings, layout: present.settings.layout }, present.settings))
    return 'nothing is written: model.yaml stays as it is';
  const manifests =
    layout.stages === 1 ? [manifest] : modelsOf(manifest.name, layout).map((name) => findModelFiles(config, name, null).manifest);
  const files = manifests.map((each) => ({ ...settingsFile(config, each), manifest: each }));
  const changes = files.map(({ manifest: { name, version }, isOfVersion }): ThreadsChange => ({
    ...{ name, lane, threads: layout.width },
    version: isOfVersion ? version : null,
  }));
  if (!isKept)
    try {
      await plannedWorkers(config, changes);
    } catch (error) {
      return `nothing is written: no node would start with it. ${(error as Error).message}; or change partitions, then ask again`;
    }
  replaceAll(
    files.map(({ path, manifest: { executorThreads } }) => ({
      path,
      text: changedText(path, { ...sizes, threads: isKept ? null : { ...executorThreads, [lane]: layout.width } }),
    })),
  );
  return `written to ${files.map(({ path }) => path).join(', ')}`;
}

/** That of the version, where it has one: its keys replace those of the model's. */
function settingsFile({ modelsDir }: Config, { name, version, modelPath }: FileManifest): { path: string; isOfVersion: boolean } {
  const { folder, versionFolder } = versionFiles(modelsDir, name, version, modelPath);
  const own = join(versionFolder, 'model.yaml');
  const isOfVersion = versionFolder !== folder && existsSync(own);
  return { path: isOfVersion ? own : join(folder, 'model.yaml'), isOfVersion };
}

interface ModelFileSettings {
  runRowsMax: number;
  runTokensMax: number;
  /** By lane, those that another file says for the version included; null: as they are. */
  threads: FileManifest['executorThreads'] | null;
}

function changedText(path: string, { runRowsMax, runTokensMax, threads }: ModelFileSettings): string {
  const document: Document = parseDocument(existsSync(path) ? readFileSync(path, 'utf8') : '');
  document.contents ??= document.createNode({});
  for (const formerName of ['batchRowsMax', 'batchTokensMax']) document.delete(formerName);
  document.set('runRowsMax', runRowsMax);
  document.set('runTokensMax', runTokensMax);
  if (threads !== null) {
    const given = Object.entries(threads).filter(([, count]) => count !== null);
    if (!isMap(document.get('executorThreads'))) document.set('executorThreads', document.createNode({}));
    for (const [lane, count] of given) document.setIn(['executorThreads', lane], count);
  }
  return document.toString();
}

interface NewText {
  path: string;
  text: string;
}

/** Links stay links; owner and mode stay as well. */
function replaceAll(files: readonly NewText[]): void {
  const targets = files.map(({ path, text }) => {
    const target = targetOf(path);
    return { target, text, temporary: `${target}.${process.pid}`, before: existsSync(target) ? readFileSync(target) : null };
  });
  const renamed: (typeof targets)[number][] = [];
  try {
    for (const { target, text, temporary } of targets) writeLike(target, text, temporary);
    for (const each of targets) {
      renameSync(each.temporary, each.target);
      renamed.push(each);
    }
  } catch (error) {
    for (const { temporary } of targets) rmSync(temporary, { force: true });
    for (const { target, before } of renamed)
      if (before === null) rmSync(target);
      else writeFileSync(target, before);
    throw new CliError(`the settings cannot be written: ${(error as Error).message}`);
  }
}

const targetOf = (path: string): string => (existsSync(path) ? realpathSync(path) : path);

function writeLike(target: string, text: string, temporary: string): void {
  writeFileSync(temporary, text);
  const former = statSync(target, { throwIfNoEntry: false });
  if (former === undefined) return;
  const made = statSync(temporary);
  if (made.uid !== former.uid || made.gid !== former.gid) chownSync(temporary, former.uid, former.gid);
  chmodSync(temporary, former.mode);
}
