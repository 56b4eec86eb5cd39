import { isUtf8 } from 'node:buffer';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { InterleaveError, type BatchValidationError } from '@app/contracts';
import { checkJsonBounds, findLineFaults, type Endpoint, type JsonLimits } from '@app/protocols';
import { UTF16_REMEDY, UTF8_REMEDY, type RowLine, readRows, type ChunkTable, type ObjectStore } from '@app/batches';
import { RowForms } from '../chunks/blocks/row-forms';
import { CustomIdSet } from './custom-id-set';

const CODES: Record<string, string> = { custom_id: 'invalid_custom_id', method: 'invalid_method', url: 'mismatched_url' };
const ERRORS_MAX = 100;
const SHOWN_CHARS_MAX = 64;

export interface InputFile {
  store: Pick<ObjectStore, 'read'>;
  contentKey: string;
  table: ChunkTable;
  /** The batch's endpoint, which every line must name. */
  url: string;
  /** That of `url`; its model is null where that is in the body of each row. */
  endpoint: Endpoint;
  /** Checked before a row is parsed. */
  rowLimits: JsonLimits;
}

export interface ValidationResult {
  errors: BatchValidationError[];
  /** The model that the rows name; null when it is not in their bodies. */
  model: string | null;
}

type Fault = Omit<BatchValidationError, 'line'>;

/**
 * Checks what must hold for the file as a whole: JSON objects, unique ids, one url, one model. What is wrong with a
 * single body is found when that row runs and fails that row alone. All faults of all lines are found in one pass, up to 100;
 * with one more it stops and says so. Memory: 10 bytes a row.
 * Rejects when `signal` is aborted.
 */
export async function validateInput(file: InputFile, signal: AbortSignal): Promise<ValidationResult> {
  if (file.table.rowCount === 0)
    return { errors: [{ code: 'empty_file', message: 'The file has no rows.', param: 'input_file_id', line: null }], model: null };
  const validation = new Validation(file);
  const everything = { ...file.table.chunk(0), end: file.table.chunk(file.table.chunkCount - 1).end };
  for await (const rows of readRows(file.store, file.contentKey, everything)) {
    signal.throwIfAborted();
    for (const row of rows) {
      const more = validation.check(row);
      if (more !== null) await more;
      if (validation.errors.length > ERRORS_MAX) return validation.cut(row.line);
    }
    await nextTurn();
  }
  return validation.result();
}

class Validation {
  readonly errors: BatchValidationError[] = [];
  private readonly ids: CustomIdSet;
  private readonly forms: RowForms;
  private chunkIndex = 0;
  private chunkEndRow: number;
  private model: string | null = null;

  constructor(private readonly file: InputFile) {
    this.ids = new CustomIdSet(file.table.rowCount);
    this.forms = new RowForms(file.endpoint, file.url, file.rowLimits);
    this.chunkEndRow = file.table.chunk(0).rowCount;
  }

  result(): ValidationResult {
    return { errors: this.errors, model: this.model };
  }

  /** With more errors than are listed; `line` is the last that was looked at. */
  cut(line: number): ValidationResult {
    const message = `There are more than ${ERRORS_MAX} errors; the check ended at line ${line}. Correct these, then upload the file again.`;
    const more = { ...fault('too_many_errors', null, message), line: null };
    return { errors: [...this.errors.slice(0, ERRORS_MAX), more], model: this.model };
  }

  /** Null: it is done; a promise only where the file has to be read again. */
  check(row: RowLine): Promise<void> | null {
    if (row.row === this.chunkEndRow) this.chunkEndRow += this.file.table.chunk(++this.chunkIndex).rowCount;
    const matched = this.forms.match(row);
    if (matched !== null) return this.checkAmongOthers([], matched.form.template.body, matched.parts.customId, row);
    const parsed = parseLine(row.bytes, this.file.rowLimits);
    if ('code' in parsed) return this.note([parsed], row);
    const { custom_id: customId, body } = parsed.value;
    const faults = findLineFaults(parsed.value, this.file.url).map(lineFault);
    return this.checkAmongOthers(faults, body, faults.some(({ param }) => param === 'custom_id') ? null : String(customId), row);
  }

  /** `customId` null: it is no id, and need not be the only one. */
  private checkAmongOthers(faults: Fault[], body: unknown, customId: string | null, row: RowLine): Promise<void> | null {
    const modelFault = this.file.endpoint.model === null ? this.checkModel(body) : null;
    const suspects = customId === null ? [] : this.ids.add(customId, this.chunkIndex);
    const found = modelFault === null ? faults : [...faults, modelFault];
    if (customId === null || suspects.length === 0) return this.note(found, row);
    return this.findEqual(customId, suspects, row).then((equal) => void this.note([...found, equal ?? []].flat(), row));
  }

  private note(faults: Fault[], { line }: RowLine): null {
    for (const fault of faults) this.errors.push({ ...fault, line });
    return null;
  }

  /** A row that names no model fails alone; rows that name two models mean that the file is two batches. */
  private checkModel(body: unknown): Fault | null {
    const model = isObject(body) ? body['model'] : undefined;
    if (typeof model !== 'string') return null;
    this.model ??= model;
    if (model === this.model) return null;
    return fault(
      'mismatched_model',
      'body.model',
      `Expected the model of the rows before, ${shown(this.model)}, but received ${shown(model)}; use one batch per model.`,
    );
  }

  private async findEqual(customId: string, suspects: readonly number[], row: RowLine): Promise<Fault | null> {
    for (const suspect of suspects) {
      const line = await this.findLine(customId, suspect, row.row);
      if (line !== null) return fault('duplicate_custom_id', 'custom_id', `The custom_id ${shown(customId)} is already on line ${line}.`);
    }
    return null;
  }

  private async findLine(customId: string, chunkIndex: number, beforeRow: number): Promise<number | null> {
    for await (const rows of readRows(this.file.store, this.file.contentKey, this.file.table.chunk(chunkIndex))) {
      for (const row of rows) {
        if (row.row >= beforeRow) return null;
        const parsed = parseLine(row.bytes, this.file.rowLimits);
        if (!('code' in parsed) && parsed.value['custom_id'] === customId) return row.line;
      }
    }
    return null;
  }
}

function lineFault({ param, message }: InterleaveError): Fault {
  return fault(CODES[param ?? ''] ?? 'invalid_line', param, `${message}.`);
}

function parseLine(bytes: Buffer, limits: JsonLimits): { value: Record<string, unknown> } | Fault {
  if (!isUtf8(bytes)) return fault('invalid_json_line', null, `The line is not valid UTF-8; ${UTF8_REMEDY}.`);
  if (bytes.includes(0)) return fault('invalid_json_line', null, `The line has a zero byte, as UTF-16 has; ${UTF16_REMEDY}.`);
  try {
    checkJsonBounds(bytes, limits);
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    return isObject(value) ? { value } : fault('invalid_json_line', null, `Expected a JSON object but received ${shown(value)}.`);
  } catch (error) {
    if (error instanceof InterleaveError) return fault('row_too_complex', null, `${error.message}.`);
    return fault('invalid_json_line', null, `The line is not valid JSON: ${(error as Error).message.slice(0, 200)}`);
  }
}

function fault(code: string, param: string | null, message: string): Fault {
  return { code, message, param };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length <= SHOWN_CHARS_MAX ? text : `${text.slice(0, SHOWN_CHARS_MAX)}…`;
}
