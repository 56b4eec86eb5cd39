import type { Task, TensorSpec } from '@app/contracts';
import type { DegradeStep, ServedModel, ServingPolicy } from '@app/models';

/** A model that is ready, and what its owner says about it. */
export interface Candidate {
  model: ServedModel;
  policy: ServingPolicy;
}

/** Tasks whose answers are only worth something beside others of the same space. */
const VECTORS: ReadonlySet<Task> = new Set(['embedding', 'sparse', 'multi-vector']);

/**
 * Why `other` must not answer in place of `own`; null: it may. Answers must mean the same: the same task, the same labels,
 * and vectors of one length that the owner says can be compared.
 */
export function standInProblem(own: Candidate, other: Candidate, step: Extract<DegradeStep, { kind: 'model' }>): string | null {
  const { task } = own.model;
  if (other.model.task !== task) return `it does ${other.model.task}, and not ${task}`;
  if (other.policy.head !== own.policy.head) return 'its labels or its activation are others';
  if (!VECTORS.has(task)) return outputProblem(own.model, other.model);
  if (!step.sameSpace)
    return 'vectors of different models cannot be compared; if these can, because one was made from the other for it, set sameSpace: true';
  if (task === 'sparse' && own.policy.tokenizerDigest !== other.policy.tokenizerDigest)
    return 'it has another tokenizer, so the indices of its vectors mean other words';
  if (task !== 'embedding') return outputProblem(own.model, other.model);
  const width = own.model.text?.embeddingWidth ?? null;
  const otherWidth = other.model.text?.embeddingWidth ?? null;
  if (width === null || width !== otherWidth) return `its vectors have ${otherWidth ?? '?'} numbers, and not ${width ?? '?'}`;
  return null;
}

/** For requests whose tensors or token ids were made for `own`. */
export function tensorProblem(own: Candidate, other: Candidate): string | null {
  if (own.policy.tokenizerDigest !== other.policy.tokenizerDigest) return 'it has another tokenizer, so token ids mean something else';
  const inputs = specProblem('inputs', own.model.signature.inputs, other.model.signature.inputs);
  return inputs ?? outputProblem(own.model, other.model);
}

function outputProblem(own: ServedModel, other: ServedModel): string | null {
  return specProblem('outputs', own.signature.outputs, other.signature.outputs);
}

function specProblem(what: string, own: TensorSpec[], other: TensorSpec[]): string | null {
  return textOf(own) === textOf(other) ? null : `its ${what} are ${textOf(other)}, and not ${textOf(own)}`;
}

const textOf = (specs: TensorSpec[]): string =>
  specs
    .map(({ name, datatype, shape }) => `${name} ${datatype}[${shape.join(',')}]`)
    .sort()
    .join(' ');
