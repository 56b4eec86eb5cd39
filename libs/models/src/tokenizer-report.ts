import type { RepositoryEntry } from './repository';
import { TextTokenizer } from './tokenizer';

export interface TokenizerReport {
  model: string;
  /** Short texts are tokenized at once by the JavaScript tokenizer; else all by the Rust one. */
  hasFastPath: boolean;
  /** Why it cannot be used; null when it can. */
  error: string | null;
}

/** Loads the tokenizer of each text model, one after the other. Never rejects. */
export async function inspectTokenizers(entries: readonly RepositoryEntry[]): Promise<TokenizerReport[]> {
  const reports: TokenizerReport[] = [];
  for (const { name, version, manifest } of entries) {
    if (manifest === null || manifest.text === null) continue;
    const loaded = await TextTokenizer.load(manifest.text.tokenizerPath, manifest.text).catch((error: unknown) => error as Error);
    const error = loaded instanceof Error ? loaded.message : null;
    reports.push({ model: `${name} ${version}`, hasFastPath: loaded instanceof TextTokenizer && loaded.hasFastPath, error });
  }
  return reports;
}
