import { FileBytes, lengthOf, type Span } from './file-bytes';
import { fieldsOf, integersOf, type WireField } from './wire';

const DEPTH_MAX = 64;
/** Of what is kept: nodes, weights, values, and each name in them. */
const PARTS_MAX = 2_000_000;
const NAME_BYTES_MAX = 64 * 1024;
const RANK_MAX = 64;
const EXTERNAL = 1;
/** Where negative numbers begin, which stand for a size that is not known. */
const NEGATIVE_FROM = 2 ** 63;

/** An ONNX model as it lies in its file: what has a name, and where it is. Weights are not read, so it may be of any size. */
export interface OnnxFile {
  path: string;
  /** Fields of the model but its graph: versions, operator sets, functions, metadata. */
  others: Span[];
  graph: OnnxGraph;
}

export interface OnnxGraph {
  /** In the order of the file, which is that of their dependencies. */
  nodes: OnnxNode[];
  weights: OnnxWeight[];
  inputs: OnnxValue[];
  outputs: OnnxValue[];
  /** What is told of values within, and of how weights are quantised. */
  notes: OnnxRecord[];
  /** The rest: the graph's name, its documentation. */
  others: Span[];
}

export interface OnnxRecord {
  name: string;
  /** Its tag included. */
  record: Span;
}

export interface OnnxNode extends OnnxRecord {
  operator: string;
  domain: string;
  /** Values that it takes, those that its subgraphs take included, each once. */
  inputs: string[];
  /** Values that it gives; those that are left out are not there. */
  outputs: string[];
  /** It holds tensors whose values lie in another file. */
  hasExternalData: boolean;
}

export interface OnnxWeight extends OnnxRecord {
  /** Of its values. */
  bytes: number;
  /** Null: its values lie in the graph's file. */
  external: ExternalData | null;
}

/** Where the values of a weight lie, as the graph says. */
export interface ExternalData {
  /** Relative to the folder of the graph. */
  location: string;
  offset: number;
  /** Null: up to the end of the file. */
  length: number | null;
}

/** An input or output of the graph. */
export interface OnnxValue extends OnnxRecord {
  /** As ONNX numbers them; 0: it is no tensor. */
  elementType: number;
  /** A size, the name of an axis, or null for one that varies without a name; null: not even their number is known. */
  dims: OnnxDim[] | null;
}
export type OnnxDim = number | string | null;

/** Reads what an ONNX file holds but its weights. Throws an Error that names the file. */
export function readOnnxFile(path: string): OnnxFile {
  try {
    return FileBytes.with(path, (bytes) => new Reader(bytes).model(path));
  } catch (error) {
    throw new Error(`${path}: expected an ONNX graph: ${(error as Error).message}`);
  }
}

const emptyGraph = (): OnnxGraph => ({ nodes: [], weights: [], inputs: [], outputs: [], notes: [], others: [] });

class Reader {
  private parts = 0;

  constructor(private readonly bytes: FileBytes) {}

  model(path: string): OnnxFile {
    const others: Span[] = [];
    let graph: OnnxGraph | null = null;
    for (const field of fieldsOf(this.bytes, { start: 0, end: this.bytes.size })) {
      this.count();
      if (field.number !== 7) others.push(field.record);
      else if (graph !== null) throw new Error('it holds two graphs');
      else graph = this.graph(field.content, 0);
    }
    if (graph === null) throw new Error('it holds no graph');
    return { path, others, graph };
  }

  private graph(span: Span, depth: number): OnnxGraph {
    if (depth > DEPTH_MAX) throw new Error(`more than ${DEPTH_MAX} levels`);
    const graph = emptyGraph();
    for (const field of fieldsOf(this.bytes, span)) this.addToGraph(graph, field, depth);
    return graph;
  }

  private addToGraph(graph: OnnxGraph, field: WireField, depth: number): void {
    this.count();
    const { number, record, content } = field;
    if (number === 1) graph.nodes.push(this.node(field, depth));
    else if (number === 5) graph.weights.push(this.weight(field));
    else if (number === 15) graph.weights.push(this.sparse(field));
    else if (number === 11) graph.inputs.push(this.value(field));
    else if (number === 12) graph.outputs.push(this.value(field));
    else if (number === 13 || number === 14) graph.notes.push({ name: this.nameIn(content), record });
    else graph.others.push(record);
  }

  private node({ record, content }: WireField, depth: number): OnnxNode {
    const node: OnnxNode = { name: '', operator: '', domain: '', inputs: [], outputs: [], hasExternalData: false, record };
    const inputs = new Set<string>();
    for (const field of fieldsOf(this.bytes, content)) {
      if (field.number === 1) inputs.add(this.text(field.content));
      else if (field.number === 2) node.outputs.push(this.text(field.content));
      else if (field.number === 3) node.name = this.text(field.content);
      else if (field.number === 4) node.operator = this.text(field.content);
      else if (field.number === 7) node.domain = this.text(field.content);
      else if (field.number === 5) this.attribute(field.content, { node, inputs, depth });
    }
    const isThere = (name: string): boolean => name !== '';
    return { ...node, inputs: [...inputs].filter(isThere), outputs: node.outputs.filter(isThere) };
  }

