import { InterleaveError } from '@app/contracts';
import {
  bucketObjectOf,
  FILE_FORMATS,
  formatOfName,
  ID_COLUMN,
  isCompression,
  OUTPUT_FORMATS,
  RESULT_COLUMNS,
  type FileFormat,
  type FileRecord,
  type OutputFormat,
  type TableInput,
  type TableOutput,
} from '@app/batches';
import { parseEndpoint, type Endpoint } from '@app/protocols';
import { invalid } from './invalid';

const COLUMNS_MAX = 100;
const NAME_CHARS_MAX = 255;
const URI_CHARS_MAX = 4096;
const INPUT_FIELDS = ['uri', 'format', 'columns', 'id_column'];
const OUTPUT_FIELDS = ['format', 'columns'];
/** Fields of a request that a column may be, by kind of endpoint; the first must be there. */
const REQUEST_FIELDS: Partial<Record<Endpoint['kind'], readonly string[]>> = {
  embeddings: ['input'],
  classify: ['input'],
  tokenize: ['input'],
  predict: ['text', 'text_pair'],
  rerank: ['query', 'documents'],
};
const OPTIONAL_FIELDS = ['text_pair'];
/** What the one column of a text file is called. */
const TEXT_COLUMN = 'text';

/** What `POST /v1/batches` says of tables, checked without looking at files. */
export interface TableRequest {
  uri: string | null;
  /** Null: as the file says. */
  format: FileFormat | null;
  columns: Record<string, string> | null;
  idColumn: string | null;
  model: string | null;
  output: TableOutput | null;
}

/** Throws `invalid_request` naming the field. */
export function parseTableRequest({ input, output, model }: Record<string, unknown>): TableRequest {
  const given = optionalObject('input', input, INPUT_FIELDS);
  const { uri, format, columns, id_column: idColumn } = given ?? {};
  if (model !== undefined && model !== null && (typeof model !== 'string' || model === ''))
    throw invalid('model', 'the name of a model', model);
  return {
    uri: parseUri(uri),
    format: parseOne('input.format', format, FILE_FORMATS),
    columns: parseColumns(columns),
    idColumn: idColumn === undefined || idColumn === null ? null : parseName('input.id_column', idColumn),
    model: (model as string | null | undefined) ?? null,
    output: parseOutput(output),
  };
}

/** The batch that is asked for, as its manifest says. Throws `invalid_request`. */
export function tableOf(
  request: TableRequest,
  file: Pick<FileRecord, 'binary' | 'filename'> | null,
  endpointPath: string,
): { input: TableInput | null; output: TableOutput | null; hasPreparedRows: boolean } {
  const { uri, idColumn, model, output } = request;
  const format = formatOf(request, file);
  if (format === 'jsonl') {
    refuseForLines(request);
    const input: TableInput | null = uri === null ? null : { kind: 'table', uri, format, columns: {}, idColumn: null, model: null };
    return { input, output, hasPreparedRows: input !== null || isCompression(file?.binary ?? null) };
  }
  const endpoint = parseEndpoint(endpointPath) as Endpoint;
  const fields = REQUEST_FIELDS[endpoint.kind];
  if (fields === undefined)
    throw invalid(
      'endpoint',
      'an endpoint that takes texts, /v1/embeddings, /v1/classify, /v1/tokenize, /v1/rerank or /v1/models/<model>:predict, for a table',
      endpointPath,
    );
  if (endpoint.model === null && model === null)
    throw invalid('model', `the name of a model, which ${endpointPath} needs for a table`, model);
  if (endpoint.model !== null && model !== null) throw invalid('model', `no model, as ${endpointPath} names one`, model);
  const columns = columnsFor(request, format, fields);
  checkNames(idColumn, output);
  return { input: { kind: 'table', uri, format, columns, idColumn, model }, output, hasPreparedRows: true };
}

function formatOf({ uri, format, columns }: TableRequest, file: Pick<FileRecord, 'binary' | 'filename'> | null): FileFormat {
  const binary = file?.binary ?? null;
  const own = binary === 'parquet' || binary === 'arrow' ? binary : null;
  if (own !== null && format !== null && format !== own) throw invalid('input.format', `"${own}", which the file is,`, format);
  if (own !== null || format !== null) return own ?? (format as FileFormat);
  // Lines may be called anything: without columns they are OpenAI's, as ever.
  const named = formatOfName(uri ?? file?.filename ?? '');
  return uri === null && columns === null && binary === null ? 'jsonl' : named;
}

