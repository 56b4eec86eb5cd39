/** Signals of what a program did itself. */
const CRASHES: ReadonlySet<string> = new Set(['SIGSEGV', 'SIGABRT', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP']);

/** Why a process ended, as `SupervisedProcessStatus.reason` says it, for people. */
export function endInWords(reason: string | null): string {
  if (reason === null) return 'it ended';
  const signal = /^signal (\w+)$/.exec(reason)?.[1];
  if (signal !== undefined) return CRASHES.has(signal) ? `it crashed (${signal})` : `it was killed (${signal})`;
  const code = /^exit code (\d+)$/.exec(reason)?.[1];
  return code === undefined ? reason : `it ended by itself (exit code ${code})`;
}
