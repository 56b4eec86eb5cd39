import type { CpuShares, NodeHistory, HistorySeries } from '@app/contracts';
import { span, type Line } from './styled-text';

const LEVELS = [...'▁▂▃▄▅▆▇█'];
const KINDS = [
  ['live', '█', 'live'],
  ['batch', '▓', 'batch'],
  ['system', '▒', 'system'],
  ['idle', '·', 'soft'],
] as const;

/** One character for each group of values, its height by the largest of them; a blank where none is known. */
export function sparkline(values: readonly (number | null)[], chars: number): string {
  const groups = Math.min(chars, values.length);
  const peaks = Array.from({ length: groups }, (_, at) => {
    const group = values.slice(Math.floor((at * values.length) / groups), Math.floor(((at + 1) * values.length) / groups));
    const known = group.filter((value) => value !== null);
    return known.length === 0 ? null : Math.max(...known);
  });
  const top = Math.max(...peaks.map((peak) => peak ?? 0));
  return peaks.map((peak) => (peak === null ? ' ' : LEVELS[top === 0 ? 0 : Math.round((peak / top) * (LEVELS.length - 1))])).join('');
}

export function seriesOf(history: NodeHistory | null, name: HistorySeries): (number | null)[] {
  const at = history?.series.indexOf(name) ?? -1;
  return at === -1 ? [] : (history?.points.map(({ values }) => values[at] ?? null) ?? []);
}

/** How the last minute of a CPU divides, each kind by a sign of its own. */
export function cpuBar(shares: CpuShares, chars: number): Line {
  let before = 0;
  let drawn = 0;
  return KINDS.flatMap(([kind, sign, style]) => {
    before += shares[kind];
    const end = kind === 'idle' ? chars : Math.min(chars, Math.round(before * chars));
    const count = Math.max(0, end - drawn);
    drawn = Math.max(drawn, end);
    return count === 0 ? [] : [span(sign.repeat(count), style)];
  });
}

/** What the signs of `cpuBar` mean. */
export const CPU_LEGEND: Line = KINDS.flatMap(([kind, sign, style]) => [span(`${sign} `, style), span(`${kind}  `, 'soft')]);

export function progressBar(share: number, chars: number): Line {
  const done = Math.round(Math.min(1, Math.max(0, share)) * chars);
  return [span('█'.repeat(done), 'batch'), span('░'.repeat(chars - done), 'soft')];
}
