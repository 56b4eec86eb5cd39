import { join } from 'node:path';
import type { Config } from '@app/config';
import { VERSION, type PreemptionProof } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import { Module } from '@nestjs/common';
import type { NodeFacts } from '../placement/plan-node';
import type { SchedulerMetrics } from '../scheduler-metrics';
import type { SchedulerStatus } from '../scheduler-status';
import { CONFIG, LOGGER } from '../tokens';
import { beginning } from './events/beginning';
import { EventLog } from './events/event-log';
import { LineFile } from './history/line-file';
import { HISTORY_FILE_BYTES_MAX, NodeHistoryStore } from './history/node-history';
import { NodeObserver, SAMPLE_MS } from './node-observer';
import { NodeCounts } from './sample/node-counts';
import { Sampler } from './sample/sampler';
import { settingsChanges } from './settings-changes';
import { ObservationStream } from './stream/observation-stream';

/** Of 1 000 events with room to spare. */
const EVENTS_FILE_BYTES_MAX = 1024 * 1024;

/** What was seen of the node, kept and shown; `openObserver` is who looks. */
@Module({
  providers: [
    {
      provide: NodeHistoryStore,
      useFactory: (config: Config, log: Logger) =>
        new NodeHistoryStore(new LineFile(observationPath(config, 'history.jsonl'), HISTORY_FILE_BYTES_MAX, log), SAMPLE_MS, Date.now()),
      inject: [CONFIG, LOGGER],
    },
    {
      provide: EventLog,
      useFactory: (config: Config, log: Logger) =>
        new EventLog(new LineFile(observationPath(config, 'events.jsonl'), EVENTS_FILE_BYTES_MAX, log)),
      inject: [CONFIG, LOGGER],
    },
    {
      provide: ObservationStream,
      useFactory: (history: NodeHistoryStore) => new ObservationStream(() => history.recent()),
      inject: [NodeHistoryStore],
    },
  ],
  exports: [NodeHistoryStore, EventLog, ObservationStream],
})
export class ObservationModule {}

/** Below the data directory. */
export const observationPath = ({ dataDir }: Pick<Config, 'dataDir'>, name: string): string => join(dataDir, 'observation', name);

export function openObserver(
  config: Config,
  log: Logger,
  facts: NodeFacts,
  preemption: PreemptionProof,
  status: SchedulerStatus,
  { registry }: SchedulerMetrics,
  events: EventLog,
  history: NodeHistoryStore,
  stream: ObservationStream,
): NodeObserver {
  const counts = new NodeCounts();
  return new NodeObserver({
    identity: {
      id: config.nodeId,
      version: VERSION,
      modelsDir: config.modelsDir,
      places: facts.topology.places,
      startedMs: performance.now(),
    },
    sampler: new Sampler(config, { registry, status: () => status.read() }, counts),
    ...{ counts, events, history, stream, log },
    beginning: beginning(preemption, settingsChanges(observationPath(config, 'settings.json'), config)),
  });
}
