import { createHash } from 'node:crypto';
import type { InterleaveError } from '@app/contracts';
import { errorBody, jsonLine, type Endpoint } from '@app/protocols';
import type { RowLine } from '@app/batches';

/** Why a row has no answer although nothing was wrong with it. */
export type NotRunReason = 'batch_cancelled' | 'batch_expired';

const NOT_RUN_MESSAGES: Record<NotRunReason, string> = {
  batch_cancelled: 'This request was not executed before the batch was cancelled.',
  batch_expired: 'This request was not executed before the completion window of the batch ended.',
};
const MESSAGE_CHARS_MAX = 4096;
const ID_HASH_CHARS = 32;

/** What the lines of a row are told apart by. */
export interface RowName {
  /** The same each time the row is done. */
  id: string;
  customId: string;
}

/** The lines of output and error files (docs/protocols.md §9.4). */
export class RowLines {
  private readonly batchPart: string | null;

  /** `isDeterministic`: equal rows of any batch have equal ids, else ids are of the batch and the row's number. */
  constructor(
    batchId: string,
    private readonly endpoint: Endpoint,
    isDeterministic: boolean,
  ) {
    this.batchPart = isDeterministic ? null : batchId.replace(/^batch_/, '');
  }

  idOf({ row, bytes }: RowLine): string {
    const part = this.batchPart ?? createHash('sha256').update(bytes).digest('hex').slice(0, ID_HASH_CHARS);
    return `${part}_${row}`;
  }

  success({ id, customId }: RowName, body: object): string {
    return line(id, customId, { status_code: 200, request_id: `req_${id}`, body }, null);
  }

  /** What `success` writes before and after the JSON of the body. */
  around({ id, customId }: RowName): { before: string; after: string } {
    const before = `{"id":"batch_req_${id}","custom_id":${jsonLine(customId)},"response":{"status_code":200,"request_id":"req_${id}","body":`;
    return { before, after: '},"error":null}' };
  }

  /** `response` is what the endpoint would have answered; `error` has the code of docs/protocols.md §2 in all shapes. */
  failure({ id, customId }: RowName, error: InterleaveError): string {
    const message = error.message.slice(0, MESSAGE_CHARS_MAX);
    const response = { status_code: error.status, request_id: `req_${id}`, body: errorBody(this.endpoint.kind, error) };
    return line(id, customId, response, { code: error.batchCode, message });
  }

  notRun({ id, customId }: RowName, reason: NotRunReason): string {
    return line(id, customId, null, { code: reason, message: NOT_RUN_MESSAGES[reason] });
  }
}

const line = (id: string, customId: string, response: object | null, error: object | null): string =>
  jsonLine({ id: `batch_req_${id}`, custom_id: customId, response, error });
