import { join } from 'node:path';
import { type InterleaveError } from '@app/contracts';
import { loadSync } from '@grpc/proto-loader';
import * as grpc from '@grpc/grpc-js';
import { joinStrings } from '../../../../test/fixtures/ort-backend';
import { serveModels, type ServedModels } from '../../../../test/fixtures/served-models';
import { allSucceeded, runItems } from '../prepare';
import { prepareInferMessage, readInferMessage, type WireMessage } from './infer';

const LIMITS = { itemsMax: 4, tensorBytesMax: 4096 };

interface Answer {
  model_name: string;
  model_version: string;
  id: string;
  outputs: { name: string; datatype: string; shape: string[] }[];
  raw_output_contents: Buffer[];
}

/** An encoder that is not ours. */
const definitions = loadSync(join(__dirname, '../../../../apps/api/src/grpc/proto/inference.proto'), {
  keepCase: true,
  longs: String,
  defaults: true,
});
const { ModelInfer } = definitions['inference.GRPCInferenceService'] as grpc.ServiceDefinition;
const encode = (request: object): Buffer => (ModelInfer as grpc.MethodDefinition<object, Answer>).requestSerialize(request);
const decode = (message: WireMessage): Answer => {
  const bytes = Buffer.alloc(message.byteLength);
  message.copy(bytes, 0);
  return (ModelInfer as grpc.MethodDefinition<object, Answer>).responseDeserialize(bytes);
};

const little = (array: ArrayBufferView): Buffer => Buffer.from(array.buffer, array.byteOffset, array.byteLength);

