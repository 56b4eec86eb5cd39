import { decodeLineIndex, LineIndexer, type ChunkTable } from './line-index';
import { planChunks } from './plan-chunks';

const LINE = Buffer.from('{"a":1}\n');
const LIMITS = { secondsPerRow: 0, rowsMax: 8192, bytesMax: 8 * 1024 * 1024 };

function granules(rows: number, chunkRows = 64): ChunkTable {
  const indexer = new LineIndexer({ chunkRows, chunkBytesMax: 1e9, rowsMax: 1e9, rowBytesMax: 1e6 });
  for (let row = 0; row < rows; row++) indexer.push(LINE);
  return decodeLineIndex(indexer.encode(), { bytes: indexer.byteCount, rows });
}

const rowsOf = (table: ChunkTable): number[] => Array.from({ length: table.chunkCount }, (_, index) => table.chunk(index).rowCount);

describe('planChunks', () => {
  it('makes chunks of three seconds, the first ones small', () => {
    const rows = rowsOf(planChunks(granules(40_000), { ...LIMITS, secondsPerRow: 0.003 }));
    expect(rows.slice(0, 6)).toEqual([64, 128, 256, 512, 960, 960]);
  });

  it('covers every row and every byte once, in order', () => {
    for (const secondsPerRow of [0, 0.001, 0.1, 100]) {
      const whole = granules(5_001);
      const table = planChunks(whole, { ...LIMITS, secondsPerRow });
      let [row, offset, line] = [0, 0, 1];
      for (let index = 0; index < table.chunkCount; index++) {
        const chunk = table.chunk(index);
        expect([chunk.firstRow, chunk.offset, chunk.firstLine]).toEqual([row, offset, line]);
        [row, offset, line] = [row + chunk.rowCount, chunk.end, line + chunk.rowCount];
      }
      expect([row, offset]).toEqual([5_001, whole.byteCount]);
    }
  });

  it('takes 512 rows where nobody knows what they cost', () => {
    expect(Math.max(...rowsOf(planChunks(granules(40_000), LIMITS)))).toBe(512);
  });

  it('keeps to the most rows and bytes of a chunk', () => {
    const options = { ...LIMITS, secondsPerRow: 1e-6 };
    expect(Math.max(...rowsOf(planChunks(granules(100_000), { ...options, rowsMax: 1024 })))).toBe(1024);
    expect(Math.max(...rowsOf(planChunks(granules(100_000), { ...options, bytesMax: 640 * LINE.length })))).toBe(640);
  });

  it('leaves a granule whole, whatever it is worth', () => {
    expect(rowsOf(planChunks(granules(200), { ...LIMITS, secondsPerRow: 60 }))).toEqual([64, 64, 64, 8]);
  });

  it('gives several nodes something of a small file', () => {
    expect(planChunks(granules(2_000), { ...LIMITS, secondsPerRow: 1e-6 }).chunkCount).toBeGreaterThanOrEqual(8);
  });

  it('keeps the chunks of a file of a former release, which had 512 rows', () => {
    expect(rowsOf(planChunks(granules(2_000, 512), { ...LIMITS, secondsPerRow: 0.1 }))).toEqual([512, 512, 512, 464]);
  });

  it('can be stored', () => {
    const table = planChunks(granules(2_000), LIMITS);
    expect(rowsOf(decodeLineIndex(table.encode(), { bytes: table.byteCount, rows: table.rowCount }))).toEqual(rowsOf(table));
  });
});
