/** What the examples need to know of a model, from `GET /v1/models` and for plain tensors `GET /v2/models/<model>`. */
export interface ExampleModel {
  id: string;
  task: string;
  /** Null where they were not asked for. */
  inputs: { name: string; datatype: string; shape: number[] }[] | null;
}

const SHELL_JSON = `-H 'content-type: application/json'`;
/** More numbers than that are no example. */
const ELEMENTS_MAX = 16;
const TEXTS = [
  'Alle Menschen sind frei und gleich an Würde und Rechten geboren.',
  'Buenos días a todos',
  'God morgen alle sammen',
] as const;

/** Shell commands that work as they stand: a live request, a batch and a look at the models. */
export function exampleCommands(url: string, model: ExampleModel): string[] {
  return [...taskCommands(url, model), 'node bin/interleave.js models'];
}

function taskCommands(url: string, { id, task, inputs }: ExampleModel): string[] {
  if (task === 'tensor') return tensorCommands(url, id, inputs ?? []);
  const predict = `/v1/models/${id}:predict`;
  if (task === 'text-pair-scoring')
    return both(url, predict, {
      instances: [{ text: 'How many people live in Berlin?', text_pair: 'Berlin has 3.7 million inhabitants.' }],
    });
  const submit = `printf '${TEXTS[1]}\\n${TEXTS[2]}\\n' > rows.txt && node bin/interleave.js batch submit rows.txt --model ${id}`;
  if (task === 'embedding')
    return [live(url, '/v1/embeddings', { model: id, input: TEXTS[0] }), `${submit} --endpoint /v1/embeddings --wait`];
  return [live(url, predict, { instances: [TEXTS[0]] }), `${submit} --wait`];
}

function tensorCommands(url: string, id: string, inputs: NonNullable<ExampleModel['inputs']>): string[] {
  const tensors = inputs.map(({ name, datatype, shape }) => {
    const sizes = shape.map((size) => Math.max(size, 1));
    const elements = sizes.reduce((product, size) => product * size, 1);
    return { name, datatype, shape: sizes, data: new Array<unknown>(Math.min(elements, ELEMENTS_MAX + 1)).fill(valueOf(datatype)) };
  });
  // What the model takes, where it takes too much for one line.
  if (tensors.length === 0 || tensors.some(({ data, name }) => data.length > ELEMENTS_MAX || name.includes("'")))
    return [`curl -s ${url}/v2/models/${id}`];
  return both(url, `/v2/models/${id}/infer`, { inputs: tensors });
}

function valueOf(datatype: string): unknown {
  if (datatype === 'BYTES') return 'text';
  return datatype === 'BOOL' ? true : 1;
}

/** The same body live and as the row of a batch. */
function both(url: string, path: string, body: object): string[] {
  const row = JSON.stringify({ custom_id: 'row-1', method: 'POST', url: path, body });
  return [live(url, path, body), `echo '${row}' > rows.jsonl && node bin/interleave.js batch submit rows.jsonl --wait`];
}

function live(url: string, path: string, body: object): string {
  return `curl -s ${url}${path} ${SHELL_JSON} -d '${JSON.stringify(body)}'`;
}
