import type { CatalogEntry, ModelCatalog } from '@app/models';
import { Controller, Get, Inject, Param } from '@nestjs/common';
import { Documented } from '../../docs/documented';
import { CATALOG } from '../../parts';
import { bothLanesText, LaneMerging, type Merging } from '../lane-merging';
import { entriesOf } from '../model-entries';

const STARTED_UNIX_S = Math.floor(Date.now() / 1000);

/**
 * The models as OpenAI clients list and retrieve them. One model's answer is also that of the predict protocol
 * (`name`, `ready`), which asks at the same path.
 */
@Controller('v1/models')
export class ModelsController {
  constructor(
    @Inject(CATALOG) private readonly catalog: ModelCatalog,
    private readonly merging: LaneMerging,
  ) {}

  @Get()
  @Documented({ tag: 'models', summary: 'All models, with task and state', ok: 'ModelList' })
  async list(): Promise<object> {
    const names = [...new Set(this.catalog.list().map(({ name }) => name))];
    return { object: 'list', data: await Promise.all(names.map((name) => this.modelObject(name))) };
  }

  @Get(':model')
  @Documented({ tag: 'models', summary: 'One model', ok: 'Model', errors: [404] })
  one(@Param('model') name: string): Promise<object> {
    return this.modelObject(name);
  }

  private async modelObject(name: string): Promise<object> {
    const entries = entriesOf(this.catalog, name, undefined);
    return modelObject(name, entries, await Promise.all(entries.map((entry) => this.merging.of(entry))));
  }
}

function modelObject(name: string, entries: CatalogEntry[], merging: Merging[]): object {
  return {
    id: name,
    object: 'model',
    created: STARTED_UNIX_S,
    owned_by: 'interleave',
    name,
    ready: entries.some(({ state }) => state === 'ready'),
    task: (entries.find(({ state }) => state === 'ready') ?? entries[0])?.task,
    versions: entries.map(({ version, state, reason }, i) => ({ version, state, reason, merging: bothLanesText(merging[i] ?? {}) })),
  };
}
