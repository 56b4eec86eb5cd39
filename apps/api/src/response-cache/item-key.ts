import { createHash, type Hash } from 'node:crypto';
import type { InferenceItem } from '@app/contracts';

/** What an answer belongs to besides its inputs. */
export interface Owner {
  tenant: string;
  model: string;
  version: string;
  revision: number;
  /** It shared no run with other items, so the last digits may differ from those of one that did. */
  runAlone: boolean;
}

/**
 * Equal for equal items of one owner only: SHA-256 over names, datatypes, shapes and bytes as they go to the worker, and the
 * outputs wanted in their order (`allOutputs` where the item wants all). Each part has its length before it.
 */
export function itemKey({ tenant, model, version, revision, runAlone }: Owner, item: InferenceItem, allOutputs: readonly string[]): string {
  const hash = createHash('sha256');
  for (const text of [tenant, model, version, String(revision), runAlone ? 'alone' : 'merged']) addText(hash, text);
  const outputs = item.outputs ?? allOutputs;
  addNumber(hash, outputs.length);
  for (const name of outputs) addText(hash, name);
  const inputs = [...item.inputs].sort((a, b) => (a.name < b.name ? -1 : 1));
  addNumber(hash, inputs.length);
  for (const { name, datatype, shape, data } of inputs) {
    addText(hash, name);
    addText(hash, datatype);
    addNumber(hash, shape.length);
    for (const size of shape) addNumber(hash, size);
    addNumber(hash, data.byteLength);
    hash.update(data);
  }
  return hash.digest('base64');
}

function addText(hash: Hash, text: string): void {
  const bytes = Buffer.from(text);
  addNumber(hash, bytes.length);
  hash.update(bytes);
}

function addNumber(hash: Hash, value: number): void {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  hash.update(bytes);
}
