import { Type, type TSchema } from '@sinclair/typebox';

const seconds = (description: string) => Type.Number({ minimum: 0, description });

/** `interleave` of a batch: what is ours. */
export const batchExtension = Type.Object({
  paused: Type.Optional(Type.String({ description: 'Why the batch does not go on' })),
  progress: Type.Optional(
    Type.Object({
      rows_per_second: Type.Union([Type.Number({ description: 'Over the last minute' }), Type.Null()]),
      seconds_left: Type.Union([
        Type.Object({
          expected: seconds('Until all rows are done, at the pace of the last minute or less'),
          low: seconds('The least that is likely'),
          high: seconds('The most that is likely'),
        }),
        Type.Null(),
      ]),
      failures: Type.Record(Type.String(), Type.Integer(), { description: 'Failed rows by the code of their error lines' }),
    }),
  ),
});

export const BATCH_SCHEMAS = {
  BatchLog: Type.Object({
    object: Type.Literal('list'),
    data: Type.Array(
      Type.Object({
        at: Type.Integer({ description: 'Unix seconds; the last time if it happened several times in a row' }),
        event: Type.String({ enum: ['owner', 'status', 'paused', 'resumed', 'retry'] }),
        message: Type.String(),
        count: Type.Optional(Type.Integer({ description: 'How often in a row; absent: once' })),
      }),
    ),
  }),
} satisfies Record<string, TSchema>;
