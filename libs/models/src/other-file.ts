import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { FileBytes, fieldsOf } from '@app/onnx-file';

const HEAD_BYTES = 512;
/** Of `ModelProto`. */
const GRAPH = 7;
const ANEW = 'fetch it anew, and look whether the address, or the key for it, is right';
const EXPORT = 'export the model to ONNX, for example with optimum-cli';

interface Kind {
  what: string;
  todo: string;
  isIt: (head: Buffer) => boolean;
}

const begins =
  (...bytes: number[]): Kind['isIt'] =>
  (head) =>
    bytes.every((byte, at) => head[at] === byte);
const matches =
  (pattern: RegExp): Kind['isIt'] =>
  (head) =>
    pattern.test(head.toString('latin1'));

/** What comes in the place of any file. */
const STAND_INS: readonly Kind[] = [
  {
    what: 'a pointer of Git LFS, not the file itself',
    todo: 'fetch the file with "git lfs pull"',
    isIt: matches(/^version https:\/\/(?:git-lfs|hawser)\.github\.com\/spec\//),
  },
  {
    what: 'a pointer of git-annex, not the file itself',
    todo: 'fetch the file with "git annex get"',
    isIt: matches(/^\/?(?:\.git\/)?annex\/objects\//),
  },
  {
    what: 'a page of HTML, as a server sends for an error',
    todo: ANEW,
    isIt: matches(/^(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head)\b/i),
  },
];

/** What is taken for a graph. None of them begins as exporters begin an ONNX file: with the byte 8, and a name that has no zeros. */
const NO_GRAPHS: readonly Kind[] = [
  ...STAND_INS,
  { what: 'a page of XML, as a store sends for an error', todo: ANEW, isIt: matches(/^(?:\xef\xbb\xbf)?\s*<(?:\?xml|Error|[a-z])/) },
  { what: 'JSON, as a server sends for an error', todo: ANEW, isIt: matches(/^\s*\{\s*"/) },
  { what: 'packed by gzip', todo: 'unpack it with gunzip or tar', isIt: begins(0x1f, 0x8b) },
  { what: 'packed by zstd', todo: 'unpack it with zstd -d', isIt: begins(0x28, 0xb5, 0x2f, 0xfd) },
  { what: 'packed by xz', todo: 'unpack it with xz -d', isIt: begins(0xfd, 0x37, 0x7a, 0x58, 0x5a) },
  { what: 'packed by bzip2', todo: 'unpack it with bunzip2', isIt: matches(/^BZh[1-9]1AY/) },
  {
    what: 'a file of PyTorch',
    todo: EXPORT,
    isIt: matches(/^PK\x03\x04[^]{26}[^]{0,200}?\/(?:data\.pkl|\.format_version|\.data\/)/),
  },
  { what: 'a file of PyTorch', todo: EXPORT, isIt: matches(/^\x80[\x02-\x05](?:\x8a\x0a|[}\]c(\x95])/) },
  { what: 'a zip archive', todo: 'unpack it with unzip', isIt: matches(/^PK(?:\x03\x04|\x05\x06)/) },
  { what: 'a tar archive', todo: 'unpack it with tar', isIt: matches(/^[^\x08][^]{256}ustar(?:\0\d\d| {2}\0)/) },
  { what: 'a file of safetensors, which holds weights and no graph', todo: EXPORT, isIt: matches(/^[^]{5}\0\0\0\{\s*"/) },
  { what: 'a file of GGUF', todo: EXPORT, isIt: matches(/^GGUF/) },
  { what: 'a file of TensorFlow Lite', todo: 'convert it with tf2onnx', isIt: matches(/^[^\x08][^]{3}TFL3/) },
  { what: 'a file of HDF5, as Keras writes', todo: 'convert it with tf2onnx', isIt: matches(/^\x89HDF\r\n/) },
  { what: 'nothing but zeros where it begins', todo: 'it was not fetched or copied to its end; fetch it anew', isIt: isZeros },
];

/** Says of a file that is no ONNX graph what it is instead, and what to do; null: it may be one. */
export function notAGraph(path: string): string | null {
  const head = headOf(path);
  if (head === null) return null;
  if (head.length === 0) return `${path} is empty: it was not fetched or copied to its end; fetch it anew`;
  const kind = NO_GRAPHS.find(({ isIt }) => isIt(head));
  if (kind !== undefined) return told(path, kind, 'an ONNX graph');
  return isCutOff(path, head)
    ? `${path} is an ONNX graph that is cut off or damaged: compare its length with the original, and fetch it anew`
    : null;
}

/** Says of any file that another came in its place, and what to do; null: that cannot be seen. */
export function standIn(path: string): string | null {
  const head = headOf(path);
  const kind = head === null ? undefined : STAND_INS.find(({ isIt }) => isIt(head));
  return kind === undefined ? null : told(path, kind, 'a file of the model');
}

const told = (path: string, { what, todo }: Kind, expected: string): string => `${path}: expected ${expected} but it is ${what}; ${todo}`;

/** The first bytes; null: there is no such file, or it cannot be read, which is told by whoever needs it. */
function headOf(path: string): Buffer | null {
  let file: number | null = null;
  try {
    if (!statSync(path).isFile()) return null;
    file = openSync(path, 'r');
    const head = Buffer.alloc(HEAD_BYTES);
    return head.subarray(0, readSync(file, head, 0, HEAD_BYTES, 0));
  } catch {
    return null;
  } finally {
    if (file !== null) closeSync(file);
  }
}

function isZeros(head: Buffer): boolean {
  return head.length >= 16 && head.every((byte) => byte === 0);
}

/** Its last field ends behind its end, or there is no graph in it. Only of files that begin as all exporters do, with `ir_version`. */
function isCutOff(path: string, head: Buffer): boolean {
  if (head[0] !== 0x08) return false;
  try {
    return FileBytes.with(path, (bytes) => {
      let hasGraph = false;
      for (const { number } of fieldsOf(bytes, { start: 0, end: bytes.size })) hasGraph ||= number === GRAPH;
      return !hasGraph;
    });
  } catch {
    return true;
  }
}
