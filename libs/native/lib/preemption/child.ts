import { loadAddon } from '../addon';

/** Longer than any proof takes: a child that nobody ends ends by itself. */
const LIFE_MS = 10_000;
const WAKEUPS = 200;
const ATTEMPT_MS_MAX = 400;

/** `child.js spin|measure <cpu>`: one of the two processes of the proof; ends when its parent does. */
function main([role, cpuText]: string[]): void {
  const cpu = Number(cpuText);
  process.on('disconnect', () => process.exit(0));
  setTimeout(() => process.exit(0), LIFE_MS).unref();
  if (role === 'spin') {
    process.send?.(loadAddon().spinAsBatch({ cpu, limitMs: LIFE_MS }));
    return;
  }
  process.on('message', () => process.send?.(loadAddon().measureWakeups({ cpu, count: WAKEUPS, limitMs: ATTEMPT_MS_MAX })));
  process.send?.(null);
}

main(process.argv.slice(2));
