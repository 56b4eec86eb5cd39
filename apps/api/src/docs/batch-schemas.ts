import { BATCH_PRIORITIES } from '@app/contracts';
import { Type, type TSchema } from '@sinclair/typebox';

const seconds = (description: string) => Type.Number({ minimum: 0, description });

export const batchPriority = Type.String({ enum: [...BATCH_PRIORITIES], description: 'Of each tenant, weights 1, 2 and 4' });

const dryRun = Type.Object({
  rows: Type.Integer({ description: 'Of the whole file' }),
  sampled_rows: Type.Integer({ description: 'Tokenized for the prediction' }),
  executor_seconds: Type.Number(),
  wall_seconds: Type.Union([
    Type.Number({ description: 'With all executors of the batch lane of one node, without live traffic' }),
    Type.Null(),
  ]),
  padding_share: Type.Union([Type.Number({ description: 'Part of the computed tokens' }), Type.Null()]),
});

/** `interleave` of a batch: what is ours. */
export const batchExtension = Type.Object({
  paused: Type.Optional(Type.String({ description: 'Why the batch does not go on' })),
  priority: batchPriority,
  not_run: Type.Optional(Type.Integer({ description: 'Rows that were not run before the batch was cancelled, failed or expired' })),
  retry_of: Type.Optional(Type.String({ description: 'The batch whose failed rows these are' })),
  dry_run: Type.Optional(Type.Union([dryRun, Type.Null()])),
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
