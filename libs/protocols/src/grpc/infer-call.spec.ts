import { join } from 'node:path';
import { loadSync } from '@grpc/proto-loader';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { CONTENT_PARAMETER, inferCallMessage, modelCallMessage, readDescription, readInferAnswer } from './infer-call';

/** Encoders that are not ours. */
const options = { keepCase: true, longs: String, enums: String, defaults: true };
const definitions = loadSync(join(__dirname, '../../../../apps/api/src/grpc/proto/inference.proto'), options);
const service = definitions['inference.GRPCInferenceService'] as ServiceDefinition;
const method = (name: string): MethodDefinition<object, object> => service[name] as MethodDefinition<object, object>;
const answer = (name: string, message: object): Buffer => method(name).responseSerialize(message);

const float = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

describe('calls of other nodes', () => {
  it('writes requests as others read them', () => {
    const x = { name: 'x', datatype: 'FP32' as const, shape: [2, 1], data: float(1, 2) };
    const text = { name: 't', datatype: 'BYTES' as const, shape: [1], data: Uint8Array.of(1, 0, 0, 0, 97) };
    expect(method('ModelInfer').requestDeserialize(inferCallMessage('m', '3', { inputs: [x, text], outputs: ['y'] }))).toMatchObject({
      model_name: 'm',
      model_version: '3',
      inputs: [
        { name: 'x', datatype: 'FP32', shape: ['2', '1'] },
        { name: 't', datatype: 'BYTES', shape: ['1'] },
      ],
      outputs: [{ name: 'y' }],
      raw_input_contents: [Buffer.from(x.data), Buffer.from(text.data)],
    });
    expect(method('ModelMetadata').requestDeserialize(modelCallMessage('m', '3'))).toEqual({ name: 'm', version: '3' });
  });

  it('reads answers into memory of their own', () => {
    const outputs = [{ name: 'y', datatype: 'FP32', shape: ['1', '2'] }];
    const bytes = answer('ModelInfer', { model_name: 'm', outputs, raw_output_contents: [float(3, 4)] });
    const [tensor] = readInferAnswer(bytes);
    expect(tensor).toEqual({ name: 'y', datatype: 'FP32', shape: [1, 2], data: float(3, 4) });
    expect(tensor?.data.byteOffset).toBe(0);
  });

  it.each([
    ['less data than the shape has', { outputs: [{ name: 'y', datatype: 'FP32', shape: ['3'] }], raw_output_contents: [float(1)] }],
    ['no data', { outputs: [{ name: 'y', datatype: 'FP32', shape: ['1'] }] }],
    ['a datatype that is none', { outputs: [{ name: 'y', datatype: 'FP12', shape: ['1'] }], raw_output_contents: [float(1)] }],
  ])('refuses an answer with %s', (_what, message) => {
    expect(() => readInferAnswer(answer('ModelInfer', message))).toThrow(/the answer of another node cannot be used/);
  });

  const metadata = {
    platform: 'onnx_onnxv1',
    inputs: [{ name: 'x', datatype: 'INT64', shape: ['-1', '-1'] }],
    outputs: [{ name: 'y', datatype: 'FP32', shape: ['-1', '-1', '8'] }],
  };

  it('takes the first axis for the batch where the node says so', () => {
    const config = answer('ModelConfig', { config: { name: 'm', max_batch_size: 8, dynamic_batching: {} } });
    expect(readDescription(answer('ModelMetadata', metadata), config)?.signature).toEqual({
      inputs: [{ name: 'x', datatype: 'INT64', shape: [-1, -1], axes: ['batch', 'free'] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, -1, 8], axes: ['batch', 'free', 'fixed'] }],
      coalesce: 'padded',
      coalesceReason: null,
    });
  });

  it('understands no axis of a model that is not batched, and no model of another kind', () => {
    const config = answer('ModelConfig', { config: { name: 'm' } });
    expect(readDescription(answer('ModelMetadata', metadata), config)).toMatchObject({
      signature: { inputs: [{ axes: ['free', 'free'] }], coalesce: 'alone' },
    });
    expect(readDescription(answer('ModelMetadata', { ...metadata, platform: 'ensemble' }), config)).toBeNull();
  });

  it('reads which files the node has, where it says so', () => {
    const contentOf = (parameters: object): string | null | undefined =>
      readDescription(answer('ModelMetadata', metadata), answer('ModelConfig', { config: { name: 'm', parameters } }))?.content;
    expect(contentOf({ other: { string_value: 'a' }, [CONTENT_PARAMETER]: { string_value: 'c0ffee' } })).toBe('c0ffee');
    expect(contentOf({ other: { string_value: 'a' } })).toBeNull();
  });
});
