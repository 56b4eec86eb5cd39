import { createReadStream } from 'node:fs';

/** Names in a graph's file stand as they are, in subgraphs and functions too. `Like` forms and Microsoft's dropouts contain these. */
const OPERATORS = ['RandomNormal', 'RandomUniform', 'Multinomial', 'Bernoulli', 'Dropout', 'Sampling'].map((name) => Buffer.from(name));
const LONGEST = Math.max(...OPERATORS.map(({ length }) => length));

/**
 * An operator of the graph that may draw random numbers; null: there is none. Reads the whole file and looks for the names,
 * so a tensor or node that is called like one counts as well: better one graph too many than an old answer of a random one.
 */
export async function findRandomOperator(modelPath: string): Promise<string | null> {
  let tail = Buffer.alloc(0);
  for await (const part of createReadStream(modelPath, { highWaterMark: 1024 * 1024 })) {
    const bytes = Buffer.concat([tail, part as Buffer]);
    const found = OPERATORS.find((name) => bytes.includes(name));
    if (found !== undefined) return found.toString();
    tail = bytes.subarray(-LONGEST);
  }
  return null;
}
