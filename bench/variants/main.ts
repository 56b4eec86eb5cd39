import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Stack, until } from '../../test/support/stack';
import { SeededRandom } from '../../test/support/tensors';
import { HttpConnection, postRequest } from '../support/http-connection';
import { quantile } from '../support/statistics';

/**
 * The variant that `interleave optimize` chooses, served and measured again beside the original: one text at a time by
 * `:predict`, in turns, so that drift of the machine meets both alike.
 *   main.js [MODEL...]   default: encoder-small, langid
 */
const ROUNDS = 20;
const TEXTS = 40;
const WORDS_MAX = 60;
const SEED = 15;
const READY_MS_MAX = 120_000;
const CLI = resolve('bin/interleave.js');
const RESULTS = join('bench', 'results', 'variants.json');

interface Figures {
  model: string;
  choice: string;
  reason: string;
  originalP50Ms: number;
  chosenP50Ms: number | null;
  /** Of the p50: below 1, the choice is faster. */
  ratio: number | null;
  /** Answers that are equal in their first four digits, for one text each. */
  alike: string | null;
}

async function main(): Promise<void> {
  const models = process.argv.slice(2);
  const figures: Figures[] = [];
  for (const model of models.length > 0 ? models : ['encoder-small', 'langid']) figures.push(await measure(model));
  console.table(figures);
  mkdirSync(join('bench', 'results'), { recursive: true });
  writeFileSync(RESULTS, `${JSON.stringify(figures, null, 2)}\n`);
}

async function measure(model: string): Promise<Figures> {
  const stack = await Stack.start({ models: [model] });
  try {
    const chosen = `${model}-chosen`;
    const models = join(stack.dir, 'models');
    const aside = join(stack.dir, chosen);
    // What stands beside the versions, as the tokenizer, belongs to the choice too.
    cpSync(join(models, model), aside, { recursive: true, filter: (path) => !/\/(\d+|model\.onnx)$/.test(path) });
    const version = join(aside, '1');
    const env = { ...process.env, DATA_DIR: join(stack.dir, 'optimize'), MODELS_DIR: models };
    const stdio: 'inherit'[] = ['inherit', 'inherit', 'inherit'];
    execFileSync(process.execPath, [CLI, 'optimize', model, '--out', version], { env, stdio });
    const { choice } = JSON.parse(readFileSync(join(version, 'variants.json'), 'utf8')) as { choice: { kind: string; reason: string } };
    const isOriginal = !existsSync(join(version, 'model.onnx'));
    renameSync(aside, join(models, chosen));
    if (!isOriginal)
      await until(
        () => isServed(stack, chosen),
        READY_MS_MAX,
        () => `${chosen} is not served:\n${stack.log().slice(-4000)}`,
      );
    const { samplesMs, alike } = await inTurns(stack, isOriginal ? [model] : [model, chosen]);
    const [originalP50Ms = NaN, chosenP50Ms = null] = samplesMs.map((samples) => quantile(samples, 0.5));
    const ratio = chosenP50Ms === null ? null : chosenP50Ms / originalP50Ms;
    const compared = isOriginal ? null : `${alike} of ${TEXTS}`;
    return { model, choice: choice.kind, reason: choice.reason, originalP50Ms, chosenP50Ms, ratio, alike: compared };
  } finally {
    await stack.stop();
  }
}

async function isServed({ url }: Stack, model: string): Promise<boolean> {
  return (await fetch(`${url}/v2/models/${model}/ready`)).status === 200;
}

/** Milliseconds of each model's answers, and how many texts got the same from all. */
async function inTurns(stack: Stack, models: string[]): Promise<{ samplesMs: number[][]; alike: number }> {
  const random = new SeededRandom(SEED);
  const texts = Array.from({ length: TEXTS }, () =>
    Array.from({ length: random.integer(1, WORDS_MAX) }, () => `word${random.integer(1, 500)}`).join(' '),
  );
  const connection = await HttpConnection.open(stack.url);
  const ask = async (model: string, text: string): Promise<{ ms: number; answer: string }> => {
    const request = postRequest(`/v1/models/${model}:predict`, Buffer.from(JSON.stringify({ instances: [text] })), {
      'content-type': 'application/json',
    });
    const began = performance.now();
    const { status, body } = await connection.send(request);
    if (status !== 200) throw new Error(`${model}: ${status} ${body.toString()}`);
    return { ms: performance.now() - began, answer: rounded(body.toString()) };
  };
  const samplesMs = models.map((): number[] => []);
  let alike = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (const text of texts) {
      const answers: string[] = [];
      for (const [index, model] of models.entries()) {
        const { ms, answer } = await ask(model, text);
        samplesMs[index]?.push(ms);
        answers.push(answer);
      }
      if (round === 0 && answers.every((answer) => answer === answers[0])) alike += 1;
    }
  }
  connection.close();
  return { samplesMs, alike };
}

const rounded = (json: string): string => json.replace(/-?\d+\.\d+(e-?\d+)?/g, (digits) => Number(digits).toFixed(4));

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
