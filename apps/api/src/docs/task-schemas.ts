import { Type, type TSchema } from '@sinclair/typebox';

const model = Type.String({ description: 'Name of a model of the repository; the name of an organisation and a slash may go before it' });
const usage = Type.Object({ prompt_tokens: Type.Integer(), total_tokens: Type.Integer() });
const label = Type.Object({ label: Type.String(), score: Type.Number() });
const document = Type.Union([Type.String(), Type.Object({ text: Type.String() }, { additionalProperties: true })]);

/** A field that may be left out or null. */
export const orNull = (schema: TSchema) => Type.Optional(Type.Union([schema, Type.Null()]));

/** Fields of requests with texts. */
const truncation = {
  truncate: orNull(
    Type.Union([Type.Boolean(), Type.String({ enum: ['none', 'start', 'end', 'NONE', 'START', 'END'] })], {
      description: 'Whether long texts are cut, and which end goes; true: the end that the files of the model say',
    }),
  ),
  truncate_prompt_tokens: orNull(
    Type.Integer({ minimum: -1, description: 'As `truncate: true`, to so many tokens; -1: as many as the model takes' }),
  ),
};
/** Fields of embeddings that OpenAI's API lacks. */
export const embeddingFields = {
  input_type: orNull(Type.String({ description: 'As `prompt_name`; `search_query` and `search_document` mean `query` and `document`' })),
  ...truncation,
};

/** One element of an answer of embeddings. */
export const embedding = Type.Union([
  Type.Array(Type.Number()),
  Type.String({ description: 'base64 of little-endian float32' }),
  Type.Object({ indices: Type.Array(Type.Integer()), values: Type.Array(Type.Number()) }, { description: 'Task `sparse`' }),
  Type.Array(Type.Array(Type.Number()), { description: 'Task `multi-vector`' }),
]);

const scores = Type.Optional(Type.Boolean({ description: "true: the model's own numbers, without sigmoid or softmax", default: false }));

