import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { chartOf } from './chart';
import type { PeerFigures } from './figures';
import type { Settings } from './peer';

export interface PeerResult {
  peer: string;
  title: string;
  settings: Settings;
  /** Of each load, after its warm-up. */
  seconds: number;
  figures: PeerFigures;
  /** Interleave in the same run, minutes before. */
  interleave: PeerFigures;
}

const RESULTS = join('bench', 'results');
const PATH = join(RESULTS, 'peers.json');

/** Replaces what the result file knows of the same peer, so that they can be measured one by one, and draws all; returns them. */
export function saveResult(fresh: PeerResult, conditions: object): PeerResult[] {
  const known = existsSync(PATH) ? (JSON.parse(readFileSync(PATH, 'utf8')) as { results: PeerResult[] }).results : [];
  const results = [...known.filter(({ peer }) => peer !== fresh.peer), fresh];
  mkdirSync(RESULTS, { recursive: true });
  const machine = { cpu: cpus()[0]?.model, cpus: cpus().length, kernel: release() };
  writeFileSync(PATH, `${JSON.stringify({ ...conditions, ...machine, results }, null, 2)}\n`);
  writeFileSync(join(RESULTS, 'peers.svg'), chartOf(results));
  return results;
}
