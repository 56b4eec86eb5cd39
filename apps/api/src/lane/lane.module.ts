import type { Config } from '@app/config';
import type { InferenceBackend, Lane } from '@app/contracts';
import { FleetBackend, openFleetNodes, type FleetConnection } from '@app/fleet';
import { GraphBackend } from '@app/graphs';
import { openModelCatalog, type ModelCatalog } from '@app/models';
import { PlacementReader } from '@app/process';
import type { Logger } from '@app/telemetry';
import { WorkerPool } from '@app/worker-pool';
import { Global, Module, type DynamicModule } from '@nestjs/common';
import { BACKEND, BATCH_BACKEND, CATALOG, CONFIG, FLEET, LOGGER } from '../tokens';
import { BatchLaneState } from './batch-lane-state';

/** What runs the items of live requests: the real-time lane, and the batch lane for those that ask for it; what is known of models. */
@Global()
@Module({})
export class LaneModule {
  /** The workers of this node. */
  static ofNode(): DynamicModule {
    return {
      module: LaneModule,
      providers: [
        { provide: BACKEND, useFactory: openLane('realtime'), inject: [CONFIG, PlacementReader, FLEET] },
        { provide: BATCH_BACKEND, useFactory: openLane('batch'), inject: [CONFIG, PlacementReader, FLEET] },
        BatchLaneState,
        { provide: CATALOG, useFactory: openCatalog, inject: [CONFIG, LOGGER, PlacementReader, BACKEND] },
      ],
      exports: [BACKEND, BATCH_BACKEND, BatchLaneState, CATALOG],
    };
  }

  /** Lanes that are there already. */
  static of(backend: InferenceBackend, batch: InferenceBackend, catalog: ModelCatalog): DynamicModule {
    return {
      module: LaneModule,
      providers: [
        { provide: BACKEND, useValue: backend },
        { provide: BATCH_BACKEND, useValue: batch },
        BatchLaneState,
        { provide: CATALOG, useValue: catalog },
      ],
      exports: [BACKEND, BATCH_BACKEND, BatchLaneState, CATALOG],
    };
  }
}

function openLane(lane: Lane): (config: Config, placement: PlacementReader, fleet: FleetConnection | null) => GraphBackend {
  return (config, placement, fleet) => {
    const own = new WorkerPool({ lane, runDir: config.runDir, placement });
    return new GraphBackend({ steps: new FleetBackend({ own, placement, nodes: openFleetNodes(config, fleet) }), placement });
  };
}

async function openCatalog(
  { modelsDir }: Config,
  log: Logger,
  placement: PlacementReader,
  backend: InferenceBackend,
): Promise<ModelCatalog> {
  const catalog = await openModelCatalog(modelsDir, 'realtime', log, placement);
  const adoptReports = () => catalog.applyReports(backend.models());
  backend.onModelsChanged(adoptReports);
  adoptReports();
  return catalog;
}
