import type { ModelReport, QuarantinedModel } from '@app/contracts';

/** The better state wins when several workers report the same revision. */
const RANK: Record<ModelReport['state'], number> = { ready: 2, loading: 1, failed: 0 };

/** Names one revision of a model version in maps: what was prepared for one set of files never runs on another. */
export const modelKey = ({ name, version, revision }: Pick<ModelReport, 'name' | 'version' | 'revision'>): string =>
  `${name}\n${version}\n${revision}`;

export function splitModelKey(key: string): { name: string; version: string } {
  const [name = '', version = ''] = key.split('\n');
  return { name, version };
}

/** One report for each revision, the best there is, in the order of first appearance. */
export function mergeReports(reports: Iterable<ModelReport>): Map<string, ModelReport> {
  const merged = new Map<string, ModelReport>();
  for (const report of reports) {
    const key = modelKey(report);
    const known = merged.get(key);
    if (known === undefined || RANK[report.state] > RANK[known.state]) merged.set(key, report);
  }
  return merged;
}

/** Workers that were started before a model was quarantined still say that it is ready. */
export function withhold(reports: Map<string, ModelReport>, quarantined: readonly QuarantinedModel[]): void {
  for (const { name, version, reason } of quarantined)
    for (const [key, report] of reports)
      if (report.name === name && report.version === version) reports.set(key, { ...report, state: 'failed', reason });
}

/** What a request names. Without a revision: the newest that is ready. Version null: the newest of which one is ready. */
export interface Wanted {
  model: string;
  version: string | null;
  revision?: number;
}

/**
 * The report that a request means: of those that it may mean the newest that is ready, else the newest that loads, else the
 * newest; versions are integers as text. Null: nobody reports such a model.
 */
export function resolveModel(reports: Map<string, ModelReport>, { model: name, version, revision }: Wanted): ModelReport | null {
  if (version !== null && revision !== undefined) return reports.get(modelKey({ name, version, revision })) ?? null;
  let best: ModelReport | null = null;
  for (const report of reports.values()) {
    if (report.name !== name || (version !== null && report.version !== version)) continue;
    if (best === null || isPreferred(report, best)) best = report;
  }
  return best;
}

function isPreferred(report: ModelReport, other: ModelReport): boolean {
  if (report.state !== other.state) return RANK[report.state] > RANK[other.state];
  return (compareVersions(report.version, other.version) || report.revision - other.revision) > 0;
}

/** Numerically, whatever their length. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a.replace(/^0+(?=\d)/, ''), b.replace(/^0+(?=\d)/, '')];
  if (left.length !== right.length) return left.length - right.length;
  return left < right ? -1 : left > right ? 1 : 0;
}
