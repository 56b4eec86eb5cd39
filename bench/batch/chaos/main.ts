import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { chaos } from './chaos';

const number = (name: string, byDefault: number): number => Number(process.env[name] ?? byDefault);

/** A batch on one node whose processes are killed: its output against that of an undisturbed run. `ROWS`, `KILLS`, `SEED`. */
async function main(): Promise<void> {
  const figures = await chaos({ rows: number('ROWS', 200_000), kills: number('KILLS', 40), seed: number('SEED', 16), gapMsMax: 6_000 });
  console.log(figures);
  mkdirSync(join('bench', 'results'), { recursive: true });
  const conditions = { cpu: cpus()[0]?.model, cpus: cpus().length };
  writeFileSync(join('bench', 'results', 'batch-chaos.json'), `${JSON.stringify({ ...conditions, ...figures }, null, 2)}\n`);
  if (!figures.areIdentical || figures.wrongRows > 0) process.exitCode = 1;
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
