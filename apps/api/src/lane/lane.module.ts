import type { Config } from '@app/config';
import type { InferenceBackend, Lane } from '@app/contracts';
import { FleetBackend, openFleetModels, type FleetModels } from '@app/fleet';
import { GraphBackend, StepMetrics } from '@app/graphs';
import { openModelCatalog, type ModelCatalog } from '@app/models';
import { PlacementReader } from '@app/process';
import type { Logger } from '@app/telemetry';
import { WorkerPool } from '@app/worker-pool';
import { Global, Module, type DynamicModule } from '@nestjs/common';
import { Registry } from 'prom-client';
import { BACKEND, BATCH_BACKEND, CATALOG, CONFIG, FLEET, FLEET_MODELS, LOGGER } from '../tokens';
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
        { provide: StepMetrics, useFactory: (registry: Registry) => new StepMetrics(registry), inject: [Registry] },
        { provide: FLEET_MODELS, useFactory: openFleetModels, inject: [CONFIG, FLEET] },
        { provide: BACKEND, useFactory: openLane('realtime'), inject: [CONFIG, PlacementReader, StepMetrics, FLEET_MODELS] },
        { provide: BATCH_BACKEND, useFactory: openLane('batch'), inject: [CONFIG, PlacementReader, StepMetrics, FLEET_MODELS] },
        BatchLaneState,
        { provide: CATALOG, useFactory: openCatalog, inject: [CONFIG, LOGGER, PlacementReader, BACKEND, BATCH_BACKEND] },
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

type OpenLane = (config: Config, placement: PlacementReader, metrics: StepMetrics, models: FleetModels) => GraphBackend;

function openLane(lane: Lane): OpenLane {
  return (config, placement, metrics, models) => {
    const own = new WorkerPool({ lane, runDir: config.runDir, placement });
    const steps = new FleetBackend({ own, placement, models });
    return new GraphBackend({ steps, placement, onStep: metrics.of(lane) });
  };
}

async function openCatalog(
  { modelsDir }: Config,
  log: Logger,
  placement: PlacementReader,
  backend: GraphBackend,
  batch: GraphBackend,
): Promise<ModelCatalog> {
  const catalog = await openModelCatalog(modelsDir, 'realtime', log, placement);
  const adoptReports = () => catalog.applyReports(backend.models());
  backend.onModelsChanged(adoptReports);
  adoptReports();
  for (const lane of [backend, batch]) lane.useTexts(catalog);
  return catalog;
}
