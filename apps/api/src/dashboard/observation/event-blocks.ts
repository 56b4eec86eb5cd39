/** One server-sent event, as it came. */
export interface EventBlock {
  id: string;
  event: string;
  data: string;
  /** With the empty line after it. */
  text: string;
}

/** A scheduler that sends more without an end is none. */
const CHARS_MAX = 32 * 1024 * 1024;

/** Cuts a stream of text into events. Comments are left out. */
export class EventBlocks {
  private rest = '';

  /** Throws where an event has no end. */
  take(text: string): EventBlock[] {
    const blocks = (this.rest + text).split('\n\n');
    this.rest = blocks.pop() ?? '';
    if (this.rest.length > CHARS_MAX) throw new Error(`expected events of at most ${CHARS_MAX} characters`);
    return blocks.flatMap((block) => {
      const data = field(block, 'data');
      return data === null ? [] : [{ id: field(block, 'id') ?? '', event: field(block, 'event') ?? 'message', data, text: `${block}\n\n` }];
    });
  }
}

function field(block: string, name: string): string | null {
  const line = block.split('\n').find((each) => each.startsWith(`${name}: `));
  return line === undefined ? null : line.slice(name.length + 2);
}
