import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Config } from '@app/config';
import type { TensorSpec } from '@app/contracts';
import type { ServedModel } from '@app/models';
import { jsonLimits, parseJsonBody } from '@app/protocols';
import { CliError } from './cli-error';
import type { Instance } from './local-node';

const LINES_MAX = 100_000;
const MADE_UP_ROWS = 32;
/** Lengths of made-up rows along axes that vary, by turns. */
const MADE_UP_LENGTHS = [3, 9, 24, 48];
const FRACTION_BITS = 32;

const SENTENCES = [
  'The train to the coast leaves at half past seven, and there is no later one.',
  'Alle Menschen sind frei und gleich an Würde und Rechten geboren.',
  'Could you send me the invoice for last month before Friday?',
  "Le conseil municipal a voté hier soir le budget de l'année prochaine.",
  'Water boils at a lower temperature high up in the mountains.',
  'El museo cierra los lunes, pero el jardín está abierto todos los días.',
  'Yes.',
  'Questo libro racconta la storia di una famiglia di pescatori.',
  'The battery lasts for about nine hours if the screen is not too bright.',
  'God morgen alle sammen, møtet begynner om ti minutter.',
  'Hun kom for sent, fordi broen var lukket for trafik.',
  'Я не знаю, когда он вернётся домой.',
  '今日は雨が降っているので、家で本を読みます。',
  'A proof that is easy to read is worth more than one that is short.',
  'Het schip vaart morgenochtend om zes uur uit.',
  'Refunds are paid within five working days to the card that was used.',
];
/** How many sentences make a text, by turns. */
const SENTENCES_OF_TEXT = [1, 1, 2, 1, 4, 8];

/** Rows in the `:predict` shape for whatever a model takes: texts of several languages and lengths, or made-up tensors. Always the same. */
export function madeUpInstances(model: ServedModel): Instance[] {
  const random = randomNumbers();
  return Array.from({ length: MADE_UP_ROWS }, (_, i) => {
    if (model.text === null) return { input: madeUpTensors(model, i, random) };
    const text = textOf(i);
    return { input: model.task === 'text-pair-scoring' ? { text, text_pair: textOf(i + 5) } : text };
  });
}

const textOf = (i: number): string =>
  Array.from({ length: SENTENCES_OF_TEXT[i % SENTENCES_OF_TEXT.length] ?? 1 }, (_, j) => SENTENCES[(i + 3 * j) % SENTENCES.length]).join(
    ' ',
  );

function madeUpTensors({ signature }: ServedModel, row: number, random: () => number): unknown {
  const values = signature.inputs.map((spec) => [spec.name, madeUpTensor(spec, row, random)] as const);
  return values.length === 1 ? values[0]?.[1] : Object.fromEntries(values);
}

/** Without the batch dimension. */
function madeUpTensor({ datatype, shape, axes, name }: TensorSpec, row: number, random: () => number): unknown {
  const sizes = shape
    .map((size) => (size > 0 ? size : (MADE_UP_LENGTHS[row % MADE_UP_LENGTHS.length] ?? 1)))
    .filter((_, axis) => axes[axis] !== 'batch');
  const element = (): unknown => {
    if (datatype === 'BYTES') return textOf(row);
    if (datatype === 'BOOL') return true;
    if (name.includes('mask')) return 1;
    // Small integers: most are indexes into tables of unknown length.
    return datatype.startsWith('FP') || datatype === 'BF16' ? Math.fround(2 * random() - 1) : Math.floor(2 * random());
  };
  const nested = ([size, ...others]: number[]): unknown =>
    size === undefined ? element() : Array.from({ length: size }, () => nested(others));
  return nested(sizes);
}

/** From 0 to 1, the same each time (mulberry32). */
function randomNumbers(): () => number {
  let state = 1;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** FRACTION_BITS;
  };
}

/** Reads one instance a line, as in the `instances` of `:predict`. Throws a `CliError` that names the line at fault. */
export async function readInstances(path: string, config: Config): Promise<Instance[]> {
  const instances: Instance[] = [];
  for await (const { value } of jsonLines(path, config)) instances.push({ input: value });
  if (instances.length === 0) throw new CliError(`${path} is empty; expected an instance of :predict in each line, such as "a text"`);
  return instances;
}

/** Each line that is not blank, parsed within the limits of a request. Throws a `CliError` that names the line at fault. */
export async function* jsonLines(path: string, config: Config): AsyncGenerator<{ value: unknown; place: string }> {
  const limits = jsonLimits(config.http);
  let number = 0;
  try {
    for await (const line of createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: Infinity })) {
      number++;
      if (line.trim() === '') continue;
      if (number > LINES_MAX) throw new Error(`expected at most ${LINES_MAX} lines`);
      yield { value: parseJsonBody(Buffer.from(line), limits), place: `${path}:${number}` };
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(
      number === 0 ? `${path} cannot be read: ${(error as Error).message}` : `${path}:${number}: ${(error as Error).message}`,
    );
  }
}
