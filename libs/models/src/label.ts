/** A model's name as requests may write it: `minilm:canary` is the version of minilm with that label. No name of a model has a colon. */
export function splitLabel(name: string): { model: string; label: string | null } {
  const colon = name.lastIndexOf(':');
  return colon < 0 ? { model: name, label: null } : { model: name.slice(0, colon), label: name.slice(colon + 1) };
}
