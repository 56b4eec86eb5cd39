import type { RawDefinition } from './raw-definition';

const QUANTIFIERS_MAX = 6;
/** A group that is repeated, other than by `?`. */
const REPEATED_GROUP = /\)(?:[*+]|\{)/;
/** Groups and assertions may stand anywhere; what calls another group, or refers to what one matched, may not. */
const RECALL = /\\(?:[1-9]|[gk])|\(\?~/;

/** All regular expressions of the normalizer and of the pre-tokenizer. */
export function regexesOf({ normalizer, pre_tokenizer: preTokenizer }: RawDefinition): string[] {
  const found: string[] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    const { Regex: regex } = value as { Regex?: unknown };
    if (typeof regex === 'string') found.push(regex);
    Object.values(value).forEach(visit);
  };
  visit([normalizer, preTokenizer]);
  return found;
}

/**
 * Throws for a regular expression that may take time exponential in a text's length: the Rust tokenizer ends its process past 10
 * million steps. Of those that pass, some must still be tried: see `isLinear`.
 */
export function checkRegexes(definition: RawDefinition): void {
  for (const regex of regexesOf(definition)) {
    const plain = withoutClasses(regex);
    if (REPEATED_GROUP.test(plain) || RECALL.test(regex) || mostOf(/[*+?{]/g, plain) > QUANTIFIERS_MAX) {
      const expected = `without repeated groups and back references, and with at most ${QUANTIFIERS_MAX} repetitions in an alternative,`;
      throw new Error(
        `expected regular expressions ${expected} but received ${JSON.stringify(regex.slice(0, 128))}, which some texts could stop the tokenizer with`,
      );
    }
  }
}

/** Whether one that passed the check looks at no character more often than a few times in one place: it repeats one thing at most. */
export function isLinear(regex: string): boolean {
  return mostOf(/[*+{]/g, withoutClasses(regex)) <= 1;
}

/** How often a pattern is found in one alternative at most. */
function mostOf(pattern: RegExp, plain: string): number {
  let depth = 0;
  const branches = [''];
  for (const character of plain) {
    depth += character === '(' ? 1 : character === ')' ? -1 : 0;
    if (depth === 0 && character === '|') branches.push('');
    else branches[branches.length - 1] += character;
  }
  return Math.max(...branches.map((branch) => branch.match(pattern)?.length ?? 0));
}

/** Each escape and each class of characters as one letter, and groups without their options. */
function withoutClasses(regex: string): string {
  let plain = '';
  let depth = 0;
  const escaped = regex.replace(/\\(?:[pP]\{[^}]*\}|x\{[^}]*\}|u[0-9a-fA-F]{4}|.)/gsu, 'e');
  for (const character of escaped) {
    if (character === '[') depth += 1;
    if (depth === 0) plain += character;
    if (character === ']' && depth > 0) {
      depth -= 1;
      if (depth === 0) plain += 'c';
    }
  }
  return plain.replace(/\(\?(?:[a-z-]*:|<?[=!]|>|[a-z-]+\))/g, '(');
}
