import { Type, type TSchema } from '@sinclair/typebox';

const reference = (name: string) => Type.Unsafe({ $ref: `#/components/schemas/${name}` });
const nullable = (schema: TSchema) => Type.Union([schema, Type.Null()]);
const seconds = (description: string) => Type.Integer({ description: `${description}; Unix seconds` });
const PART_BYTES_MAX = '64 MiB';

/** Of `/v1/uploads`. */
export const UPLOAD_SCHEMAS = {
  UploadRequest: Type.Object(
    {
      bytes: Type.Integer({ minimum: 1, description: 'Of the whole file' }),
      filename: Type.String({ minLength: 1, maxLength: 255 }),
      mime_type: Type.String({ minLength: 1, maxLength: 255 }),
      purpose: Type.Literal('batch'),
      expires_after: Type.Optional(
        Type.Object({ anchor: Type.Literal('created_at'), seconds: Type.Integer({ minimum: 3600, maximum: 2_592_000 }) }),
      ),
    },
    { examples: [{ bytes: 120, filename: 'rows.jsonl', mime_type: 'application/jsonl', purpose: 'batch' }] },
  ),
  Upload: Type.Object({
    id: Type.String(),
    object: Type.Literal('upload'),
    bytes: Type.Integer({ description: 'As announced' }),
    created_at: seconds('Beginning'),
    expires_at: seconds('An hour after the last part'),
    filename: Type.String(),
    purpose: Type.Literal('batch'),
    status: Type.String({ enum: ['pending', 'completed', 'cancelled', 'expired'] }),
    file: nullable(reference('File')),
    interleave: Type.Optional(
      Type.Object({
        parts: Type.Array(Type.Object({ id: Type.String(), bytes: Type.Integer() }), {
          description: 'What is there of a pending upload, oldest first',
        }),
      }),
    ),
  }),
  UploadPartForm: Type.Object({
    data: Type.String({ contentMediaType: 'application/octet-stream', description: `At most ${PART_BYTES_MAX}` }),
  }),
  UploadPartBytes: Type.String({ contentMediaType: 'application/octet-stream', description: `At most ${PART_BYTES_MAX}` }),
  UploadPart: Type.Object({
    id: Type.String(),
    object: Type.Literal('upload.part'),
    created_at: seconds('Beginning'),
    upload_id: Type.String(),
  }),
  UploadCompletion: Type.Object(
    {
      part_ids: Type.Array(Type.String(), { minItems: 1, maxItems: 10_000, description: 'In the order of the file' }),
      md5: Type.Optional(nullable(Type.String({ description: 'Of the file, hexadecimal' }))),
    },
    { examples: [{ part_ids: ['part_1', 'part_2'] }] },
  ),
};
