import { unknownModel } from './catalog-errors';
import { splitLabel } from './label';
import type { ModelView } from './types';

/** The catalog as somebody sees it who may use the models `names` only (null: all): the others are not there. */
export function visibleModels(catalog: ModelView, names: readonly string[] | null): ModelView {
  if (names === null) return catalog;
  const sees = (name: string): boolean => names.includes(splitLabel(name).model);
  return {
    list: () => catalog.list().filter(({ name }) => names.includes(name)),
    entriesOf(name, version) {
      if (!sees(name)) throw unknownModel(name);
      return catalog.entriesOf(name, version);
    },
    find(name, version, user) {
      if (!sees(name)) throw unknownModel(name);
      return catalog.find(name, version, user);
    },
    policyOf: (name, version) => (sees(name) ? catalog.policyOf(name, version) : null),
    ofRevision: (revision) => catalog.ofRevision(revision),
  };
}
