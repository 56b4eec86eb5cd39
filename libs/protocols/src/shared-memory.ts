import { invalid, mismatch, optionalInteger, type JsonObject } from './checks';

const REGION = 'shared_memory_region';
const OFFSET = 'shared_memory_offset';
const SIZE = 'shared_memory_byte_size';

/** A part of a region of memory that a caller has registered. */
export interface SharedPart {
  region: string;
  /** From the start of the region. */
  offset: number;
  bytes: number;
  /** Of the parameters that name it. */
  path: string;
}

/** Several regions may lie in one object. */
export interface SharedPlace {
  /** Equal for the same object only. */
  object: string;
  /** Of the part, in the object. */
  offset: number;
}

/** Memory that the caller of one request shares with this node. All throw `invalid_request`, and what keeps callers from it. */
export interface SharedMemory {
  /** Refuses a part that no region has. */
  placeOf(part: SharedPart): SharedPlace;
  /** A copy: the caller may go on writing. Counts as held by the request. */
  read(part: SharedPart): Uint8Array;
  /** `data` is at most as long as the part. */
  write(part: SharedPart, data: Uint8Array): void;
}

/** Triton's parameters of an input or output that lies in shared memory; null: it does not. `at`: of the input or output. */
export function sharedPart(parameters: JsonObject, at: string): SharedPart | null {
  const path = `${at}.parameters.${REGION}`;
  const region = parameters[REGION];
  if (region === undefined) {
    const lonely = [OFFSET, SIZE].find((key) => parameters[key] !== undefined);
    if (lonely === undefined) return null;
    throw invalid(`expected ${path} because ${lonely} is set but it is missing`, path);
  }
  if (typeof region !== 'string' || region === '') throw mismatch('the name of a registered region', path, region);
  const bytes = optionalInteger(parameters[SIZE], `${at}.parameters.${SIZE}`, { min: 0, max: Number.MAX_SAFE_INTEGER });
  if (bytes === null) throw invalid(`expected ${at}.parameters.${SIZE} because ${REGION} is set but it is missing`, path);
  const offset = optionalInteger(parameters[OFFSET], `${at}.parameters.${OFFSET}`, { min: 0, max: Number.MAX_SAFE_INTEGER }) ?? 0;
  return { region, offset, bytes, path };
}

/** Where the parts of a request lie; refuses them where there is no such memory, as in a batch. */
export function memoryFor(part: SharedPart, memory: SharedMemory | undefined): SharedMemory {
  if (memory !== undefined) return memory;
  throw invalid(`expected no ${part.path} because shared memory is for live requests over HTTP only; send the tensor itself`, part.path);
}

/** The part of a requested output; refuses what an output in shared memory cannot have, and parts that overlap with `others`. */
export function sharedOutput(
  parameters: JsonObject,
  at: string,
  memory: SharedMemory | undefined,
  others: readonly { shared?: SharedPart | null }[],
): SharedPart | null {
  const part = sharedPart(parameters, at);
  if (part === null) return null;
  if (parameters.binary_data === true || (parameters.classification ?? 0) !== 0)
    throw invalid(`expected neither binary_data nor classification beside ${part.path}; leave them out`, part.path);
  const from = memoryFor(part, memory);
  const place = from.placeOf(part);
  const overlapping = others.find(({ shared = null }) => shared !== null && overlap(from.placeOf(shared), shared.bytes, place, part.bytes));
  if (overlapping !== undefined)
    throw invalid(`expected outputs apart from each other but ${part.path} overlaps with another output`, part.path);
  return part;
}

const overlap = (a: SharedPlace, aBytes: number, b: SharedPlace, bBytes: number): boolean =>
  a.object === b.object && a.offset < b.offset + bBytes && b.offset < a.offset + aBytes;

/** What the answer says of an output that was written to its part. */
export function sharedParameters({ region, offset }: SharedPart, bytes: number): object {
  return { [REGION]: region, ...(offset > 0 && { [OFFSET]: offset }), [SIZE]: bytes };
}
