import { accessSync, constants, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { dirname, join } from 'node:path';
import type { ReadKernelFile } from '@app/system';
import { atLeast } from './machine-checks';
import { degraded, ok, type Finding } from './report';

const SLICE_SINCE = { major: 6, minor: 12 };
const EEVDF_SINCE = { major: 6, minor: 6 };
const CPU_IDLE_SINCE = { major: 5, minor: 15 };
/** A connection, and a channel to each worker, for each caller at once. */
const FILES_MIN = 4096;
const CGROUP_ROOT = '/sys/fs/cgroup';

/** `release` as `uname -r` has it. */
export function judgeKernel(kernel: string): Finding {
  const features = [
    atLeast(kernel, EEVDF_SINCE) ? 'EEVDF scheduler' : 'no EEVDF scheduler (6.6)',
    atLeast(kernel, SLICE_SINCE) ? 'time slices' : 'no time slices (6.12)',
    atLeast(kernel, CPU_IDLE_SINCE) ? 'cpu.idle' : 'no cpu.idle (5.15)',
  ];
  const detail = `Linux ${kernel}: ${features.join(', ')}`;
  if (atLeast(kernel, SLICE_SINCE)) return ok('kernel', detail);
  return degraded('kernel', `${detail}; live executors wake up later beside batches`, 'use Linux 6.12 or newer');
}

export interface CgroupFacts {
  /** Where this process is in the hierarchy of version 2; null where that is not mounted. */
  path: string | null;
  /** Those that the group above it gives to its groups. */
  controllers: string[];
  /** Groups can be made beside it, and processes moved there. */
  isWritable: boolean;
  /** A partition has a memory limit. */
  memoryLimited: boolean;
}

export function judgeCgroup({ path, controllers, isWritable, memoryLimited }: CgroupFacts): Finding {
  const why = withoutGroups({ path, controllers, isWritable });
  if (why === null) return ok('cgroup', `${dirname(path ?? '')} takes groups with memory.max`);
  if (!memoryLimited) return ok('cgroup', `${why}; not needed, no partition has a memory limit`);
  return degraded(
    'cgroup',
    `${why}: memory limits hold by RLIMIT_DATA and a watchdog instead of memory.max`,
    'start the node with: systemd-run --user --scope -p Delegate=memory node bin/interleave.js up',
  );
}

/** Why a worker cannot get a group with a memory limit (libs/native/src/isolation/cgroup.h); null: it can. */
function withoutGroups({ path, controllers, isWritable }: Omit<CgroupFacts, 'memoryLimited'>): string | null {
  if (path === null) return 'version 2 is not mounted';
  if (path === '/') return 'this process is in the root group';
  const above = dirname(path);
  if (!controllers.includes('memory')) return `${above} gives its groups no memory controller`;
  if (controllers.includes('cpu'))
    return `${above} gives its groups the cpu controller too, and a group for each worker would void the priorities between the lanes`;
  return isWritable ? null : `${above} is not delegated to this user`;
}

/** `limits` as in /proc/self/limits. Node.js has raised the soft limit to the hard one. */
export function judgeOpenFiles(limits: string): Finding {
  const soft = /^Max open files\s+(\S+)/m.exec(limits)?.[1] ?? 'unknown';
  if (soft === 'unlimited' || Number(soft) >= FILES_MIN) return ok('open files', `at most ${soft}`);
  return degraded(
    'open files',
    `at most ${soft}: connections may be refused`,
    `raise the limit to ${FILES_MIN} or more (ulimit -Hn, LimitNOFILE= of systemd, docker --ulimit nofile)`,
  );
}

export function checkKernel(): Finding {
  return judgeKernel(release());
}

export function checkOpenFiles(): Finding {
  return judgeOpenFiles(readFileSync('/proc/self/limits', 'utf8'));
}

export function checkCgroup(memoryLimited: boolean): Finding {
  return judgeCgroup({ ...cgroupOf(readText, isWritable), memoryLimited });
}

/** Pure but for what it is given. */
export function cgroupOf(read: ReadKernelFile, writable: (path: string) => boolean): Omit<CgroupFacts, 'memoryLimited'> {
  const own = /^0::(\/.*)$/m.exec(read('/proc/self/cgroup') ?? '')?.[1];
  if (own === undefined || read(join(CGROUP_ROOT, own, 'cgroup.controllers')) === null)
    return { path: null, controllers: [], isWritable: false };
  const above = join(CGROUP_ROOT, dirname(own));
  const controllers = read(join(above, 'cgroup.subtree_control')) ?? '';
  return {
    path: own,
    controllers: controllers.split(/\s+/).filter(Boolean),
    isWritable: [above, join(above, 'cgroup.procs')].every(writable),
  };
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
