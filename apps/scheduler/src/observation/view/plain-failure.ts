/** What people read of a failure that a tool tells in words of its own. */
export interface PlainFailure {
  problem: string;
  /** The words of the tool; null: `problem` is all there is. */
  rawProblem: string | null;
}

const SENTENCES: readonly (readonly [pattern: RegExp, sentence: string])[] = [
  [/protobuf parsing failed|invalid protobuf|not an onnx|failed to parse/i, 'The model file is damaged, or is no ONNX file.'],
  [
    /external data|external initializer|\.onnx_data|\.data\b.*(?:no such file|cannot open)/i,
    'A file with weights that belongs to the model is missing.',
  ],
  [/no such file|file doesn't exist|NO_SUCHFILE|ENOENT/i, 'A file of the model is missing.'],
  [/opset|unsupported model ir|ir version/i, 'The model was exported for a newer ONNX Runtime than this node has.'],
  [
    /no op registered|is not a registered|not implemented.*(?:op|kernel)|could not find an implementation/i,
    'The model uses an operator that this ONNX Runtime does not have.',
  ],
  [/bad_alloc|out of memory|failed to allocate|cannot allocate|memory limit/i, 'There was not enough memory to load the model.'],
  [/permission denied|EACCES/i, 'A file of the model may not be read.'],
  [/\bcuda\b|\bcu\w+ failure\b|\bgpu\b/i, 'The model could not be loaded on the GPU.'],
];
/**
 * Names and files of C++ and "Load model from … failed:" of ONNX Runtime, "CUDNN failure 4" of CUDA, "EACCES: permission denied" of Node.
 * All else is said by this project, for people.
 */
const TOOL_WORDS = /::|\.(?:cc|cpp|h)\b|\bfail(?:ed)?:|\bCU\w+ failure\b|\bE[A-Z]{2,}: /;

/** In one sentence what is wrong, and the whole text apart from it. */
export function plainFailure(raw: string): PlainFailure {
  const text = raw.trim();
  const [first = '', ...quoted] = text.split('\n');
  if (!TOOL_WORDS.test(first)) return { problem: sentenceOf(first.replace(/:$/, '')), rawProblem: quoted.length === 0 ? null : text };
  const known = SENTENCES.find(([pattern]) => pattern.test(text));
  return { problem: known?.[1] ?? 'The model could not be loaded; the words of the runtime say why.', rawProblem: text };
}

/** Begins large and ends with a stop. */
export function sentenceOf(text: string): string {
  const trimmed = text.trim();
  const large = `${trimmed.charAt(0).toUpperCase()}${trimmed.slice(1)}`;
  return /[.!?]$/.test(large) ? large : `${large}.`;
}
