import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { WEBHOOK_EVENTS, type WebhookConfig, type WebhookEvent } from '@app/config';
import { inParallel, readStored, storedJson, storeKeys, type Manifest, type ObjectStore } from '@app/batches';
import type { Logger } from '@app/telemetry';
import { Webhook } from 'standardwebhooks';
import { post } from './post';

/** What is to be delivered to one receiver: `webhooks/<batch>.<receiver>`, until it is delivered or given up. */
interface WebhookRecord {
  formatVersion: 1;
  /** The same for each receiver, and each time the end of the batch is told. */
  eventId: string;
  event: WebhookEvent;
  batchId: string;
  /** Unix seconds. */
  createdAt: number;
}

export interface OutboxParts {
  webhooks: readonly WebhookConfig[];
  store: ObjectStore;
  /** Puts names into the queue. Rejects while Redis is away. */
  enqueue: (names: string[]) => Promise<void>;
  onAttempt: (outcome: 'delivered' | 'failed' | 'given_up') => void;
  log: Logger;
}

const FORMATS = [1] as const;
const GIVEN_UP_SECONDS = 72 * 3600;
/** Records are looked for this often, in case Redis has lost its jobs. */
const LOOK_MS = 10_000;
/** Of these, so many at a time. */
const QUEUED_MAX = 1_000;
const WRITES_MAX = 8;
const SECRET = /^whsec_[A-Za-z0-9+/]{32,}={0,2}$/;
/** The receiver wants no more of it (Standard Webhooks). */
const GONE = 410;

/**
 * Tells receivers of batches that are over. What is to be told is in the store, so that no crash and no loss of Redis forgets it; the
 * queue has names only. A receiver may be told twice, by the same event id.
 */
export class WebhookOutbox {
  private lookedMs = -Infinity;
  /** The last name of the look before; "": the next one begins anew. */
  private lookedAt = '';
  /** Those that Redis did not take, the first of the next look. What is too much waits for its turn in the store. */
  private missed: string[] = [];

  constructor(private readonly parts: OutboxParts) {}

  /** Notes who is to be told of the end of this batch, and queues that; done again, it notes the same. */
  async put(manifest: Manifest): Promise<void> {
    const record = recordOf(manifest);
    const names = this.parts.webhooks
      .filter(({ events, tenant }) => events.includes(record.event) && (tenant === undefined || tenant === manifest.tenant))
      .map((webhook) => `${record.batchId}.${receiverOf(webhook)}`);
    await inParallel(names, WRITES_MAX, async (name) => void (await this.parts.store.putIfAbsent(keyOf(name), storedJson(record))));
    if (names.length > 0) await this.parts.enqueue(names).catch(() => this.queueSoon(names));
  }

  /** Queues what Redis did not take, and what is in the store: of thousands a part, and the next one with the next look. */
  async queueWaiting(): Promise<void> {
    if (this.parts.webhooks.length === 0 || performance.now() - this.lookedMs < LOOK_MS) return;
    const waiting = (await this.parts.store.listNames(storeKeys.webhooks)).filter((name) => name > this.lookedAt);
    const names = waiting.slice(0, QUEUED_MAX);
    const missed = [...this.missed];
    if (names.length + missed.length > 0) await this.parts.enqueue([...new Set([...missed, ...names])]);
    this.missed = this.missed.slice(missed.length);
    this.lookedAt = names.length < waiting.length ? (names.at(-1) ?? '') : '';
    this.lookedMs = performance.now();
  }

  /** Resolves when there is nothing left to do for this name. Rejects when it is to be tried again. */
  async deliver(name: string): Promise<void> {
    const stored = await readStored<WebhookRecord>(this.parts.store, keyOf(name), FORMATS);
    if (stored === null) return;
    const { record } = stored;
    try {
      await this.send(name, record);
      this.parts.onAttempt('delivered');
      this.parts.log.info({ batch_id: record.batchId, event: record.event, webhook: name }, 'webhook delivered');
    } catch (error) {
      if (!(error instanceof ReceiverGone) && Date.now() / 1000 - record.createdAt < GIVEN_UP_SECONDS) {
        this.parts.onAttempt('failed');
        this.parts.log.warn({ batch_id: record.batchId, webhook: name, err: error }, 'webhook not delivered; it is tried again');
        throw error;
      }
      this.parts.onAttempt('given_up');
      this.parts.log.error({ batch_id: record.batchId, webhook: name, err: error }, 'webhook given up');
    }
    await this.parts.store.delete(keyOf(name));
  }

  private queueSoon(names: string[]): void {
    this.lookedMs = -Infinity;
    if (this.missed.length < QUEUED_MAX) this.missed.push(...names);
  }

  private async send(name: string, record: WebhookRecord): Promise<void> {
    const webhook = this.parts.webhooks.find((each) => name.endsWith(`.${receiverOf(each)}`));
    if (webhook === undefined) throw new Error('expected a receiver of the configuration of this node but it has no such one');
    const secrets = await readSecrets(webhook.secretFile);
    const body = JSON.stringify(bodyOf(record));
    const now = new Date();
    const status = await post({
      url: webhook.url,
      headers: {
        'content-type': 'application/json',
        'user-agent': 'Interleave',
        'webhook-id': record.eventId,
        'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
        'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(record.eventId, now, body)).join(' '),
      },
      body,
      allowPrivate: webhook.allowPrivate,
    });
    if (status === GONE) throw new ReceiverGone('the receiver answered 410: it wants no more webhooks');
    if (status < 200 || status >= 300) throw new Error(`expected a status from 200 to 299 but received ${status}`);
  }
}

class ReceiverGone extends Error {
  override readonly name = 'ReceiverGone';
}

/** OpenAI's. */
const bodyOf = ({ eventId, event, batchId, createdAt }: WebhookRecord): object => ({
  id: eventId,
  object: 'event',
  created_at: createdAt,
  type: event,
  data: { id: batchId },
});

function recordOf({ batch }: Manifest): WebhookRecord {
  const event = WEBHOOK_EVENTS.find((name) => name === `batch.${batch.status}`);
  const createdAt = batch.completed_at ?? batch.failed_at ?? batch.expired_at ?? batch.cancelled_at;
  if (event === undefined || createdAt === null) throw new Error(`batch ${batch.id}: expected one that is over but it is ${batch.status}`);
  return { formatVersion: 1, eventId: `evt_${hashOf(`${batch.id} ${event}`, 32)}`, event, batchId: batch.id, createdAt };
}

const receiverOf = ({ url, tenant }: WebhookConfig): string => hashOf(JSON.stringify([url, tenant]), 16);
const hashOf = (text: string, chars: number): string => createHash('sha256').update(text).digest('hex').slice(0, chars);

/** Names come from Redis as well. */
function keyOf(name: string): string {
  if (!/^batch_[a-z0-9]+\.[0-9a-f]+$/.test(name)) throw new Error(`expected the name of a webhook but received ${name.slice(0, 64)}`);
  return `${storeKeys.webhooks}${name}`;
}

/** Read each time, so that a new one needs no restart. */
async function readSecrets(path: string): Promise<string[]> {
  const secrets = (await readFile(path, 'utf8')).split(/\s+/).filter((line) => line !== '');
  if (secrets.length > 0 && secrets.every((secret) => SECRET.test(secret))) return secrets;
  throw new Error(`${path}: expected "whsec_" and at least 24 bytes in Base64; make one with: echo "whsec_$(openssl rand -base64 32)"`);
}
