import { loadAddon, type SimulationOptions, type SimulationReport } from './addon';

/**
 * Drives the policy of the workers with a trace in virtual time: deterministic, thousands of times faster than real time.
 * Blocks meanwhile. Throws when trace or costs make no sense.
 */
export function simulate(options: SimulationOptions): SimulationReport {
  return loadAddon().simulate(options);
}
