import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDescription, isModelVersion, layerWeightsIn } from '@app/models';
import { parse, stringify } from 'yaml';
import type { VersionFiles } from '../optimize/scratch-repository';
import type { CarriedValue } from './candidates';
import type { AxesSettings } from './example-inputs';
import type { Stage } from './stages';

const MODEL_FILE = 'model.yaml';
/** What was told about the original, not about what is made of it. */
const LEFT_OUT = new Set([MODEL_FILE, 'release.yaml', 'samples.jsonl', 'source.json', 'split.json', 'variants.json']);
/** Keys of `model.yaml` that say how callers are answered; all others say how the graph is run. */
const OF_CALLERS = new Set(
  'task realtime maxTokens tokenIds pooling normalize dimensions embeddingOutput skipFirstToken positionStart labels cache degrade'.split(
    ' ',
  ),
);
const OF_BOTH = new Set(['lanes', 'deduplicate']);
const OF_GRAPH_FILE = new Set(['file', 'axes', 'padValues', 'steps', 'outputs']);

type Settings = Record<string, unknown>;

export const stageName = (model: string, stage: number): string => `${model}-stage-${stage + 1}`;

/** Those that a split of the model left there, whole or not. */
export function stageNamesIn(modelsDir: string, model: string): string[] {
  const beside = readdirSync(dirname(join(modelsDir, model))).map((name) => join(dirname(model), name));
  return beside.filter((name) => name === stageName(model, Number(/-(\d+)$/.exec(name)?.[1]) - 1));
}

export const pipelineName = (model: string): string => `${model}-pipeline`;

/** What `model.yaml` of the original says: that of a version replaces keys of that beside the versions. */
export function settingsOf({ folder, versionFolder }: VersionFiles): Settings {
  const read = (path: string): Settings => (existsSync(path) ? ((parse(readFileSync(path, 'utf8')) as Settings | null) ?? {}) : {});
  const own = versionFolder === folder ? {} : read(join(versionFolder, MODEL_FILE));
  return { ...read(join(folder, MODEL_FILE)), ...own };
}

/** `model.yaml` of a stage. `padded`: names of the axes along which the whole model pads rows that share a run; none: it pads nothing. */
export function writeStageSettings(folder: string, stage: Stage, settings: Settings, padded: readonly string[]): void {
  const own = stageSettings(stage, settings, padded);
  if (Object.keys(own).length > 0) writeFileSync(join(folder, MODEL_FILE), stringify(own));
}

/** That padding is safe holds for the axes that the whole graph pads, so they are named: others vary too, and may not be padded. */
export function stageSettings(stage: Stage, settings: Settings, padded: readonly string[]): Settings {
  const kept = Object.entries(settings).filter(([key]) => !OF_CALLERS.has(key) && !OF_GRAPH_FILE.has(key));
  const { paddingIsSafe, ...others } = Object.fromEntries(kept);
  const dims = dimsOf(stage, settings);
  // A stage by itself could not tell what it takes from a caller's numbers.
  const isSafe = padded.some((name) => dims.has(name)) || (paddingIsSafe === false ? false : undefined);
  return { ...(isSafe === undefined ? {} : { paddingIsSafe: isSafe }), ...others, ...axesFor(stage, settings, padded) };
}

const axesOf = (settings: Settings): AxesSettings => (settings['axes'] ?? {}) as AxesSettings;

/** What `model.yaml` of the whole model names of the inputs that the stage has as well. */
function ownNames({ inputs }: Stage, settings: Settings): [string, (string | null)[]][] {
  return Object.entries(axesOf(settings).inputs ?? {}).filter(([name]) => inputs.includes(name));
}

function dimsOf(stage: Stage, settings: Settings): Set<unknown> {
  const declared = [...stage.part.inputs, ...stage.takes].flatMap((input) => input.dims ?? []);
  return new Set([...declared, ...ownNames(stage, settings).flatMap(([, names]) => names)]);
}

/** Names that no input of a stage has would be refused. Those that the graph of the stage does not tell are told here. */
function axesFor(stage: Stage, settings: Settings, padded: readonly string[]): Settings {
  const { part, takes } = stage;
  const axes = axesOf(settings);
  const dims = dimsOf(stage, settings);
  const names = new Set(part.inputs.map(({ name }) => name));
  const sequence = (padded.length > 0 ? padded : [axes.sequence ?? []].flat()).filter((name) => dims.has(name));
  const inputs = takes.filter((value) => value.dims.some((dim) => typeof dim === 'string'));
  const namesOf = (value: CarriedValue): (string | null)[] => value.dims.map((dim) => (typeof dim === 'string' ? dim : null));
  const named = [...ownNames(stage, settings), ...inputs.map((value) => [value.name, namesOf(value)] as const)];
  const kept = {
    ...(axes.batch !== undefined && dims.has(axes.batch) ? { batch: axes.batch } : {}),
    ...(sequence.length > 0 ? { sequence } : {}),
    ...(named.length > 0 ? { inputs: Object.fromEntries(named) } : {}),
  };
  const padValues = Object.entries((settings['padValues'] ?? {}) as Settings).filter(([name]) => names.has(name));
  return {
    ...(Object.keys(kept).length > 0 ? { axes: kept } : {}),
    ...(padValues.length > 0 ? { padValues: Object.fromEntries(padValues) } : {}),
  };
}

/** The folder of the graph that is one model to callers: the steps, and what makes it a text model. */
export function writePipeline(folder: string, model: string, stages: readonly Stage[], files: VersionFiles, outputs: string[]): void {
  const settings = Object.entries(settingsOf(files)).filter(([key]) => OF_CALLERS.has(key) || OF_BOTH.has(key));
  mkdirSync(join(folder, '1'), { recursive: true });
  writeFileSync(join(folder, MODEL_FILE), stringify({ ...Object.fromEntries(settings), steps: stepsOf(model, stages), outputs }));
  copyDescription(files.folder, join(folder, '1'));
  if (files.versionFolder !== files.folder) copyDescription(files.versionFolder, join(folder, '1'));
}

function stepsOf(model: string, stages: readonly Stage[]): object[] {
  const same = (names: string[]): Record<string, string> => Object.fromEntries(names.map((name) => [name, name]));
  return stages.map(({ inputs, takes, part }, i) => ({
    model: stageName(model, i),
    version: '1',
    input_map: same([...inputs, ...takes.map(({ name }) => name)]),
    output_map: same(part.outputs.map(({ name }) => name)),
  }));
}

function copyDescription(from: string, to: string): void {
  const names = (below: string): string[] =>
    readdirSync(join(from, below), { withFileTypes: true }).flatMap((entry) => {
      const path = join(below, entry.name);
      if (entry.isDirectory()) return below === '' && !isModelVersion(entry.name) ? names(path) : [];
      return isDescription(path) && !LEFT_OUT.has(path) ? [path] : [];
    });
  for (const path of [...names(''), ...layerWeightsIn(from)]) {
    mkdirSync(dirname(join(to, path)), { recursive: true });
    copyFileSync(join(from, path), join(to, path));
  }
}
