import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { batchKills } from './parts/batch-kills';
import { envoyProgram, MODEL, s3ServerKind } from './fleet';

const RESULTS = join('bench', 'results', 'fleet.json');
const withEnvoy = envoyProgram() !== null;
const number = (name: string, byDefault: number): number => Number(process.env[name] ?? byDefault);

/** What a fleet promises, one part each: `main.js [PART...]`, default all. Figures of earlier parts stay in the file. */
const PARTS: Record<string, () => Promise<object>> = {
  'batch-kills': () =>
    batchKills({ rows: number('ROWS', 100_000), nodes: number('NODES', 3), kills: number('KILLS', 40), gapMs: 3_000, withEnvoy }),
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