function refuseForLines({ columns, idColumn, model, output }: TableRequest): void {
  if (columns !== null || idColumn !== null)
    throw invalid(
      'input.columns',
      'none, as the lines of JSON Lines are requests (input.format names another format)',
      columns ?? idColumn,
    );
  if (model !== null) throw invalid('model', 'none, as the lines of JSON Lines name it', model);
  if (output !== null && output.columns.length > 0) throw invalid('output.columns', 'none, as JSON Lines have no columns', output.columns);
}

function columnsFor({ columns, output }: TableRequest, format: FileFormat, fields: readonly string[]): Record<string, string> {
  const given = columns ?? (format === 'text' ? { [fields[0] as string]: TEXT_COLUMN } : {});
  const unknown = Object.keys(given).find((field) => !fields.includes(field));
  if (unknown !== undefined) throw invalid('input.columns', `columns for ${fields.join(' and ')}`, given);
  const missing = fields.find((field) => !OPTIONAL_FIELDS.includes(field) && given[field] === undefined);
  if (missing !== undefined)
    throw invalid('input.columns', `the column of "${missing}", as in {"${missing}": "text"}`, columns ?? undefined);
  if (output?.format === 'jsonl' && output.columns.length > 0)
    throw invalid('output.columns', 'none for an output of JSON Lines; ask for csv or parquet', output.columns);
  return given;
}

/** Names that differ in their case only are one to most readers of tables. */
function checkNames(idColumn: string | null, output: TableOutput | null): void {
  const taken = new Set<string>(RESULT_COLUMNS);
  for (const name of [idColumn ?? ID_COLUMN, ...(output?.columns ?? [])]) {
    const key = name.toLowerCase();
    if (taken.has(key))
      throw invalid('output.columns', `names other than ${RESULT_COLUMNS.join(', ')}, each once, for the columns of the output`, name);
    taken.add(key);
  }
}

function parseUri(uri: unknown): string | null {
  if (uri === undefined || uri === null) return null;
  const isText = typeof uri === 'string' && uri.length <= URI_CHARS_MAX && !uri.includes('\0');
  if (!isText || !(/^file:\/\/\/./.test(uri) || bucketObjectOf(uri) !== null))
    throw invalid('input.uri', 'file:///path or s3://bucket/key', uri);
  return uri;
}

function parseOutput(output: unknown): TableOutput | null {
  const given = optionalObject('output', output, OUTPUT_FIELDS);
  if (given === null) return null;
  const { format, columns } = given;
  if (columns !== undefined && columns !== null && !(Array.isArray(columns) && columns.length <= COLUMNS_MAX))
    throw invalid('output.columns', `an array of at most ${COLUMNS_MAX} names`, columns);
  return {
    format: parseOne<OutputFormat>('output.format', format, OUTPUT_FORMATS) ?? 'jsonl',
    columns: ((columns ?? []) as unknown[]).map((name, i) => parseName(`output.columns[${i}]`, name)),
  };
}

function parseColumns(columns: unknown): Record<string, string> | null {
  if (columns === undefined || columns === null) return null;
  if (typeof columns !== 'object' || Array.isArray(columns) || Object.keys(columns).length === 0)
    throw invalid('input.columns', 'an object with a column for each field of the request', columns);
  return Object.fromEntries(Object.entries(columns).map(([field, name]) => [field, parseName('input.columns', name)]));
}

function parseName(param: string, name: unknown): string {
  if (typeof name === 'string' && name !== '' && name.length <= NAME_CHARS_MAX) return name;
  throw invalid(param, `the name of a column, of at most ${NAME_CHARS_MAX} characters`, name);
}

function parseOne<T extends string>(param: string, value: unknown, known: readonly T[]): T | null {
  if (value === undefined || value === null) return null;
  if (known.includes(value as T)) return value as T;
  throw invalid(param, `one of ${known.join(', ')}`, value);
}

function optionalObject(param: string, value: unknown, fields: readonly string[]): Record<string, unknown> | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'object' || Array.isArray(value)) throw invalid(param, 'an object', value);
  const unknown = Object.keys(value).find((name) => !fields.includes(name));
  if (unknown === undefined) return value as Record<string, unknown>;
  throw new InterleaveError(
    'invalid_request',
    `${param}: unknown field ${JSON.stringify(unknown.slice(0, 64))}; expected ${fields.join(', ')}`,
    {
      param: `${param}.${unknown.slice(0, 64)}`,
    },
  );
}
