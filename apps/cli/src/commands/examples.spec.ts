import { exampleCommands } from './examples';

const URL = 'http://127.0.0.1:8080';
const commandsOf = (task: string, inputs: { name: string; datatype: string; shape: number[] }[] | null = null): string[] =>
  exampleCommands(URL, { id: 'm', task, inputs });

describe('the commands of the start', () => {
  it.each([
    ['embedding', /\/v1\/embeddings .*"model":"m","input":"/, /batch submit rows\.txt --model m --endpoint \/v1\/embeddings --wait/],
    ['sequence-classification', /\/v1\/models\/m:predict .*"instances":\["/, /batch submit rows\.txt --model m --wait/],
    ['token-classification', /\/v1\/models\/m:predict .*"instances":\["/, /batch submit rows\.txt --model m --wait/],
    [
      'text-pair-scoring',
      /\/v1\/models\/m:predict .*"text_pair":"/,
      /"url":"\/v1\/models\/m:predict".* rows\.jsonl && .*batch submit rows\.jsonl --wait/,
    ],
  ])('suit %s', (task, live, batch) => {
    expect(commandsOf(task)).toEqual([expect.stringMatching(live), expect.stringMatching(batch), 'node bin/interleave.js models']);
  });

  it('send tensors of the shapes that the model takes', () => {
    const [live, batch] = commandsOf('tensor', [
      { name: 'x', datatype: 'FP32', shape: [-1, 2] },
      { name: 's', datatype: 'BYTES', shape: [1] },
    ]);
    const body =
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1,1]},{"name":"s","datatype":"BYTES","shape":[1],"data":["text"]}]}';
    expect(live).toBe(`curl -s ${URL}/v2/models/m/infer -H 'content-type: application/json' -d '${body}'`);
    expect(batch).toContain(`"body":${body}}`);
  });

  it('show what a model takes where that is too much for a line', () => {
    expect(commandsOf('tensor', [{ name: 'image', datatype: 'FP32', shape: [-1, 3, 224, 224] }])[0]).toBe(`curl -s ${URL}/v2/models/m`);
  });
});
