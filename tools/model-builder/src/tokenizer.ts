import { SPECIAL_TOKENS, buildVocabulary } from './vocabulary';

const WORD_CHARACTERS_MAX = 512;

/** The contents of `tokenizer.json`: cased WordPiece as BERT has it, over the generated vocabulary. */
export function buildTokenizer(vocabularySize: number): object {
  const vocabulary = buildVocabulary(vocabularySize);
  const idOf = (token: string): number => vocabulary.indexOf(token);
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL_TOKENS.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: false, lowercase: false },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [special('[CLS]', 0), sequence('A', 0), special('[SEP]', 0)],
      pair: [special('[CLS]', 0), sequence('A', 0), special('[SEP]', 0), sequence('B', 1), special('[SEP]', 1)],
      special_tokens: Object.fromEntries(['[CLS]', '[SEP]'].map((token) => [token, { id: token, ids: [idOf(token)], tokens: [token] }])),
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: WORD_CHARACTERS_MAX,
      vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
    },
  };
}

const special = (id: string, typeId: number): object => ({ SpecialToken: { id, type_id: typeId } });
const sequence = (id: string, typeId: number): object => ({ Sequence: { id, type_id: typeId } });
