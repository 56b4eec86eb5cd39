import { runPaths, type Config } from '@app/config';
import type { PreemptionProof, QuarantinedModel } from '@app/contracts';
import { PlacementError, readPlacement } from '@app/process';
import { formatCpuList } from '@app/system';
import type { Logger } from '@app/telemetry';
import { Module } from '@nestjs/common';
import { gpusToPlan } from '../gpu-inventory';
import { preemptionOf } from '../preemption';
import { holdListeningSockets, type ListeningSockets } from '../supervision/listening-socket';
import { PidFiles } from '../supervision/pid-files';
import { CONFIG, LISTENING_SOCKETS, LOGGER, PREEMPTION } from '../tokens';
import { planNode, readNodeFacts, type NodeFacts, type NodePlan } from './plan-node';
import { PublishedPlacement } from './published-placement';

const FACTS = Symbol('facts about this machine');

/**
 * What this node is to run, and on what. Every provider throws for what cannot be had or cannot hold, before anything is
 * started.
 */
@Module({
  providers: [
    { provide: LISTENING_SOCKETS, useFactory: openListeningSockets, inject: [CONFIG, PidFiles, LOGGER] },
    // After the socket: a port in use is told at once, and asking for GPUs may take seconds.
    { provide: FACTS, useFactory: readFacts, inject: [CONFIG, PidFiles, LISTENING_SOCKETS] },
    { provide: PREEMPTION, useFactory: provePreemption, inject: [CONFIG, FACTS, PidFiles, LOGGER] },
    { provide: PublishedPlacement, useFactory: publishPlacement, inject: [CONFIG, FACTS, PREEMPTION, PidFiles, LOGGER] },
  ],
  exports: [LISTENING_SOCKETS, PREEMPTION, PublishedPlacement],
})
export class PlacementModule {}

async function openListeningSockets(config: Config, pidFiles: PidFiles, log: Logger): Promise<ListeningSockets | null> {
  return config.processes.includes('api') ? holdListeningSockets(config, pidFiles, log) : null;
}

function readFacts(config: Config, pidFiles: PidFiles): NodeFacts {
  const found = readNodeFacts(config);
  return { ...found, gpus: gpusToPlan(found.gpus, config.runDir, pidFiles) };
}

async function provePreemption(config: Config, facts: NodeFacts, pidFiles: PidFiles, log: Logger): Promise<PreemptionProof> {
  const preemption = await preemptionOf(planNode(config, facts), config.runDir, pidFiles);
  log[preemption.verdict === 'holds' ? 'info' : 'warn']({ preemption }, preemption.reason);
  return preemption;
}

/** What an earlier scheduler quarantined stays so while anything that it started runs. */
function publishPlacement(
  config: Config,
  facts: NodeFacts,
  preemption: PreemptionProof,
  pidFiles: PidFiles,
  log: Logger,
): PublishedPlacement {
  const plan = planNode(config, facts, preemption);
  logPlan(plan, log);
  const path = runPaths(config.runDir).placement;
  const kept = pidFiles.anyRuns() ? quarantinedBefore(path, log) : [];
  const published = new PublishedPlacement({ ...plan.placement, quarantined: [...kept] }, path);
  published.publish();
  return published;
}

/** None where the file cannot be used: this scheduler writes it anew in any case. */
function quarantinedBefore(path: string, log: Logger): QuarantinedModel[] {
  try {
    return readPlacement(path)?.quarantined ?? [];
  } catch (error) {
    if (!(error instanceof PlacementError)) throw error;
    log.warn({ reason: error.message }, 'cannot read which models an earlier scheduler quarantined');
    return [];
  }
}

function logPlan({ placement, topology, warnings }: NodePlan, log: Logger): void {
  for (const { id, class: partitionClass, cpus } of placement.partitions) {
    log.info(
      { partition: id, class: partitionClass, cpus },
      `partition ${id}: ${partitionClass}, CPUs ${formatCpuList(cpus)} of ${formatCpuList(topology.effective)}`,
    );
  }
  for (const warning of warnings) log.warn(warning);
}
