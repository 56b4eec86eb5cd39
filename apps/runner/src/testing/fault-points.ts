import type { ObjectStore, ObjectWriter } from '@app/batches';

type Operation = 'put' | 'putIfAbsent' | 'putIfUnchanged' | 'delete' | 'commitIfAbsent';

interface FaultPoint {
  operation: Operation;
  /** Of the object's key. */
  key: RegExp;
  /** Of the object's text, where several writes have one key. */
  content?: RegExp;
}

/** The writes that take a batch from accepted to over, in their order. A runner may die right before and right after each. */
export const FAULT_POINTS = {
  ownership: { operation: 'putIfUnchanged', key: /manifest\.json$/, content: /"status":"validating"/ },
  'in progress': { operation: 'putIfUnchanged', key: /manifest\.json$/, content: /"status":"in_progress"/ },
  'result of a chunk': { operation: 'commitIfAbsent', key: /chunks\/1$/ },
  'result of the last chunk': { operation: 'commitIfAbsent', key: /chunks\/4$/ },
  finalizing: { operation: 'putIfUnchanged', key: /manifest\.json$/, content: /"status":"finalizing"/ },
  'table of results': { operation: 'putIfAbsent', key: /results\.idx$/ },
  'record of an output file': { operation: 'putIfAbsent', key: /file\.json$/ },
  completed: { operation: 'putIfUnchanged', key: /manifest\.json$/, content: /"status":"completed"/ },
  'no longer open': { operation: 'delete', key: /^open\// },
} as const satisfies Record<string, FaultPoint>;

export type FaultPointName = keyof typeof FAULT_POINTS;
export type FaultMoment = 'before' | 'after';

/** A store during whose first write at the point the process kills itself. */
export function dyingStore(store: ObjectStore, name: FaultPointName, moment: FaultMoment): ObjectStore {
  const point: FaultPoint = FAULT_POINTS[name];
  const isMeant = (operation: Operation, key: string, bytes?: Uint8Array): boolean =>
    operation === point.operation && point.key.test(key) && (point.content?.test(Buffer.from(bytes ?? []).toString()) ?? true);
  const dyingAt = async <T>(isHere: boolean, work: () => Promise<T>): Promise<T> => {
    if (isHere && moment === 'before') process.kill(process.pid, 'SIGKILL');
    const result = await work();
    if (isHere) process.kill(process.pid, 'SIGKILL');
    return result;
  };
  const dying: Partial<ObjectStore> = {
    put: (key, bytes) => dyingAt(isMeant('put', key, bytes), () => store.put(key, bytes)),
    putIfAbsent: (key, bytes) => dyingAt(isMeant('putIfAbsent', key, bytes), () => store.putIfAbsent(key, bytes)),
    putIfUnchanged: (key, bytes, version) =>
      dyingAt(isMeant('putIfUnchanged', key, bytes), () => store.putIfUnchanged(key, bytes, version)),
    delete: (key) => dyingAt(isMeant('delete', key), () => store.delete(key)),
    openWriter: async (key) => {
      const writer = await store.openWriter(key);
      const isHere = isMeant('commitIfAbsent', key);
      return bound<ObjectWriter>(writer, { commitIfAbsent: () => dyingAt(isHere, () => writer.commitIfAbsent()) });
    },
  };
  return bound(store, dying);
}

/** `whole` with some members of `part` in place of its own. */
function bound<T extends object>(whole: T, part: Partial<T>): T {
  return new Proxy(whole, {
    get: (target, name) => {
      const value: unknown = Reflect.get(name in part ? part : target, name);
      return typeof value === 'function' && !(name in part) ? (value.bind(target) as unknown) : value;
    },
  });
}
