import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';

/** The process that listens at a port. */
export interface PortHolder {
  pid: number;
  /** Its program's name, without the folder. */
  command: string;
  /** The descriptor of the socket in that process. */
  fd: number;
}

const LISTENING = '0A';

/** Who listens at a TCP port of this machine, at any address; null when nobody does or its owner may not be seen. */
export function portHolder(port: number): PortHolder | null {
  const sockets = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => listeningSockets(table, port)));
  if (sockets.size === 0) return null;
  for (const pid of entriesOf('/proc').filter((name) => /^\d+$/.test(name))) {
    const fd = entriesOf(`/proc/${pid}/fd`).find((name) => sockets.has(linkOf(`/proc/${pid}/fd/${name}`)));
    if (fd !== undefined) return { pid: Number(pid), command: commandOf(pid), fd: Number(fd) };
  }
  return null;
}

/** `proc_pid_net(5)`: the second field is the local address as HEX:PORT, the fourth the state, the tenth the inode. */
function listeningSockets(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return readOrEmpty(table)
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(suffix) && fields[3] === LISTENING)
    .map((fields) => `socket:[${fields[9]}]`);
}

/** Not from `comm`, the name of the main thread: Node 24 calls that "MainThread". */
function commandOf(pid: string): string {
  const [program = ''] = readOrEmpty(`/proc/${pid}/cmdline`).split(/[\0 ]/);
  return basename(program);
}

/** Empty for a process that has ended, and for one of another user. */
function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
