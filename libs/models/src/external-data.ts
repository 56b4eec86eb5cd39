import { FileBytes, fieldsOf, type Span } from '@app/onnx-file';
import { ModelFileError } from './model-files';

const DEPTH_MAX = 64;
const LOCATION_BYTES_MAX = 4096;
const LOCATIONS_MAX = 10_000;

/** Messages of onnx.proto that can hold a tensor, with the fields in which they hold each other. */
const HOLDS: Record<string, Record<number, string>> = {
  model: { 7: 'graph', 20: 'training', 25: 'function' },
  training: { 1: 'graph', 2: 'graph' },
  function: { 7: 'node', 11: 'attribute' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  sparse: { 1: 'tensor', 2: 'tensor' },
  tensor: { 13: 'entry' },
};
const KEY = 1;
const VALUE = 2;

/**
 * The files beside a graph that hold its weights, as the graph names them: relative to its folder, each once. Weights inside of
 * the graph are skipped, not read. Throws a `ModelFileError` for a file that is no ONNX graph.
 */
export function externalDataOf(graphPath: string): string[] {
  try {
    return FileBytes.with(graphPath, (bytes) => {
      const walk = new Walk(bytes);
      walk.message('model', { start: 0, end: bytes.size }, 0);
      if (!walk.hasGraph) throw new Error('it holds no graph');
      return [...walk.locations];
    });
  } catch (error) {
    throw new ModelFileError(`${graphPath}: expected an ONNX graph: ${(error as Error).message}`);
  }
}

class Walk {
  readonly locations = new Set<string>();
  hasGraph = false;

  constructor(private readonly bytes: FileBytes) {}

  message(kind: string, span: Span, depth: number): void {
    if (depth > DEPTH_MAX) throw new Error(`more than ${DEPTH_MAX} levels`);
    for (const { number, content, hasLength } of fieldsOf(this.bytes, span)) {
      const inner = hasLength ? HOLDS[kind]?.[number] : undefined;
      if (inner === undefined) continue;
      this.hasGraph ||= kind === 'model' && inner === 'graph';
      if (inner === 'entry') this.entry(content);
      else this.message(inner, content, depth + 1);
    }
  }

  /** One `StringStringEntryProto` of a tensor's `external_data`. */
  private entry(span: Span): void {
    const fields = [...fieldsOf(this.bytes, span)].filter(({ hasLength }) => hasLength);
    const parts = new Map(fields.map(({ number, content }) => [number, content]));
    if (this.text(parts.get(KEY)) !== 'location') return;
    this.locations.add(this.text(parts.get(VALUE)));
    if (this.locations.size > LOCATIONS_MAX) throw new Error(`its weights are in more than ${LOCATIONS_MAX} files`);
  }

  private text(span: Span = { start: 0, end: 0 }): string {
    if (span.end - span.start > LOCATION_BYTES_MAX) throw new Error(`the name of a file has more than ${LOCATION_BYTES_MAX} bytes`);
    return this.bytes.slice(span).toString('utf8');
  }
}
