import { BATCH_STATUSES, DATATYPES, TASKS } from '@app/contracts';
import { SERVICE_TIERS } from '@app/protocols';
import { Type, type TSchema } from '@sinclair/typebox';
import { FILE_FORMATS, OUTPUT_FORMATS } from '@app/batches';
import { batchExtension, batchPriority, BATCH_SCHEMAS } from './batch-schemas';
import { FLEET_SCHEMAS } from './fleet-schemas';
import { LOG_LEVEL_SCHEMAS } from './log-level-schemas';
import { TRITON_SCHEMAS } from './triton-schemas';
import { embedding, embeddingFields, orNull, taskSchemas } from './task-schemas';
import { UPLOAD_SCHEMAS } from './upload-schemas';

const PROMPT_NAME = 'Prompt of config_sentence_transformers.json that goes before the texts; without it the default one, if there is one';

const text = (description: string) => Type.String({ description });
const reference = (name: string) => Type.Unsafe({ $ref: `#/components/schemas/${name}` });
const nullable = (schema: TSchema) => Type.Union([schema, Type.Null()]);
const parameters = Type.Record(Type.String(), Type.Unknown(), {
  description:
    '`timeout` (µs), `priority` (0 default, 1 highest), `service_tier`, `binary_data_output`, `binary_data`, `binary_data_size` are understood',
});

const breaker = Type.Object(
  { state: Type.String({ enum: ['open', 'half-open'] }), since: Type.String({ format: 'date-time' }), reason: Type.String() },
  { description: 'While live requests are refused because the last ones failed; `half-open`: one is let through to try' },
);
const merging = text('Whether rows of different requests share runs: `merged (padded)`, `merged at equal length: <why>` or `alone: <why>`');
const modelTensor = Type.Object({
  name: Type.String(),
  datatype: Type.String({ enum: Object.keys(DATATYPES) }),
  shape: Type.Array(Type.Integer(), { description: '-1 marks a dimension that varies' }),
});
const tensor = Type.Object({
  name: Type.String(),
  datatype: Type.String({ enum: Object.keys(DATATYPES) }),
  shape: Type.Array(Type.Integer({ minimum: 0 })),
  parameters: Type.Optional(parameters),
  data: Type.Optional(
    Type.Array(Type.Unknown(), { description: 'Row-major, flat or nested; absent when the tensor is in the binary part' }),
  ),
});

const openInference = {
  ServerMetadata: Type.Object(
    { name: Type.String(), version: Type.String(), extensions: Type.Array(Type.String()) },
    { examples: [{ name: 'interleave', version: '0.1.0', extensions: ['binary_tensor_data'] }] },
  ),
  Live: Type.Object({ live: Type.Boolean() }, { examples: [{ live: true }] }),
  Ready: Type.Object(
    {
      live: Type.Boolean({ description: 'The same as `ready`: the name in the specification' }),
      ready: Type.Boolean(),
      reason: Type.Optional(Type.String()),
    },
    { examples: [{ live: true, ready: true }] },
  ),
  ModelReady: Type.Object(
    { name: Type.String(), ready: Type.Boolean(), reason: Type.Optional(Type.String()) },
    { examples: [{ name: 'encoder-tiny', ready: true }] },
  ),
  ModelMetadata: Type.Object(
    {
      name: Type.String(),
      versions: Type.Array(Type.String()),
      platform: Type.String(),
      inputs: Type.Array(modelTensor),
      outputs: Type.Array(modelTensor),
      parameters: Type.Object({ merging_realtime: Type.Optional(merging), merging_batch: Type.Optional(merging) }),
    },
    {
      examples: [
        {
          name: 'encoder-tiny',
          versions: ['1'],
          platform: 'onnx_onnxv1',
          inputs: [{ name: 'input_ids', datatype: 'INT64', shape: [-1, -1] }],
          outputs: [{ name: 'sentence_embedding', datatype: 'FP32', shape: [-1, 128] }],
          parameters: { merging_realtime: 'merged (padded)', merging_batch: 'merged (padded)' },
        },
      ],
    },
  ),
  InferRequest: Type.Object(
    {
      id: Type.Optional(text('Echoed in the answer')),
      parameters: Type.Optional(parameters),
      inputs: Type.Array(tensor, { minItems: 1 }),
      outputs: Type.Optional(
        Type.Array(Type.Object({ name: Type.String(), parameters: Type.Optional(parameters) }), { description: 'Absent: all' }),
      ),
    },
    {
      examples: [
        {
          inputs: [
            { name: 'input_ids', datatype: 'INT64', shape: [1, 3], data: [2, 7, 3] },
            { name: 'attention_mask', datatype: 'INT64', shape: [1, 3], data: [1, 1, 1] },
          ],
          outputs: [{ name: 'sentence_embedding' }],
        },
      ],
    },
  ),
  InferResponse: Type.Object(
    {
      model_name: Type.String(),
      model_version: Type.String(),
      id: Type.Optional(Type.String()),
      parameters: Type.Optional(parameters),
      outputs: Type.Array(tensor),
    },
    {
      examples: [
        {
          model_name: 'encoder-tiny',
          model_version: '1',
          outputs: [{ name: 'sentence_embedding', datatype: 'FP32', shape: [1, 2], data: [0.6, 0.8] }],
        },
      ],
    },
  ),
  BinaryTensors: Type.String({
    description:
      'Binary tensor extension: a JSON object of `Inference-Header-Content-Length` bytes, then the tensors back to back, little-endian and row-major, in the order of the JSON; their sizes are in `parameters.binary_data_size`',
  }),
  Error: Type.Object({ error: Type.String() }, { examples: [{ error: 'inputs[0].shape: expected 2 dimensions, received 1' }] }),
};

