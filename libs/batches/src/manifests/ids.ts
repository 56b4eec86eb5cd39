import { randomBytes } from 'node:crypto';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789';
const TIME_CHARS = 9;
const RANDOM_CHARS = 23;

const FILE_ID = new RegExp(`^file-[a-z0-9]{${TIME_CHARS + RANDOM_CHARS}}$`);
const BATCH_ID = new RegExp(`^batch_[a-z0-9]{${TIME_CHARS + RANDOM_CHARS}}$`);
const UPLOAD_ID = new RegExp(`^upload_[a-z0-9]{${TIME_CHARS + RANDOM_CHARS}}$`);
const PART_ID = new RegExp(`^part_[a-z0-9]{${TIME_CHARS + RANDOM_CHARS}}$`);

/**
 * Ids start with the time of creation (base 36 milliseconds, fixed width), so that sorting ids by name sorts by age and a
 * page of a list needs no reading of what is not on it. The rest is 118 random bits: ids cannot be guessed.
 */
export const newFileId = (nowMs = Date.now()): string => `file-${suffix(nowMs)}`;
export const newBatchId = (nowMs = Date.now()): string => `batch_${suffix(nowMs)}`;
export const newUploadId = (nowMs = Date.now()): string => `upload_${suffix(nowMs)}`;
export const newPartId = (nowMs = Date.now()): string => `part_${suffix(nowMs)}`;

/** Nothing but an id of the exact form may become part of a path. */
export const isFileId = (value: string): boolean => FILE_ID.test(value);
export const isBatchId = (value: string): boolean => BATCH_ID.test(value);
export const isUploadId = (value: string): boolean => UPLOAD_ID.test(value);
export const isPartId = (value: string): boolean => PART_ID.test(value);

/** Unix milliseconds of a checked id. */
export const idCreatedAtMs = (id: string): number => parseInt(id.slice(-TIME_CHARS - RANDOM_CHARS, -RANDOM_CHARS), 36);

function suffix(nowMs: number): string {
  return nowMs.toString(36).padStart(TIME_CHARS, '0') + randomText(RANDOM_CHARS);
}

function randomText(chars: number): string {
  let text = '';
  while (text.length < chars) {
    // Bytes from 252 up would make the first letters more likely than the others.
    for (const byte of randomBytes(chars)) if (byte < 252 && text.length < chars) text += ALPHABET[byte % 36];
  }
  return text;
}
