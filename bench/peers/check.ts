import { InferenceSession, Tensor } from 'onnxruntime-node';
import { join } from 'node:path';
import { requestRows } from './load/rows';
import type { PeerServer } from './peer-server';

const ROWS = 8;
const SEED = 5;
/** Runs of another shape add in another order. */
const DIFFERENCE_MAX = 1e-4;

/** Asks for rows of many lengths at once; throws when the vector of one is not that of a run of that row alone. */
export async function checkAnswers(server: PeerServer): Promise<void> {
  const session = await InferenceSession.create(join(server.place.modelDir, 'model.onnx'));
  try {
    const rows = requestRows(ROWS, SEED);
    const answers = await Promise.all(rows.map((ids) => server.embed(ids)));
    for (const [index, ids] of rows.entries()) {
      const tensor = (values: number[]): Tensor => new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
      const output = await session.run({ input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)) });
      const expected = Array.from(output['sentence_embedding']?.data as Float32Array);
      const difference = Math.max(...expected.map((value, i) => Math.abs(value - (answers[index]?.[i] ?? NaN))));
      if (!(difference <= DIFFERENCE_MAX)) throw new Error(`${server.peer.name}: the vector of row ${index} differs by ${difference}`);
    }
  } finally {
    await session.release();
  }
}
