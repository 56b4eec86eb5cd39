/** What a batch may be read from. `jsonl`: OpenAI's lines; of the others each row becomes such a line. */
export const FILE_FORMATS = ['jsonl', 'csv', 'parquet', 'arrow', 'text'] as const;
export type FileFormat = (typeof FILE_FORMATS)[number];
export type Compression = 'gzip' | 'zstd';
/** What the first bytes of a file say, where it is no plain lines. */
export type BinaryKind = 'parquet' | 'arrow' | Compression;

/** As many first bytes as `binaryKind` looks at. */
export const HEAD_BYTES = 6;

const MAGIC: readonly (readonly [BinaryKind, Buffer])[] = [
  ['parquet', Buffer.from('PAR1')],
  ['arrow', Buffer.from('ARROW1')],
  // An Arrow stream has no name; it begins with the mark of a message.
  ['arrow', Buffer.from([0xff, 0xff, 0xff, 0xff])],
  ['gzip', Buffer.from([0x1f, 0x8b])],
  ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
];
const BY_NAME: Readonly<Record<string, FileFormat>> = {
  csv: 'csv',
  parquet: 'parquet',
  arrow: 'arrow',
  arrows: 'arrow',
  feather: 'arrow',
  txt: 'text',
};

/** Null: lines, or nothing that is known. */
export function binaryKind(head: Uint8Array): BinaryKind | null {
  const start = Buffer.from(head);
  return MAGIC.find(([, magic]) => start.subarray(0, magic.length).equals(magic))?.[0] ?? null;
}

export const isCompression = (kind: BinaryKind | null): kind is Compression => kind === 'gzip' || kind === 'zstd';

/** By the end of a file's name, of which an end that says how it is compressed does not count; `jsonl` for names that say nothing. */
export function formatOfName(name: string): FileFormat {
  const ending = /\.([a-z]+)$/.exec(name.toLowerCase().replace(/\.(gz|gzip|zst|zstd)$/, ''))?.[1] ?? '';
  return BY_NAME[ending] ?? 'jsonl';
}
