import { byteText } from '@app/contracts';
import { table } from '../table';
import type { Cut } from './candidates';
import type { SplitResult } from './split-model';

/** What was cut where, for people. */
export function splitReport({ rows, length, whole, stages, cuts, places }: SplitResult): string {
  const size = `${rows} row${rows === 1 ? '' : 's'}${length > 1 ? ` of ${length}` : ''}`;
  const predicted = stages.map(({ predictedMs }) => predictedMs);
  const measured = stages.map(({ ms }) => ms);
  const lines = [
    table(
      ['stage', 'nodes', 'weights', 'ms by profile', 'ms measured', 'carried on', 'bytes carried'],
      stages.map(({ model, nodes, weightsBytes, predictedMs, ms }, i) => [
        model,
        `${nodes}`,
        byteText(weightsBytes),
        msText(predictedMs),
        msText(ms),
        carriedText(cuts[i]),
        cuts[i] === undefined ? '' : byteText(cuts[i].bytes),
      ]),
    ),
    '',
    `one run of ${size} on one thread; the graph can be cut at ${places} places`,
    `whole model: ${msText(whole.ms)} ms, ${byteText(whole.weightsBytes)} of weights`,
    `slowest stage by profile: ${balanceText(predicted)}`,
  ];
  if (measured.every((ms) => ms !== null)) lines.push(`slowest stage as measured: ${balanceText(measured)}`);
  return lines.join('\n');
}

const msText = (ms: number | null): string => (ms === null ? '-' : ms.toFixed(3));

function carriedText(cut: Cut | undefined): string {
  if (cut === undefined) return '';
  return (
    cut.values.map(({ name, datatype, dims }) => `${name} ${datatype} [${dims.map((dim) => dim ?? '?').join(', ')}]`).join('; ') ||
    'nothing'
  );
}

/** 1 would be stages that all take the same time. */
function balanceText(ms: readonly number[]): string {
  const mean = ms.reduce((sum, value) => sum + value, 0) / ms.length;
  return `${(Math.max(...ms) / mean).toFixed(2)} times the mean of the stages`;
}
