import type { JSX } from 'preact';
import type { CostGrid } from '@app/contracts';
import { duration, text } from '../../format';
import { heatOf } from './heat';

/** At most so much of the colour, so that the numbers stay readable. */
const COLOUR_PERCENT_MAX = 46;

/** A cost table as heat map; a table, so that it can be read out and copied. */
export function CostMap({ grid }: { grid: CostGrid }): JSX.Element {
  const heat = heatOf(grid);
  const hasLengths = grid.lengths.length > 1 || grid.lengths[0] !== 1;
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="Measured time of runs">
      <table class="cost-map">
        <thead>
          <tr>
            <th scope="col">{hasLengths ? 'tokens a row' : ''}</th>
            {grid.rows.map((rows) => (
              <th key={rows} scope="col">
                {rows} {rows === 1 ? 'row' : 'rows'}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {grid.lengths.map((length, i) => (
            <tr key={length}>
              <th scope="row">{hasLengths ? length : 'a run'}</th>
              {grid.rows.map((rows, j) => (
                <CostCell key={rows} ns={grid.runNs[i]?.[j] ?? 0} rows={rows} heat={heat[i]?.[j] ?? null} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function CostCell({ ns, rows, heat }: { ns: number; rows: number; heat: number | null }): JSX.Element {
  if (heat === null) return <td class="soft">not measured</td>;
  const backgroundColor = `color-mix(in srgb, var(--live) ${Math.round(4 + heat * (COLOUR_PERCENT_MAX - 4))}%, var(--surface))`;
  return (
    <td style={{ backgroundColor }} title={`${text(duration(ns / 1e6 / rows))} for each row`}>
      {text(duration(ns / 1e6))}
    </td>
  );
}