describe('infer requests by gRPC', () => {
  let served: ServedModels;
  beforeAll(async () => {
    served = await serveModels(['no-batch', 'strings', 'types', 'half', 'fixed']);
  });
  afterAll(() => served.close());

  const infer = async (bytes: Buffer): Promise<Answer> => {
    const message = readInferMessage(bytes);
    const prepared = prepareInferMessage(message, served.catalog.find(message.model, message.version), LIMITS);
    const results = await runItems(served.backend, prepared, { timeoutMs: null, priority: 0, signal: null });
    return decode(await prepared.respond(allSucceeded(results)));
  };

  const x = { name: 'x', shape: [2, 3], datatype: 'FP32', contents: { fp32_contents: [1, 2, 3, 4, 5, 6] } };
  const y = { name: 'y', shape: [3], datatype: 'FP32', contents: { fp32_contents: [10, 20, 30] } };
  const rawX = little(Float32Array.of(1, 2, 3, 4, 5, 6));
  const rawY = little(Float32Array.of(10, 20, 30));
  const noData = (input: typeof x | typeof y) => ({ ...input, contents: undefined });

  const TYPES: [datatype: string, raw: Buffer, contents: object | null][] = [
    ['BOOL', Buffer.from([1, 0, 1]), { bool_contents: [true, false, true] }],
    ['INT8', little(Int8Array.of(0, -128, 127)), { int_contents: [0, -128, 127] }],
    ['INT16', little(Int16Array.of(0, -32_768, 32_767)), { int_contents: [0, -32_768, 32_767] }],
    ['INT32', little(Int32Array.of(0, -(2 ** 31), 2 ** 31 - 1)), { int_contents: [0, -(2 ** 31), 2 ** 31 - 1] }],
    [
      'INT64',
      little(BigInt64Array.of(9007199254740993n, -(2n ** 63n), 2n ** 63n - 1n)),
      { int64_contents: ['9007199254740993', String(-(2n ** 63n)), String(2n ** 63n - 1n)] },
    ],
    ['UINT8', Buffer.from([0, 1, 255]), { uint_contents: [0, 1, 255] }],
    ['UINT16', little(Uint16Array.of(0, 1, 65_535)), { uint_contents: [0, 1, 65_535] }],
    ['UINT32', little(Uint32Array.of(0, 1, 2 ** 32 - 1)), { uint_contents: [0, 1, 2 ** 32 - 1] }],
    [
      'UINT64',
      little(BigUint64Array.of(0n, 2n ** 53n + 1n, 2n ** 64n - 1n)),
      { uint64_contents: ['0', String(2n ** 53n + 1n), String(2n ** 64n - 1n)] },
    ],
    ['FP16', little(Uint16Array.of(0x8000, 1, 0x7bff)), null],
    ['FP32', little(Float32Array.of(-0, 1.5, 3.4e38)), { fp32_contents: [-0, 1.5, 3.4e38] }],
    ['FP64', little(Float64Array.of(-0, 5e-324, 1.7e308)), { fp64_contents: [-0, 5e-324, 1.7e308] }],
    ['BYTES', Buffer.from(joinStrings(['', 'ä', '😀'])), { bytes_contents: ['', 'ä', '😀'].map((text) => Buffer.from(text)) }],
  ];
  const input = (datatype: string) => ({ name: `in_${datatype.toLowerCase()}`, datatype, shape: [1, 3] });
  const typesRequest = (own: object, raw: Buffer[]) => encode({ model_name: 'types', inputs: own, raw_input_contents: raw });

  it('takes and gives every datatype raw, bit for bit', async () => {
    const answer = await infer(
      typesRequest(
        TYPES.map(([datatype]) => input(datatype)),
        TYPES.map(([, raw]) => raw),
      ),
    );
    for (const [datatype, raw] of TYPES) {
      const index = answer.outputs.findIndex(({ name }) => name === `out_${datatype.toLowerCase()}`);
      expect([answer.outputs[index], answer.raw_output_contents[index]]).toMatchObject([{ datatype, shape: ['1', '3'] }, raw]);
    }
  });

  it.each(TYPES)('reads typed contents of %s as its raw bytes', (datatype, raw, contents) => {
    const bytes = encode({ model_name: 'types', inputs: [{ ...input(datatype), contents }] });
    const prepare = () => {
      const message = readInferMessage(bytes);
      const one = { name: `in_${datatype.toLowerCase()}`, datatype, shape: [-1, -1], axes: ['batch', 'free'] };
      const model = served.catalog.find('types', null);
      const signature = { ...model.signature, inputs: [one as (typeof model.signature.inputs)[number]] };
      return prepareInferMessage(message, { ...model, signature }, LIMITS).items[0]?.inputs[0]?.data;
    };
    if (contents === null) expect(prepare).toThrow(/for inputs\[0\]|raw_input_contents for FP16/);
    else expect(Buffer.from(prepare() as Uint8Array)).toEqual(raw);
  });

  it('echoes the id, names the version, and gives the outputs that were asked for', async () => {
    const answer = await infer(
      encode({ model_name: 'no-batch', model_version: '1', id: 'a-1', inputs: [y, x], outputs: [{ name: 'sum' }] }),
    );
    expect(answer).toMatchObject({ model_name: 'no-batch', model_version: '1', id: 'a-1' });
    expect(answer.raw_output_contents).toEqual([little(Float32Array.of(11, 22, 33, 14, 25, 36))]);
  });

  it('gives the best classes in place of a tensor', async () => {
    const outputs = [{ name: 'sum', parameters: { classification: { int64_param: 2 } } }];
    const answer = await infer(encode({ model_name: 'no-batch', inputs: [x, y], outputs }));
    const classes = joinStrings(['36.000000:5', '33.000000:2']);
    expect([answer.outputs[0], answer.raw_output_contents[0]]).toMatchObject([{ datatype: 'BYTES', shape: ['2'] }, Buffer.from(classes)]);
  });

  it('keeps raw tensors as views of the message', () => {
    const bytes = encode({ model_name: 'no-batch', inputs: [noData(x), noData(y)], raw_input_contents: [rawX, rawY] });
    const prepared = prepareInferMessage(readInferMessage(bytes), served.catalog.find('no-batch', null), LIMITS);
    for (const { data } of prepared.items[0]?.inputs ?? []) expect(data.buffer).toBe(bytes.buffer);
  });

  it('passes timeout and priority on, whatever number they come as', () => {
    const parameters = { timeout: { int64_param: 1500 }, priority: { uint64_param: 2 }, x: { double_param: 0.5 }, y: { bool_param: true } };
    const bytes = encode({ model_name: 'no-batch', inputs: [x, y], parameters });
    const prepared = prepareInferMessage(readInferMessage(bytes), served.catalog.find('no-batch', null), LIMITS);
    expect([prepared.timeoutMs, prepared.priority]).toEqual([1.5, 2]);
  });

  it('takes values that are not packed, and contents in several parts', async () => {
    // Field 6 of contents, wire type 5: one float each.
    const unpacked = Buffer.concat([10, 20, 30].map((value) => Buffer.concat([Buffer.from([0x35]), little(Float32Array.of(value))])));
    const contents = [unpacked.subarray(0, 5), unpacked.subarray(5)].map((part) => Buffer.concat([Buffer.from([0x2a, part.length]), part]));
    const fields = Buffer.concat([Buffer.from([0x0a, 1, 0x79, 0x12, 4]), Buffer.from('FP32'), Buffer.from([0x18, 3]), ...contents]);
    const bytes = Buffer.concat([encode({ model_name: 'no-batch', inputs: [x] }), Buffer.from([0x2a, fields.length]), fields]);
    expect((await infer(bytes)).raw_output_contents).toEqual([little(Float32Array.of(11, 22, 33, 14, 25, 36))]);
  });

  const refusals: [string, object, string | null, RegExp][] = [
    ['an unknown model', { model_name: 'none', inputs: [x, y] }, 'model', /none/],
    ['an unknown version', { model_name: 'no-batch', model_version: '9', inputs: [x, y] }, 'model', /"9"/],
    ['a missing input', { model_name: 'no-batch', inputs: [x] }, 'inputs', /the input "y"/],
    ['an unknown input', { model_name: 'no-batch', inputs: [x, { ...y, name: 'z' }] }, 'inputs[1].name', /one of the inputs x, y/],
    ['a wrong datatype', { model_name: 'no-batch', inputs: [x, { ...y, datatype: 'FP64' }] }, 'inputs[1].datatype', /expected FP32/],
    ['a wrong shape', { model_name: 'no-batch', inputs: [x, { ...y, shape: [4] }] }, 'inputs[1].shape', /the shape \[3\]/],
    ['a shape beyond 2^53', { model_name: 'no-batch', inputs: [x, { ...y, shape: ['9223372036854775807'] }] }, 'inputs[1].shape', /\[3\]/],
    [
      'an unknown output',
      { model_name: 'no-batch', inputs: [x, y], outputs: [{ name: 'z' }] },
      'outputs[0].name',
      /one of the outputs sum/,
    ],
    [
      'too few typed elements',
      { model_name: 'no-batch', inputs: [x, { ...y, contents: { fp32_contents: [1] } }] },
      'inputs[1].contents',
      /expected 3 elements, as the shape \[3\] has, for inputs\[1\]\.contents\.fp32_contents but received 1/,
    ],
    [
      'contents of another type',
      { model_name: 'no-batch', inputs: [x, { ...y, contents: { fp64_contents: [1, 2, 3] } }] },
      'inputs[1].contents',
      /expected fp32_contents for FP32 .* fp64_contents/,
    ],
    ['no data', { model_name: 'no-batch', inputs: [x, noData(y)] }, 'inputs[1].contents', /expected 3 elements/],
    [
      'typed and raw data',
      { model_name: 'no-batch', inputs: [x, y], raw_input_contents: [rawX, rawY] },
      'inputs[0].contents',
      /expected either raw_input_contents or inputs\[0\]\.contents/,
    ],
    [
      'raw data for one input only',
      { model_name: 'no-batch', inputs: [noData(x), noData(y)], raw_input_contents: [rawX] },
      'raw_input_contents',
      /expected raw_input_contents\[1\]/,
    ],
    [
      'more raw data than inputs',
      { model_name: 'no-batch', inputs: [noData(x), noData(y)], raw_input_contents: [rawX, rawY, rawY] },
      'raw_input_contents',
      /each of 2 inputs but received 3/,
    ],
    [
      'raw data of another size',
      { model_name: 'no-batch', inputs: [noData(x), noData(y)], raw_input_contents: [rawX, rawX] },
      'raw_input_contents[1]',
      /expected 12 bytes \(3 × FP32\)/,
    ],
    [
      'strings that do not split',
      { model_name: 'strings', inputs: [{ name: 'text', datatype: 'BYTES', shape: [1] }], raw_input_contents: [Buffer.from([9, 0, 0, 0])] },
      'raw_input_contents[0]',
      /expected 1 strings/,
    ],
    [
      'shared memory',
      { model_name: 'no-batch', inputs: [{ ...noData(x), parameters: { shared_memory_region: { string_param: 'r' } } }, y] },
      'inputs[0].parameters.shared_memory_region',
      /send raw_input_contents/,
    ],
    [
      'an output in shared memory',
      {
        model_name: 'no-batch',
        inputs: [x, y],
        outputs: [
          { name: 'sum', parameters: { shared_memory_region: { string_param: 'r' }, shared_memory_byte_size: { int64_param: 12 } } },
        ],
      },
      'outputs[0].parameters.shared_memory_region',
      /over HTTP only/,
    ],
    [
      'a parameter without a value',
      { model_name: 'no-batch', inputs: [x, y], parameters: { priority: {} } },
      'parameters.priority',
      /a string, a number, true or false/,
    ],
    [
      'a sequence',
      { model_name: 'no-batch', inputs: [x, y], parameters: { sequence_id: { int64_param: 7 } } },
      'parameters.sequence_id',
      /no state/,
    ],
    ['too many inputs', { model_name: 'no-batch', inputs: Array.from({ length: 65 }, () => x) }, 'inputs', /at most 64/],
  ];
  it.each(refusals)('refuses %s', async (_what, request, param, message) => {
    const refused = (await infer(encode(request)).catch((error: unknown) => error)) as InterleaveError;
    expect([refused.code, refused.param]).toEqual([expect.stringMatching(/invalid_request|model_not_found/), param]);
    expect(refused.message).toMatch(message);
  });

  it('refuses elements out of the range of the datatype', async () => {
    const bytes = encode({ model_name: 'types', inputs: [{ ...input('INT8'), contents: { int_contents: [0, 128, 0] } }] });
    await expect(infer(bytes)).rejects.toThrow(
      /expected an integer from -128 to 127 for element 1 of inputs\[0\]\.contents\.int_contents but received 128/,
    );
  });

  it('answers or refuses every message that is cut, and never reads beyond it', () => {
    const whole = encode({
      model_name: 'no-batch',
      inputs: [x, noData(y)],
      raw_input_contents: [rawX],
      parameters: { a: { int64_param: -1 } },
    });
    for (let length = 0; length < whole.length; length++) {
      try {
        readInferMessage(whole.subarray(0, length));
      } catch (error) {
        expect((error as InterleaveError).code).toBe('invalid_request');
      }
    }
  });

  it.each([
    ['an integer of more than 64 bits', [0x08, ...Array.from({ length: 11 }, () => 0xff)]],
    ['a group', [0x0b]],
    ['field 0', [0x02, 0x00]],
    ['a text that is no UTF-8', [0x0a, 1, 0xff]],
    ['a length beyond the message', [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]],
  ])('refuses %s', (_what, bytes) => {
    expect(() => readInferMessage(Buffer.from(bytes))).toThrow(/expected a message of the Open Inference Protocol/);
  });
});
