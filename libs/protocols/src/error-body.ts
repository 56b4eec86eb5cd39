import type { InterleaveError } from '@app/contracts';
import type { Endpoint } from './types';

/** `openai` stands for the files and batches paths. */
export type ErrorStyle = Endpoint['kind'] | 'openai';

/** The body of an error in the shape of its protocol (docs/protocols.md §2). */
export function errorBody(style: ErrorStyle, error: InterleaveError): object {
  if (style === 'predict' || style === 'open-inference') return { error: error.message };
  return { error: { message: error.message, type: openAiType(error.status), param: error.param, code: error.code } };
}

/** The `type` words that OpenAI clients know. */
function openAiType(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}
