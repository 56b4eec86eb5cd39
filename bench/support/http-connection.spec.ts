import { bodyOf } from './http-connection';

describe('bodyOf', () => {
  const ofLength = 'HTTP/1.1 200 OK\r\nContent-Length: 5';
  const inChunks = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked';
  const bodyText = (head: string, received: string): [string, number] | null => {
    const parsed = bodyOf(head, Buffer.from(received));
    return parsed === null ? null : [parsed.body.toString(), parsed.bytes];
  };

  it('takes as many bytes as the head says and leaves those of the next answer', () => {
    expect(bodyText(ofLength, 'helloHTTP/1.1')).toEqual(['hello', 5]);
    expect(bodyText(ofLength, 'hell')).toBeNull();
  });

  it('joins chunks, whatever bytes they hold', () => {
    expect(bodyText(inChunks, '5\r\n0\r\n\r\n\r\na\r\n0123456789\r\n0\r\n\r\nHTTP')).toEqual(['0\r\n\r\n0123456789', 30]);
  });

  it.each(['', '5', '5\r\nhel', '5\r\nhello\r\n', '5\r\nhello\r\n0\r\n'])('waits for the rest of %j', (received) => {
    expect(bodyText(inChunks, received)).toBeNull();
  });
});
