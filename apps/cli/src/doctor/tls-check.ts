import type { TlsConfig } from '@app/config';
import { isInDate, readTlsPair } from '@app/system';
import { broken, degraded, ok, type Finding } from './report';

/** Time to have a certificate replaced by hand. */
const SOON_DAYS = 14;
const DAY_MS = 86_400_000;
const SUBJECT = 'TLS';
const REPLACE = 'have a new one issued and put it there; a running node takes it within seconds';

/** No line without TLS. */
export async function checkTls(tls: TlsConfig | null, nowMs = Date.now()): Promise<Finding[]> {
  if (tls === null) return [];
  try {
    const pair = await readTlsPair(tls);
    const days = Math.floor((pair.validToMs - nowMs) / DAY_MS);
    const detail = `${tls.certFile} for ${pair.subject}, valid until ${new Date(pair.validToMs).toISOString()} (${days} days)`;
    if (!isInDate(pair, nowMs)) return [broken(SUBJECT, `${detail}, which is not valid now`, REPLACE)];
    if (days < SOON_DAYS) return [degraded(SUBJECT, detail, REPLACE)];
    if (!pair.isChainInOrder)
      return [degraded(SUBJECT, `${detail}; its chain is out of order`, 'put the certificate first, then that of its issuer, and so on')];
    return [ok(SUBJECT, detail)];
  } catch (error) {
    return [broken(SUBJECT, (error as Error).message, 'correct the file, or the setting tls')];
  }
}
