import type { ChunkPart, ChunkResult, ChunkResults, ChunkTable, ResultTable } from '@app/batches';

/** How the lines of both files begin: `RowLines`. */
const LINE_ID = /^\{"id":"batch_req_[^"]{0,128}_(\d{1,15})"/;
const ID_BYTES_MAX = 192;
const NEWLINE = 0x0a;

const NONE: ReadonlySet<number> = new Set();

interface ChunkRows {
  index: number;
  firstRow: number;
  end: number;
  /** Either the rows that are left, or those that are not. */
  named: ReadonlySet<number>;
  areLeft: boolean;
}

/** Which rows of a batch that is over failed or did not run. To be asked in ascending order; holds the numbers of one chunk. */
export class RowsLeft {
  private current: ChunkRows | null = null;

  constructor(
    private readonly results: ChunkResults,
    private readonly table: ChunkTable,
    private readonly counts: ResultTable,
  ) {}

  hasAnyOf(index: number): boolean {
    return this.counts.resultOf(index).completed < this.table.chunk(index).rowCount;
  }

  async has(row: number): Promise<boolean> {
    while (this.current === null || row >= this.current.end) {
      const index = this.current === null ? 0 : this.current.index + 1;
      if (index >= this.table.chunkCount) return false;
      this.current = await this.read(index, row);
    }
    const { named, areLeft } = this.current;
    return named.has(row) === areLeft;
  }

  /** `row`: a chunk that ends before it is not looked at. */
  private async read(index: number, row: number): Promise<ChunkRows> {
    const { firstRow, rowCount } = this.table.chunk(index);
    const place = { index, firstRow, end: firstRow + rowCount };
    const result = this.counts.resultOf(index);
    if (row >= place.end || result.completed === rowCount) return { ...place, named: NONE, areLeft: true };
    if (result.completed === 0) return { ...place, named: NONE, areLeft: false };
    // Where each row has a line, the failed ones are few; else those that were answered tell the others.
    const areLeft = result.completed + result.failed === rowCount;
    return { ...place, named: await this.rowsOf(result, areLeft ? 'error' : 'output'), areLeft };
  }

  private async rowsOf(result: Omit<ChunkResult, 'failures'>, part: ChunkPart): Promise<Set<number>> {
    const rows = new Set<number>();
    let start = Buffer.alloc(0);
    let isInLine = false;
    const note = (): void => {
      const [, row] = LINE_ID.exec(start.toString('latin1')) ?? [];
      if (row === undefined) throw new Error(`chunk ${result.index}: expected a line with the number of its row but received another one`);
      rows.add(Number(row));
      start = Buffer.alloc(0);
    };
    for await (const bytes of this.results.read(result, part)) {
      for (let at = 0; at < bytes.length;) {
        const newline = bytes.indexOf(NEWLINE, at);
        const end = newline === -1 ? bytes.length : newline;
        if (start.length < ID_BYTES_MAX) start = Buffer.concat([start, bytes.subarray(at, Math.min(end, at + ID_BYTES_MAX))]);
        isInLine = newline === -1;
        if (!isInLine) note();
        at = end + 1;
      }
    }
    if (isInLine) throw new Error(`chunk ${result.index}: its last line is not whole`);
    return rows;
  }
}