const predict = {
  PredictRequest: Type.Object(
    {
      instances: Type.Array(
        Type.Union([
          Type.String(),
          Type.Object({ text: Type.String(), text_pair: Type.Optional(Type.String()) }),
          Type.Record(Type.String(), Type.Unknown(), { description: 'Tensor models: a nested list per input' }),
          Type.Array(Type.Unknown(), { description: 'Tensor models with one input: a nested list' }),
          Type.Number({ description: 'Tensor models with one input whose rows are numbers' }),
        ]),
        { minItems: 1 },
      ),
      parameters: Type.Optional(
        Type.Object(
          { top_k: Type.Optional(Type.Integer({ minimum: 1 })), prompt_name: Type.Optional(Type.String({ description: PROMPT_NAME })) },
          { additionalProperties: true },
        ),
      ),
    },
    { examples: [{ instances: ['All human beings are born free and equal in dignity and rights.'] }] },
  ),
  PredictResponse: Type.Object(
    {
      predictions: Type.Array(Type.Unknown(), {
        description: 'One per instance, in order: a vector, labels with scores, entities, or a score, as the task of the model is',
      }),
    },
    { examples: [{ predictions: [[0.6, 0.8]] }] },
  ),
};

const openAi = {
  EmbeddingsRequest: Type.Object(
    {
      model: Type.String(),
      input: Type.Union([
        Type.String({ minLength: 1 }),
        Type.Array(Type.String({ minLength: 1 }), { minItems: 1 }),
        Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1, description: 'Token ids of one text' }),
        Type.Array(Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 }), { minItems: 1, description: 'Token ids of several texts' }),
      ]),
      encoding_format: orNull(
        Type.String({
          enum: ['float', 'base64'],
          default: 'float',
          description: 'base64 (little-endian float32) is much cheaper for both sides',
        }),
      ),
      dimensions: orNull(
        Type.Integer({
          minimum: 1,
          description: 'The vector is cut to its first values and normalised again, where the model was trained for it',
        }),
      ),
      prompt_name: orNull(Type.String({ description: PROMPT_NAME })),
      ...embeddingFields,
      user: orNull(Type.String()),
      service_tier: orNull(Type.String({ enum: ['auto', ...SERVICE_TIERS], default: 'auto', description: '`flex`: in the batch lane' })),
    },
    {
      examples: [
        { model: 'encoder-tiny', input: 'All human beings are born free and equal in dignity and rights.', encoding_format: 'base64' },
      ],
    },
  ),
  EmbeddingsResponse: Type.Object(
    {
      object: Type.Literal('list'),
      data: Type.Array(
        Type.Object({
          object: Type.Literal('embedding'),
          index: Type.Integer(),
          embedding,
        }),
      ),
      model: Type.String(),
      usage: Type.Object({ prompt_tokens: Type.Integer(), total_tokens: Type.Integer() }),
      service_tier: Type.Optional(Type.String({ enum: [...SERVICE_TIERS], description: 'Where one was asked for' })),
    },
    {
      examples: [
        {
          object: 'list',
          data: [{ object: 'embedding', index: 0, embedding: 'mpkZP83MTD8=' }],
          model: 'encoder-tiny',
          usage: { prompt_tokens: 14, total_tokens: 14 },
        },
      ],
    },
  ),
  Model: Type.Object(
    {
      id: Type.String(),
      object: Type.Literal('model'),
      created: Type.Integer({ description: 'Unix seconds' }),
      owned_by: Type.String(),
      name: text('The same as `id`: the name in the predict protocol'),
      ready: Type.Boolean(),
      task: Type.String({ enum: [...TASKS] }),
      versions: Type.Array(
        Type.Object({
          version: Type.String(),
          state: Type.String({ enum: ['loading', 'ready', 'failed', 'quarantined'] }),
          reason: nullable(Type.String()),
          merging: nullable(merging),
          breaker: Type.Optional(breaker),
          quarantined: Type.Optional(
            Type.Array(
              Type.Object({
                lane: Type.String({ enum: ['realtime', 'batch'] }),
                until: Type.String({ format: 'date-time' }),
                reason: Type.String(),
              }),
            ),
          ),
        }),
      ),
    },
    {
      examples: [
        {
          id: 'encoder-tiny',
          object: 'model',
          created: 1790000000,
          owned_by: 'interleave',
          name: 'encoder-tiny',
          ready: true,
          task: 'embedding',
          versions: [{ version: '1', state: 'ready', reason: null, merging: 'merged (padded)' }],
        },
      ],
    },
  ),
  ModelList: Type.Object({ object: Type.Literal('list'), data: Type.Array(reference('Model')) }),
  OpenAiError: Type.Object(
    { error: Type.Object({ message: Type.String(), type: Type.String(), param: nullable(Type.String()), code: nullable(Type.String()) }) },
    {
      examples: [
        {
          error: {
            message: 'input: expected a text, received nothing',
            type: 'invalid_request_error',
            param: 'input',
            code: 'invalid_request',
          },
        },
      ],
    },
  ),
};

