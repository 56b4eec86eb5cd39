/** What the runner spends its time on, by the files of the functions; the first that fits. */
const STAGES: [stage: string, files: RegExp][] = [
  ['validate', /intake\/validate-input|intake\/custom-id-set/],
  ['read', /files\/row-reader|storage\/local-reader|chunks\/blocks\/row-blocks/],
  ['parse', /json-body|json-bounds|json-numbers|batch-line|line-template|blocks\/row-forms/],
  ['tokenize', /tokenizer|text-model|@huggingface|word-pieces/],
  ['channel', /libs\/worker-pool|libs\/native/],
  ['serialise', /heads\/|json-line|row-lines|line-block|float-text|answer-parts/],
  ['prepare', /libs\/protocols|blocks\/answer-texts|row-engine|known-answers/],
  ['write', /results\/chunk-results|storage\/local-store|libs\/batches/],
  ['rows', /chunks\/(chunk-processor|in-flight-budget|row-retries)/],
  ['queue', /bullmq|ioredis|libs\/queues|consumers\/|chunk-pump|chunk-ledger|owned-batch|batch-runner/],
];

/** Null: that of its caller. */
export function stageOf(url: string, functionName: string): string | null {
  if (functionName === '(garbage collector)') return 'garbage collection';
  if (functionName === '(idle)') return 'idle';
  if (functionName === '(program)') return 'native';
  if (url === '') return null;
  return STAGES.find(([, files]) => files.test(url))?.[0] ?? null;
}
