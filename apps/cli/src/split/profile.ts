import { fork } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DATATYPES, type Datatype, type Tensor } from '@app/contracts';
import { readOnnxFile, type OnnxNode, type OnnxGraph } from '@app/onnx-file';
import { CliError } from '../cli-error';
import type { Examples } from './example-inputs';

const CHILD = join(__dirname, 'profile-child.cjs');
const GRAPH_FILE = 'optimized.onnx';
const PROFILE_PREFIX = 'profile';
/** It is read as one string, and V8 has none of more than 512 MiB. */
const PROFILE_BYTES_MAX = 500 * 1024 * 1024;
/** Of the run whose times count; the first ones are slower. */
const WARM_UP_RUNS = 2;
const MEASURED_RUNS = 15;
const KERNEL = '_kernel_time';

/** ONNX Runtime's names of element types in profiles. */
const PROFILE_TYPES: Record<string, Datatype> = {
  bool: 'BOOL',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  uint64: 'UINT64',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  float16: 'FP16',
  bfloat16: 'BF16',
  float: 'FP32',
  double: 'FP64',
  string: 'BYTES',
};
/** Names of element types in onnxruntime-node. */
const TENSOR_TYPES: Record<Datatype, string> = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  BF16: 'bfloat16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
};

/** The graph as the runtime runs it, after its optimisations, with what was seen while it ran. */
export interface Profile {
  graph: OnnxGraph;
  nodes: ProfiledNode[];
  /** Of all nodes. */
  totalUs: number;
}

export interface ProfiledNode {
  node: OnnxNode;
  /** Of the run whose times count: the shortest. */
  us: number;
  /** What is known of its outputs, by name: their type, and a shape for each run of the examples. */
  outputs: Map<string, SeenValue>;
}

export interface SeenValue {
  datatype: Datatype;
  shapes: number[][];
}

/** Runs a model with the examples and the runtime's profile. `folder` is for files of its own. Throws a `CliError`. */
export async function profileModel(modelPath: string, examples: Examples, folder: string): Promise<Profile> {
  const times = examples.runs.map((_, i) => (i < examples.runs.length - 1 ? 1 : WARM_UP_RUNS + MEASURED_RUNS));
  const graphPath = join(folder, GRAPH_FILE);
  await runChild({
    modelPath,
    graphPath,
    profilePrefix: join(folder, PROFILE_PREFIX),
    runs: examples.runs.map((inputs, i) => ({ inputs: inputs.map(toChild), times: times[i] })),
  });
  const { graph } = readOnnxFile(graphPath);
  const nodes = matched(graph, readEvents(folder), times);
  return { graph, nodes, totalUs: nodes.reduce((sum, { us }) => sum + us, 0) };
}

/** Times and shapes of each node by its name, since the runtime runs branches in an order of its own: each has one kernel in a run. */
function matched(graph: OnnxGraph, events: readonly KernelEvent[], times: readonly number[]): ProfiledNode[] {
  const runs = times.reduce((sum, count) => sum + count, 0);
  const kernels = new Map(graph.nodes.map(({ name }) => [`${name}${KERNEL}`, [] as KernelEvent[]]));
  for (const event of events) kernels.get(event.name)?.push(event);
  if (kernels.size !== graph.nodes.length || [...kernels.values()].some(({ length }) => length !== runs))
    throw new CliError(
      'the profile of ONNX Runtime does not follow its graph; give the nodes of the graph, and those of its functions, names, each another',
    );
  const firstOfRun = times.map((_, i) => times.slice(0, i).reduce((sum, count) => sum + count, 0));
  return graph.nodes.map((node) => {
    const ofRuns = kernels.get(`${node.name}${KERNEL}`) as KernelEvent[];
    // Whatever else the machine does makes an operator slower, never faster.
    const us = Math.min(...ofRuns.slice(-MEASURED_RUNS).map((kernel) => kernel.us));
    return {
      node,
      us,
      outputs: seenValues(
        node,
        firstOfRun.map((run) => ofRuns[run] as KernelEvent),
      ),
    };
  });
}

