import type { ServedModel } from '@app/models';
import type { AnswerParts } from '@app/protocols';

/** Of one form of rows, in two generations. */
const SLAB_BYTES = 8 * 1024 * 1024;
/** Of the process: who wants more takes the one that was given out first. */
const SLABS_MAX = 6;
const SLOTS = 32_768;
/** Half of the slots, so that searches are short. */
const ENTRIES_MAX = SLOTS / 2;
/** What goes around vectors differs by the number of their tokens only. */
const FRAMES_MAX = 4096;
/** Hash, units of the text, frame, and what the value holds: numbers of a vector, or units of JSON. */
const HEADER_WORDS = 4;
const WORD_BYTES = 4;
const UNIT_BYTES = 2;
const NO_FRAME = 0xffffffff;
/** To remember an answer costs a tenth of what a row costs: after so many texts that did not come again only some are. */
const STRANGERS_MAX = 16_384;
const ONE_STRANGER_OF = 8;

type Files = Pick<ServedModel, 'revision' | 'remoteFiles'>;

/** Answers to texts that may come again in the same batch, of the files of the model that answer now. */
export class KnownAnswers {
  private current: { files: Files; answers: RevisionAnswers } | null = null;

  /** What other files answered is forgotten; who still runs on those remembers apart from this. */
  of({ revision, remoteFiles }: Files): RevisionAnswers {
    const { current } = this;
    if (current?.files.revision === revision && current.files.remoteFiles === remoteFiles) return current.answers;
    const answers = new RevisionAnswers();
    this.current = { files: { revision, remoteFiles }, answers };
    return answers;
  }
}

/**
 * Those of one revision; those that came long ago go first, and where hardly any text comes again not all are kept. They lie outside of
 * the heap: a million objects that live for a while would cost more to collect than the rows to answer.
 */
class RevisionAnswers {
  private young = new Slab();
  private old = new Slab();
  private readonly frames = new Frames();
  /** Texts that were asked for since one was known. */
  private strangers = 0;
  private offered = 0;

  get(text: string): AnswerParts | null {
    const hash = hashOf(text);
    const found = this.young.find(hash, text, this.frames) ?? this.old.find(hash, text, this.frames);
    this.strangers = found === null ? this.strangers + 1 : 0;
    return found;
  }

  /** Precondition: `get` has not found it. */
  add(text: string, answer: AnswerParts): void {
    this.offered += 1;
    if (this.strangers > STRANGERS_MAX && this.offered % ONE_STRANGER_OF !== 0) return;
    const frame = answer.vector === null ? NO_FRAME : this.frames.indexOf(answer);
    if (frame === null || Slab.bytesFor(text, answer) > SLAB_BYTES) return;
    if (!this.young.hasRoom(Slab.bytesFor(text, answer))) [this.young, this.old] = [this.old.emptied(), this.young];
    this.young.add(hashOf(text), text, answer, frame);
  }
}

/** What is before and after the vectors. */
class Frames {
  private readonly frames: Omit<AnswerParts, 'vector'>[] = [];
  /** By what is after the vector; what is before it hardly ever differs. */
  private readonly indexes = new Map<string, number>();

  /** Null: there are too many, or another one has the same end. */
  indexOf({ before, vectorForm, after }: AnswerParts): number | null {
    const known = this.indexes.get(after);
    if (known !== undefined) return this.frames[known]?.before === before ? known : null;
    if (this.frames.length === FRAMES_MAX) return null;
    this.indexes.set(after, this.frames.length);
    return this.frames.push({ before, vectorForm, after }) - 1;
  }

  at(index: number): Omit<AnswerParts, 'vector'> {
    return this.frames[index] as Omit<AnswerParts, 'vector'>;
  }
}

class Slab {
  private memory: Memory | null = null;
  private endWords = 0;
  private entries = 0;

  static bytesFor(text: string, { before, vector }: AnswerParts): number {
    const value = vector === null ? wordsOf(before) : vector.length;
    return (HEADER_WORDS + wordsOf(text) + value) * WORD_BYTES;
  }

