import type { ModelView } from '@app/models';
import type { PreparedRequest, ResponseBody } from '@app/protocols';
import type { UnpreparedBody } from './live-gate';

/** A body that is in memory. */
export interface ReadBody<Answer = ResponseBody> extends UnpreparedBody {
  /** Bytes that are held until the answer is sent. */
  heldBytes: number;
  /** Parses, checks and tokenizes it, for a model of this catalog. May be called again with another one. */
  prepare(catalog: ModelView): Promise<PreparedRequest<Answer>>;
  /** False: it has read or written memory of the caller's, which may be in other use once it is answered. Absent: it has not. */
  isRepeatable?(): boolean;
}
