/** Editors of one large vendor put it in front of UTF-8; JSON does not allow it, so it is skipped at the start of a file. */
export const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

export const UTF16_REMEDY = 'convert it to UTF-8, for example with: iconv -f UTF-16 -t UTF-8';

export const UTF8_REMEDY = 'convert the file, for example with: iconv -f WINDOWS-1252 -t UTF-8';

/** Whether a file that starts with these bytes says that it is UTF-16, of either byte order. */
export function isUtf16(start: Uint8Array): boolean {
  return (start[0] === 0xff && start[1] === 0xfe) || (start[0] === 0xfe && start[1] === 0xff);
}
