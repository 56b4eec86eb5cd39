const GiB = 1024 ** 3;

/** Bounds of one model that is fetched. */
export interface SourceLimits {
  /** All its files together, and what is unpacked of an image. */
  bytesMax: number;
  /** Entries of the source's list. */
  filesMax: number;
  /** Kept free on the disk. */
  freeBytesMin: number;
  /** Without a byte, or until the answer begins. */
  silentMsMax: number;
  /** The wait after a failed attempt, doubled with each further one. */
  retryMs: number;
}

export const SOURCE_LIMITS: SourceLimits = {
  bytesMax: 20 * GiB,
  filesMax: 10_000,
  freeBytesMin: GiB / 4,
  silentMsMax: 30_000,
  retryMs: 500,
};

/** Of one request or file, without progress in between. */
export const ATTEMPTS_MAX = 5;
/** Of one file, with progress in between. */
export const RESUMES_MAX = 100;
/** What a server may ask for. */
export const RETRY_AFTER_MS_MAX = 60_000;
