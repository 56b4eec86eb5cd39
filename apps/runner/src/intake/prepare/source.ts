import type { TableColumn } from '@app/batches';
import type { BatchValidationError } from '@app/contracts';

/**
 * JSON Lines of requests, one for each row, in order. Throws `PrepareFault`, or `BadTable`, for what is wrong with the input for good;
 * whatever else it throws may pass.
 */
export interface RowSource {
  (signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** What the lines carry for the output: known once they were all read. */
  columns?: () => TableColumn[];
}

/** Why the rows of a batch cannot be prepared, for its `errors`. */
export class PrepareFault extends Error {
  override readonly name = 'PrepareFault';

  constructor(readonly faults: BatchValidationError[]) {
    super(faults[0]?.message);
  }
}