function seenValues(node: OnnxNode, runs: readonly KernelEvent[]): Map<string, SeenValue> {
  const seen = new Map<string, SeenValue>();
  // An output that is no tensor is not among the shapes, and then it cannot be told which of them is which.
  if (runs.some(({ outputs }) => outputs.length !== node.outputs.length)) return seen;
  for (const [o, name] of node.outputs.entries()) {
    const [datatype] = runs.map(({ outputs }) => PROFILE_TYPES[outputs[o]?.type ?? '']);
    if (datatype !== undefined) seen.set(name, { datatype, shapes: runs.map(({ outputs }) => outputs[o]?.shape ?? []) });
  }
  return seen;
}

interface KernelEvent {
  name: string;
  us: number;
  outputs: { type: string; shape: number[] }[];
}

interface ProfileEvent {
  cat: string;
  name: string;
  ts: number;
  dur: number;
  args: { output_type_shape?: Record<string, number[]>[] };
}

/** Kernels in the order in which they began; those of subgraphs are part of the node that has the subgraph. */
function readEvents(folder: string): KernelEvent[] {
  const name = readdirSync(folder).find((file) => file.startsWith(PROFILE_PREFIX));
  if (name === undefined) throw new CliError('ONNX Runtime wrote no profile');
  const path = join(folder, name);
  if (statSync(path).size > PROFILE_BYTES_MAX) throw new CliError(`${path}: expected a profile of at most ${PROFILE_BYTES_MAX} bytes`);
  const events = (JSON.parse(readFileSync(path, 'utf8')) as ProfileEvent[]).filter(
    ({ cat, name: kernel }) => cat === 'Node' && kernel.endsWith(KERNEL),
  );
  events.sort((a, b) => a.ts - b.ts || b.dur - a.dur);
  let endUs = 0;
  return events.flatMap(({ name: kernel, ts, dur, args }) => {
    if (ts < endUs) return [];
    endUs = ts + dur;
    const outputs = (args.output_type_shape ?? []).flatMap((output) => Object.entries(output).map(([type, shape]) => ({ type, shape })));
    return [{ name: kernel, us: dur, outputs }];
  });
}

function toChild({ name, datatype, shape, data }: Tensor): { name: string; type: string; shape: number[]; data: Uint8Array | string[] } {
  if (datatype === 'BF16')
    throw new CliError(
      `input "${name}" is of type BF16, which the runtime's package for profiles does not take; give the graph a FP32 input and a Cast`,
    );
  return { name, type: TENSOR_TYPES[datatype], shape, data: datatype === 'BYTES' ? texts(data) : data };
}

function texts(data: Uint8Array): string[] {
  const found: string[] = [];
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  for (let at = 0; at < bytes.length;) {
    const end = at + 4 + bytes.readUInt32LE(at);
    found.push(bytes.toString('utf8', at + 4, end));
    at = end;
  }
  return found;
}

async function runChild(request: object): Promise<void> {
  const child = fork(CHILD, { serialization: 'advanced', execArgv: [], env: {} });
  let reason: string | null = null;
  child.on('message', (message) => (reason = String(message)));
  child.send(request);
  const ended = await new Promise<string | number | null>((resolve) => child.once('exit', (code, signal) => resolve(signal ?? code)));
  if (ended === 0) return;
  throw new CliError(`the model cannot be run with made-up inputs: ${reason ?? `the process ended: ${ended}`}`);
}

/** Bytes of a value at the size of the last run; strings are counted as 16 each. */
export function bytesOf({ datatype, shapes }: SeenValue): number {
  const shape = shapes.at(-1) ?? [];
  return shape.reduce((product, size) => product * size, 1) * (DATATYPES[datatype].bytes ?? 16);
}
