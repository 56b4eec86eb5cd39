import type { InferenceItem } from '@app/contracts';
import type { WorkerPool } from '@app/worker-pool';
import { SeededRandom } from '../../test/support/tensors';
import { LENGTH_MIXES } from '../support/lengths';

export interface RowMix {
  mix: string;
  seed: number;
  count: number;
}

/** Rows of random token ids, for a model with `input_ids` and `attention_mask`. */
export function rowsOf({ mix, seed, count }: RowMix): InferenceItem[] {
  const random = new SeededRandom(seed);
  const lengthOf = LENGTH_MIXES[mix];
  if (lengthOf === undefined) throw new Error(`expected a length mix (${Object.keys(LENGTH_MIXES).join('; ')}) but received ${mix}`);
  return Array.from({ length: count }, () => {
    const ids = Array.from({ length: lengthOf(random) }, () => random.integer(1000, 30_000));
    const tensor = (name: string, values: number[]) => ({
      name,
      datatype: 'INT64' as const,
      shape: [1, values.length],
      data: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
    });
    return {
      inputs: [
        tensor('input_ids', ids),
        tensor(
          'attention_mask',
          ids.map(() => 1),
        ),
      ],
      outputs: ['sentence_embedding'],
    };
  });
}

export const tokensOf = (item: InferenceItem): number => item.inputs[0]?.shape[1] ?? 0;

export async function untilReady(pool: WorkerPool, model: string): Promise<void> {
  const isReady = () => pool.models().some(({ name, state }) => name === model && state === 'ready');
  await new Promise<void>((resolve) => {
    const unsubscribe = pool.onModelsChanged(check);
    function check(): void {
      if (!isReady()) return;
      unsubscribe();
      resolve();
    }
    check();
  });
}

/** Comparable between processes: CLOCK_MONOTONIC. */
export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** To the parent process; resolves once the message is on its way, since a disconnect would drop it. */
export async function answer(result: object[]): Promise<void> {
  await new Promise<void>((resolve, reject) =>
    process.send?.(result, undefined, undefined, (error) => (error === null ? resolve() : reject(error))),
  );
}
