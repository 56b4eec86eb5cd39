import type { Config } from '@app/config';
import { InterleaveError } from '@app/contracts';
import { ContentDigests } from '@app/models';
import { PlacementReader } from '@app/process';
import type { PreparedItems } from '@app/protocols';
import type { Logger } from '@app/telemetry';
import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, LOGGER } from '../tokens';

/** For other nodes, which know a model by name and version: which files it is here. */
@Injectable()
export class ModelContents {
  private readonly digests: ContentDigests;

  constructor(
    @Inject(CONFIG) config: Config,
    @Inject(LOGGER) logger: Logger,
    private readonly placement: PlacementReader,
  ) {
    this.digests = new ContentDigests(config.modelsDir, logger);
  }

  /** SHA-256 of the files of a revision. Null: it is a graph, or its files are not there any more. Reads them when it is first asked. */
  async of(revision: number): Promise<string | null> {
    const plan = this.placement.workers().flatMap(({ models }) => models.find((model) => model.revision === revision) ?? [])[0];
    return plan === undefined ? null : this.digests.of(plan);
  }

  /** Rejects with `model_not_found` where these files are not those that answer. */
  async check({ model, version, revision }: Pick<PreparedItems, 'model' | 'version' | 'revision'>, wanted: string): Promise<void> {
    if ((await this.of(revision)) === wanted) return;
    throw new InterleaveError('model_not_found', `model "${model}" version ${version} has other files here than the caller asked for`);
  }
}
