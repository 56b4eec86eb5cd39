import type { InterleaveError } from '@app/contracts';
import { errorBody, toJsonText, type Endpoint } from '@app/protocols';

/** Why a row has no answer although nothing was wrong with it. */
export type NotRunReason = 'batch_cancelled' | 'batch_expired';

const NOT_RUN_MESSAGES: Record<NotRunReason, string> = {
  batch_cancelled: 'This request was not executed before the batch was cancelled.',
  batch_expired: 'This request was not executed before the completion window of the batch ended.',
};
const MESSAGE_CHARS_MAX = 4096;

/**
 * The lines of output and error files (wire.md §7). Ids are made of the batch and the row, so that a chunk that is done
 * twice says the same twice.
 */
export class RowLines {
  private readonly idPart: string;

  constructor(
    batchId: string,
    private readonly endpoint: Endpoint,
  ) {
    this.idPart = batchId.replace(/^batch_/, '');
  }

  success(row: number, customId: string, body: object): string {
    return this.line(row, customId, { status_code: 200, request_id: `req_${this.idPart}_${row}`, body }, null);
  }

  /** `response` is what the endpoint would have answered; `error` has the code of wire.md §9 in all shapes alike. */
  failure(row: number, customId: string, error: InterleaveError): string {
    const message = error.message.slice(0, MESSAGE_CHARS_MAX);
    const response = { status_code: error.status, request_id: `req_${this.idPart}_${row}`, body: errorBody(this.endpoint.kind, error) };
    return this.line(row, customId, response, { code: error.batchCode, message });
  }

  notRun(row: number, customId: string, reason: NotRunReason): string {
    return this.line(row, customId, null, { code: reason, message: NOT_RUN_MESSAGES[reason] });
  }

  private line(row: number, customId: string, response: object | null, error: object | null): string {
    return toJsonText({ id: `batch_req_${this.idPart}_${row}`, custom_id: customId, response, error });
  }
}
