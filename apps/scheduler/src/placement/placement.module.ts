import { runPaths, type Config } from '@app/config';
import type { PreemptionProof } from '@app/contracts';
import { PlacementError, readPlacement } from '@app/process';
import { formatCpuList } from '@app/system';
import type { Logger } from '@app/telemetry';
import { Module } from '@nestjs/common';
import { gpusToPlan } from '../gpu-inventory';
import { preemptionOf } from '../preemption';
import { RevisionNumbers } from '../repository/numbers';
import { holdListeningSockets, type ListeningSockets } from '../supervision/listening-socket';
import { PidFiles } from '../supervision/pid-files';
import { CONFIG, EARLIER_PLACEMENT, FACTS, LISTENING_SOCKETS, LOGGER, PREEMPTION } from '../tokens';
import { planNode, readNodeFacts, type NodeFacts, type NodePlan } from './plan-node';
import { PublishedPlacement, type EarlierPlacement } from './published-placement';

/**
 * What this node is to run, and on what. Every provider throws for what cannot be had or cannot hold, before anything is
 * started.
 */
@Module({
  providers: [
    { provide: LISTENING_SOCKETS, useFactory: openListeningSockets, inject: [CONFIG, PidFiles, LOGGER] },
    // After the socket: a port in use is told at once, and asking for GPUs may take seconds.
    { provide: FACTS, useFactory: readFacts, inject: [CONFIG, PidFiles, RevisionNumbers, LISTENING_SOCKETS] },
    { provide: EARLIER_PLACEMENT, useFactory: readEarlier, inject: [CONFIG, PidFiles, LOGGER] },
    {
      provide: RevisionNumbers,
      useFactory: ({ placement }: EarlierPlacement) => new RevisionNumbers(placement?.repository),
      inject: [EARLIER_PLACEMENT],
    },
    { provide: PREEMPTION, useFactory: provePreemption, inject: [CONFIG, FACTS, PidFiles, LOGGER] },
    { provide: PublishedPlacement, useFactory: makePlacement, inject: [CONFIG, FACTS, PREEMPTION, EARLIER_PLACEMENT, LOGGER] },
  ],
  exports: [LISTENING_SOCKETS, PREEMPTION, FACTS, EARLIER_PLACEMENT, RevisionNumbers, PublishedPlacement],
})
export class PlacementModule {}

async function openListeningSockets(config: Config, pidFiles: PidFiles, log: Logger): Promise<ListeningSockets | null> {
  return config.processes.includes('api') ? holdListeningSockets(config, pidFiles, log) : null;
}

function readFacts(config: Config, pidFiles: PidFiles, numbers: RevisionNumbers): NodeFacts {
  const found = readNodeFacts(config, (...files) => numbers.numberOf(...files));
  return { ...found, gpus: gpusToPlan(found.gpus, config.runDir, pidFiles) };
}

async function provePreemption(config: Config, facts: NodeFacts, pidFiles: PidFiles, log: Logger): Promise<PreemptionProof> {
  const preemption = await preemptionOf(planNode(config, facts), config.runDir, pidFiles);
  log[preemption.verdict === 'holds' ? 'info' : 'warn']({ preemption }, preemption.reason);
  return preemption;
}

/** Published once its models are known. What an earlier scheduler quarantined stays so while anything that it started runs. */
function makePlacement(
  config: Config,
  facts: NodeFacts,
  preemption: PreemptionProof,
  { placement: earlier, isInUse }: EarlierPlacement,
  log: Logger,
): PublishedPlacement {
  const plan = planNode(config, facts, preemption);
  logPlan(plan, log);
  const quarantined = isInUse ? (earlier?.quarantined ?? []) : [];
  return new PublishedPlacement({ ...plan.placement, quarantined: [...quarantined] }, runPaths(config.runDir).placement);
}

/** A file that cannot be used is none: this scheduler writes it anew in any case. */
function readEarlier({ runDir }: Config, pidFiles: PidFiles, log: Logger): EarlierPlacement {
  const isInUse = pidFiles.anyRuns();
  try {
    return { placement: readPlacement(runPaths(runDir).placement), isInUse };
  } catch (error) {
    if (!(error instanceof PlacementError)) throw error;
    log.warn({ reason: error.message }, 'cannot read which models an earlier scheduler placed and quarantined');
    return { placement: null, isInUse };
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
