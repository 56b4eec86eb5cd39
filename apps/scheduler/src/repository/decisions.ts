import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ReleaseAction } from '@app/contracts';
import type { Logger } from '@app/telemetry';
import { z } from 'zod';

/** The last one of each version; those of versions that were decided on longest ago go first. */
const PER_MODEL_MAX = 64;
const MODELS_MAX = 4096;

const decisionSchema = z.object({
  atMs: z.number(),
  action: z.enum(['promote', 'rollback']),
  version: z.string(),
  reason: z.string(),
  by: z.enum(['rule', 'command']),
  figures: z.record(z.string(), z.unknown()).optional(),
});
/** What was decided about one version, with the figures that it was decided by. */
export type Decision = z.infer<typeof decisionSchema>;

const fileSchema = z.object({
  formatVersion: z.literal(1),
  models: z.array(z.object({ name: z.string(), hash: z.string(), decisions: z.array(decisionSchema) })),
});
type ModelDecisions = z.infer<typeof fileSchema>['models'][number];

/**
 * Promotions and rollbacks, on disk: they hold for the text of `release.yaml` that they were made for, and survive every
 * restart. Only one process may have it.
 */
export class ReleaseDecisions {
  private readonly models = new Map<string, ModelDecisions>();

  /** A file that cannot be read is left as it is until the first decision; the log says so. */
  constructor(
    private readonly path: string,
    log: Logger,
  ) {
    try {
      for (const model of readFile(path)) this.models.set(model.name, model);
    } catch (error) {
      log.error({ reason: (error as Error).message }, `${path} cannot be used: decisions about releases are forgotten`);
    }
  }

  /** In order of time; empty where release.yaml has another text than the decisions were made for. */
  of(name: string, hash: string): readonly Decision[] {
    const model = this.models.get(name);
    return model?.hash === hash ? model.decisions : [];
  }

  /** As `of` would be with one more. */
  with(name: string, hash: string, decision: Decision): Decision[] {
    const others = this.of(name, hash).filter(({ version }) => version !== decision.version);
    return [...others, decision].slice(-PER_MODEL_MAX);
  }

  /** Throws when it cannot be written; then it does not hold. */
  add(name: string, hash: string, decision: Decision): void {
    const models = new Map(this.models).set(name, { name, hash, decisions: this.with(name, hash, decision) });
    if (models.size > MODELS_MAX) throw new Error(`expected decisions about at most ${MODELS_MAX} models; remove ${this.path}`);
    writeDurably(this.path, JSON.stringify({ formatVersion: 1, models: [...models.values()] }, null, 2));
    this.models.clear();
    for (const [key, model] of models) this.models.set(key, model);
  }
}

/** What holds after decisions, the last ones last. */
export function standing(decisions: readonly { action: ReleaseAction; version: string }[]): {
  promoted: string | null;
  rolledBack: ReadonlySet<string>;
} {
  const rolledBack = new Set(decisions.filter(({ action }) => action === 'rollback').map(({ version }) => version));
  return { promoted: decisions.findLast(({ action }) => action === 'promote')?.version ?? null, rolledBack };
}

function readFile(path: string): ModelDecisions[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return fileSchema.parse(JSON.parse(text)).models;
}

function writeDurably(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const file = openSync(`${path}.tmp`, 'w', 0o600);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.tmp`, path);
}
