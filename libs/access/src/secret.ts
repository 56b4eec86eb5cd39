import { hash, randomBytes } from 'node:crypto';

const SECRET_BYTES = 32;
/** Tells a leaked key from other secrets, as scanners do. */
const SECRET_PREFIX = 'ilk_';
const SHOWN_CHARACTERS = SECRET_PREFIX.length + 6;

/** 256 random bits: nobody guesses one, so a plain hash protects it. */
export const newSecret = (): string => SECRET_PREFIX + randomBytes(SECRET_BYTES).toString('base64url');

/** What may be shown of a key. */
export const shownPrefix = (secret: string): string => secret.slice(0, SHOWN_CHARACTERS);

/** SHA-256, hexadecimal. */
export const digestOf = (secret: string): string => hash('sha256', secret, 'hex');
