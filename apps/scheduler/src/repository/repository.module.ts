import { join } from 'node:path';
import type { Config } from '@app/config';
import type { PreemptionProof } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import { Module } from '@nestjs/common';
import { PlacementModule } from '../placement/placement.module';
import type { NodeFacts } from '../placement/plan-node';
import { PublishedPlacement, type EarlierPlacement } from '../placement/published-placement';
import { API_IDS } from '../processes';
import { QuarantineKeeper } from '../supervision/quarantine-keeper';
import { SupervisionModule } from '../supervision/supervision.module';
import { SupervisorEvents } from '../supervision/supervisor-events';
import { CONFIG, EARLIER_PLACEMENT, FACTS, LOGGER, PREEMPTION } from '../tokens';
import { RepositoryCommands } from './commands';
import { ReleaseDecisions } from './decisions';
import { RepositoryEvents } from './events';
import { ModelReleases } from './model-releases';
import { ModelRepository } from './model-repository';
import { RevisionNumbers } from './numbers';
import { Observer } from './observer';
import { revisionPlanner } from './planner';

const SHARED = Symbol('what commands and repository share');

interface Shared {
  events: RepositoryEvents;
  releases: ModelReleases;
}

/** Which revision of which model serves, and how that changes while the node runs. Composing it publishes the placement. */
@Module({
  imports: [PlacementModule, SupervisionModule],
  providers: [
    { provide: SHARED, useFactory: openShared, inject: [CONFIG, LOGGER, EARLIER_PLACEMENT] },
    {
      provide: ModelRepository,
      useFactory: openRepository,
      inject: [
        ...[CONFIG, LOGGER, FACTS, PREEMPTION, EARLIER_PLACEMENT],
        ...[SHARED, RevisionNumbers, PublishedPlacement, QuarantineKeeper, SupervisorEvents],
      ],
    },
    {
      provide: RepositoryCommands,
      useFactory: (config: Config, repository: ModelRepository, { releases }: Shared, numbers: RevisionNumbers) =>
        new RepositoryCommands({ config, repository, releases, numbers }),
      inject: [CONFIG, ModelRepository, SHARED, RevisionNumbers],
    },
  ],
  exports: [ModelRepository, RepositoryCommands],
})
export class RepositoryModule {}

function openShared({ dataDir }: Config, log: Logger, { placement }: EarlierPlacement): Shared {
  const events = new RepositoryEvents(join(dataDir, 'events.jsonl'), log);
  const decisions = new ReleaseDecisions(join(dataDir, 'releases.json'), log);
  return { events, releases: new ModelReleases(decisions, events, placement?.releases ?? []) };
}

function openRepository(
  config: Config,
  log: Logger,
  facts: NodeFacts,
  preemption: PreemptionProof,
  { placement: earlier, isInUse }: EarlierPlacement,
  { events, releases }: Shared,
  numbers: RevisionNumbers,
  placement: PublishedPlacement,
  quarantine: QuarantineKeeper,
  supervisorEvents: SupervisorEvents,
): ModelRepository {
  const repository = new ModelRepository({
    config,
    placement,
    plan: revisionPlanner(config, facts, preemption),
    numbers,
    releases,
    events,
    observer: new Observer(config.runDir, API_IDS),
    quarantine,
    hasRunner: config.processes.includes('runner'),
    entries: facts.entries,
    earlier: isInUse ? earlier : null,
    log,
  });
  supervisorEvents.on('revisionDeath', (revision, reason) => repository.workerDied(revision, reason));
  return repository;
}
