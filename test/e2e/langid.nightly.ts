import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Stack } from '../support/stack';

interface Expected {
  text: string;
  label: string;
  score: number;
}
type Prediction = { label: string; score: number }[];

const root = join(__dirname, '..', '..');
/** What Python's ONNX Runtime answers, each text run alone, rounded to six decimals. */
const expected = readFileSync(join(root, 'tools', 'train-langid', 'expected-1000.jsonl'), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Expected);
const SCORE_DIGITS = 4;
const INSTANCES_PER_REQUEST = 50;
/** Long texts are cut: Python's answers are for the first 512 tokens. */
const ONE_LABEL = { top_k: 1, truncate: true };
const URL_PATH = '/v1/models/langid:predict';

describe('langid, the model that comes with the project', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await Stack.start({ models: ['langid'] });
  });
  afterAll(() => stack?.stop());

  it('answers 1 000 texts live as Python does', async () => {
    for (let start = 0; start < expected.length; start += INSTANCES_PER_REQUEST) {
      const part = expected.slice(start, start + INSTANCES_PER_REQUEST);
      const { status, body } = await predict({ instances: part.map(({ text }) => text), parameters: ONE_LABEL });
      expect([status, body.error]).toEqual([200, undefined]);
      part.forEach((row, index) => expectSame(body.predictions?.[index], row));
    }
  });

  it('answers the same 1 000 texts as a batch as Python does, in order', () => {
    const rows = expected.map(({ text }, index) => ({
      custom_id: `row-${index}`,
      method: 'POST',
      url: URL_PATH,
      body: { instances: [text], parameters: ONE_LABEL },
    }));
    const input = join(stack.dir, 'texts.jsonl');
    const output = join(stack.dir, 'predictions.jsonl');
    writeFileSync(input, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    run('batch', 'submit', input, '--endpoint', URL_PATH, '--wait', '--output', output);
    const lines = readLines<{ custom_id: string; response: { body: { predictions: Prediction[] } } }>(output);
    expect(lines.map(({ custom_id }) => custom_id)).toEqual(rows.map(({ custom_id }) => custom_id));
    lines.forEach((line, index) => expectSame(line.response.body.predictions[0], expected[index]));
  });

  it('takes a plain text file, one row per line', () => {
    const input = join(stack.dir, 'lines.txt');
    const output = join(stack.dir, 'lines.jsonl');
    writeFileSync(
      input,
      'Alle Menschen sind frei und gleich an Würde und Rechten geboren.\nTutti gli esseri umani nascono liberi ed eguali in dignità e diritti.\n',
    );
    run('batch', 'submit', input, '--model', 'langid', '--wait', '--output', output);
    const lines = readLines<{ response: { body: { predictions: Prediction[] } } }>(output);
    expect(lines.map(({ response }) => response.body.predictions[0]?.[0]?.label)).toEqual(['deu', 'ita']);
  });

  it('cuts a text of 100 kB only when the request says so', async () => {
    const text = 'All human beings are born free and equal in dignity and rights. '.repeat(1600);
    const refused = await predict({ instances: [text] });
    expect([refused.status, refused.body.error]).toEqual([400, expect.stringMatching(/512/)]);
    const cut = await predict({ instances: [text], parameters: ONE_LABEL });
    expect([cut.status, cut.body.predictions?.[0]?.[0]?.label]).toEqual([200, 'eng']);
  });

  async function predict(body: object): Promise<{ status: number; body: { predictions?: Prediction[]; error?: string } }> {
    const response = await fetch(stack.url + URL_PATH, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as { predictions?: Prediction[]; error?: string } };
  }

  function run(...args: string[]): void {
    const done = spawnSync(process.execPath, [join(root, 'bin', 'interleave.js'), ...args, '--url', stack.url], {
      cwd: stack.dir,
      encoding: 'utf8',
      timeout: 120_000,
    });
    if (done.status !== 0) throw new Error(`interleave ${args.join(' ')}: ${done.stderr}${done.stdout}\n${stack.log().slice(-2000)}`);
  }
});

function expectSame(prediction: Prediction | undefined, row: Expected | undefined): void {
  expect(prediction?.[0]).toEqual({ label: row?.label, score: expect.closeTo(row?.score ?? NaN, SCORE_DIGITS) });
}

function readLines<T>(path: string): T[] {
  return readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
}
