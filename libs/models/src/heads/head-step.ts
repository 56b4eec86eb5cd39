import type { ModelSignature, Task, TensorSpec } from '@app/contracts';
import type { TextManifest } from '../manifest';
import type { HeadStep } from '../types';
import type { TaskHead } from './head';

const MASK = 'attention_mask';

interface BoundHead {
  head: TaskHead;
  text: TextManifest;
  signature: ModelSignature;
}

/** A task's head as a step of a graph; null: its answers are no tensors. */
export function headStepOf(task: Task, { head, text, signature }: BoundHead): HeadStep | null {
  const input = signature.outputs.find(({ name }) => name === head.output);
  if (input === undefined) return null;
  const plain = { input, mask: null, countsPadding: false, skipsPrompt: false };
  if (task === 'sequence-classification') return { ...plain, output: rowsOf('scores', input.shape.at(-1) ?? null) };
  if (task === 'text-pair-scoring') return { ...plain, output: rowsOf('score', 1) };
  if (task !== 'embedding') return null;
  const isPooledHere = input.shape.length === 3;
  return {
    input,
    output: rowsOf('embedding', head.embeddingWidth),
    mask: isPooledHere ? maskOf(input, signature) : null,
    countsPadding: isPooledHere && text.sentence.pooling.some((mode) => mode !== 'cls'),
    skipsPrompt: !text.sentence.includePrompt,
  };
}

/** [batch, width] */
function rowsOf(name: string, width: number | null): TensorSpec {
  return { name, datatype: 'FP32', shape: [-1, width ?? -1], axes: ['batch', (width ?? -1) < 0 ? 'free' : 'fixed'] };
}

/** One number for each of the vectors, of the type that the model takes. */
function maskOf({ shape, axes }: TensorSpec, { inputs }: ModelSignature): TensorSpec {
  const datatype = inputs.find(({ name }) => name === MASK)?.datatype ?? 'INT64';
  return { name: MASK, datatype, shape: shape.slice(0, 2), axes: axes.slice(0, 2) };
}
