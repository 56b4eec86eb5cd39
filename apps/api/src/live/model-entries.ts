import { InterleaveError } from '@app/contracts';
import type { CatalogEntry, ModelView } from '@app/models';

/** As `ModelView.entriesOf`, for those to whom it is an answer that a model is not there: none. */
export function entriesIfAny(catalog: ModelView, name: string, version: string | null): CatalogEntry[] {
  try {
    return catalog.entriesOf(name, version);
  } catch (error) {
    if (error instanceof InterleaveError && error.code === 'model_not_found') return [];
    throw error;
  }
}
