import type { CatalogEntry, ModelCatalog } from '@app/models';
import { Controller, Get, Inject, Param } from '@nestjs/common';
import { Documented } from '../../docs/documented';
import { CATALOG } from '../../parts';
import { entriesOf } from '../model-entries';

const STARTED_UNIX_S = Math.floor(Date.now() / 1000);

/**
 * The models as OpenAI clients list and retrieve them. One model's answer is also that of the predict protocol
 * (`name`, `ready`), which asks at the same path.
 */
@Controller('v1/models')
export class ModelsController {
  constructor(@Inject(CATALOG) private readonly catalog: ModelCatalog) {}

  @Get()
  @Documented({ tag: 'models', summary: 'All models, with task and state', ok: 'ModelList' })
  list(): object {
    const names = [...new Set(this.catalog.list().map(({ name }) => name))];
    return { object: 'list', data: names.map((name) => modelObject(name, entriesOf(this.catalog, name, undefined))) };
  }

  @Get(':model')
  @Documented({ tag: 'models', summary: 'One model', ok: 'Model', errors: [404] })
  one(@Param('model') name: string): object {
    return modelObject(name, entriesOf(this.catalog, name, undefined));
  }
}

function modelObject(name: string, entries: CatalogEntry[]): object {
  return {
    id: name,
    object: 'model',
    created: STARTED_UNIX_S,
    owned_by: 'interleave',
    name,
    ready: entries.some(({ state }) => state === 'ready'),
    task: (entries.find(({ state }) => state === 'ready') ?? entries[0])?.task,
    versions: entries.map(({ version, state, reason }) => ({ version, state, reason })),
  };
}