export const taskSchemas = {
  RerankRequest: Type.Object(
    {
      model,
      query: document,
      documents: Type.Optional(Type.Array(document, { minItems: 1, description: 'As in Jina and Cohere' })),
      texts: Type.Optional(
        Type.Array(Type.String(), { minItems: 1, description: 'In place of `documents`: the answer is an array, as in TEI' }),
      ),
      top_n: Type.Optional(Type.Integer({ minimum: 1, description: 'Absent: all' })),
      return_documents: Type.Optional(Type.Boolean({ default: false })),
      return_text: Type.Optional(Type.Boolean({ default: false, description: 'With `texts`' })),
      max_tokens_per_doc: Type.Optional(Type.Integer({ minimum: 1, description: 'Documents are cut to so many tokens of their own' })),
      raw_scores: scores,
      ...truncation,
    },
    {
      examples: [
        {
          model: 'reranker',
          query: 'How many people live in Berlin?',
          documents: ['Berlin has 3.7 million inhabitants.', 'Paris is in France.'],
          top_n: 1,
        },
      ],
    },
  ),
  RerankResponse: Type.Union(
    [
      Type.Object({
        object: Type.Literal('list'),
        model: Type.String(),
        results: Type.Array(
          Type.Object({
            index: Type.Integer(),
            relevance_score: Type.Number(),
            document: Type.Optional(Type.Object({ text: Type.String() }, { additionalProperties: true })),
          }),
        ),
        usage,
        meta: Type.Object({ tokens: Type.Object({ input_tokens: Type.Integer() }) }),
      }),
      Type.Array(Type.Object({ index: Type.Integer(), score: Type.Number(), text: Type.Optional(Type.String()) })),
    ],
    {
      description: 'Best first; equal scores in the order of the documents',
      examples: [
        {
          object: 'list',
          model: 'reranker',
          results: [{ index: 0, relevance_score: 0.93 }],
          usage: { prompt_tokens: 41, total_tokens: 41 },
          meta: { tokens: { input_tokens: 41 } },
        },
      ],
    },
  ),
  ClassifyRequest: Type.Object(
    {
      model,
      input: Type.Union([
        Type.String(),
        Type.Object({ text: Type.String(), text_pair: Type.Optional(Type.String()) }),
        Type.Array(Type.Union([Type.String(), Type.Object({ text: Type.String(), text_pair: Type.Optional(Type.String()) })]), {
          minItems: 1,
        }),
      ]),
      top_k: Type.Optional(Type.Integer({ minimum: 1, description: 'Length of `predictions`; absent: all classes' })),
      raw_scores: scores,
      ...truncation,
    },
    { examples: [{ model: 'classifier', input: ['All human beings are born free.'], top_k: 1 }] },
  ),
  ClassifyResponse: Type.Object(
    {
      object: Type.Literal('list'),
      model: Type.String(),
      data: Type.Array(
        Type.Object({
          object: Type.Literal('classification'),
          index: Type.Integer(),
          label: Type.String({ description: 'The best one, as in vLLM' }),
          probs: Type.Array(Type.Number(), { description: 'Scores of all classes in their own order' }),
          num_classes: Type.Integer(),
          prediction: Type.String({ description: 'The best one, as in Jina' }),
          score: Type.Number(),
          predictions: Type.Array(label, { description: 'Best first' }),
        }),
      ),
      usage,
    },
    {
      examples: [
        {
          object: 'list',
          model: 'classifier',
          data: [
            {
              object: 'classification',
              index: 0,
              label: 'positive',
              probs: [0.1, 0.2, 0.7],
              num_classes: 3,
              prediction: 'positive',
              score: 0.7,
              predictions: [{ label: 'positive', score: 0.7 }],
            },
          ],
          usage: { prompt_tokens: 14, total_tokens: 14 },
        },
      ],
    },
  ),
  TokenizeRequest: Type.Object(
    {
      model,
      prompt: Type.Optional(
        Type.Union(
          [
            Type.String(),
            Type.Array(Type.Union([Type.String(), Type.Object({ text: Type.String(), text_pair: Type.Optional(Type.String()) })]), {
              minItems: 1,
            }),
          ],
          {
            description: 'The texts; may also be called `input`, `text` or `inputs`',
          },
        ),
      ),
      text_pair: Type.Optional(Type.String({ description: 'Second text beside a single one' })),
      add_special_tokens: Type.Optional(Type.Boolean({ default: true, description: 'As the model gets them' })),
      return_token_strs: Type.Optional(Type.Boolean({ default: false })),
      return_offsets: Type.Optional(Type.Boolean({ default: false, description: 'Characters (code points) of the text, start and end' })),
      prompt_name: Type.Optional(Type.String()),
    },
    { examples: [{ model: 'encoder-tiny', prompt: 'born free', return_token_strs: true }] },
  ),
  TokenizeResponse: Type.Object(
    {
      model: Type.String(),
      count: Type.Optional(Type.Integer()),
      max_model_len: Type.Optional(Type.Integer()),
      tokens: Type.Optional(Type.Array(Type.Integer())),
      token_strs: Type.Optional(Type.Array(Type.String())),
      offsets: Type.Optional(Type.Array(Type.Array(Type.Integer()))),
      object: Type.Optional(Type.Literal('list')),
      data: Type.Optional(
        Type.Array(Type.Object({}, { additionalProperties: true }), { description: 'The same fields for each text of an array' }),
      ),
    },
    {
      examples: [
        { model: 'encoder-tiny', count: 4, max_model_len: 2048, tokens: [101, 5, 6, 102], token_strs: ['[CLS]', 'born', 'free', '[SEP]'] },
      ],
    },
  ),
  DetokenizeRequest: Type.Object(
    {
      model,
      tokens: Type.Union([Type.Array(Type.Integer({ minimum: 0 })), Type.Array(Type.Array(Type.Integer({ minimum: 0 })), { minItems: 1 })]),
      skip_special_tokens: Type.Optional(Type.Boolean({ default: false })),
    },
    { examples: [{ model: 'encoder-tiny', tokens: [101, 5, 6, 102], skip_special_tokens: true }] },
  ),
  DetokenizeResponse: Type.Object(
    {
      model: Type.String(),
      prompt: Type.Optional(Type.String()),
      text: Type.Optional(Type.String()),
      object: Type.Optional(Type.Literal('list')),
      data: Type.Optional(Type.Array(Type.Object({ index: Type.Integer(), prompt: Type.String(), text: Type.String() }))),
    },
    { examples: [{ model: 'encoder-tiny', prompt: 'born free', text: 'born free' }] },
  ),
} satisfies Record<string, TSchema>;