  /** Of a node, what its attributes add: values that subgraphs take from outside. */
  private attribute(span: Span, { node, inputs, depth }: { node: OnnxNode; inputs: Set<string>; depth: number }): void {
    for (const { number, content } of fieldsOf(this.bytes, span)) {
      if (number === 5 || number === 10) node.hasExternalData ||= this.isExternal(content);
      else if (number === 6 || number === 11) {
        const graph = this.graph(content, depth + 1);
        for (const name of namesFromOutside(graph)) inputs.add(name);
        node.hasExternalData ||= graph.weights.some(({ external }) => external !== null);
        node.hasExternalData ||= graph.nodes.some(({ hasExternalData }) => hasExternalData);
      }
    }
  }

  private isExternal(tensor: Span): boolean {
    for (const { number, value } of fieldsOf(this.bytes, tensor)) if (number === 14 && value === EXTERNAL) return true;
    return false;
  }

  private weight({ record, content }: WireField): OnnxWeight {
    const weight: OnnxWeight = { name: '', bytes: lengthOf(content), external: null, record };
    const external: ExternalData = { location: '', offset: 0, length: null };
    for (const field of fieldsOf(this.bytes, content)) {
      if (field.number === 8) weight.name = this.text(field.content);
      else if (field.number === 9) weight.bytes = lengthOf(field.content);
      else if (field.number === 13) this.externalEntry(field.content, external);
      else if (field.number === 14 && field.value === EXTERNAL) weight.external = external;
    }
    return weight.external === null ? weight : { ...weight, bytes: external.length ?? 0 };
  }

  private externalEntry(span: Span, external: ExternalData): void {
    let key = '';
    let value = '';
    for (const { number, content } of fieldsOf(this.bytes, span)) {
      if (number === 1) key = this.text(content);
      else if (number === 2) value = this.text(content);
    }
    if (key === 'location') external.location = value;
    else if (key === 'offset' || key === 'length') {
      if (!/^[0-9]{1,15}$/.test(value)) throw new Error(`expected a number of bytes for the ${key} of external data but found "${value}"`);
      external[key] = Number(value);
    }
  }

  /** It has the name of its values. */
  private sparse({ record, content }: WireField): OnnxWeight {
    for (const field of fieldsOf(this.bytes, content)) {
      if (field.number !== 1) continue;
      const values = this.weight(field);
      if (values.external !== null) throw new Error(`the sparse weight "${values.name}" lies in another file, which is not read`);
      return { ...values, bytes: lengthOf(content), record };
    }
    throw new Error('a sparse weight has no values');
  }

  private value({ record, content }: WireField): OnnxValue {
    const value: OnnxValue = { name: '', elementType: 0, dims: null, record };
    for (const field of fieldsOf(this.bytes, content)) {
      if (field.number === 1) value.name = this.text(field.content);
      if (field.number === 2) this.type(field.content, value);
    }
    return value;
  }

  private type(span: Span, value: OnnxValue): void {
    for (const tensor of fieldsOf(this.bytes, span)) {
      if (tensor.number !== 1) continue;
      for (const field of fieldsOf(this.bytes, tensor.content)) {
        if (field.number === 1) value.elementType = field.value;
        if (field.number === 2) value.dims = this.dims(field.content);
      }
    }
  }

  private dims(span: Span): OnnxDim[] {
    const dims: OnnxDim[] = [];
    for (const { number, content } of fieldsOf(this.bytes, span)) {
      if (number !== 1) continue;
      let dim: OnnxDim = null;
      for (const field of fieldsOf(this.bytes, content)) {
        if (field.number === 1) for (const size of integersOf(this.bytes, field)) dim = size < NEGATIVE_FROM ? size : null;
        else if (field.number === 2) dim = this.text(field.content) || null;
      }
      if (dims.push(dim) > RANK_MAX) throw new Error(`a value has more than ${RANK_MAX} dimensions`);
    }
    return dims;
  }

  private nameIn(span: Span): string {
    for (const { number, content } of fieldsOf(this.bytes, span)) if (number === 1) return this.text(content);
    return '';
  }

  /** Names count, or one node of a small file could take all memory. */
  private count(): void {
    if (++this.parts > PARTS_MAX) throw new Error(`more than ${PARTS_MAX} nodes, weights, values and names`);
  }

  private text(span: Span): string {
    this.count();
    if (lengthOf(span) > NAME_BYTES_MAX) throw new Error(`a name has more than ${NAME_BYTES_MAX} bytes`);
    return this.bytes.slice(span).toString('utf8');
  }
}

/** Values that a subgraph takes of the graph around it. */
function namesFromOutside({ nodes, weights, inputs, outputs }: OnnxGraph): Set<string> {
  const own = new Set([...weights, ...inputs].map(({ name }) => name).concat(nodes.flatMap((node) => node.outputs)));
  const used = [...nodes.flatMap((node) => node.inputs), ...outputs.map(({ name }) => name)];
  return new Set(used.filter((name) => !own.has(name)));
}
