import { Type } from '@sinclair/typebox';

const text = (description: string) => Type.String({ description });
const whole = (description?: string) => Type.Integer({ minimum: 0, ...(description !== undefined && { description }) });
const duration = Type.Object({ count: whole(), ns: whole() });
const tensorConfig = Type.Object({
  name: Type.String(),
  data_type: text('`TYPE_FP32`, `TYPE_STRING`, …'),
  dims: Type.Array(Type.Integer(), { description: 'Without the batch dimension where `max_batch_size` is above 0' }),
});

/** Triton's extensions, with the names of its proto files. */
export const TRITON_SCHEMAS = {
  ModelStatistics: Type.Object({
    model_stats: Type.Array(
      Type.Object({
        name: Type.String(),
        version: Type.String(),
        last_inference: whole('Unix milliseconds; 0: none yet'),
        inference_count: whole('Rows answered'),
        execution_count: whole('Runs'),
        inference_stats: Type.Object({
          success: duration,
          fail: duration,
          queue: duration,
          compute_input: duration,
          compute_infer: duration,
          compute_output: duration,
          cache_hit: duration,
          cache_miss: duration,
        }),
        response_stats: Type.Object({}),
        batch_stats: Type.Array(
          Type.Object({ batch_size: whole('Rows of the run'), compute_input: duration, compute_infer: duration, compute_output: duration }),
        ),
        memory_usage: Type.Array(Type.Unknown(), { maxItems: 0 }),
      }),
    ),
  }),
  ModelConfig: Type.Object({
    name: Type.String(),
    platform: Type.Literal('onnxruntime_onnx'),
    backend: Type.Literal('onnxruntime'),
    version_policy: Type.Object({ all: Type.Object({}) }),
    max_batch_size: whole('0: the first dimension is no batch'),
    input: Type.Array(tensorConfig),
    output: Type.Array(tensorConfig),
    instance_group: Type.Array(
      Type.Object({ name: Type.String(), kind: Type.String({ enum: ['KIND_CPU', 'KIND_GPU'] }), count: whole('Executors') }),
    ),
    default_model_filename: Type.String(),
    dynamic_batching: Type.Optional(
      Type.Object(
        { preferred_batch_size: Type.Array(Type.Integer()), max_queue_delay_microseconds: whole() },
        { description: 'Absent: rows of several requests never share a run' },
      ),
    ),
  }),
  SharedMemoryStatus: Type.Array(Type.Object({ name: Type.String(), key: Type.String(), offset: whole(), byte_size: whole() }), {
    examples: [[{ name: 'inputs', key: '/inputs', offset: 0, byte_size: 4096 }]],
  }),
  SharedMemoryRequest: Type.Object(
    {
      key: text('Name of the object in /dev/shm'),
      offset: Type.Optional(whole('Where the region starts in the object')),
      byte_size: Type.Integer({ minimum: 1 }),
    },
    { examples: [{ key: '/inputs', offset: 0, byte_size: 4096 }] },
  ),
  RepositoryIndexRequest: Type.Object(
    { ready: Type.Optional(Type.Boolean({ description: 'true: only versions that answer' })) },
    { examples: [{ ready: true }] },
  ),
  RepositoryIndex: Type.Array(
    Type.Object({
      name: Type.String(),
      version: Type.String(),
      state: Type.String({ enum: ['READY', 'LOADING', 'UNAVAILABLE'] }),
      reason: text('Why it is not ready, or why the last change of its files was not taken over; empty otherwise'),
      revision: Type.Optional(whole('Which of its sets of files answers, as this node counts them; absent: none')),
    }),
    { examples: [[{ name: 'encoder-tiny', version: '1', state: 'READY', reason: '', revision: 1 }]] },
  ),
  RepositoryCommand: Type.Object(
    { parameters: Type.Optional(Type.Object({ unload_dependents: Type.Optional(Type.Boolean({ description: 'Changes nothing' })) })) },
    { examples: [{}] },
  ),
  RepositoryDone: Type.Object({}, { examples: [{}] }),
};
