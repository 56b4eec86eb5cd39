import { byteText, type Lane } from '@app/contracts';
import { byNameAndVersion, isFailing, isLoaded, revisionsOf, type Revision, type VersionState } from './revision';

/** What was loaded for somebody stays for this long, so that they get their answers. */
const STAY_MS = 2000;

export interface BudgetFacts {
  versions: readonly VersionState[];
  bytesMax: number;
  laneOf: (workerId: string) => Lane;
  /** Revisions that batches need. */
  pinned: ReadonlySet<number>;
  /** Steps of graphs with `pinned`. */
  pinnedByGraphs: ReadonlySet<VersionState>;
  nowMs: number;
}

/**
 * What has to go so that a revision fits once all that leaves has left; or why it cannot be loaded: for good, or now, while what
 * is loaded is in use.
 */
export type Room = { evict: VersionState[] } | { reason: string; isFinal: boolean };

/** Makes room for `revision` of `owner` by unloading what was not used for longest. */
export function roomFor(revision: Revision, owner: VersionState, facts: BudgetFacts): Room {
  const former = owner.serving?.bytes ?? 0;
  if (revision.bytes + former > facts.bytesMax) return { reason: tooLarge(revision, former, facts.bytesMax), isFinal: true };
  const evict: VersionState[] = [];
  for (const candidate of [...evictable(owner, facts), null]) {
    const stays = facts.versions.filter((version) => !evict.includes(version)).flatMap((version) => staying(version, facts));
    if (isWithin(revision, stays, facts)) return { evict };
    if (candidate !== null) evict.push(candidate);
  }
  return { reason: noRoom(revision, owner, facts), isFinal: false };
}

/** Whether it fits beside all that workers have now. */
export function fits(revision: Revision, facts: BudgetFacts): boolean {
  return isWithin(revision, facts.versions.flatMap(revisionsOf), facts);
}

function isWithin(revision: Revision, others: readonly Revision[], { bytesMax, laneOf }: BudgetFacts): boolean {
  return lanesOf(revision, laneOf).every((lane) => {
    const inLane = others.filter((other) => lanesOf(other, laneOf).includes(lane));
    return inLane.reduce((sum, { bytes }) => sum + bytes, revision.bytes) <= bytesMax;
  });
}

function staying(version: VersionState, { pinned }: BudgetFacts): Revision[] {
  const left = version.leaving.map(({ revision }) => revision);
  return revisionsOf(version).filter((revision) => !left.includes(revision) || pinned.has(revision.number));
}

/** Least recently used first; equal ones by name and version. */
function evictable(owner: VersionState, { versions, pinned, pinnedByGraphs, nowMs }: BudgetFacts): VersionState[] {
  return versions
    .filter((version) => version !== owner && isLoaded(version) && version.leaving.length === 0 && version.graphFiles === null)
    .filter((version) => !pinnedByGraphs.has(version))
    .filter(({ serving }) => serving === null || !(serving.isPinned || pinned.has(serving.number)))
    .filter((version) => isFailing(version) || (version.next === null && nowMs - version.loadedAtMs >= STAY_MS))
    .sort((a, b) => a.usedAtMs - b.usedAtMs || byNameAndVersion(a, b));
}

const lanesOf = ({ plans }: Revision, laneOf: (workerId: string) => Lane): Lane[] => [...new Set([...plans.keys()].map(laneOf))];

function tooLarge({ bytes }: Revision, former: number, bytesMax: number): string {
  const needs = former === 0 ? byteText(bytes, 'up') : `${byteText(bytes, 'up')} beside ${byteText(former, 'up')} of the files that serve`;
  const other = former === 0 ? 'or take the model out of MODELS_DIR' : 'or unload the model first';
  return (
    `its files have ${needs}, and repository.memoryMax is ${byteText(bytesMax, 'down')}; ` +
    `raise it to at least ${byteText(bytes + former, 'up')}, ${other}`
  );
}

function noRoom(revision: Revision, owner: VersionState, { versions, pinnedByGraphs, bytesMax }: BudgetFacts): string {
  const loaded = versions.filter((version) => version !== owner && isLoaded(version));
  const isPinned = (version: VersionState): boolean =>
    (version.serving ?? version.next?.revision)?.isPinned === true || pinnedByGraphs.has(version);
  const pinned = loaded.filter(isPinned).map(({ name }) => name);
  const held = pinned.length > 0 ? `pinned are ${[...new Set(pinned)].slice(0, 10).join(', ')}, and ` : '';
  return (
    `its ${byteText(revision.bytes, 'up')} find no room within repository.memoryMax (${byteText(bytesMax, 'down')}): ` +
    `${held}the others are in use ` +
    'or on their way; ask again, raise it, or take "pinned: true" out of a model.yaml'
  );
}
