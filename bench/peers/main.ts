import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { PEERS, peerOf } from './catalogue';
import { checkAnswers } from './check';
import type { PeerFigures } from './figures';
import { buildModel, install } from './install';
import { CALLERS, DEADLINE_MS, LIVE_SHARE, LOADS, measure, PARTS, type Part } from './measure';
import type { Peer, Settings } from './peer';
import { PeerServer } from './peer-server';
import { MIX } from './load/rows';
import { saveResult, type PeerResult } from './results';
import { tablesOf } from './table';

/**
 * Interleave beside what users would take instead: servers from PyPI and npm with the same model on the same CPUs, asked by the same load
 * generator for the same rows of token ids over HTTP.
 *
 *   main.js [--peers a,b] [--parts start,idle,many,open,mixed] [--seconds N] [--folder DIR] [--install] [--tune]
 *
 * Interleave is measured first in every run, and each figure of a peer is compared with those of its own run.
 */
const MODEL = 'encoder-small';

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      peers: { type: 'string', default: PEERS.map(({ name }) => name).join(',') },
      parts: { type: 'string', default: PARTS.join(',') },
      seconds: { type: 'string', default: '10' },
      folder: { type: 'string', default: join('bench', 'results', 'tmp', 'peers') },
      install: { type: 'boolean', default: false },
      tune: { type: 'boolean', default: false },
    },
  });
  const folder = resolve(values.folder);
  const peers = values.peers.split(',').map(peerOf);
  const parts = values.parts.split(',').map(partOf);
  const seconds = Number(values.seconds);
  const modelDir = buildModel(MODEL, join(folder, 'models'));
  for (const peer of [...peers, PEERS[0]]) install(peer, join(folder, peer.name));
  if (values.install) return;
  const run = async (peer: Peer, settings: Settings, its: readonly Part[]): Promise<PeerFigures> => {
    const server = await PeerServer.start(peer, { folder: join(folder, peer.name), modelDir, settings });
    try {
      await checkAnswers(server);
      const figures = await measure(server, its, seconds);
      return figures;
    } finally {
      await server.stop();
    }
  };
  if (values.tune) {
    for (const peer of peers) await tune(peer, (settings) => run(peer, settings, ['many', 'open']));
    return;
  }
  const interleave = await run(PEERS[0], PEERS[0].settings[0], parts);
  for (const peer of peers.filter((one) => one !== PEERS[0])) {
    const [settings] = peer.settings;
    try {
      save({ peer: peer.name, title: peer.title, settings, seconds, figures: await run(peer, settings, parts), interleave });
    } catch (error) {
      console.error(`${peer.title} was not measured:`, error);
      process.exitCode = 1;
    }
  }
}

function save(result: PeerResult): void {
  const conditions = { model: MODEL, mix: MIX, callers: CALLERS, deadlineMs: DEADLINE_MS, loads: LOADS, liveShare: LIVE_SHARE };
  console.log(tablesOf(saveResult(result, conditions)));
}

/** How each setting of a peer does: what its first one was chosen by. */
async function tune(peer: Peer, run: (settings: Settings) => Promise<PeerFigures>): Promise<void> {
  const rows: object[] = [];
  for (const settings of peer.settings) {
    const { many, open } = await run(settings);
    rows.push({
      ...settings,
      'answers/s of 32': many?.answeredPerSecond.toFixed(0),
      'in time/s of 32': many?.inTimePerSecond.toFixed(0),
      'p99 ms of 32': many?.p99Ms.toFixed(0),
      ...Object.fromEntries(
        Object.entries(open ?? {}).map(([load, figures]) => [`in time/s at ${load} ×`, figures.inTimePerSecond.toFixed(0)]),
      ),
    });
  }
  console.log(peer.title);
  console.table(rows);
}

function partOf(text: string): Part {
  const part = PARTS.find((one) => one === text);
  if (part === undefined) throw new Error(`expected a part (${PARTS.join(', ')}) but received ${text}`);
  return part;
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
