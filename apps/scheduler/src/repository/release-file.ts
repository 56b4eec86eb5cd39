import { createHash } from 'node:crypto';
import type { CanaryRule, MirrorRule, PromoteRule, RollbackRule } from '@app/contracts';
import { modelVersionSchema as version } from '@app/models';
import { parse } from 'yaml';
import { z } from 'zod';

/** More is no release.yaml; parsing compares keys each with each. */
export const RELEASE_FILE_BYTES_MAX = 32 * 1024;

/** Which versions of a model are loaded. */
export type VersionPolicy = { policy: 'all' } | { policy: 'latest'; keep: number } | { policy: 'specific'; specific: string[] };

/** What `release.yaml` says of one model. */
export interface ReleaseFile {
  /** Tells this text from others: decisions hold for the text that they were made for. */
  hash: string;
  versions: VersionPolicy;
  labels: Record<string, string>;
  canary: CanaryRule | null;
  mirror: MirrorRule | null;
  rollback: RollbackRule | null;
  promote: PromoteRule | null;
}

const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const DURATION_MS_MAX = 24 * 3_600_000;

const TIME_FORM = 'expected a time as in "90s", "2m" or "500ms"';
const duration = z
  .string(TIME_FORM)
  .regex(/^\d{1,9}(ms|s|m|h)$/, TIME_FORM)
  .transform((text) => Number.parseInt(text, 10) * (UNIT_MS[text.replace(/^\d+/, '')] ?? 1))
  .pipe(z.number().positive().max(DURATION_MS_MAX, 'expected at most 24h'));

const percent = z.number().min(0).max(100);
const share = z.number().min(0).max(1);
const label = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/);
const LABELS_FORM = 'expected labels of lower-case letters, digits and "-" after a letter, at most 32 characters, as in { stable: 3 }';

const releaseSchema = z.strictObject({
  versions: z
    .discriminatedUnion(
      'policy',
      [
        z.strictObject({ policy: z.literal('all') }),
        z.strictObject({ policy: z.literal('latest'), keep: z.int().min(1).max(1000).default(1) }),
        z.strictObject({ policy: z.literal('specific'), specific: z.array(version).min(1).max(1000) }),
      ],
      'expected { policy: all }, { policy: latest, keep: 2 } or { policy: specific, specific: [1, 3] }',
    )
    .default({ policy: 'all' }),
  labels: z
    .record(label, version, LABELS_FORM)
    .refine((labels) => Object.keys(labels).length <= 32, 'expected at most 32 labels')
    .default({}),
  canary: z
    .array(z.strictObject({ version, trafficPercent: percent }), 'expected a list as in [{ version: 4, trafficPercent: 10 }]')
    .max(1, 'expected one canary at most')
    .default([]),
  mirror: z.strictObject({ version, percent }).optional(),
  rollback: z
    .strictObject({
      p99Ratio: z.number().positive().max(1000).optional(),
      errorRate: share.optional(),
      minAgreement: share.optional(),
      window: duration.prefault('2m'),
    })
    .optional(),
  promote: z.strictObject({ after: duration.prefault('10m'), requests: z.int().min(1).max(1_000_000_000).default(1000) }).optional(),
});

/** Throws an `Error` that names the key which is wrong. */
export function parseRelease(text: string): ReleaseFile {
  const result = releaseSchema.safeParse(parseYaml(text) ?? {});
  if (!result.success)
    throw new Error(
      `release.yaml: ${result.error.issues.map(({ path, message }) => `${path.join('.') || 'content'}: ${message}`).join('; ')}`,
    );
  const { versions, labels, canary, mirror, rollback, promote } = result.data;
  return {
    hash: createHash('sha256').update(text).digest('hex').slice(0, 32),
    versions,
    labels,
    canary: canary[0] ?? null,
    mirror: mirror ?? null,
    rollback:
      rollback === undefined
        ? null
        : {
            p99Ratio: rollback.p99Ratio ?? null,
            errorRate: rollback.errorRate ?? null,
            minAgreement: rollback.minAgreement ?? null,
            windowMs: rollback.window,
          },
    promote: promote === undefined ? null : { afterMs: promote.after, requestsMin: promote.requests },
  };
}

function parseYaml(text: string): unknown {
  try {
    return parse(text, { logLevel: 'error', maxAliasCount: 0 });
  } catch (error) {
    throw new Error(`release.yaml: ${(error as Error).message}`, { cause: error });
  }
}

/** The versions that a release.yaml names: they are loaded whatever the policy says. */
export function namedVersions({ labels, canary, mirror }: Pick<ReleaseFile, 'labels' | 'canary' | 'mirror'>): string[] {
  return [...Object.values(labels), ...(canary === null ? [] : [canary.version]), ...(mirror === null ? [] : [mirror.version])];
}
