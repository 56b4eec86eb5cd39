import type { IsolationTool } from '@app/contracts';
import { loadAddon } from './addon';

/**
 * Gives the calling thread a short scheduling slice, so that it need not wait out the longer one of whoever has the CPU
 * (live executors have a short one as well). For the event loop of a process that live callers wait for.
 */
export function isolateFront(): IsolationTool {
  return loadAddon().isolateFront();
}
