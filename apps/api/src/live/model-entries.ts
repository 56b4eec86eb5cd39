import { InterleaveError } from '@app/contracts';
import type { CatalogEntry, ModelView } from '@app/models';

/** The versions of a model that the repository has; throws `model_not_found` when there is none. */
export function entriesOf(catalog: ModelView, name: string, version: string | undefined): CatalogEntry[] {
  const entries = catalog.list().filter((entry) => entry.name === name && (version === undefined || entry.version === version));
  if (entries.length > 0) return entries;
  const what =
    version === undefined ? `Model ${JSON.stringify(name)}` : `Version ${JSON.stringify(version)} of model ${JSON.stringify(name)}`;
  throw new InterleaveError('model_not_found', `${what} is not in the repository; GET /v1/models lists what there is`, { param: 'model' });
}
