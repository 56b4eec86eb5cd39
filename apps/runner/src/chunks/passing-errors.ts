import { InterleaveError, type ErrorCode } from '@app/contracts';

/**
 * Errors after which a live caller would be told to try again; rows do so by themselves. Not those of a model that is
 * quarantined: its rows fail with the reason, because nobody knows when it comes back.
 */
const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['worker_unavailable', 'overloaded']);

export const isPassing = (error: unknown): error is InterleaveError => error instanceof InterleaveError && PASSING.has(error.code);
