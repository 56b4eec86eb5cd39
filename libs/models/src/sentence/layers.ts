import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ModelFileError, ModelJson } from '../model-files';
import { normalized } from '../heads/numbers';
import { ACTIVATIONS } from './activations';
import { checkOnSentence } from './modules';
import type { LayerSpec } from './pipeline';
import { readSafetensors, type Weights } from './safetensors';

/** A module after the pooling, ready to run. `widthOut` is null when it is that of its input. */
export interface Layer {
  widthIn: number | null;
  widthOut: number | null;
  apply(vector: Float32Array): Float32Array;
}

const WEIGHTS_BYTES_MAX = 64 * 1024 * 1024;
/** PyTorch's default of `LayerNorm`, which the files cannot change. */
const LAYER_NORM_EPSILON = 1e-5;

const width = z.number().int().positive().max(65_536);
const DENSE_KEYS = [
  'in_features',
  'out_features',
  'bias',
  'activation_function',
  'module_input_name',
  'module_output_name',
  'use_residual',
];

/** Reads the files of a module; throws a `ModelFileError` that names the module and what is missing or cannot be done. */
export function loadLayer(spec: LayerSpec): Layer {
  try {
    return load(spec);
  } catch (error) {
    throw error instanceof ModelFileError ? new ModelFileError(`${spec.kind} in modules.json: ${error.message}`) : error;
  }
}

function load({ kind, folder }: LayerSpec): Layer {
  if (kind === 'Normalize') return { widthIn: null, widthOut: null, apply: normalized };
  const config = ModelJson.read([folder], 'config.json');
  if (config === null) throw new ModelFileError(`expected a file ${join(folder, 'config.json')} but there is none`);
  return kind === 'Dense' ? loadDense(config, folder) : loadLayerNorm(config, folder);
}

function loadDense(config: ModelJson, folder: string): Layer {
  config.refuseOthers(DENSE_KEYS);
  checkOnSentence(config);
  const [widthIn, widthOut] = [required(config, 'in_features', width), required(config, 'out_features', width)];
  const hasBias = config.get('bias', z.boolean()) ?? true;
  const hasResidual = config.get('use_residual', z.boolean()) ?? false;
  const projectsResidual = hasResidual && widthIn !== widthOut;
  const activate = activationOf(config);
  const weights = readWeights(folder, {
    'linear.weight': [widthOut, widthIn],
    ...(hasBias && { 'linear.bias': [widthOut] }),
    ...(projectsResidual && { 'residual.weight': [widthOut, widthIn] }),
  });
  const linear = weights.get('linear.weight') as Float32Array;
  const bias = weights.get('linear.bias') ?? new Float32Array(widthOut);
  const residual = weights.get('residual.weight') ?? null;
  const residualOf = (vector: Float32Array): Float32Array => (residual === null ? vector : product(residual, vector));
  return {
    widthIn,
    widthOut,
    apply(vector) {
      const out = product(linear, vector).map((value, i) => activate(value + (bias[i] as number)));
      if (!hasResidual) return out;
      const rest = residualOf(vector);
      return out.map((value, i) => value + (rest[i] as number));
    },
  };
}

/** `torch.nn.modules.activation.Tanh` and the like; tanh when it is not named, as in sentence-transformers. */
function activationOf(config: ModelJson): (x: number) => number {
  const path = config.get('activation_function', z.string()) ?? 'torch.nn.Tanh';
  const activate = path.startsWith('torch.') ? ACTIVATIONS.get(path.split('.').at(-1) as string) : undefined;
  if (activate !== undefined) return activate;
  throw new ModelFileError(
    `${config.path}: expected activation_function to be one of ${[...ACTIVATIONS.keys()].join(', ')} of torch.nn but found "${path}"`,
  );
}

function loadLayerNorm(config: ModelJson, folder: string): Layer {
  config.refuseOthers(['dimension']);
  const dimension = required(config, 'dimension', width);
  const weights = readWeights(folder, { 'norm.weight': [dimension], 'norm.bias': [dimension] });
  const [scale, shift] = [weights.get('norm.weight') as Float32Array, weights.get('norm.bias') as Float32Array];
  return {
    widthIn: dimension,
    widthOut: dimension,
    apply(vector) {
      const mean = vector.reduce((sum, value) => sum + value, 0) / dimension;
      const variance = vector.reduce((sum, value) => sum + (value - mean) ** 2, 0) / dimension;
      const deviation = Math.sqrt(variance + LAYER_NORM_EPSILON);
      return vector.map((value, i) => ((value - mean) / deviation) * (scale[i] as number) + (shift[i] as number));
    },
  };
}

function required<T extends z.ZodType>(config: ModelJson, key: string, schema: T): NonNullable<z.infer<T>> {
  const value = config.get(key, schema);
  if (value === null || value === undefined) throw new ModelFileError(`${config.path}: expected the key "${key}" but there is none`);
  return value as NonNullable<z.infer<T>>;
}

/** The tensors of `model.safetensors`, which must be these and have these shapes. */
function readWeights(folder: string, shapes: Record<string, number[]>): Map<string, Float32Array> {
  const path = join(folder, 'model.safetensors');
  if (!existsSync(path)) throw noSafetensors(folder, path);
  const tensors = readSafetensors(path, WEIGHTS_BYTES_MAX);
  const wanted = Object.keys(shapes);
  const other = [...tensors.keys()].find((name) => !wanted.includes(name));
  if (other !== undefined) throw new ModelFileError(`${path}: expected only ${wanted.join(', ')} but found "${other}"`);
  return new Map(Object.entries(shapes).map(([name, shape]) => [name, weightsOf(path, name, shape, tensors.get(name))]));
}

function weightsOf(path: string, name: string, shape: number[], found: Weights | undefined): Float32Array {
  if (found !== undefined && String(found.shape) === String(shape)) return found.values;
  throw new ModelFileError(
    `${path}: expected "${name}" [${shape.join(', ')}] but found ${found === undefined ? 'none' : `[${found.shape.join(', ')}]`}`,
  );
}

function noSafetensors(folder: string, path: string): ModelFileError {
  const isTorch = existsSync(join(folder, 'pytorch_model.bin'));
  const advice = 'load the model in sentence-transformers and save it again with model.save_pretrained(path, safe_serialization=True)';
  return new ModelFileError(
    `expected the weights ${path} but ${isTorch ? 'found pytorch_model.bin, which can run code' : 'there are none'}; ${advice}`,
  );
}

/** `matrix` is [rows, vector.length], row-major. */
function product(matrix: Float32Array, vector: Float32Array): Float32Array {
  const columns = vector.length;
  const sums = new Float32Array(matrix.length / columns);
  for (let row = 0; row < sums.length; row++) {
    const start = row * columns;
    let sum = 0;
    for (let i = 0; i < columns; i++) sum += (matrix[start + i] as number) * (vector[i] as number);
    sums[row] = sum;
  }
  return sums;
}