const seconds = (description: string) => Type.Integer({ description: `${description}; Unix seconds` });
const file = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal('file'),
    bytes: Type.Integer(),
    created_at: seconds('Upload'),
    expires_at: Type.Optional(seconds('Deletion')),
    filename: Type.String(),
    purpose: Type.String({ enum: ['batch', 'batch_output'] }),
    status: Type.String({ enum: ['uploaded', 'processed', 'error'] }),
    interleave: Type.Optional(Type.Object({ sha256: Type.Optional(Type.String({ description: 'Of an uploaded file, hexadecimal' })) })),
  },
  {
    examples: [
      {
        id: 'file-1',
        object: 'file',
        bytes: 120,
        created_at: 1790000000,
        expires_at: 1792592000,
        filename: 'rows.jsonl',
        purpose: 'batch',
        status: 'processed',
      },
    ],
  },
);
const list = (name: string) =>
  Type.Object({
    object: Type.Literal('list'),
    data: Type.Array(reference(name)),
    first_id: nullable(Type.String()),
    last_id: nullable(Type.String()),
    has_more: Type.Boolean({ description: 'Ask again with `after` set to `last_id`' }),
  });
const metadata = nullable(
  Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 512 }), { description: 'At most 16 pairs' }),
);
const expiry = Type.Object({ anchor: Type.Literal('created_at'), seconds: Type.Integer({ minimum: 3600, maximum: 2_592_000 }) });
const moment = nullable(Type.Integer({ description: 'Unix seconds' }));

const completionWindow = Type.String({ pattern: '^[1-9][0-9]{0,4}[mhd]$', description: 'From "1m" to "30d"' });
const columnNames = Type.Array(Type.String({ minLength: 1, maxLength: 255 }), { maxItems: 100 });
/** Of a batch that reads or writes a table. */
const tableFields = {
  input: Type.Optional(
    Type.Object({
      uri: Type.Optional(Type.String({ description: 'file:///… below batch.inputRoots, or s3://bucket/key of batch.inputBuckets' })),
      format: Type.Optional(Type.String({ enum: [...FILE_FORMATS], description: 'Default: as its bytes and its name say' })),
      columns: Type.Optional(
        Type.Record(Type.String(), Type.String(), {
          description: 'Column by field: input; text, text_pair (:predict); query, documents (rerank)',
        }),
      ),
      id_column: Type.Optional(Type.String({ description: 'Unique ids; default: rows are numbered' })),
    }),
  ),
  model: Type.Optional(Type.String({ description: 'Of a table, for endpoints whose model is in the body' })),
  output: Type.Optional(
    Type.Object({
      format: Type.Optional(Type.String({ enum: [...OUTPUT_FORMATS], default: 'jsonl' })),
      columns: Type.Optional(columnNames),
    }),
  ),
};

