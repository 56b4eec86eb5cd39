import type { Command } from 'commander';
import { loadConfig, runPaths } from '@app/config';
import type {
  DecideCommand,
  ModelComparison,
  PlacedRelease,
  PlacedVersion,
  ReleaseAction,
  RepositoryEvent,
  SchedulerProcessStatus,
} from '@app/contracts';
import { commandProcess, fetchStatus } from '@app/process';
import { askScheduler } from '../ask-scheduler';
import { CliError } from '../cli-error';
import { printable } from '../printable';
import { table } from '../table';

const EVENTS_SHOWN = 10;
const HERE = 'on the machine of the node, with its DATA_DIR';

interface DecideOptions {
  modelVersion?: string;
  reason?: string;
}

/** `promote`, `rollback` and `status`, below `interleave models`. */
export function addReleaseCommands(models: Command): void {
  models
    .command('promote <model>')
    .description(`makes the canary the stable version, for all requests that name none; ${HERE}`)
    .option('--model-version <version>', 'another version that serves (default: the canary)')
    .option('--reason <text>', 'kept with the decision', 'by hand')
    .addHelpText('after', '\nThe decision holds until release.yaml changes; to take it back: interleave models rollback <model>')
    .action((model: string, options: DecideOptions) => decide('promote', model, options));
  models
    .command('rollback <model>')
    .description(`takes traffic from the canary, or from a version that was promoted; ${HERE}`)
    .option('--model-version <version>', 'default: the canary, else what was promoted last')
    .option('--reason <text>', 'kept with the decision', 'by hand')
    .addHelpText('after', '\nThe version gets no traffic again until release.yaml changes, or it is promoted by hand.')
    .action((model: string, options: DecideOptions) => decide('rollback', model, options));
  models
    .command('status [model]')
    .description(`shows which revision of each version serves, who gets it, why one does not serve, and what happened last; ${HERE}`)
    .option('--json', 'versions, releases and events as the scheduler tells them, and comparisons as the API does')
    .action(async (model: string | undefined, { json }: { json?: true }) => {
      const { versions, releases, events } = await askScheduler((socket) => fetchStatus('scheduler', socket));
      const comparisons = await comparisonsOfNode();
      const isMeant = (name: string): boolean => model === undefined || name === model;
      const shown = {
        versions: versions.filter(({ name }) => isMeant(name)),
        releases: releases.filter(({ name }) => isMeant(name)),
        events: events.filter((event) => isMeant(event.model)),
        comparisons: comparisons.filter((comparison) => isMeant(comparison.model)),
      };
      if (model !== undefined && shown.versions.length === 0)
        throw new CliError(`there is no model ${model}; see: interleave models status`);
      console.log(json ? JSON.stringify(shown, null, 2) : statusText(shown));
    });
}

interface Shown extends Pick<SchedulerProcessStatus, 'versions' | 'releases' | 'events'> {
  comparisons?: ModelComparison[];
}

/** As people read it. */
export function statusText({ versions, releases, events, comparisons = [] }: Shown): string {
  const rows = versions.map((version) =>
    versionRow(
      version,
      releases.find(({ name }) => name === version.name),
    ),
  );
  const newest = events.slice(-EVENTS_SHOWN).map(eventLine);
  const header = ['MODEL', 'VERSION', 'REVISION', 'STATE', 'LABELS', 'CANARY', 'MIRROR', 'REASON'];
  const compared = comparisons.length === 0 ? [] : ['', table(COMPARISON_HEADER, comparisons.map(comparisonRow))];
  return [
    rows.length === 0 ? 'no models' : table(header, rows),
    ...compared,
    ...(newest.length === 0 ? [] : ['', 'Newest events:', ...newest]),
  ]
    .map(printable)
    .join('\n');
}

function versionRow({ name, version, serving, next, state, reason }: PlacedVersion, release: PlacedRelease | undefined): string[] {
  const labels = Object.entries(release?.labels ?? {}).filter(([, labelled]) => labelled === version);
  return [
    name,
    version,
    [serving, next].flatMap((revision) => revision ?? []).join(' -> '),
    serving !== null && next !== null ? `${state}, new files loading` : state,
    labels.map(([label]) => label).join(', '),
    release?.canary?.version === version ? `${release.canary.trafficPercent} %` : '',
    release?.mirror?.version === version ? `${release.mirror.percent} %` : '',
    reason ?? '',
  ];
}

const COMPARISON_HEADER = ['MODEL', 'TESTED', 'ROWS', 'AGREE', 'FLIPS', 'COSINE MIN', 'DIFFERENCE MAX', 'TIME', 'DROPPED', 'P99', 'FAILED'];

/** Time and p99 are ratios to those of the stable version. */
function comparisonRow(comparison: ModelComparison): string[] {
  const { model, version, stable, role, rows, agreeing, labelFlips, cosineMin, largestDifference, timeRatio, dropped, canary } = comparison;
  return [
    model,
    `${version} (${role}) beside ${stable}`,
    String(rows),
    rows === 0 ? '' : `${((100 * agreeing) / rows).toFixed(2)} %`,
    String(labelFlips),
    number(cosineMin),
    number(largestDifference),
    number(timeRatio),
    String(dropped),
    number(canary?.p99Ratio ?? null),
    canary === null ? '' : `${canary.errors} of ${canary.requests}`,
  ];
}

const number = (value: number | null): string => (value === null ? '' : String(Number(value.toPrecision(6))));

/** Of the API process that answers; none where it does not tell. */
async function comparisonsOfNode(): Promise<ModelComparison[]> {
  const { comparisons = [] } = await fetchStatus('api', runPaths(loadConfig().runDir).statusSocket('api')).catch(() => ({
    comparisons: [],
  }));
  return comparisons;
}

function eventLine({ atMs, model, version, kind, message }: RepositoryEvent): string {
  const time = new Date(atMs).toISOString().replace(/\.\d+Z$/, 'Z');
  return `${time}  ${kind}  ${model}${version === null ? '' : ` version ${version}`}: ${message}`;
}

async function decide(action: ReleaseAction, name: string, { modelVersion: version, reason = 'by hand' }: DecideOptions): Promise<void> {
  const command: DecideCommand = { name, action, version, reason, by: 'command' };
  const { release } = await askScheduler((socket) =>
    commandProcess<{ release: PlacedRelease | null }>(socket, '/releases/decide', command),
  );
  const stable = release?.labels['stable'];
  console.log(stable === undefined ? `${name}: the newest version that serves is stable` : `${name}: version ${stable} is stable`);
}
