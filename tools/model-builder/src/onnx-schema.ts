import { Root, type Type } from 'protobufjs';

/**
 * The part of the ONNX file format that the builder writes, with the field numbers of onnx.proto (IR version 8).
 * Optional fields that we never set are left out: a reader does not miss them.
 */
const descriptor = {
  nested: {
    ModelProto: {
      fields: {
        irVersion: { id: 1, type: 'int64' },
        producerName: { id: 2, type: 'string' },
        graph: { id: 7, type: 'GraphProto' },
        opsetImport: { id: 8, rule: 'repeated', type: 'OperatorSetIdProto' },
      },
    },
    OperatorSetIdProto: { fields: { domain: { id: 1, type: 'string' }, version: { id: 2, type: 'int64' } } },
    GraphProto: {
      fields: {
        node: { id: 1, rule: 'repeated', type: 'NodeProto' },
        name: { id: 2, type: 'string' },
        initializer: { id: 5, rule: 'repeated', type: 'TensorProto' },
        input: { id: 11, rule: 'repeated', type: 'ValueInfoProto' },
        output: { id: 12, rule: 'repeated', type: 'ValueInfoProto' },
      },
    },
    NodeProto: {
      fields: {
        input: { id: 1, rule: 'repeated', type: 'string' },
        output: { id: 2, rule: 'repeated', type: 'string' },
        name: { id: 3, type: 'string' },
        opType: { id: 4, type: 'string' },
        attribute: { id: 5, rule: 'repeated', type: 'AttributeProto' },
        domain: { id: 7, type: 'string' },
      },
    },
    AttributeProto: {
      fields: {
        name: { id: 1, type: 'string' },
        f: { id: 2, type: 'float' },
        i: { id: 3, type: 'int64' },
        s: { id: 4, type: 'string' },
        g: { id: 6, type: 'GraphProto' },
        ints: { id: 8, rule: 'repeated', type: 'int64', options: { packed: false } },
        strings: { id: 9, rule: 'repeated', type: 'string' },
        type: { id: 20, type: 'int32' },
      },
    },
    TensorProto: {
      fields: {
        dims: { id: 1, rule: 'repeated', type: 'int64', options: { packed: false } },
        dataType: { id: 2, type: 'int32' },
        name: { id: 8, type: 'string' },
        rawData: { id: 9, type: 'bytes' },
        externalData: { id: 13, rule: 'repeated', type: 'StringStringEntryProto' },
        dataLocation: { id: 14, type: 'int32' },
      },
    },
    StringStringEntryProto: { fields: { key: { id: 1, type: 'string' }, value: { id: 2, type: 'string' } } },
    ValueInfoProto: { fields: { name: { id: 1, type: 'string' }, type: { id: 2, type: 'TypeProto' } } },
    TypeProto: { fields: { tensorType: { id: 1, type: 'TensorTypeProto' } } },
    TensorTypeProto: { fields: { elemType: { id: 1, type: 'int32' }, shape: { id: 2, type: 'TensorShapeProto' } } },
    TensorShapeProto: { fields: { dim: { id: 1, rule: 'repeated', type: 'DimensionProto' } } },
    DimensionProto: { fields: { dimValue: { id: 1, type: 'int64' }, dimParam: { id: 2, type: 'string' } } },
  },
} as const;

const modelType: Type = Root.fromJSON(descriptor).lookupType('ModelProto');

export interface OnnxTensor {
  dims: number[];
  dataType: number;
  name: string;
  /** Absent where the values are in another file. */
  rawData?: Uint8Array;
  externalData?: { key: string; value: string }[];
  /** 1: external. */
  dataLocation?: number;
}

export interface OnnxAttribute {
  name: string;
  type: number;
  f?: number;
  i?: number;
  s?: string;
  g?: OnnxGraph;
  ints?: number[];
  strings?: string[];
}

export interface OnnxNode {
  input: string[];
  output: string[];
  name: string;
  opType: string;
  attribute: OnnxAttribute[];
  domain: string;
}

export interface OnnxValueInfo {
  name: string;
  type: { tensorType: { elemType: number; shape: { dim: ({ dimValue: number } | { dimParam: string })[] } } };
}

export interface OnnxGraph {
  node: OnnxNode[];
  name: string;
  initializer: OnnxTensor[];
  input: OnnxValueInfo[];
  output: OnnxValueInfo[];
}

/** Operator sets by domain; the empty domain is ONNX's own. */
const OPSETS: Record<string, number> = { '': 17, 'ai.onnx.ml': 3 };

/** Serialises a graph as an ONNX file. The same graph gives the same bytes. */
export function encodeModel(graph: OnnxGraph): Uint8Array {
  const domains = new Set(['', ...graph.node.map(({ domain }) => domain)]);
  return modelType
    .encode({
      irVersion: 8,
      producerName: 'interleave-model-builder',
      graph,
      opsetImport: [...domains].map((domain) => ({ domain, version: OPSETS[domain] })),
    })
    .finish();
}

/** The same file with other numbers in one of its float weights: `alter` changes them in place. */
export function alterWeight(file: Uint8Array, name: string, alter: (values: Float32Array) => void): Uint8Array {
  const model = modelType.decode(file) as unknown as { graph: OnnxGraph };
  const weight = model.graph.initializer.find((initializer) => initializer.name === name);
  if (weight?.rawData === undefined) throw new Error(`expected a weight "${name}" in the graph but there is none`);
  const values = new Float32Array(new Uint8Array(weight.rawData).buffer);
  alter(values);
  weight.rawData = new Uint8Array(values.buffer);
  return modelType.encode(model).finish();
}
