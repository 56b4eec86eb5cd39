import { Option, type Command } from 'commander';
import {
  addKey,
  grantSchema,
  isExpired,
  KeyFileError,
  keyFilePath,
  readKeyFile,
  removeKey,
  type KeyRecord,
  type NewKey,
} from '@app/access';
import { loadConfig } from '@app/config';
import { LANES } from '@app/contracts';
import { CliError } from '../cli-error';
import { table } from '../table';

const UNIT_SECONDS: Record<string, number> = { m: 60, h: 3600, d: 86_400 };
const LIFE_DAYS_MAX = 3650;
/** What `--share` takes for no limit. */
const NO_SHARE = 'none';
const newKey = grantSchema.partial({ shareMsPerSecond: true, weight: true });

interface AddOptions {
  tenant: string;
  models?: string;
  lanes?: string;
  share?: string;
  weight?: string;
  expires?: string;
  operator?: boolean;
  name?: string;
  json?: boolean;
}

export function addKeysCommand(program: Command): void {
  const keys = program.command('keys').description('makes, lists and revokes API keys; on the machine of the node, with its DATA_DIR');
  const json = () => new Option('--json', 'prints JSON');
  keys
    .command('add')
    .description('makes a key and shows it once; a running node takes it within a second')
    .requiredOption('--tenant <tenant>', 'whose files and batches its callers see')
    .option('--models <names>', 'models that may be used, comma-separated (default: all)')
    .option('--lanes <lanes>', 'realtime, batch or both, comma-separated (default: both)')
    .option('--share <ms>', 'executor milliseconds per second that the tenant may use, or none; for all its keys (default: as it is)')
    .option('--weight <number>', 'relative to other tenants, when the node is saturated; for all its keys (default: as it is, first 1)')
    .option('--expires <time>', 'from now on, as in 30d, 12h or 90m (default: never)')
    .option('--operator', 'also opens dashboard, queues and metrics, and the files and batches of all tenants')
    .option('--name <text>', 'what it is for')
    .addOption(json())
    .action((options: AddOptions) => orCliError(add(options)));
  keys
    .command('list')
    .description('lists the keys, without what is secret')
    .addOption(json())
    .action((options: { json?: boolean }) => orCliError(list(options)));
  keys
    .command('revoke <id>')
    .description('ends a key within a second; requests in flight are answered')
    .addOption(json())
    .action((id: string, options: { json?: boolean }) => orCliError(revoke(id, options)));
}

async function add(options: AddOptions): Promise<void> {
  const { secret, record, keys } = await addKey(keyFilePath(loadConfig().dataDir), grantOf(options, Date.now()));
  if (options.json) return console.log(JSON.stringify({ key: secret, ...shown(record) }));
  console.log(secret);
  console.error(`${record.id} of tenant ${record.tenant}. It is not shown again; send it as "Authorization: Bearer <key>".`);
  if (keys > 1) console.error(`${shareText(record)} and weight ${record.weight} hold for all ${keys} keys of tenant ${record.tenant}.`);
}

function shareText({ shareMsPerSecond }: KeyRecord): string {
  return shareMsPerSecond === null ? 'No limit' : `A share of ${shareMsPerSecond} ms/s`;
}

async function list({ json }: { json?: boolean }): Promise<void> {
  const keys = readKeyFile(keyFilePath(loadConfig().dataDir)) ?? [];
  if (json) return console.log(JSON.stringify(keys.map(shown)));
  const rows = keys.map((key) => [
    key.id,
    `${key.prefix}…`,
    key.tenant,
    key.models?.join(',') ?? 'all',
    key.lanes.join(','),
    key.shareMsPerSecond === null ? '' : `${key.shareMsPerSecond} ms/s`,
    String(key.weight),
    key.isOperator ? 'yes' : '',
    key.expiresAt === null ? 'never' : `${isoTime(key.expiresAt)}${isExpired(key) ? ' (over)' : ''}`,
    key.name ?? '',
  ]);
  const header = ['ID', 'KEY', 'TENANT', 'MODELS', 'LANES', 'SHARE', 'WEIGHT', 'OPERATOR', 'EXPIRES', 'NAME'];
  console.log(rows.length === 0 ? 'no keys' : table(header, rows));
}

async function revoke(id: string, { json }: { json?: boolean }): Promise<void> {
  const record = await removeKey(keyFilePath(loadConfig().dataDir), id);
  if (record === null) throw new CliError(`there is no key ${id}; see: interleave keys list`);
  console.log(json ? JSON.stringify(shown(record)) : `${record.id} of tenant ${record.tenant} is revoked`);
}

/** Throws a `CliError` that names the option. */
export function grantOf(options: AddOptions, nowMs: number): NewKey {
  const { tenant, models, lanes, share, weight, expires, operator = false, name = null } = options;
  const result = newKey.safeParse({
    tenant,
    name,
    models: models === undefined ? null : namesIn(models),
    lanes: lanes === undefined ? LANES : namesIn(lanes),
    ...(share === undefined ? {} : { shareMsPerSecond: share === NO_SHARE ? null : numberIn(share) }),
    ...(weight === undefined ? {} : { weight: numberIn(weight) }),
    isOperator: operator,
    expiresAt: expires === undefined ? null : expiryOf(expires, nowMs),
  });
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0] ?? { path: [], message: '' };
  const field = String(path[0]);
  throw new CliError(`--${field === 'shareMsPerSecond' ? 'share' : field}: ${message}`);
}

/** Unix seconds. */
function expiryOf(text: string, nowMs: number): number {
  const [, amount, unit = ''] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const seconds = Number(amount) * (UNIT_SECONDS[unit] ?? NaN);
  if (seconds > 0 && seconds <= LIFE_DAYS_MAX * 86_400) return Math.floor(nowMs / 1000) + seconds;
  throw new CliError(`--expires: expected a time as in 30d, 12h or 90m, at most ${LIFE_DAYS_MAX}d, but received ${JSON.stringify(text)}`);
}

const namesIn = (text: string): string[] => [...new Set(text.split(',').map((name) => name.trim()))];

/** Not what `Number` makes of an empty text. */
const numberIn = (text: string): number => (text.trim() === '' ? NaN : Number(text));

const isoTime = (unixSeconds: number): string => new Date(unixSeconds * 1000).toISOString();

/** The hash stays here too: it is nobody's business. */
function shown({ sha256: _hash, ...record }: KeyRecord): object {
  return record;
}

/** A problem of the key file is told in one line. */
async function orCliError(done: Promise<void>): Promise<void> {
  await done.catch((error: unknown) => {
    throw error instanceof KeyFileError ? new CliError(error.message) : error;
  });
}
