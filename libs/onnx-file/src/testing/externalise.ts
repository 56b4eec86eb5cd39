import { openSync, closeSync, writeSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FileBytes } from '../file-bytes';
import { readOnnxFile } from '../read-file';
import { fieldsOf, integerField, lengthField, lengthHeader } from '../wire';

const BYTES_MIN = 1024;
const RAW_DATA = 9;

/** Rewrites a model so that its larger weights lie in a file beside it, after `gapBytes` of something else. */
export function externalise(graphPath: string, target: string, { location, gapBytes = 7 }: { location: string; gapBytes?: number }): void {
  const file = readOnnxFile(graphPath);
  const data = openSync(join(dirname(target), location), 'w');
  let offset = writeSync(data, Buffer.alloc(gapBytes, 0xff));
  const graph = FileBytes.with(graphPath, (bytes) => {
    const weights = file.graph.weights.map((weight) => {
      const [tensor] = fieldsOf(bytes, weight.record);
      const fields = tensor === undefined ? [] : [...fieldsOf(bytes, tensor.content)];
      const raw = fields.find(({ number }) => number === RAW_DATA);
      if (raw === undefined || weight.bytes < BYTES_MIN) return bytes.slice(weight.record);
      const entry = (key: string, value: string): Buffer => lengthField(13, Buffer.concat([lengthField(1, key), lengthField(2, value)]));
      const kept = fields.filter(({ number }) => number !== RAW_DATA).map(({ record }) => bytes.slice(record));
      const entries = [entry('location', location), entry('offset', `${offset}`), entry('length', `${weight.bytes}`), integerField(14, 1)];
      offset += writeSync(data, bytes.slice(raw.content));
      return lengthField(5, Buffer.concat([...kept, ...entries]));
    });
    const { nodes, inputs, outputs, others } = file.graph;
    const records = [...nodes, ...inputs, ...outputs].map(({ record }) => bytes.slice(record));
    const content = Buffer.concat([...records, ...weights, ...others.map((span) => bytes.slice(span))]);
    return Buffer.concat([...file.others.map((span) => bytes.slice(span)), lengthHeader(7, content.length), content]);
  });
  closeSync(data);
  writeFileSync(target, graph);
}
