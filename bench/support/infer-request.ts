import { postRequest } from './http-connection';

/** The bytes of an Open Inference request for one row of token ids: binary inputs, one binary output. */
export function infer(options: { model: string; ids: number[]; output: string; headers: Record<string, string> }): Buffer {
  const { model, ids, output, headers } = options;
  const input = (name: string) => ({ name, datatype: 'INT64', shape: [1, ids.length], parameters: { binary_data_size: ids.length * 8 } });
  const bytes = (values: number[]) => Buffer.from(BigInt64Array.from(values, BigInt).buffer);
  const head = Buffer.from(
    JSON.stringify({
      inputs: [input('input_ids'), input('attention_mask')],
      outputs: [{ name: output, parameters: { binary_data: true } }],
    }),
  );
  return postRequest(`/v2/models/${model}/infer`, Buffer.concat([head, bytes(ids), bytes(ids.map(() => 1))]), {
    'content-type': 'application/octet-stream',
    'inference-header-content-length': String(head.length),
    ...headers,
  });
}
