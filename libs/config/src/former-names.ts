/** Former names of settings; they work, with a warning, until version 0.3. */
const FORMER_NAMES: Readonly<Record<string, string>> = { batchRowsMax: 'runRowsMax', batchTokensMax: 'runTokensMax' };

export interface PresentNames {
  settings: unknown;
  warnings: string[];
}

/**
 * The keys of one object under their present names. `path` stands before the keys in warnings, as in "realtime.". A key that is
 * there under both names is left as it is, so that the schema refuses the former one as unknown.
 */
export function withPresentNames(settings: unknown, path = ''): PresentNames {
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) return { settings, warnings: [] };
  const former = Object.keys(settings).filter(
    (key) => Object.hasOwn(FORMER_NAMES, key) && !Object.hasOwn(settings, FORMER_NAMES[key] as string),
  );
  const present = (key: string): string => (former.includes(key) ? (FORMER_NAMES[key] as string) : key);
  return {
    settings: Object.fromEntries(Object.entries(settings).map(([key, value]) => [present(key), value])),
    warnings: former.map((key) => `${path}${key} is now called ${path}${present(key)}; the former name works until version 0.3`),
  };
}
