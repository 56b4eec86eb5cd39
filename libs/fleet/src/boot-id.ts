import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, statSync } from 'node:fs';

/**
 * Equal for all processes of a data directory until the machine starts anew, and for no others, copies of machines included. Makes the
 * directory where there is none.
 */
export function bootId(dataDir: string): string {
  mkdirSync(dataDir, { recursive: true });
  const { dev, ino } = statSync(dataDir);
  return createHash('sha256').update(`${machineStart()} ${dev} ${ino} ${dataDir}`).digest('hex').slice(0, 32);
}

function machineStart(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== undefined) return '';
    throw error;
  }
}
