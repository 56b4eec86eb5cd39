import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { SourceError } from '../source-error';

const BYTES_MAX = 1024 * 1024;
const fileSchema = z.looseObject({
  auths: z.record(z.string(), z.looseObject({ auth: z.string().optional() })).optional(),
});

/** What `docker login` wrote for a registry: `user:password` in base64; null: nothing. Programs that the file names are not started. */
export function credentialsFor(registry: string, path: string): string | null {
  if (!existsSync(path)) return null;
  const { auths = {} } = parsed(path);
  const names = [
    registry,
    `https://${registry}`,
    ...(registry === 'registry-1.docker.io' ? ['https://index.docker.io/v1/', 'docker.io'] : []),
  ];
  return names.map((name) => auths[name]?.auth).find((auth) => auth !== undefined && auth !== '') ?? null;
}

function parsed(path: string): z.infer<typeof fileSchema> {
  try {
    const text = readFileSync(path, 'utf8');
    if (text.length > BYTES_MAX) throw new Error(`more than ${BYTES_MAX} characters`);
    return fileSchema.parse(JSON.parse(text));
  } catch {
    // What is wrong with it could quote a password.
    throw new SourceError(
      `${path}: expected credentials as "docker login" writes them; correct the file or set DOCKER_CONFIG to another folder`,
    );
  }
}
