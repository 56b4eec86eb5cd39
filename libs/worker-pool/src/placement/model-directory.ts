import type { ModelReport, QuarantinedModel } from '@app/contracts';

/** The better state wins when several workers report the same model version. */
const RANK: Record<ModelReport['state'], number> = { ready: 2, loading: 1, failed: 0 };

/** Names one model version in maps. */
export const modelKey = (name: string, version: string): string => `${name}\n${version}`;

export function splitModelKey(key: string): { name: string; version: string } {
  const [name = '', version = ''] = key.split('\n');
  return { name, version };
}

/** One report for each model version, the best there is, in the order of first appearance. */
export function mergeReports(reports: Iterable<ModelReport>): Map<string, ModelReport> {
  const merged = new Map<string, ModelReport>();
  for (const report of reports) {
    const key = modelKey(report.name, report.version);
    const known = merged.get(key);
    if (known === undefined || RANK[report.state] > RANK[known.state]) merged.set(key, report);
  }
  return merged;
}

/** Workers that were started before a model was quarantined still say that it is ready. */
export function withhold(reports: Map<string, ModelReport>, quarantined: readonly QuarantinedModel[]): void {
  for (const { name, version, reason } of quarantined) {
    const report = reports.get(modelKey(name, version));
    if (report !== undefined) reports.set(modelKey(name, version), { ...report, state: 'failed', reason });
  }
}

/**
 * The report that a request means. Version null: the newest that is ready, else the newest that loads, else the newest;
 * versions are integers as text. Null: nobody reports such a model.
 */
export function resolveModel(reports: Map<string, ModelReport>, name: string, version: string | null): ModelReport | null {
  if (version !== null) return reports.get(modelKey(name, version)) ?? null;
  let best: ModelReport | null = null;
  for (const report of reports.values()) {
    if (report.name === name && (best === null || isPreferred(report, best))) best = report;
  }
  return best;
}

function isPreferred(report: ModelReport, other: ModelReport): boolean {
  if (report.state !== other.state) return RANK[report.state] > RANK[other.state];
  return compareVersions(report.version, other.version) > 0;
}

/** Numerically, whatever their length. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a.replace(/^0+(?=\d)/, ''), b.replace(/^0+(?=\d)/, '')];
  if (left.length !== right.length) return left.length - right.length;
  return left < right ? -1 : left > right ? 1 : 0;
}
