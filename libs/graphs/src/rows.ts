import { InterleaveError, type InferenceItem, type ItemResult, type ModelSignature, type Tensor } from '@app/contracts';

const LENGTH_BYTES = 4;
/** Rows of one item, each of which is a run of its own. */
const ROWS_MAX = 4096;

/** Rows of a tensor whose first dimension they are. */
export const rowsOf = ({ shape }: Pick<Tensor, 'shape'>): number => shape[0] ?? 1;

/** One row of a tensor, without a copy. The tensor has to be as long as its shape says. */
export function rowOf(tensor: Tensor, row: number): Tensor {
  const shape = [1, ...tensor.shape.slice(1)];
  if (tensor.datatype !== 'BYTES') {
    const bytes = tensor.data.byteLength / Math.max(1, rowsOf(tensor));
    return { ...tensor, shape, data: tensor.data.subarray(row * bytes, (row + 1) * bytes) };
  }
  const elements = shape.reduce((product, size) => product * size, 1);
  const begin = endOfElements(tensor.data, 0, row * elements);
  return { ...tensor, shape, data: tensor.data.subarray(begin, endOfElements(tensor.data, begin, elements)) };
}

/** As `rowOf` of each row, in one pass. */
function allRows(tensor: Tensor, rows: number): Tensor[] {
  if (tensor.datatype !== 'BYTES') return Array.from({ length: rows }, (_, row) => rowOf(tensor, row));
  const shape = [1, ...tensor.shape.slice(1)];
  const elements = shape.reduce((product, size) => product * size, 1);
  let begin = 0;
  return Array.from({ length: rows }, () => {
    const end = endOfElements(tensor.data, begin, elements);
    const data = tensor.data.subarray(begin, end);
    begin = end;
    return { ...tensor, shape, data };
  });
}

/** Where `count` strings end that begin at `offset`. */
function endOfElements(data: Uint8Array, offset: number, count: number): number {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let end = offset;
  for (let i = 0; i < count; i += 1) {
    if (end + LENGTH_BYTES > data.byteLength) throw tooShort(count);
    end += LENGTH_BYTES + view.getUint32(end, true);
    if (end > data.byteLength) throw tooShort(count);
  }
  return end;
}

const tooShort = (count: number): InterleaveError =>
  new InterleaveError('invalid_request', `expected ${count} strings, each with its length before it, but the data ends sooner`);

/** Throws `invalid_request` where a tensor of strings holds more or fewer than its shape says. */
function checkStrings({ name, data, shape }: Tensor): void {
  const count = shape.reduce((product, size) => product * size, 1);
  const end = endOfElements(data, 0, count);
  if (end !== data.byteLength)
    throw new InterleaveError('invalid_request', `expected ${count} strings for ${name} but the data goes on after them`);
}

/** Tensors of one row each, below one another. They have one name and type, and equal shapes. */
export function stackRows(rows: readonly Tensor[]): Tensor {
  const [first] = rows as [Tensor, ...Tensor[]];
  if (rows.length === 1) return first;
  const data = Buffer.concat(rows.map((row) => row.data));
  return { ...first, shape: [rows.length, ...first.shape.slice(1)], data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

/** An item of many rows as items of one. Throws `invalid_request` where its tensors have different numbers of rows. */
export function splitRows(item: InferenceItem, { inputs: specs }: ModelSignature): InferenceItem[] {
  const isRows = ({ name }: Tensor): boolean => specs.find((spec) => spec.name === name)?.axes[0] === 'batch';
  const counts = [...new Set(item.inputs.filter(isRows).map(rowsOf))];
  if (counts.length > 1)
    throw new InterleaveError('invalid_request', `expected inputs with one number of rows but received ${counts.join(' and ')}`, {
      param: 'inputs',
    });
  const rows = counts[0] ?? 1;
  if (rows < 1 || rows > ROWS_MAX)
    throw new InterleaveError('invalid_request', `expected 1 to ${ROWS_MAX} rows but received ${rows}; send several requests`, {
      param: 'inputs',
    });
  for (const tensor of item.inputs.filter((input) => input.datatype === 'BYTES')) checkStrings(tensor);
  const inputs = item.inputs.map((tensor) => (isRows(tensor) ? allRows(tensor, rows) : null));
  return Array.from({ length: rows }, (_, row) => ({
    ...item,
    inputs: item.inputs.map((tensor, i) => inputs[i]?.[row] ?? tensor),
  }));
}

/** The answer of an item of many rows, of those of its rows. */
export function joinRows(results: readonly (ItemResult | InterleaveError)[]): ItemResult | InterleaveError {
  const failed = results.find((result) => result instanceof InterleaveError);
  const rows = results.filter((result): result is ItemResult => !(result instanceof InterleaveError));
  const [first] = rows;
  if (failed !== undefined || first === undefined) return failed ?? new InterleaveError('internal', 'no row was answered');
  if (rows.length === 1) return first;
  const uneven = first.outputs.find((tensor, i) => rows.some(({ outputs }) => outputs[i]?.shape.join() !== tensor.shape.join()));
  if (uneven !== undefined)
    return new InterleaveError(
      'invalid_request',
      `the texts have different lengths, and so have their rows of "${uneven.name}", which make no tensor; ` +
        'send one text a request, or ask for other outputs',
    );
  const other = first.outputs.find(({ shape }) => shape[0] !== 1);
  if (other !== undefined)
    return new InterleaveError(
      'invalid_request',
      `"${other.name}" has no row for each text, so those of several texts make no tensor; ` +
        'send one text a request, or ask for other outputs',
    );
  const slowest = rows.reduce((best, row) => (timeOf(row) > timeOf(best) ? row : best), first);
  return { outputs: first.outputs.map((_, i) => stackRows(rows.flatMap(({ outputs }) => outputs[i] ?? []))), timing: slowest.timing };
}

const timeOf = ({ timing }: ItemResult): number => timing.queueUs + timing.runUs;
