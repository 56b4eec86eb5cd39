import { charsOf, cut, line, span, type Line, type Span } from './styled-text';

/** One column of a table. What matters least goes first where the screen is narrow. */
export interface Column<T> {
  title: string;
  /** 0: always there. */
  rank: number;
  isRight?: boolean;
  /** Longer ones are cut. */
  charsMax?: number;
  cell: (row: T) => Span | string;
}

const GAP = 2;
const TITLE_GAP = '  ';

/** As many columns as fit, two spaces apart. */
export function tableLines<T>(columns: readonly Column<T>[], rows: readonly T[], chars: number): { header: Line; lines: Line[] } {
  const cells = columns.map(({ cell, charsMax = Infinity }) =>
    rows.map((row) => {
      const content = cell(row);
      const { text, style } = typeof content === 'string' ? span(content) : content;
      return { text: cut(text, charsMax), style };
    }),
  );
  const widths = columns.map(({ title }, at) => Math.max(charsOf(title), ...(cells[at] ?? []).map(({ text }) => charsOf(text))));
  const shown = shownColumns(columns, widths, chars);
  const padded = (at: number, text: string): string => {
    const room = ' '.repeat(Math.max(0, (widths[at] ?? 0) - charsOf(text)));
    return columns[at]?.isRight === true ? room + text : text + room;
  };
  return {
    header: line(span(shown.map((at) => padded(at, columns[at]?.title ?? '')).join(TITLE_GAP), 'soft')),
    lines: rows.map((_, row) =>
      shown.flatMap((at, place) => {
        const { text, style } = cells[at]?.[row] ?? span('');
        return [...(place === 0 ? [] : [span(' '.repeat(GAP))]), { text: padded(at, text), style }];
      }),
    ),
  };
}

function shownColumns<T>(columns: readonly Column<T>[], widths: readonly number[], chars: number): number[] {
  const shown = columns.map((_, at) => at);
  const total = (): number => shown.reduce((sum, at) => sum + (widths[at] ?? 0) + GAP, -GAP);
  while (total() > chars) {
    const least = Math.max(...shown.map((at) => columns[at]?.rank ?? 0));
    if (least === 0) break;
    shown.splice(
      shown.findLastIndex((at) => columns[at]?.rank === least),
      1,
    );
  }
  return shown;
}
