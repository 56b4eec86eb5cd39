import type { Cut } from './candidates';

/** A stage may take so many times as long as the slowest stage of the best balance, where fewer bytes are carried then. */
const SLACK = 1.05;
const BISECTIONS = 40;

/**
 * The `stages - 1` cuts that carry the fewest bytes, among those whose slowest stage takes at most 1.05 times as long as that of the
 * best balance. Null: there are not enough places. `cuts` are in order, `totalUs` is the time of all nodes.
 */
export function chooseCuts(cuts: readonly Cut[], totalUs: number, stages: number): Cut[] | null {
  if (cuts.length < stages - 1) return null;
  let tooShortUs = 0;
  let longestUs = totalUs;
  for (let i = 0; i < BISECTIONS; i++) {
    const middleUs = (tooShortUs + longestUs) / 2;
    if (leastBytes(cuts, { totalUs, stages, limitUs: middleUs }) === null) tooShortUs = middleUs;
    else longestUs = middleUs;
  }
  return leastBytes(cuts, { totalUs, stages, limitUs: longestUs * SLACK });
}

/** A way to reach a cut: bytes carried over it and all before it, and the cut before it. */
interface Way {
  bytes: number;
  cut: Cut;
  before: Way | null;
}

interface Search {
  totalUs: number;
  stages: number;
  /** Longest time of a stage. */
  limitUs: number;
}

/** Null: some stage would take longer than the limit. */
function leastBytes(cuts: readonly Cut[], { totalUs, stages, limitUs }: Search): Cut[] | null {
  let ways: (Way | null)[] = cuts.map((cut) => (cut.us <= limitUs ? { bytes: cut.bytes, cut, before: null } : null));
  for (let stage = 2; stage < stages; stage++) ways = extended(cuts, ways, limitUs);
  const last = best(ways.filter((way) => way !== null && totalUs - way.cut.us <= limitUs));
  const chosen: Cut[] = [];
  for (let way = last; way !== null; way = way.before) chosen.unshift(way.cut);
  return last === null ? null : chosen;
}

/** One cut more: of the ways that end less than `limitUs` before a cut, the one with the fewest bytes. */
function extended(cuts: readonly Cut[], ways: readonly (Way | null)[], limitUs: number): (Way | null)[] {
  // Ways that may still be the best for some later cut: by place, with bytes that grow.
  const window: Way[] = [];
  return cuts.map((cut, c) => {
    while (window[0] !== undefined && cut.us - window[0].cut.us > limitUs) window.shift();
    const before = window[0] ?? null;
    const added = ways[c];
    if (added) {
      while ((window.at(-1)?.bytes ?? -1) >= added.bytes) window.pop();
      window.push(added);
    }
    return before === null ? null : { bytes: before.bytes + cut.bytes, cut, before };
  });
}

function best(ways: readonly (Way | null)[]): Way | null {
  return ways.reduce((least, way) => (way !== null && (least === null || way.bytes < least.bytes) ? way : least), null);
}
