import type { Layout } from '../support/layout';
import type { NodeSpec } from './bench-node';

/** What the batch lane runs beside the live model; null: nothing. */
export type BatchModel = string | null;

/** One measured situation of a round. */
export interface Cell {
  name: 'live alone' | 'live alone, awake' | 'Interleave' | 'no priorities' | 'static split' | 'Interleave on all CPUs' | 'batch alone';
  node: NodeSpec;
  batchModel: BatchModel;
}

/** What `--arrangements` can name; the cells that a comparison needs besides are measured with it. */
export const ARRANGEMENTS = ['interleave', 'no-priorities', 'split'] as const;
export type Arrangement = (typeof ARRANGEMENTS)[number];

/** The live half of the static split: the later CPUs, which are not the system's. */
export const liveHalf = ({ splitCpus }: Layout): number[] => splitCpus.slice(Math.floor(splitCpus.length / 2));

/** Nodes of the comparison with a static split. */
export const isSplit = ({ name }: NodeSpec): boolean => name === 'split' || name === 'whole';

function nodesOf(layout: Layout): Record<'partition' | 'plain' | 'split' | 'whole', NodeSpec> {
  const { partitionCpus, splitCpus } = layout;
  const partition = [{ id: 'default', cpus: partitionCpus }];
  const live = liveHalf(layout);
  const batch = splitCpus.filter((cpu) => !live.includes(cpu));
  return {
    partition: { name: 'partition', partitions: partition, priorities: true },
    plain: { name: 'plain', partitions: partition, priorities: false },
    split: {
      name: 'split',
      partitions: [
        { id: 'live', cpus: live, class: 'reserved' },
        { id: 'batch', cpus: batch, lanes: ['batch'], batchBesideReserved: true },
      ],
      priorities: true,
    },
    whole: { name: 'whole', partitions: [{ id: 'default', cpus: splitCpus }], priorities: true },
  };
}

/** The cells of one round, in the order A B … A, so that drift of the machine meets alone and shared alike; each node's in one piece. */
export function cellsOf(layout: Layout, arrangements: readonly Arrangement[], batchModels: readonly string[]): Cell[] {
  const { partition, plain, split, whole } = nodesOf(layout);
  const alone: Cell = { name: 'live alone', node: partition, batchModel: null };
  const awake: Cell = { ...alone, name: 'live alone, awake' };
  const has = (name: Arrangement): boolean => arrangements.includes(name);
  const beside = (name: Cell['name'], node: NodeSpec): Cell[] => batchModels.map((batchModel) => ({ name, node, batchModel }));
  const [firstBatchModel = null] = batchModels;
  return [
    alone,
    ...(has('interleave') ? beside('Interleave', partition) : []),
    alone,
    awake,
    ...(has('interleave') || has('no-priorities') ? beside('batch alone', partition) : []),
    ...(has('no-priorities') ? beside('no priorities', plain) : []),
    ...(has('split')
      ? [
          { name: 'static split', node: split, batchModel: firstBatchModel } as const,
          { name: 'Interleave on all CPUs', node: whole, batchModel: firstBatchModel } as const,
        ]
      : []),
  ];
}
