import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { ConfigError } from './config-error';
import { bucketEndpoint, type BucketLocation } from './storage-location';

/** Where models are fetched from, and what opens the doors there. */
export interface SourceSettings {
  /** The Hugging Face hub or a mirror of it; the URL has no slash at its end. */
  hub: { url: string; token: string | null };
  /** Of a store that is not of AWS; null: the AWS SDK knows where to go. */
  bucketEndpoint: BucketLocation['endpoint'];
  /** Credentials for registries, as `docker login` writes them. */
  registryAuthFile: string;
}

const HUB = 'https://huggingface.co';
const optional = z
  .string()
  .trim()
  .transform((text) => text || undefined)
  .optional();

const schema = z.object({
  HF_ENDPOINT: optional.pipe(z.url({ protocol: /^https?$/ }).optional()),
  HF_TOKEN: optional.pipe(
    z
      .string()
      .regex(/^[\x21-\x7e]{1,4096}$/, 'expected a token without spaces')
      .optional(),
  ),
  /** Docker's own variable: a folder. */
  DOCKER_CONFIG: optional,
  AWS_ENDPOINT_URL_S3: z.url().optional(),
  AWS_ENDPOINT_URL: z.url().optional(),
  AWS_REGION: z.string().min(1).optional(),
  AWS_DEFAULT_REGION: z.string().min(1).optional(),
});

/** Reads HF_ENDPOINT, HF_TOKEN, DOCKER_CONFIG and the AWS SDK's variables. Throws a `ConfigError`, which never holds a value. */
export function sourceSettings(environment: NodeJS.ProcessEnv = process.env): SourceSettings {
  const result = schema.safeParse(environment);
  if (!result.success) {
    const issues = result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw new ConfigError(`environment: ${issues.join('; ')}`);
  }
  const env = result.data;
  return {
    hub: { url: (env.HF_ENDPOINT ?? HUB).replace(/\/+$/, ''), token: env.HF_TOKEN ?? null },
    bucketEndpoint: bucketEndpoint(env),
    registryAuthFile: join(env.DOCKER_CONFIG ?? join(homedir(), '.docker'), 'config.json'),
  };
}
