import type { Axis, InferenceItem, TensorSpec } from '@app/contracts';
import type { JoinedGraph } from '@app/models';
import type { Step } from './graph';

const NO_DATA = new Uint8Array(0);

/** What a step will run for an item of its graph, as far as sizes are known before the steps before it ran; without data. */
export function predictedItem({ inputMap }: Step, item: InferenceItem, { signature, tensors }: JoinedGraph): InferenceItem {
  const sizes = sizesOf(item, signature.inputs);
  const inputs = Object.entries(inputMap).flatMap(([name, of]) => {
    const spec = tensors.get(of);
    if (spec === undefined) return [];
    const shape = spec.shape.map((size, dim) => (size >= 0 ? size : (sizes.get(spec.axes[dim] as Axis) ?? 1)));
    return [{ name, datatype: spec.datatype, shape, data: NO_DATA }];
  });
  return { inputs, outputs: null };
}

function sizesOf(item: InferenceItem, specs: readonly TensorSpec[]): Map<Axis, number> {
  const sizes = new Map<Axis, number>();
  for (const { name, shape } of item.inputs) {
    const axes = specs.find((spec) => spec.name === name)?.axes ?? [];
    axes.forEach((axis, dim) => {
      if (axis !== 'fixed' && axis !== 'free') sizes.set(axis, Math.max(sizes.get(axis) ?? 0, shape[dim] ?? 0));
    });
  }
  return sizes;
}
