import { visibleModels, type CatalogEntry, type ModelView } from '@app/models';
import { PlacementReader } from '@app/process';
import { Controller, Get, Inject, Param, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { callerOf } from '../../access/caller';
import { Documented } from '../../docs/documented';
import { CATALOG } from '../../tokens';
import { bothLanesText, LaneMerging } from '../lane-merging';
import { Breakers } from '../../resilience/breakers';
import { modelBreakerName } from '../../resilience/guarded-runs';

const STARTED_UNIX_S = Math.floor(Date.now() / 1000);

/**
 * The models as OpenAI clients list and retrieve them. One model's answer is also that of the predict protocol
 * (`name`, `ready`), which asks at the same path.
 */
@Controller('v1/models')
export class ModelsController {
  constructor(
    @Inject(CATALOG) private readonly catalog: ModelView,
    private readonly merging: LaneMerging,
    private readonly placement: PlacementReader,
    private readonly breakers: Breakers,
  ) {}

  @Get()
  @Documented({ tag: 'models', summary: 'All models, with task and state', ok: 'ModelList' })
  async list(@Req() request: FastifyRequest): Promise<object> {
    const catalog = visibleModels(this.catalog, callerOf(request).models);
    const names = [...new Set(catalog.list().map(({ name }) => name))];
    return { object: 'list', data: await Promise.all(names.map((name) => this.modelObject(name, catalog))) };
  }

  @Get(':model')
  @Documented({ tag: 'models', summary: 'One model', ok: 'Model', errors: [404] })
  one(@Param('model') name: string, @Req() request: FastifyRequest): Promise<object> {
    return this.modelObject(name, visibleModels(this.catalog, callerOf(request).models));
  }

  private async modelObject(wanted: string, catalog: ModelView): Promise<object> {
    const entries = catalog.entriesOf(wanted, null);
    const name = entries[0]?.name;
    return {
      id: name,
      object: 'model',
      created: STARTED_UNIX_S,
      owned_by: 'interleave',
      name,
      ready: entries.some(({ state }) => state === 'ready'),
      task: (entries.find(({ state }) => state === 'ready') ?? entries[0])?.task,
      versions: await Promise.all(entries.map((entry) => this.versionObject(entry))),
    };
  }

  /** `state` is that of the live lane; what is quarantined in either lane is listed besides. */
  private async versionObject(entry: CatalogEntry): Promise<object> {
    const { name, version, state, reason } = entry;
    const merging = bothLanesText(await this.merging.of(entry));
    const quarantined = this.placement.quarantined(name, version);
    const breaker = this.breakerOf(name, version);
    if (quarantined.length === 0) return { version, state, reason, merging, ...breaker };
    return {
      version,
      state: quarantined.some(({ lane }) => lane === 'realtime') ? 'quarantined' : state,
      reason: reason ?? quarantined.map((model) => `${model.lane} lane: ${model.reason}`).join('; '),
      merging,
      ...breaker,
      quarantined: quarantined.map((model) => ({ lane: model.lane, until: new Date(model.untilMs).toISOString(), reason: model.reason })),
    };
  }

  /** While live requests to it are refused, or one is let through to try. */
  private breakerOf(model: string, version: string): object {
    const status = this.breakers.find(modelBreakerName(model, version));
    if (status === null || status.state === 'closed') return {};
    return { breaker: { state: status.state, since: new Date(status.sinceMs).toISOString(), reason: status.reason } };
  }
}
