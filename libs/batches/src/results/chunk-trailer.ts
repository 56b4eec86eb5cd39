/** Rows by the code of their error lines. */
export type Failures = Partial<Record<string, number>>;

/** What became of the rows of one chunk. */
export interface ChunkCounts {
  /** Rows with a line in the output part. */
  completed: number;
  /** Rows with a line in the error part. */
  failed: number;
  /** Length of the output part, which comes first. */
  outputBytes: number;
  errorBytes: number;
  /** The failed rows by code; what a former release wrote has none. */
  failures: Failures;
}

/** The failed rows of all of them by code. */
export function sumFailures(results: Iterable<Pick<ChunkCounts, 'failures'>>): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { failures } of results) for (const [code, rows = 0] of Object.entries(failures)) sums[code] = (sums[code] ?? 0) + rows;
  return sums;
}

/** Of any release. */
const ANY_MAGIC = /^ILCHUNK[0-9A-Z]$/;
const FORMER = { magic: Buffer.from('ILCHUNK1'), byteCount: 32 };
const PRESENT = { magic: Buffer.from('ILCHUNK2'), byteCount: 40 };
const MAGIC_BYTES = 8;
/** The codes are those of the table of errors, which together need half of it. */
const FAILURES_BYTES_MAX = 1024;
/** What holds the trailer of a result and the failures before it. */
export const TAIL_BYTES = PRESENT.byteCount + FAILURES_BYTES_MAX;

/**
 * What follows the lines of a chunk's result: its failures by code in JSON, then completed and failed rows (32 bit), bytes of the two parts
 * (64 bit), bytes of the failures (32 bit), four zeros, all little-endian, and the magic.
 */
export function encodeTrailer({ completed, failed, outputBytes, errorBytes, failures }: ChunkCounts): Buffer {
  const json = Buffer.from(failed === 0 ? '' : JSON.stringify(failures));
  if (json.length > FAILURES_BYTES_MAX)
    throw new Error(`expected failures of at most ${FAILURES_BYTES_MAX} bytes but received ${json.length}`);
  const trailer = Buffer.alloc(PRESENT.byteCount);
  trailer.writeUInt32LE(completed, 0);
  trailer.writeUInt32LE(failed, 4);
  trailer.writeBigUInt64LE(BigInt(outputBytes), 8);
  trailer.writeBigUInt64LE(BigInt(errorBytes), 16);
  trailer.writeUInt32LE(json.length, 24);
  PRESENT.magic.copy(trailer, PRESENT.byteCount - MAGIC_BYTES);
  return Buffer.concat([json, trailer]);
}

/**
 * `tail`: the last `TAIL_BYTES` of a result, or all of a shorter one. Null: nobody wrote it like this. Throws for one of a later release.
 */
export function decodeTrailer(tail: Buffer, key: string): ChunkCounts | null {
  const magic = tail.subarray(-MAGIC_BYTES);
  const format = [FORMER, PRESENT].find((known) => known.magic.equals(magic));
  if (format === undefined || tail.length < format.byteCount) {
    if (format === undefined && ANY_MAGIC.test(magic.toString('latin1')))
      throw new Error(`${key}: expected the result of a chunk but it has no trailer that this release knows`);
    return null;
  }
  const trailer = tail.subarray(-format.byteCount);
  const failures = format === PRESENT ? readFailures(tail, trailer.readUInt32LE(24)) : {};
  if (failures === null) return null;
  return {
    completed: trailer.readUInt32LE(0),
    failed: trailer.readUInt32LE(4),
    outputBytes: Number(trailer.readBigUInt64LE(8)),
    errorBytes: Number(trailer.readBigUInt64LE(16)),
    failures,
  };
}

/** Null: they are cut, or nobody wrote them like this. */
function readFailures(tail: Buffer, byteCount: number): Failures | null {
  if (byteCount === 0) return {};
  const end = tail.length - PRESENT.byteCount;
  if (byteCount > end) return null;
  try {
    return JSON.parse(tail.toString('utf8', end - byteCount, end)) as Failures;
  } catch {
    return null;
  }
}
