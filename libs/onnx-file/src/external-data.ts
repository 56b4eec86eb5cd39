import { statSync } from 'node:fs';
import { dirname, isAbsolute, join, normalize } from 'node:path';
import type { Span } from './file-bytes';
import type { ExternalData, OnnxFile, OnnxWeight } from './read-file';

/** Where the values of a weight lie: a part of a file beside the graph. */
export interface LocatedData {
  path: string;
  span: Span;
}

/**
 * Finds what lies beside a graph. Throws an Error for a file that is not there or too short, and for one outside of the graph's
 * folder, which the runtime refuses too.
 */
export class ExternalFiles {
  private readonly sizes = new Map<string, number>();

  constructor(private readonly file: OnnxFile) {}

  locate(weight: OnnxWeight, external: ExternalData): LocatedData {
    const { location, offset } = external;
    if (location === '' || isAbsolute(location) || normalize(location).startsWith('..'))
      throw new Error(`${this.file.path}: the weight "${weight.name}" lies in "${location}"; expected a path within the graph's folder`);
    const path = join(dirname(this.file.path), location);
    const size = this.sizeOf(path, weight);
    const end = external.length === null ? size : offset + external.length;
    if (offset > end || end > size)
      throw new Error(
        `${path}: expected bytes ${offset} to ${end} for the weight "${weight.name}" but the file has ${size}; fetch it again`,
      );
    return { path, span: { start: offset, end } };
  }

  private sizeOf(path: string, { name }: OnnxWeight): number {
    const known = this.sizes.get(path);
    if (known !== undefined) return known;
    const size = statSync(path, { throwIfNoEntry: false })?.size;
    if (size === undefined) throw new Error(`${path}: the weight "${name}" lies in this file, and it is not there`);
    this.sizes.set(path, size);
    return size;
  }
}
