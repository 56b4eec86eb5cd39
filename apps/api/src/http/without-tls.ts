import { writeSync } from 'node:fs';
import type { Socket } from 'node:net';

/**
 * Sends the text as it is to a caller that does not speak TLS. Node offers the connection below the failed TLS socket only by its
 * descriptor. Nothing was sent on it yet, so the text fits into its buffer.
 */
export function answerWithoutTls(socket: Socket, text: string): void {
  const { _handle: handle } = socket as Socket & { _handle: { fd: number } | null };
  if (handle === null || handle.fd < 0) return;
  try {
    writeSync(handle.fd, text);
  } catch {
    // The caller has gone.
  }
}
