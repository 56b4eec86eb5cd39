import type { ComponentChildren, JSX } from 'preact';

export interface Column<Row> {
  head: string;
  isNumber?: boolean;
  cell: (row: Row) => ComponentChildren;
}

interface TableProps<Row> {
  label: string;
  columns: Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
  /** The row that is shown in full elsewhere. */
  isChosen?: (row: Row) => boolean;
}

/** It scrolls sideways by itself where the page is too narrow. */
export function Table<Row>({ label, columns, rows, keyOf, isChosen }: TableProps<Row>): JSX.Element {
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label={label}>
      <table>
        <thead>
          <tr>
            {columns.map(({ head, isNumber }) => (
              <th key={head} scope="col" class={isNumber ? 'number' : ''}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)} class={isChosen?.(row) ? 'is-chosen' : ''}>
              {columns.map(({ head, isNumber, cell }) => (
                <td key={head} class={isNumber ? 'number' : ''}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
