import { unknownModel } from './catalog';
import type { ModelCatalog } from './types';

/** The catalog as somebody sees it who may use the models `names` only (null: all): the others are not there. */
export function visibleModels(catalog: ModelCatalog, names: readonly string[] | null): ModelCatalog {
  if (names === null) return catalog;
  return {
    list: () => catalog.list().filter(({ name }) => names.includes(name)),
    find(name, version) {
      if (!names.includes(name)) throw unknownModel(name);
      return catalog.find(name, version);
    },
    applyReports: (reports) => catalog.applyReports(reports),
  };
}
