import { table } from '../table';
import { objection, type Candidate, type ChoiceRule } from './choose';
import type { Company } from './neighbours';
import type { OptimizeResult } from './optimize-model';

const MiB = 2 ** 20;
const MS_DIGITS = 3;

/** Speed first, then agreement. */
export function optimizeReport({ candidates, cells }: Pick<OptimizeResult, 'candidates' | 'cells'>, rule: ChoiceRule): string {
  const header = ['VARIANT', 'MiB', ...cells.map(({ rows, length }) => `${rows} × ${length}`), 'SPEED', 'ROWS'];
  const present = candidates.filter(({ measured }) => measured !== null);
  const speeds = present.map(({ kind, measured }) => [
    kind,
    ((measured?.bytes ?? 0) / MiB).toFixed(1),
    ...(measured?.speed.msPerRow ?? []).map((ms) => (ms === null ? '' : ms.toPrecision(MS_DIGITS))),
    measured?.speedup?.toFixed(2) ?? '',
    measured?.rows ?? '',
  ]);
  const agreements = candidates.map((candidate) => agreementRow(candidate, rule));
  return [
    'ms of CPU time for each row in runs of rows × tokens; SPEED: times that of the original',
    table(header, speeds),
    '',
    table(['VARIANT', 'COSINE', 'LEAST', 'FLIPS', 'DIFFERENCE', 'BESIDE OTHERS', 'VERDICT'], agreements),
  ].join('\n');
}

function agreementRow(candidate: Candidate, rule: ChoiceRule): string[] {
  const { kind, measured } = candidate;
  const { agreement, company = [] } = measured ?? {};
  const verdict = kind === 'original' ? '' : (objection(candidate, rule) ?? 'answers alike');
  return [
    kind,
    agreement?.cosineMean?.toFixed(6) ?? '',
    agreement?.cosineMin?.toFixed(6) ?? '',
    agreement ? `${agreement.flips}/${agreement.rows}` : '',
    agreement?.differenceMax.toPrecision(MS_DIGITS) ?? '',
    company.map(companyText).join(', '),
    verdict,
  ];
}

function companyText({ with: kind, isIdentical, isIndependent, difference }: Company): string {
  if (kind === 'none') return 'one row at a time';
  if (isIdentical) return `${kind}: same bytes`;
  return `${kind}: ${isIndependent ? 'same' : 'DIFFERENT'} (${difference.toExponential(1)})`;
}
