import { z } from 'zod';

const VERSION = /^[1-9][0-9]{0,8}$/;

/** Whether it is the number of a version: the name of a folder in that of its model. */
export function isModelVersion(version: string): boolean {
  return VERSION.test(version);
}

const FORM = 'expected the number of a version, 1 or more';
/** The number of a version in a file, with quotes or without; as text. */
export const modelVersionSchema = z.union([z.int(), z.string()], FORM).transform(String).pipe(z.string().refine(isModelVersion, FORM));