const batches = {
  File: file,
  FileList: list('File'),
  FileUpload: Type.Object({
    purpose: Type.Literal('batch'),
    file: Type.String({
      contentMediaType: 'application/octet-stream',
      description: 'JSON Lines: {"custom_id", "method": "POST", "url", "body"} on each',
    }),
    'expires_after[anchor]': Type.Optional(Type.Literal('created_at')),
    'expires_after[seconds]': Type.Optional(Type.Integer({ minimum: 3600, maximum: 2_592_000 })),
  }),
  FileRows: Type.String({ description: 'The rows themselves; `purpose` and `filename` go into the query' }),
  FileDeleted: Type.Object({ id: Type.String(), object: Type.Literal('file'), deleted: Type.Literal(true) }),
  BatchRequest: Type.Object(
    {
      input_file_id: Type.Optional(nullable(Type.String({ description: 'Either this or `input.uri`' }))),
      ...tableFields,
      endpoint: Type.String({
        description: '/v1/embeddings, /v1/classify, /v1/rerank, /v1/tokenize, /v1/models/{model}:predict or /v2/models/{model}/infer',
      }),
      completion_window: completionWindow,
      metadata: Type.Optional(metadata),
      output_expires_after: Type.Optional(expiry),
      deterministic: Type.Optional(
        Type.Boolean({
          description: 'true: the same file, model and machine give the same bytes; slower, because every input runs without neighbours',
        }),
      ),
      priority: Type.Optional(batchPriority),
      dry_run: Type.Optional(Type.Boolean({ description: 'true: predicts what the file would take, and computes its first 100 rows' })),
    },
    { examples: [{ input_file_id: 'file-1', endpoint: '/v1/embeddings', completion_window: '24h' }] },
  ),
  Batch: Type.Object(
    {
      id: Type.String(),
      object: Type.Literal('batch'),
      endpoint: Type.String(),
      model: Type.Optional(Type.String()),
      errors: nullable(
        Type.Object({
          object: Type.Literal('list'),
          data: Type.Array(
            Type.Object({ code: Type.String(), message: Type.String(), param: nullable(Type.String()), line: nullable(Type.Integer()) }),
          ),
        }),
      ),
      input_file_id: nullable(Type.String()),
      completion_window: completionWindow,
      status: Type.String({ enum: [...BATCH_STATUSES] }),
      output_file_id: nullable(Type.String()),
      error_file_id: nullable(Type.String()),
      created_at: seconds('Acceptance'),
      ...Object.fromEntries(
        ['in_progress', 'expires', 'finalizing', 'completed', 'failed', 'expired', 'cancelling', 'cancelled'].map((event) => [
          `${event}_at`,
          moment,
        ]),
      ),
      request_counts: Type.Object({ total: Type.Integer(), completed: Type.Integer(), failed: Type.Integer() }),
      metadata,
      deterministic: Type.Optional(Type.Literal(true)),
      interleave: batchExtension,
    },
    {
      examples: [
        {
          id: 'batch_1',
          object: 'batch',
          endpoint: '/v1/embeddings',
          model: 'encoder-tiny',
          errors: null,
          input_file_id: 'file-1',
          completion_window: '24h',
          status: 'in_progress',
          output_file_id: null,
          error_file_id: null,
          created_at: 1790000000,
          in_progress_at: 1790000001,
          expires_at: 1790086400,
          finalizing_at: null,
          completed_at: null,
          failed_at: null,
          expired_at: null,
          cancelling_at: null,
          cancelled_at: null,
          request_counts: { total: 1000, completed: 512, failed: 0 },
          metadata: null,
          interleave: { priority: 'normal' },
        },
      ],
    },
  ),
  BatchChange: Type.Object({ priority: batchPriority }, { examples: [{ priority: 'high' }] }),
  BatchDeleted: Type.Object({ id: Type.String(), object: Type.Literal('batch'), deleted: Type.Literal(true) }),
  BatchList: list('Batch'),
};

/** The component schemas of the OpenAPI document, with an example each where it helps. */
export const SCHEMAS = {
  ...openInference,
  ...TRITON_SCHEMAS,
  ...predict,
  ...openAi,
  ...taskSchemas,
  ...batches,
  ...UPLOAD_SCHEMAS,
  ...BATCH_SCHEMAS,
  ...FLEET_SCHEMAS,
  ...LOG_LEVEL_SCHEMAS,
} satisfies Record<string, TSchema>;
export type SchemaName = keyof typeof SCHEMAS;
