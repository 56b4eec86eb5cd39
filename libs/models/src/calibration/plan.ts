import type { ModelSignature } from '@app/contracts';

/** One run to measure: `rows` rows of `length` tokens each. */
export interface Cell {
  rows: number;
  length: number;
}

/**
 * Dense where sharing a run pays most and lengths matter most. Rows up to 32: beyond that a run of even the shortest rows is
 * past the knee (docs/scheduling.md §1).
 */
const LENGTHS = [1, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192];
const ROWS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32];
const COARSE_LENGTHS = [1, 16, 64, 256, 1024, 4096];
const COARSE_ROWS = [1, 4, 16];
/** Most tokens of a cell with several rows; far past what a run of any lane may hold. */
const CELL_TOKENS_MAX = 4096;
/** Longest row that is measured where callers' lengths are not known. */
const ROW_TOKENS_DEFAULT = 512;

/**
 * The cells of a model in the order of measuring, as phases that each leave a usable table: a coarse grid, then every
 * length at coarse rows, then the rest, small ones first. A model without a batch axis has one row, one without a
 * sequence axis one length.
 */
export function planCells(signature: ModelSignature, rowTokensMax: number | null): Cell[][] {
  const axes = signature.inputs.flatMap((input) => input.axes);
  const lengths = lengthsOf(axes.includes('sequence0') ? (axes.includes('sequence1') ? 2 : 1) : 0, rowTokensMax ?? ROW_TOKENS_DEFAULT);
  const rows = axes.includes('batch') ? ROWS : [1];
  const coarseLengths = lengths.filter((length, index) => index === 0 || index === lengths.length - 1 || COARSE_LENGTHS.includes(length));
  const cells = lengths.flatMap((length) => rows.map((count) => ({ rows: count, length }))).filter(isWithinLimit);
  const phaseOf = (cell: Cell): number => (!COARSE_ROWS.includes(cell.rows) ? 2 : coarseLengths.includes(cell.length) ? 0 : 1);
  const byTokens = (a: Cell, b: Cell): number => a.rows * a.length - b.rows * b.length || a.rows - b.rows;
  return [0, 1, 2].map((phase) => cells.filter((cell) => phaseOf(cell) === phase).sort(byTokens)).filter((phase) => phase.length > 0);
}

/** The model's longest row is always among them. */
function lengthsOf(sequenceAxes: number, longest: number): number[] {
  if (sequenceAxes === 0) return [1];
  const shortest = sequenceAxes; // each axis has at least one token
  return [...new Set([shortest, ...LENGTHS.filter((length) => length > shortest && length < longest), Math.max(shortest, longest)])];
}

function isWithinLimit({ rows, length }: Cell): boolean {
  return rows === 1 || rows * length <= CELL_TOKENS_MAX;
}
