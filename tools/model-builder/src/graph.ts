import { DATATYPES, numberToFloat16, type Datatype } from '@app/contracts';
import type { ExternalWeights } from './external-weights';
import { Random } from './random';
import { encodeModel, type OnnxAttribute, type OnnxGraph, type OnnxNode, type OnnxTensor, type OnnxValueInfo } from './onnx-schema';

/** A dimension: a size, or the name of an axis that varies. */
export type Dimension = number | string;
export type AttributeValue = number | string | number[] | string[] | { float: number } | { graph: OnnxGraph };
type Attributes = Record<string, AttributeValue>;

interface NewNode {
  type: string;
  inputs: string[];
  outputs: string[];
  attributes: Attributes;
  domain?: string;
}

/**
 * Collects nodes and weights of one ONNX graph. Values are named `<op>_<counter>` in order of creation, so the same
 * calls give the same file. Weights depend on the seed and their own name only, not on the order of creation.
 */
export class GraphBuilder {
  private readonly nodes: OnnxNode[] = [];
  private readonly initializers = new Map<string, OnnxTensor>();
  private readonly inputs: OnnxValueInfo[] = [];
  private readonly outputs: OnnxValueInfo[] = [];
  private counter = 0;

  /**
   * `floatType` is the element type of every weight and float constant. `scope` starts the name of every value; a
   * subgraph needs one of its own, because it sees the names of the graph around it. `external` takes the seeded weights.
   */
  constructor(
    private readonly name: string,
    private readonly floatType: 'FP32' | 'FP16' = 'FP32',
    private readonly scope = '',
    private readonly external: ExternalWeights | null = null,
  ) {}

  input(name: string, datatype: Datatype, shape: Dimension[]): string {
    this.inputs.push(valueInfo(name, datatype, shape));
    return name;
  }

  /** Publishes `value` as output `name`. */
  output(name: string, datatype: Datatype, shape: Dimension[], value: string): void {
    this.push({ type: 'Identity', inputs: [value], outputs: [name], attributes: {} });
    this.outputs.push(valueInfo(name, datatype, shape));
  }

  /** Adds a node with one output and returns the output's name. */
  op(type: string, inputs: string[], attributes: Attributes = {}, domain = ''): string {
    const output = `${this.scope}${type.toLowerCase()}_${this.counter++}`;
    this.push({ type, inputs, outputs: [output], attributes, domain });
    return output;
  }

  /** A seeded weight, uniform with mean 0 and the given standard deviation. */
  weight(name: string, dims: number[], deviation: number): string {
    const seed = `${this.name}/${name}`;
    if (this.external !== null) return this.initializer(this.external.add({ name, dims, seed, deviation }));
    const count = dims.reduce((product, dim) => product * dim, 1);
    return this.floats(name, dims, new Random(seed).uniform(count, deviation));
  }

  /** A weight whose elements all are `value`. */
  filled(name: string, dims: number[], value: number): string {
    return this.floats(name, dims, new Float32Array(dims.reduce((product, dim) => product * dim, 1)).fill(value));
  }

  scalar(value: number): string {
    return this.floats(`${this.scope}float_${value}`, [], Float32Array.of(value));
  }

  /** An int64 vector constant. */
  ints(...values: number[]): string {
    return this.initializer(int64Tensor(`${this.scope}ints_${values.join('_')}`, [values.length], values));
  }

  /** An int64 scalar constant. */
  int(value: number): string {
    return this.initializer(int64Tensor(`${this.scope}int_${value}`, [], [value]));
  }

  /** The element type of weights, as ONNX numbers it. */
  get onnxFloatType(): number {
    return DATATYPES[this.floatType].onnx;
  }

  graph(): OnnxGraph {
    return { node: this.nodes, name: this.name, initializer: [...this.initializers.values()], input: this.inputs, output: this.outputs };
  }

  encode(): Uint8Array {
    return encodeModel(this.graph());
  }

  private floats(name: string, dims: number[], values: Float32Array): string {
    const typed = this.floatType === 'FP16' ? Uint16Array.from(values, numberToFloat16) : values;
    const rawData = new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength);
    return this.initializer({ name, dims, dataType: this.onnxFloatType, rawData });
  }

  private initializer(tensor: OnnxTensor): string {
    this.initializers.set(tensor.name, tensor);
    return tensor.name;
  }

  private push({ type, inputs, outputs, attributes, domain = '' }: NewNode): void {
    const attribute = Object.entries(attributes).map(([name, value]) => toAttribute(name, value));
    this.nodes.push({ input: inputs, output: outputs, name: `${outputs[0]}_node`, opType: type, attribute, domain });
  }
}

function valueInfo(name: string, datatype: Datatype, shape: Dimension[]): OnnxValueInfo {
  const dim = shape.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType: DATATYPES[datatype].onnx, shape: { dim } } } };
}

function int64Tensor(name: string, dims: number[], values: number[]): OnnxTensor {
  const data = BigInt64Array.from(values, BigInt);
  return { name, dims, dataType: DATATYPES.INT64.onnx, rawData: new Uint8Array(data.buffer) };
}

/** Attribute types as onnx.proto numbers them. */
function toAttribute(name: string, value: AttributeValue): OnnxAttribute {
  if (typeof value === 'number') return { name, type: 2, i: value };
  if (typeof value === 'string') return { name, type: 3, s: value };
  if (!Array.isArray(value)) {
    if ('float' in value) return { name, type: 1, f: value.float };
    return { name, type: 5, g: value.graph };
  }
  return typeof value[0] === 'string' ? { name, type: 8, strings: value as string[] } : { name, type: 7, ints: value as number[] };
}
