import { createReadStream, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { openaiClient } from './batch-job';
import type { Stack } from './stack';
import { GraphBuilder } from '../../tools/model-builder/src/graph';

/** Values of a row; a run of many of them takes a while. */
const WIDTH = 8;
const SLOW_WIDTH = 1024;
const SLOW_LAYERS = 16;

/** `y = x * factor`: the answer to ones tells which files gave it. */
export function scaleGraph(factor: number): Uint8Array {
  const b = new GraphBuilder('scale');
  const x = b.input('x', 'FP32', ['batch', WIDTH]);
  b.output('y', 'FP32', ['batch', WIDTH], b.op('Mul', [x, b.filled('factor', [WIDTH], factor)]));
  return b.encode();
}

/** The same answer by way of large products that add nothing: several times as slow. */
export function slowScaleGraph(factor: number): Uint8Array {
  const b = new GraphBuilder('scale');
  const x = b.input('x', 'FP32', ['batch', WIDTH]);
  let wide = b.op('MatMul', [x, b.filled('in', [WIDTH, SLOW_WIDTH], 0)]);
  for (let layer = 0; layer < SLOW_LAYERS; layer++) wide = b.op('MatMul', [wide, b.filled(`layer_${layer}`, [SLOW_WIDTH, SLOW_WIDTH], 0)]);
  const nothing = b.op('MatMul', [wide, b.filled('out', [SLOW_WIDTH, WIDTH], 0)]);
  b.output('y', 'FP32', ['batch', WIDTH], b.op('Add', [b.op('Mul', [x, b.filled('factor', [WIDTH], factor)]), nothing]));
  return b.encode();
}

/** A model in `<modelsDir>/scale` whose files change as an operator would change them: written aside, then renamed. */
export class ChangingModel {
  readonly name = 'scale';
  private readonly folder: string;

  constructor(private readonly modelsDir: string) {
    this.folder = join(modelsDir, this.name);
  }

  /** The whole folder of a version, at once. `content`: default a graph with this factor. */
  addVersion(version: number, factor = version, content: Uint8Array = scaleGraph(factor)): void {
    const aside = join(this.modelsDir, `.aside-${version}`);
    mkdirSync(aside, { recursive: true });
    writeFileSync(join(aside, 'model.onnx'), content);
    mkdirSync(this.folder, { recursive: true });
    renameSync(aside, join(this.folder, String(version)));
  }

  /** Other files in place of those of a version that is there. */
  replaceGraph(version: number, content: Uint8Array): void {
    const path = join(this.folder, String(version), 'model.onnx');
    writeFileSync(`${path}.next`, content);
    renameSync(`${path}.next`, path);
  }

  removeVersion(version: number): void {
    const aside = join(this.modelsDir, `.removed-${version}`);
    renameSync(join(this.folder, String(version)), aside);
    rmSync(aside, { recursive: true });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }

  write(file: string, text: string): void {
    const path = join(this.folder, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.tmp`, text);
    renameSync(`${path}.tmp`, path);
  }
}

export interface ScaleAnswer {
  status: number;
  version: string | null;
  /** Null where there is no answer, or one that no files can give. */
  factor: number | null;
  error: string | null;
}

const ONES = { inputs: [{ name: 'x', datatype: 'FP32', shape: [1, WIDTH], data: new Array<number>(WIDTH).fill(1) }] };

const factorOf = (body: { outputs?: { data: number[] }[] }): number | null => {
  const data = body.outputs?.[0]?.data ?? [];
  return data.length === WIDTH && data.every((value) => value === data[0]) ? (data[0] ?? null) : null;
};

/** Asks the model; `name` may have a label, `version` be null. Rejects when the connection breaks. */
export function sendOnes(url: string, name = 'scale', version: string | null = null, user: string | null = null): Promise<Response> {
  const path = `/v2/models/${name}${version === null ? '' : `/versions/${version}`}/infer`;
  const headers = { 'content-type': 'application/json', ...(user === null ? {} : { 'x-interleave-user': user }) };
  return fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(ONES) });
}

export const askScale = async (...call: Parameters<typeof sendOnes>): Promise<ScaleAnswer> => readScale(await sendOnes(...call));

export async function readScale(response: Response): Promise<ScaleAnswer> {
  const body = (await response.json()) as { model_version?: string; outputs?: { data: number[] }[]; error?: string };
  return { status: response.status, version: body.model_version ?? null, factor: factorOf(body), error: body.error ?? null };
}

/** Submits a batch whose every row asks for the factor; resolves with its id. */
export async function submitScaleRows(stack: Stack, rows: number): Promise<string> {
  const path = join(stack.dir, 'rows.jsonl');
  const url = '/v2/models/scale/infer';
  const line = (row: number) => JSON.stringify({ custom_id: `row-${row}`, method: 'POST', url, body: ONES });
  writeFileSync(path, Array.from({ length: rows }, (_, row) => `${line(row)}\n`).join(''));
  const client = openaiClient(stack);
  const file = await client.files.create({ file: createReadStream(path), purpose: 'batch' });
  return (await client.batches.create({ input_file_id: file.id, endpoint: url as '/v1/embeddings', completion_window: '24h' })).id;
}

/** The factors that answered the rows of a finished batch. */
export async function factorsOfBatch(stack: Stack, batchId: string): Promise<{ rows: number; factors: Set<number | null> }> {
  const client = openaiClient(stack);
  const { output_file_id: fileId } = await client.batches.retrieve(batchId);
  const lines = (await (await client.files.content(fileId ?? '')).text()).trimEnd().split('\n');
  const factors = lines.map((line) => factorOf((JSON.parse(line) as { response: { body: object } }).response.body));
  return { rows: lines.length, factors: new Set(factors) };
}
