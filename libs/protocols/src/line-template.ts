import { isUtf8 } from 'node:buffer';
import { isDeepStrictEqual } from 'node:util';
import { checkBatchLine, CUSTOM_ID_CHARACTERS_MAX } from './batch-line';
import { textOf, withText } from './bulk';
import type { JsonLimits } from './json-bounds';
import { parseJsonBody } from './json-body';
import type { EndpointKind } from './types';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;
const ASCII_END = 0x80;
/** In place of the two strings while a template is tried. */
const TRIAL = { customId: 'custom id in its place', text: 'text in its place' };

/** What a line says that others of its form say differently. */
export interface LineParts {
  customId: string;
  text: string;
}

/**
 * Lines of a batch that are equal but for their custom_id and the one text of their body, as programs write them. Such a line needs
 * no parser: what is around the two strings was parsed and checked in the first line, and the strings hold no escapes. A line that
 * does not match may be right as well, and goes through the parser.
 */
export class LineTemplate {
  private constructor(
    /** Of the first line; its text is one of many. */
    readonly body: object,
    private readonly pieces: readonly [Buffer, Buffer, Buffer],
    private readonly idIsFirst: boolean,
    private readonly bytesMax: number,
  ) {}

  /** Null: no other line can be told from this one, or something is wrong with it. */
  static of(line: Buffer, kind: EndpointKind, url: string, limits: JsonLimits): LineTemplate | null {
    try {
      const parsed = checkBatchLine(parseJsonBody(line, limits), url);
      const text = textOf(kind, parsed.body);
      if (text === null) return null;
      const [id, hole] = [placeOf(line, parsed.customId), placeOf(line, text)];
      if (id === null || hole === null || id.start === hole.start) return null;
      const [first, second] = id.start < hole.start ? [id, hole] : [hole, id];
      const pieces = [line.subarray(0, first.start), line.subarray(first.end, second.start), line.subarray(second.end)] as const;
      if (pieces.some((piece) => piece.includes(BACKSLASH))) return null;
      const template = new LineTemplate(
        parsed.body as object,
        pieces.map((piece) => Buffer.from(piece)) as [Buffer, Buffer, Buffer],
        first === id,
        limits.bytesMax,
      );
      return template.isRight(kind, url, limits) ? template : null;
    } catch {
      return null;
    }
  }

  /** Null: the line has another form. */
  match(line: Buffer): LineParts | null {
    if (line.length > this.bytesMax) return null;
    const [before, between, after] = this.pieces;
    if (!hasAt(line, before, 0)) return null;
    const firstEnd = endOfPlain(line, before.length);
    if (firstEnd < 0 || !hasAt(line, between, firstEnd)) return null;
    const secondStart = firstEnd + between.length;
    const secondEnd = endOfPlain(line, secondStart);
    if (secondEnd < 0 || secondEnd + after.length !== line.length || !hasAt(line, after, secondEnd)) return null;
    const first = plainText(line, before.length, firstEnd);
    const second = plainText(line, secondStart, secondEnd);
    if (first === null || second === null) return null;
    const [customId, text] = this.idIsFirst ? [first, second] : [second, first];
    return customId === '' || customId.length > CUSTOM_ID_CHARACTERS_MAX ? null : { customId, text };
  }

  /** The two strings are where they were looked for, and nothing else changes with them. */
  private isRight(kind: EndpointKind, url: string, limits: JsonLimits): boolean {
    const [before, between, after] = this.pieces;
    const strings = this.idIsFirst ? [TRIAL.customId, TRIAL.text] : [TRIAL.text, TRIAL.customId];
    const line = Buffer.concat([before, Buffer.from(strings[0] as string), between, Buffer.from(strings[1] as string), after]);
    const { customId, body } = checkBatchLine(parseJsonBody(line, limits), url);
    return customId === TRIAL.customId && isDeepStrictEqual(body, withText(kind, this.body, TRIAL.text));
  }
}

/** Where a string is in a line, without its quotes; null: nowhere as it is, or at more than one place. */
function placeOf(line: Buffer, value: string): { start: number; end: number } | null {
  const quoted = Buffer.from(`"${value}"`);
  const at = line.indexOf(quoted);
  if (at < 0 || line.includes(quoted, at + 1)) return null;
  return { start: at + 1, end: at + quoted.length - 1 };
}

function hasAt(line: Buffer, piece: Buffer, at: number): boolean {
  if (at + piece.length > line.length) return false;
  for (let i = 0; i < piece.length; i++) if (line[at + i] !== piece[i]) return false;
  return true;
}

/** Where the closing quote of a string is that has no escapes; -1: it has, or JSON forbids a character of it, or it has no end. */
function endOfPlain(line: Buffer, start: number): number {
  for (let at = start; at < line.length; at++) {
    const byte = line[at] as number;
    if (byte === QUOTE) return at;
    if (byte < SPACE || byte === BACKSLASH) return -1;
  }
  return -1;
}

/** Null: it is not valid UTF-8. */
function plainText(line: Buffer, start: number, end: number): string | null {
  let bits = 0;
  for (let at = start; at < end; at++) bits |= line[at] as number;
  if (bits < ASCII_END) return line.toString('latin1', start, end);
  return isUtf8(line.subarray(start, end)) ? line.toString('utf8', start, end) : null;
}