  hasRoom(bytes: number): boolean {
    return this.entries < ENTRIES_MAX && this.endWords * WORD_BYTES + bytes <= SLAB_BYTES;
  }

  emptied(): this {
    this.memory?.slots.fill(0);
    this.endWords = 0;
    this.entries = 0;
    return this;
  }

  /** It forgets everything. */
  giveUpMemory(): Memory {
    const memory = this.emptied().memory ?? newMemory();
    this.memory = null;
    return memory;
  }

  find(hash: number, text: string, frames: Frames): AnswerParts | null {
    if (this.memory === null) return null;
    const { slots, words, floats } = this.memory;
    for (let slot = hash % SLOTS; slots[slot] !== 0; slot = (slot + 1) % SLOTS) {
      const at = (slots[slot] as number) - 1;
      const textAt = at + HEADER_WORDS;
      if (words[at] !== hash || words[at + 1] !== text.length || !this.hasText(textAt, text)) continue;
      const [frame, length] = [words[at + 2] as number, words[at + 3] as number];
      const valueAt = textAt + wordsOf(text);
      if (frame === NO_FRAME) return { before: this.textAt(valueAt, length), vector: null, vectorForm: 'numbers', after: '' };
      const { before, vectorForm, after } = frames.at(frame);
      return { before, vector: floats.slice(valueAt, valueAt + length), vectorForm, after };
    }
    return null;
  }

  add(hash: number, text: string, { before, vector }: AnswerParts, frame: number): void {
    this.memory ??= memoryFor(this);
    const { slots, words, floats } = this.memory;
    const at = this.endWords;
    words[at] = hash;
    words[at + 1] = text.length;
    words[at + 2] = frame;
    words[at + 3] = vector?.length ?? before.length;
    const textAt = at + HEADER_WORDS;
    this.write(textAt, text);
    const valueAt = textAt + wordsOf(text);
    if (vector === null) this.write(valueAt, before);
    else floats.set(vector, valueAt);
    this.endWords = valueAt + (vector?.length ?? wordsOf(before));
    let slot = hash % SLOTS;
    while (slots[slot] !== 0) slot = (slot + 1) % SLOTS;
    slots[slot] = at + 1;
    this.entries += 1;
  }

  private hasText(at: number, text: string): boolean {
    const { units } = this.memory as Memory;
    const first = (at * WORD_BYTES) / UNIT_BYTES;
    for (let i = 0; i < text.length; i++) if (units[first + i] !== text.charCodeAt(i)) return false;
    return true;
  }

  private textAt(at: number, length: number): string {
    const { units } = this.memory as Memory;
    return Buffer.from(units.buffer, at * WORD_BYTES, length * UNIT_BYTES).toString('utf16le');
  }

  private write(at: number, text: string): void {
    const { units } = this.memory as Memory;
    const first = (at * WORD_BYTES) / UNIT_BYTES;
    for (let i = 0; i < text.length; i++) units[first + i] = text.charCodeAt(i);
  }
}

interface Memory {
  /** Words from the start of the slab to an entry, and one more; 0: none. */
  slots: Uint32Array;
  words: Uint32Array;
  units: Uint16Array;
  floats: Float32Array;
}

/** Those that have memory, longest first. */
const holders: Slab[] = [];

function memoryFor(slab: Slab): Memory {
  const oldest = holders.length < SLABS_MAX ? undefined : holders.shift();
  holders.push(slab);
  return oldest?.giveUpMemory() ?? newMemory();
}

function newMemory(): Memory {
  const buffer = new ArrayBuffer(SLAB_BYTES);
  return {
    slots: new Uint32Array(SLOTS),
    words: new Uint32Array(buffer),
    units: new Uint16Array(buffer),
    floats: new Float32Array(buffer),
  };
}

const wordsOf = (text: string): number => Math.ceil((text.length * UNIT_BYTES) / WORD_BYTES);

/** FNV-1a over UTF-16 units, never negative. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 15)) >>> 0;
}
