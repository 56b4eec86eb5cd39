import type { EventEmitter } from 'node:events';
import type { Metadata } from '@grpc/grpc-js';
import type { Access } from '../access/access';
import { asInterleaveError } from '../http/error-answer';
import { callerOfMetadata } from './call-metadata';
import { errorStatus } from './status';

/** An open call is ended within so long of the end of its key, or of its token. */
const LOOK_MS = 1000;

/** Ends a call that stays open when what it showed opens no door any more, as its first request would be refused now. */
export function endWithKey(call: EventEmitter & { readonly metadata: Metadata }, access: Access): void {
  const look = async (): Promise<void> => void (await callerOfMetadata(call.metadata, access));
  const end = (thrown: unknown): void => {
    clearInterval(timer);
    call.emit('error', errorStatus(asInterleaveError(thrown)));
  };
  // A timer for each call: thousands of them are not looked at in one go.
  const timer = setInterval(() => void look().catch(end), LOOK_MS).unref();
  call.once('cancelled', () => clearInterval(timer));
}
