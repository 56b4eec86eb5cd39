import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { batchKills } from './parts/batch-kills';
import { failover } from './parts/failover';
import { nodeKills, redisAway, rollingRestart } from './parts/live';
import { lostChunks } from './parts/lost-chunks';
import { pausedOwner } from './parts/paused-owner';
import { realNodes } from './parts/real-nodes';
import { scaling } from './parts/scaling';
import { weights } from './parts/weights';
import { envoyProgram, MODEL, s3ServerKind } from './fleet';

const RESULTS = join('bench', 'results', 'fleet.json');
const withEnvoy = envoyProgram() !== null;
const number = (name: string, byDefault: number): number => Number(process.env[name] ?? byDefault);

const NODES = number('NODES', 3);
const away = { nodes: NODES, perSecond: number('PER_SECOND', 20), rows: number('ROWS', 20_000), awayMs: 60_000 };

/** What a fleet promises, one part each: `main.js [PART...]`, default all. Figures of earlier parts stay in the file. */
const PARTS: Record<string, () => Promise<object>> = {
  'batch-kills': () => batchKills({ rows: number('ROWS', 100_000), nodes: NODES, kills: number('KILLS', 40), gapMs: 3_000, withEnvoy }),
  'lost-chunks': () => lostChunks(),
  'node-kills': () => nodeKills({ nodes: NODES, perSecond: number('PER_SECOND', 20), kills: number('KILLS', 30) }),
  'rolling-restart': () => rollingRestart({ nodes: NODES, perSecond: number('PER_SECOND', 20), rows: number('ROWS', 20_000) }),
  'paused-owner': () => pausedOwner({ rows: number('ROWS', 20_000), pausedMs: 30_000 }),
  'redis-frozen': () => redisAway({ ...away, signal: 'SIGSTOP' }),
  'redis-killed': () => redisAway({ ...away, signal: 'SIGKILL' }),
  failover: () => failover(number('ROWS', 20_000)),
  scaling: () => scaling([1, 2, 4, 8]),
  'real-nodes': () => realNodes({ rows: number('ROWS', 20_000), rounds: 2 }),
  weights: () => weights(number('PER_SECOND', 30)),
};

async function main(): Promise<void> {
  const names = process.argv.slice(2);
  for (const name of names.length > 0 ? names : Object.keys(PARTS)) {
    const part = PARTS[name];
    if (part === undefined) throw new Error(`expected one of ${Object.keys(PARTS).join(', ')} but received ${name}`);
    const figures = await part();
    console.log(name);
    console.table(flat(figures));
    keep(name, figures);
  }
}

/** One row for each figure. */
function flat(figures: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(figures).map(([key, value]) => [key, typeof value === 'object' ? JSON.stringify(value) : value]),
  );
}

function keep(name: string, figures: object): void {
  mkdirSync(join('bench', 'results'), { recursive: true });
  const before = existsSync(RESULTS) ? (JSON.parse(readFileSync(RESULTS, 'utf8')) as { parts: object }) : { parts: {} };
  const conditions = { model: MODEL, store: s3ServerKind(), cpu: cpus()[0]?.model, cpus: cpus().length };
  writeFileSync(RESULTS, `${JSON.stringify({ ...conditions, parts: { ...before.parts, [name]: figures } }, null, 2)}\n`);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
