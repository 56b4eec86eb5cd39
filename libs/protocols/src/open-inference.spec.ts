import { loadConfig } from '@app/config';
import { InterleaveError, numberToFloat16 } from '@app/contracts';
import { joinStrings } from '../../../test/fixtures/ort-backend';
import { serveModels, type ServedModels } from '../../../test/fixtures/served-models';
import {
  jsonLimits,
  parseEndpoint,
  prepare,
  runPrepared,
  splitInferBody,
  toJsonText,
  type Endpoint,
  type PreparedRequest,
  type ResponseBody,
} from '.';

const limits = { itemsMax: 4, tensorBytesMax: 4096 };
const jsonBounds = jsonLimits(loadConfig({}).http);

interface Output {
  name: string;
  datatype: string;
  shape: number[];
  data?: unknown[];
  parameters?: { binary_data_size: number };
}
interface Answer {
  model_name: string;
  model_version: string;
  id?: string;
  outputs: Output[];
}

describe('POST /v2/models/{m}/infer', () => {
  let served: ServedModels;
  beforeAll(async () => {
    served = await serveModels(['encoder-tiny', 'no-batch', 'strings', 'types', 'half', 'fixed', 'two-axes', 'no-mask']);
  });
  afterAll(() => served.close());

  const prepareBytes = async (model: string, bytes: Uint8Array, headerLength: string | null): Promise<PreparedRequest> => {
    const { body, binary } = await splitInferBody(bytes, headerLength, jsonBounds);
    return prepare(parseEndpoint(`/v2/models/${model}/infer`) as Endpoint, body, binary, served.catalog, limits);
  };
  const prepareJson = (model: string, body: unknown): Promise<PreparedRequest> =>
    prepareBytes(model, Buffer.from(JSON.stringify(body)), null);
  const runBytes = async (model: string, bytes: Uint8Array, headerLength: string | null): Promise<ResponseBody> =>
    runPrepared(served.backend, await prepareBytes(model, bytes, headerLength), null);
  const infer = async (model: string, body: unknown): Promise<Answer> => {
    return answerOf(await runBytes(model, Buffer.from(JSON.stringify(body)), null));
  };
  const answerOf = (response: ResponseBody): Answer => JSON.parse(toJsonText(response.body)) as Answer;
  /** A binary answer, taken apart as a client does it. */
  const takeApart = (response: ResponseBody): { answer: Answer; tensors: Buffer[] } => {
    if (response.kind !== 'bytes') throw new Error('expected a binary answer');
    expect(response.headers['content-type']).toBe('application/octet-stream');
    const body = Buffer.from(response.body);
    const headerBytes = Number(response.headers['inference-header-content-length']);
    const answer = JSON.parse(body.toString('utf8', 0, headerBytes)) as Answer;
    let offset = headerBytes;
    const tensors = answer.outputs.flatMap(({ parameters }) => {
      if (parameters === undefined) return [];
      offset += parameters.binary_data_size;
      return [body.subarray(offset - parameters.binary_data_size, offset)];
    });
    expect(offset).toBe(body.length);
    return { answer, tensors };
  };

  const x = { name: 'x', shape: [2, 3], datatype: 'FP32', data: [1, 2, 3, 4, 5, 6] };
  const y = { name: 'y', shape: [3], datatype: 'FP32', data: [10, 20, 30] };
  const ids = {
    name: 'input_ids',
    shape: [2, 3],
    datatype: 'INT64',
    data: [
      [2, 9, 3],
      [2, 8, 3],
    ],
  };
  const mask = { name: 'attention_mask', shape: [2, 3], datatype: 'INT64', data: [1, 1, 1, 1, 1, 1] };

  it('takes flat and nested data, echoes the id, names model and version', async () => {
    const outputs = [{ name: 'sum', datatype: 'FP32', shape: [2, 3], data: [11, 22, 33, 14, 25, 36] }];
    const expected = { model_name: 'no-batch', model_version: '1', id: 'a-1', outputs };
    expect(await infer('no-batch', { id: 'a-1', inputs: [x, y] })).toEqual(expected);
    expect(
      await infer('no-batch', {
        id: 'a-1',
        inputs: [
          y,
          {
            ...x,
            data: [
              [1, 2, 3],
              [4, 5, 6],
            ],
          },
        ],
      }),
    ).toEqual(expected);
  });

  it('takes token tensors of a text model and gives only the outputs that were asked for', async () => {
    const answer = await infer('encoder-tiny', { inputs: [ids, mask], outputs: [{ name: 'sentence_embedding' }] });
    expect(answer.id).toBeUndefined();
    expect(answer.outputs.map(({ name, shape }) => [name, shape])).toEqual([['sentence_embedding', [2, 128]]]);
  });

  it('gives a vector for the whole array as one item', async () => {
    const prepared = await prepareJson('encoder-tiny', { inputs: [ids, mask] });
    expect(prepared.items).toHaveLength(1);
    expect(prepared.items[0]?.inputs.map(({ shape }) => shape)).toEqual([
      [2, 3],
      [2, 3],
    ]);
  });

  it('passes timeout and priority on', async () => {
    const prepared = await prepareJson('no-batch', { inputs: [x, y], parameters: { timeout: 1500, priority: 2, other: 'x' } });
    expect([prepared.timeoutMs, prepared.priority]).toEqual([1.5, 2]);
  });

  it('takes a size of 0 where the graph leaves it open, flat, nested or binary', async () => {
    const image = { name: 'image', shape: [0, 3, 8, 8], datatype: 'FP32' };
    const outputs = [{ name: 'logits', datatype: 'FP32', shape: [0, 5], data: [] }];
    expect((await infer('fixed', { inputs: [{ ...image, data: [] }] })).outputs).toEqual(outputs);
    const header = Buffer.from(JSON.stringify({ inputs: [{ ...image, parameters: { binary_data_size: 0 } }] }));
    expect(answerOf(await runBytes('fixed', header, String(header.length))).outputs).toEqual(outputs);
    const prepared = await prepareJson('encoder-tiny', {
      inputs: [
        { ...ids, shape: [2, 0], data: [[], []] },
        { ...mask, shape: [2, 0], data: [] },
      ],
    });
    expect(prepared.items[0]?.inputs.map(({ shape, data }) => [shape, data.length])).toEqual([
      [[2, 0], 0],
      [[2, 0], 0],
    ]);
  });

  it('leaves it to the runtime whether sizes of one name may differ', async () => {
    const prepared = await prepareJson('encoder-tiny', { inputs: [ids, { ...mask, shape: [1, 3], data: [1, 1, 1] }] });
    expect(prepared.items[0]?.inputs.map(({ shape }) => shape)).toEqual([
      [2, 3],
      [1, 3],
    ]);
  });

  it('names the setting behind a limit', async () => {
    const image = { name: 'image', shape: [6, 3, 8, 8], datatype: 'FP32', data: [] };
    const refused = prepare(parseEndpoint('/v2/models/fixed/infer') as Endpoint, { inputs: [image] }, null, served.catalog, {
      ...limits,
      tensorBytesKey: 'lane.bytes',
    });
    await expect(Promise.resolve(refused)).rejects.toMatchObject({
      code: 'too_large',
      message: expect.stringContaining('raise lane.bytes in interleave.yaml') as string,
    });
  });

  it('takes binary inputs, mixed with JSON ones, in any order', async () => {
    const header = Buffer.from(JSON.stringify({ inputs: [{ ...x, data: undefined, parameters: { binary_data_size: 24 } }, y] }));
    const response = await runBytes(
      'no-batch',
      Buffer.concat([header, new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer)]),
      String(header.length),
    );
    expect(answerOf(response).outputs[0]?.data).toEqual([11, 22, 33, 14, 25, 36]);
  });

  it('gives binary outputs by default or one by one, back to back in the order asked for', async () => {
    const request = { inputs: [{ name: 'text', shape: [2], datatype: 'BYTES', data: ['yes', 'ß'] }] };
    const all = takeApart(
      await runBytes('strings', Buffer.from(JSON.stringify({ ...request, parameters: { binary_data_output: true } })), null),
    );
    expect(all.tensors[0]).toEqual(Buffer.from(joinStrings(['yes', 'ß'])));
    expect(all.tensors[1]?.readBigInt64LE(8)).toBe(-1n);
    const outputs = [{ name: 'label', parameters: { binary_data: true } }, { name: 'echo' }];
    const one = takeApart(await runBytes('strings', Buffer.from(JSON.stringify({ ...request, outputs })), null));
    expect(one.answer.outputs[1]?.data).toEqual(['yes', 'ß']);
    expect(one.tensors[0]?.readBigInt64LE(0)).toBe(1n);
    const named = { ...request, parameters: { binary_data_output: true }, outputs: [{ name: 'echo' }] };
    expect(takeApart(await runBytes('strings', Buffer.from(JSON.stringify(named)), null)).tensors).toHaveLength(1);
    const off = { ...request, parameters: { binary_data_output: true }, outputs: [{ name: 'echo', parameters: { binary_data: false } }] };
    expect((await runBytes('strings', Buffer.from(JSON.stringify(off)), null)).kind).toBe('json');
  });

  it('takes float16 in binary', async () => {
    const features = new Uint8Array(Uint16Array.from({ length: 32 }, (_, i) => numberToFloat16(i)).buffer);
    const request = {
      inputs: [
        { name: 'features', shape: [1, 2, 16], datatype: 'FP16', parameters: { binary_data_size: 64 } },
        { name: 'attention_mask', shape: [1, 2], datatype: 'INT64', data: [1, 1] },
      ],
      parameters: { binary_data_output: true },
    };
    const header = Buffer.from(JSON.stringify(request));
    const { answer, tensors } = takeApart(await runBytes('half', Buffer.concat([header, features]), String(header.length)));
    expect(answer.outputs.map(({ datatype }) => datatype)).toEqual(['FP16', 'FP16']);
    expect(tensors.map(({ length }) => length)).toEqual([64, 32]);
  });

  it('takes a raw binary body as one input of batch 1, and answers in binary', async () => {
    const image = takeApart(await runBytes('fixed', new Uint8Array(3 * 8 * 8 * 4), '0'));
    expect(image.answer.outputs[0]).toMatchObject({ name: 'logits', shape: [1, 5], parameters: { binary_data_size: 20 } });
    const text = takeApart(await runBytes('strings', joinStrings(['no']), '0'));
    expect(text.tensors[0]).toEqual(Buffer.from(joinStrings(['no'])));
    const tokens = takeApart(await runBytes('no-mask', new Uint8Array(BigInt64Array.of(2n, 9n, 3n).buffer), '0'));
    expect(tokens.answer.outputs[0]?.shape).toEqual([1, 3, 32]);
  });

  it('takes and gives float16 as numbers', async () => {
    const features = { name: 'features', shape: [1, 2, 16], datatype: 'FP16', data: Array.from({ length: 32 }, (_, i) => i / 8) };
    const attentionMask = { name: 'attention_mask', shape: [1, 2], datatype: 'INT64', data: [1, 1] };
    const { outputs } = await infer('half', { inputs: [features, attentionMask] });
    const { tensors } = takeApart(
      await runBytes(
        'half',
        Buffer.from(JSON.stringify({ inputs: [features, attentionMask], parameters: { binary_data_output: true } })),
        null,
      ),
    );
    outputs.forEach(({ data }, i) => {
      expect(data?.map((value) => numberToFloat16(value as number))).toEqual([
        ...new Uint16Array(new Uint8Array(tensors[i] as Buffer).buffer),
      ]);
    });
  });

  it('returns every datatype, integers of 64 bits with all digits', async () => {
    const rows: Record<string, string> = {
      BOOL: '[true,false,true]',
      UINT8: '[0,1,255]',
      UINT16: '[0,1,65535]',
      UINT32: '[0,1,4294967295]',
      UINT64: '[9007199254740993,1152921504606846976,18446744073709551615]',
      INT8: '[0,-128,127]',
      INT16: '[0,-32768,32767]',
      INT32: '[0,-2147483648,2147483647]',
      INT64: '[9007199254740993,-9223372036854775808,9223372036854775807]',
      FP16: '[-0.0,5.960464477539063e-8,65504]',
      FP32: '[-0.0,1.401298464324817e-45,3.4028234663852886e+38]',
      FP64: '[-0.0,5e-324,1.7976931348623157e+308]',
      BYTES: '["","ä","😀"]',
    };
    const tensors = (prefix: string): string[] =>
      Object.entries(rows).map(
        ([datatype, data]) => `{"name":"${prefix}_${datatype.toLowerCase()}","datatype":"${datatype}","shape":[1,3],"data":${data}}`,
      );
    const response = await runBytes(
      'types',
      Buffer.from(
        `{"inputs":[${tensors('in').join()}],"outputs":[${Object.keys(rows)
          .map((type) => `{"name":"out_${type.toLowerCase()}"}`)
          .join()}]}`,
      ),
      null,
    );
    expect(toJsonText(response.body)).toBe(`{"model_name":"types","model_version":"1","outputs":[${tensors('out').join()}]}`);
  });

  const long = (size: number): object => ({ ...ids, shape: [1, size], data: [] });
  const refusals: [string, string, unknown, string, string | null, RegExp][] = [
    ['an array as body', 'no-batch', [], 'invalid_request', 'body', /expected an object/],
    ['no inputs', 'no-batch', {}, 'invalid_request', 'inputs', /expected an array for inputs but received nothing/],
    ['an id that is no string', 'no-batch', { id: 5, inputs: [x, y] }, 'invalid_request', 'id', /a string for id/],
    ['an input that is no object', 'no-batch', { inputs: [x, 'y'] }, 'invalid_request', 'inputs[1]', /an object/],
    ['an input without name', 'no-batch', { inputs: [x, { ...y, name: undefined }] }, 'invalid_request', 'inputs[1].name', /a string/],
    [
      'an unknown input',
      'no-batch',
      { inputs: [x, { ...y, name: 'z' }] },
      'invalid_request',
      'inputs[1].name',
      /one of the inputs x, y .* "z"/,
    ],
    ['an input twice', 'no-batch', { inputs: [x, x] }, 'invalid_request', 'inputs[1].name', /each input once .* "x"/],
    ['a missing input', 'no-batch', { inputs: [x] }, 'invalid_request', 'inputs', /expected the input "y" \(FP32 \[3\]\)/],
    [
      'a wrong datatype',
      'no-batch',
      { inputs: [x, { ...y, datatype: 'FP64' }] },
      'invalid_request',
      'inputs[1].datatype',
      /expected FP32, .* "FP64"/,
    ],
    ['an unknown datatype', 'no-batch', { inputs: [x, { ...y, datatype: 'float' }] }, 'invalid_request', 'inputs[1].datatype', /"float"/],
    [
      'no shape',
      'no-batch',
      { inputs: [x, { ...y, shape: undefined }] },
      'invalid_request',
      'inputs[1].shape',
      /the shape \[3\] .* nothing/,
    ],
    [
      'a wrong rank',
      'no-batch',
      { inputs: [x, { ...y, shape: [1, 3] }] },
      'invalid_request',
      'inputs[1].shape',
      /expected the shape \[3\] for inputs\[1\]\.shape but received \[1, 3\]/,
    ],
    ['a wrong size', 'no-batch', { inputs: [x, { ...y, shape: [4] }] }, 'invalid_request', 'inputs[1].shape', /the shape \[3\]/],
    [
      'a size over the largest',
      'encoder-tiny',
      { inputs: [{ ...ids, shape: [0, Number.MAX_SAFE_INTEGER] }, mask] },
      'invalid_request',
      'inputs[0].shape',
      /expected the shape \[0 to 2147483647, 0 to 2147483647\] for inputs\[0\].shape but received \[0, 9007199254740991\]/,
    ],
    ['a negative size', 'encoder-tiny', { inputs: [{ ...ids, shape: [-1, 3] }, mask] }, 'invalid_request', 'inputs[0].shape', /0 or more/],
    [
      'elements for a size of 0',
      'encoder-tiny',
      { inputs: [{ ...ids, shape: [2, 0] }, mask] },
      'invalid_request',
      'inputs[0].data[0]',
      /expected 0 elements, as the shape \[2, 0\] has/,
    ],
    [
      'a fractional size',
      'encoder-tiny',
      { inputs: [{ ...ids, shape: [1.5, 2] }, mask] },
      'invalid_request',
      'inputs[0].shape',
      /0 or more/,
    ],
    [
      'a size as text',
      'encoder-tiny',
      { inputs: [{ ...ids, shape: ['2', [3]] }, mask] },
      'invalid_request',
      'inputs[0].shape',
      /received \[the string "2", an array of 1\]/,
    ],
    [
      'sizes whose product overflows',
      'encoder-tiny',
      { inputs: [{ ...ids, shape: [2 ** 31 - 1, 2 ** 31 - 1] }, mask] },
      'too_large',
      'inputs[0].shape',
      /at most 4096 bytes/,
    ],
    ['a tensor over the limit', 'encoder-tiny', { inputs: [long(513), mask] }, 'too_large', 'inputs[0].shape', /at most 4096 bytes/],
    [
      'tensors over the limit together',
      'encoder-tiny',
      {
        inputs: [
          { ...ids, shape: [1, 300], data: new Array(300).fill(1) },
          { ...mask, shape: [1, 300] },
        ],
      },
      'too_large',
      'inputs[1].shape',
      /at most 4096 bytes/,
    ],
    [
      'strings over the limit',
      'strings',
      { inputs: [{ name: 'text', shape: [2], datatype: 'BYTES', data: ['', 'x'.repeat(4090)] }] },
      'too_large',
      'inputs[0].data',
      /at most 4096 bytes/,
    ],
    ['too few elements', 'no-batch', { inputs: [x, { ...y, data: [1, 2] }] }, 'invalid_request', 'inputs[1].data', /expected 3 elements/],
    ['no data', 'no-batch', { inputs: [x, { ...y, data: undefined }] }, 'invalid_request', 'inputs[1].data', /an array .* nothing/],
    [
      'an element of another type',
      'encoder-tiny',
      { inputs: [{ ...ids, data: [2, 9, 3, 2, 1.5, 3] }, mask] },
      'invalid_request',
      'inputs[0].data',
      /element 4 .* 1\.5/,
    ],
    [
      'an unknown output',
      'no-batch',
      { inputs: [x, y], outputs: [{ name: 'z' }] },
      'invalid_request',
      'outputs[0].name',
      /one of the outputs sum .* "z"/,
    ],
    [
      'an output twice',
      'no-batch',
      { inputs: [x, y], outputs: [{ name: 'sum' }, { name: 'sum' }] },
      'invalid_request',
      'outputs[1].name',
      /each output once/,
    ],
    ['no outputs', 'no-batch', { inputs: [x, y], outputs: [] }, 'invalid_request', 'outputs', /at least one/],
    [
      'float16 out of range',
      'half',
      { inputs: [{ name: 'features', shape: [1, 1, 16], datatype: 'FP16', data: [...new Array<number>(15).fill(0), 65_520] }] },
      'invalid_request',
      'inputs[0].data',
      /a number that FP16 holds for element 15 .* 65520/,
    ],
    ['parameters that are no object', 'no-batch', { inputs: [x, y], parameters: 'x' }, 'invalid_request', 'parameters', /an object/],
    [
      'a parameter that is no scalar',
      'no-batch',
      { inputs: [x, y], parameters: { a: [] } },
      'invalid_request',
      'parameters.a',
      /a string, a number/,
    ],
    [
      'a negative timeout',
      'no-batch',
      { inputs: [x, y], parameters: { timeout: -1 } },
      'invalid_request',
      'parameters.timeout',
      /integer from 0/,
    ],
    [
      'a priority as text',
      'no-batch',
      { inputs: [x, y], parameters: { priority: 'high' } },
      'invalid_request',
      'parameters.priority',
      /integer from 0 to 255/,
    ],
    ['a sequence', 'no-batch', { inputs: [x, y], parameters: { sequence_id: 3 } }, 'invalid_request', 'parameters.sequence_id', /no state/],
    [
      'an output in shared memory',
      'no-batch',
      { inputs: [x, y], outputs: [{ name: 'sum', parameters: { shared_memory_region: 'r' } }] },
      'invalid_request',
      'outputs[0].parameters.shared_memory_region',
      /shared_memory_byte_size/,
    ],
    [
      'binary size without binary part',
      'no-batch',
      { inputs: [x, { ...y, data: undefined, parameters: { binary_data_size: 12 } }] },
      'invalid_request',
      'inputs[1].parameters.binary_data_size',
      /Inference-Header-Content-Length/,
    ],
    ['an unknown model', 'nope', { inputs: [x, y] }, 'model_not_found', 'model', /no model "nope"/],
  ];
  it.each(refusals)('refuses %s', async (_, model, body, code, param, message) => {
    const error = await infer(model, body).then(
      () => null,
      (reason: unknown) => reason as InterleaveError,
    );
    expect({ code: error?.code, param: error?.param }).toEqual({ code, param });
    expect(error?.message).toMatch(message);
  });

  const binaryY = (parameters: object, extra: object = {}): object => ({
    inputs: [x, { name: 'y', shape: [3], datatype: 'FP32', parameters, ...extra }],
  });
  const binaryRefusals: [string, string, unknown, number, string | null, RegExp][] = [
    [
      'fewer bytes than elements',
      'no-batch',
      binaryY({ binary_data_size: 8 }),
      8,
      'inputs[1].parameters.binary_data_size',
      /expected 12 bytes \(3 × FP32\)/,
    ],
    [
      'a size beyond the body',
      'no-batch',
      binaryY({ binary_data_size: 12 }),
      8,
      'inputs[1].parameters.binary_data_size',
      /integer from 0 to 8/,
    ],
    ['a negative size', 'no-batch', binaryY({ binary_data_size: -4 }), 8, 'inputs[1].parameters.binary_data_size', /received -4/],
    ['bytes left over', 'no-batch', binaryY({ binary_data_size: 12 }), 16, 'inputs', /bytes, as the binary_data_size/],
    [
      'data beside the size',
      'no-batch',
      binaryY({ binary_data_size: 12 }, { data: [1, 2, 3] }),
      12,
      'inputs[1]',
      /either data or binary_data_size/,
    ],
    [
      'strings that run over',
      'strings',
      { inputs: [{ name: 'text', shape: [1], datatype: 'BYTES', parameters: { binary_data_size: 6 } }] },
      6,
      'inputs[0].parameters.binary_data_size',
      /1 strings for .*, each a 4-byte length/,
    ],
  ];
  it.each(binaryRefusals)('refuses a binary part with %s', async (_, model, body, bytes, param, message) => {
    const header = Buffer.from(JSON.stringify(body));
    const request = Buffer.concat([header, Buffer.alloc(bytes, 9)]);
    const error = await runBytes(model, request, String(header.length)).then(
      () => null,
      (reason: unknown) => reason as InterleaveError,
    );
    expect({ code: error?.code, param: error?.param }).toEqual({ code: 'invalid_request', param });
    expect(error?.message).toMatch(message);
  });

  it.each(['-1', '1.5', 'abc', '', '99999', '0x10'])('refuses the header length "%s"', async (length) => {
    await expect(prepareBytes('no-batch', Buffer.from('{}'), length)).rejects.toThrow(/expected a number from 0 to the length of the body/);
  });

  it('refuses a BOOL byte other than 0 and 1', async () => {
    const header = Buffer.from(
      JSON.stringify({
        inputs: [{ name: 'in_bool', shape: [1, 3], datatype: 'BOOL', parameters: { binary_data_size: 3 } }],
        outputs: [{ name: 'out_bool' }],
      }),
    );
    await expect(prepareBytes('types', Buffer.concat([header, Uint8Array.of(0, 1, 2)]), String(header.length))).rejects.toMatchObject({
      param: 'inputs[0]',
      message: 'expected bytes 0 and 1 for inputs[0] but received 2',
    });
  });

  it('refuses a raw body for a model with two inputs, or of a size that fits no shape', async () => {
    await expect(prepareBytes('no-batch', new Uint8Array(12), '0')).rejects.toThrow(/one input for a raw binary request/);
    await expect(prepareBytes('fixed', new Uint8Array(13), '0')).rejects.toThrow(/bytes/);
    await expect(prepareBytes('no-mask', new Uint8Array(13), '0')).rejects.toThrow(/a multiple of 8 bytes/);
    await expect(prepareBytes('no-mask', new Uint8Array(0), '0')).rejects.toThrow(/a multiple of 8 bytes/);
  });

  it('answers with the error of the runtime when the model fails on the input', async () => {
    const outside = { ...ids, shape: [1, 1], data: [40_000_000] };
    await expect(infer('encoder-tiny', { inputs: [outside, { ...mask, shape: [1, 1], data: [1] }] })).rejects.toMatchObject({
      code: 'inference_failed',
    });
  });
});
