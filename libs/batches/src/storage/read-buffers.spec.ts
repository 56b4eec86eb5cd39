import { readBuffers } from './read-buffers';

describe('buffers that are read into', () => {
  it('are filled again once they are given back whole, and once only', () => {
    const first = readBuffers.take();
    readBuffers.giveBack(first.subarray(0, 10));
    expect(readBuffers.take().buffer).not.toBe(first.buffer);
    readBuffers.giveBack(first);
    readBuffers.giveBack(first);
    const [second, third] = [readBuffers.take(), readBuffers.take()];
    expect(second.buffer).toBe(first.buffer);
    expect(third.buffer).not.toBe(first.buffer);
    readBuffers.giveBack(Buffer.alloc(second.length));
    expect(readBuffers.take().buffer).not.toBe(first.buffer);
  });
});
