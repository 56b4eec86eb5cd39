import { z } from 'zod';

/** Batches that are over, in OpenAI's words. */
export const WEBHOOK_EVENTS = ['batch.completed', 'batch.failed', 'batch.expired', 'batch.cancelled'] as const;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

const webhookSchema = z
  .strictObject({
    url: z.url({ protocol: /^https?$/, error: 'expected an address that begins with https://' }).max(2048),
    /** A file with the secret that signs, as in "whsec_bXkgc2VjcmV0…"; with several lines all of them sign. */
    secretFile: z.string().min(1).max(4096),
    events: z
      .array(z.enum(WEBHOOK_EVENTS))
      .min(1)
      .default([...WEBHOOK_EVENTS]),
    /** Batches of this tenant only; default: of all. */
    tenant: z.string().min(1).max(256).optional(),
    /** The address may be of this machine or of a private network, and http://. */
    allowPrivate: z.boolean().default(false),
  })
  .refine(({ url, allowPrivate }) => allowPrivate || url.startsWith('https:'), {
    path: ['url'],
    error: 'expected https://; http:// is for receivers with "allowPrivate: true"',
  })
  .refine(({ url }) => URL.canParse(url) && new URL(url).username === '' && new URL(url).password === '', {
    path: ['url'],
    error: 'expected an address without a user; receivers know the sender by the signature',
  });
export type WebhookConfig = z.infer<typeof webhookSchema>;

/** Who is told of batches that are over. */
export const webhooksSchema = z
  .array(webhookSchema)
  .max(64)
  .refine(
    (all) => new Set(all.map(({ url, tenant }) => JSON.stringify([url, tenant]))).size === all.length,
    'expected each url once for a tenant',
  )
  .default([]);
