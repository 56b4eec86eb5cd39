import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { RUN_ROWS_BOUNDS, COST_RATIO_BOUNDS, FORMATION_SECONDS_BOUNDS, ITEM_STATUSES, loadAddon } from './addon';
import { BUCKETS_PER_OCTAVE } from './service-buckets';

const SOURCES = join(__dirname, '..', 'src');
/** The text of the C++ file of this name, in whatever folder it is. */
function source(name: string): string {
  const path = readdirSync(SOURCES, { encoding: 'utf8', recursive: true }).find((candidate) => basename(candidate) === name);
  return readFileSync(join(SOURCES, path ?? name), 'utf8');
}
const matches = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map((match) => match[1] ?? '');
const kebab = (constant: string): string => constant.replace(/\B[A-Z]/g, '-$&').toLowerCase();

/** What TypeScript repeats of the C++ sources, which no compiler compares. */
describe('the boundary to C++', () => {
  it('has the exports of addon.cc, by name and in their order', () => {
    const declared = /export interface NativeAddon \{\n([\s\S]*?)\n\}/.exec(readFileSync(join(__dirname, 'addon.ts'), 'utf8'))?.[1] ?? '';
    const names = matches(declared, /^ {2}(\w+)\(/gm);
    const exported = matches(source('addon.cc'), /^ {4}\{"(\w+)", \w+\},$/gm);
    expect(names.length).toBeGreaterThan(0);
    expect(names).toEqual(exported);
    expect(Object.keys(loadAddon())).toEqual(exported);
  });

  it('has the bounds of stats.h', () => {
    const arrays = matches(source('stats.h'), /^inline constexpr std::array<[^>]+> k\w+Bounds\{([^}]+)\};/gm);
    const bounds = arrays.map((list) => list.split(',').map((bound) => Number(bound.replaceAll("'", ''))));
    expect(bounds).toEqual([RUN_ROWS_BOUNDS, COST_RATIO_BOUNDS, FORMATION_SECONDS_BOUNDS.map((seconds) => Math.round(seconds * 1e9))]);
  });

  it('has the buckets of service_times.h', () => {
    const [perOctave] = matches(source('service_times.h'), /^inline constexpr std::size_t kBucketsPerOctave = (\d+);/gm);
    expect(Number(perOctave)).toBe(BUCKETS_PER_OCTAVE);
  });

  it('has the item statuses of item.h, each at the position that is its number', () => {
    const body = /enum class ItemStatus : std::uint8_t \{\n([\s\S]*?)\n\};/.exec(source('item.h'))?.[1] ?? '';
    const statuses = [...body.matchAll(/^ {2}k(\w+) = (\d+),/gm)].map(([, name = '', number]) => [kebab(name), Number(number)]);
    expect(statuses).toEqual(ITEM_STATUSES.map((status, position) => [status, position]));
  });
});
