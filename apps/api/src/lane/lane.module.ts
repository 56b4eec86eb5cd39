import type { Config } from '@app/config';
import type { InferenceBackend } from '@app/contracts';
import { openModelCatalog, type ModelCatalog } from '@app/models';
import { PlacementReader } from '@app/process';
import type { Logger } from '@app/telemetry';
import { WorkerPool } from '@app/worker-pool';
import { Global, Module, type DynamicModule } from '@nestjs/common';
import { BACKEND, CATALOG, CONFIG, LOGGER } from '../tokens';

/** The real-time lane: what runs the items of live requests, and what is known of its models. */
@Global()
@Module({})
export class LaneModule {
  /** The workers of this node. */
  static ofNode(): DynamicModule {
    return {
      module: LaneModule,
      providers: [
        { provide: BACKEND, useFactory: openPool, inject: [CONFIG, PlacementReader] },
        { provide: CATALOG, useFactory: openCatalog, inject: [CONFIG, LOGGER, BACKEND] },
      ],
      exports: [BACKEND, CATALOG],
    };
  }

  /** A lane that is there already. */
  static of(backend: InferenceBackend, catalog: ModelCatalog): DynamicModule {
    return {
      module: LaneModule,
      providers: [
        { provide: BACKEND, useValue: backend },
        { provide: CATALOG, useValue: catalog },
      ],
      exports: [BACKEND, CATALOG],
    };
  }
}

function openPool({ runDir }: Config, placement: PlacementReader): WorkerPool {
  return new WorkerPool({ lane: 'realtime', runDir, placement });
}

async function openCatalog({ modelsDir }: Config, log: Logger, backend: InferenceBackend): Promise<ModelCatalog> {
  const catalog = await openModelCatalog(modelsDir, 'realtime', log);
  const adoptReports = () => catalog.applyReports(backend.models());
  backend.onModelsChanged(adoptReports);
  adoptReports();
  return catalog;
}
