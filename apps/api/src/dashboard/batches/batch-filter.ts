import { BATCH_STATUSES, type BatchStatus } from '@app/contracts';
import { isTerminal, type FoundBatch } from '@app/batches';
import { invalid } from '../../batches/invalid';

const NAME_CHARS_MAX = 512;

/** Which batches a list is to have. */
export interface BatchFilter {
  state: 'open' | 'over' | BatchStatus | null;
  model: string | null;
  tenant: string | null;
}

/** Throws `invalid_request` naming the parameter. */
export function parseFilter({ state, model, tenant }: Record<string, unknown>): BatchFilter {
  const known = (['open', 'over', ...BATCH_STATUSES] as const).find((one) => one === state);
  if (known === undefined && state !== undefined && state !== '')
    throw invalid('state', `open, over or one of ${BATCH_STATUSES.join(', ')}`, state);
  return { state: known ?? null, model: nameOf('model', model), tenant: nameOf('tenant', tenant) };
}

export function matches({ state, model, tenant }: BatchFilter, { manifest, view }: FoundBatch): boolean {
  const isState =
    state === null ||
    state === view.status ||
    (state === 'open' || state === 'over' ? isTerminal(view.status) === (state === 'over') : false);
  return isState && (model === null || view.model === model) && (tenant === null || manifest.tenant === tenant);
}

function nameOf(param: string, value: unknown): string | null {
  if (value === undefined || value === '') return null;
  if (typeof value !== 'string' || value.length > NAME_CHARS_MAX)
    throw invalid(param, `a name of at most ${NAME_CHARS_MAX} characters`, value);
  return value;
}
