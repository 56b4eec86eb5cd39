import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';

const FILE_BYTES_MAX = 1024 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** PEM files. */
export interface TlsPaths {
  readonly certFile: string;
  readonly keyFile: string;
  /** Null: callers need no certificate. */
  readonly clientCaFile: string | null;
}

/** A certificate chain with the key of its first certificate, checked. */
export interface TlsPair {
  readonly cert: string;
  readonly key: string;
  /** Who may have issued the certificates of callers; null: callers need none. */
  readonly clientCa: string | null;
  readonly subject: string;
  readonly validFromMs: number;
  readonly validToMs: number;
  /** Whether each certificate was issued by the one after it. */
  readonly isChainInOrder: boolean;
}

/**
 * Reads the files and checks that they are what they should be and belong together. Rejects with an error that names the
 * file and says what to do. A pair that is out of date is no error: see `isInDate`.
 */
export async function readTlsPair({ certFile, keyFile, clientCaFile }: TlsPaths): Promise<TlsPair> {
  const [cert, key, clientCa] = await Promise.all([
    readPem('certFile', certFile),
    readPem('keyFile', keyFile),
    clientCaFile === null ? null : readPem('clientCaFile', clientCaFile),
  ]);
  const chain = certificatesOf('certFile', certFile, cert);
  const [leaf] = chain;
  if (!leaf.checkPrivateKey(privateKeyOf(keyFile, key)))
    throw new Error(
      `tls.keyFile ${keyFile}: expected the key of the first certificate in ${certFile} but received that of another one; put both files of one pair there`,
    );
  if (clientCa !== null) certificatesOf('clientCaFile', clientCaFile ?? '', clientCa);
  try {
    createSecureContext({ cert, key, ...(clientCa !== null && { ca: clientCa }) });
  } catch (error) {
    throw new Error(`tls.certFile ${certFile}: OpenSSL refuses it (${(error as Error).message}); have another one issued`, {
      cause: error,
    });
  }
  return {
    cert,
    key,
    clientCa,
    subject: leaf.subjectAltName ?? leaf.subject,
    validFromMs: Date.parse(leaf.validFrom),
    validToMs: Date.parse(leaf.validTo),
    isChainInOrder: chain.every((certificate, at) => at === 0 || chain[at - 1]?.checkIssued(certificate) === true),
  };
}

export function isInDate({ validFromMs, validToMs }: Pick<TlsPair, 'validFromMs' | 'validToMs'>, nowMs = Date.now()): boolean {
  return validFromMs <= nowMs && nowMs < validToMs;
}

async function readPem(setting: string, path: string): Promise<string> {
  try {
    const found = await stat(path);
    // A pipe would never end.
    if (!found.isFile()) throw new Error('it is no file');
    const { size } = found;
    if (size > FILE_BYTES_MAX) throw new Error(`it has ${size} bytes, and at most ${FILE_BYTES_MAX} are read`);
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new Error(`tls.${setting} ${path}: cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

function certificatesOf(setting: string, path: string, pem: string): [X509Certificate, ...X509Certificate[]] {
  const blocks = pem.match(CERTIFICATE) ?? [];
  const certificates = blocks.map((block, at) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new Error(`tls.${setting} ${path}: certificate ${at + 1} cannot be parsed (${(error as Error).message})`, { cause: error });
    }
  });
  const [first, ...rest] = certificates;
  if (first === undefined)
    throw new Error(`tls.${setting} ${path}: expected PEM ("-----BEGIN CERTIFICATE-----") but received none; convert it with openssl x509`);
  return [first, ...rest];
}

function privateKeyOf(path: string, pem: string): KeyObject {
  if (pem.includes('ENCRYPTED'))
    throw new Error(`tls.keyFile ${path}: expected a key without a passphrase; decrypt it with openssl pkey -in ${path} -out <file>`);
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw new Error(`tls.keyFile ${path}: expected a private key in PEM (${(error as Error).message})`, { cause: error });
  }
}
