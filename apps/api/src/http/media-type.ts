import type { IncomingHttpHeaders } from 'node:http';
import { InterleaveError } from '@app/contracts';

/** As most callers write it; a request is asked for its type three times. */
const PLAIN: ReadonlySet<string> = new Set(['application/json', 'application/octet-stream']);

/** The Content-Type without its parameters, in lower case; empty when there is none. */
export function mediaType({ 'content-type': value = '' }: IncomingHttpHeaders): string {
  return PLAIN.has(value) ? value : (value.split(';', 1)[0] as string).trim().toLowerCase();
}

/** Whether a live request's body has no binary tensors: Triton's extension names the length of its JSON part. */
export function isJson(headers: IncomingHttpHeaders): boolean {
  return headers['inference-header-content-length'] === undefined && mediaType(headers) !== 'application/octet-stream';
}

/** Compressed files are not taken: they are written to disk as they come. */
export function refuseEncoded(headers: IncomingHttpHeaders): void {
  refuseOtherThan('Content-Encoding', headers['content-encoding'], 'identity');
  refuseTransferEncoded(headers);
}

export function refuseTransferEncoded(headers: IncomingHttpHeaders): void {
  refuseOtherThan('Transfer-Encoding', headers['transfer-encoding'], 'chunked');
}

function refuseOtherThan(header: string, value: string | undefined, plain: string): void {
  const encoding = value?.trim().toLowerCase() ?? '';
  if (encoding === '' || encoding === plain) return;
  throw new InterleaveError(
    'unsupported_media_type',
    `${header}: expected none or ${plain}, received ${encoding.slice(0, 64)}; send the body uncompressed`,
  );
}
