import type { FastifyReply } from 'fastify';

/**
 * Headers of everything that a browser shows: only what the policy lets in, no framing, no referrer, nothing for other sites, and
 * nothing kept after the session has ended. `forms`: where forms may go.
 */
export function protectPage(reply: FastifyReply, contentSecurityPolicy: string, forms = "'none'"): void {
  reply.headers({
    'content-security-policy': `${contentSecurityPolicy}; frame-ancestors 'none'; form-action ${forms}`,
    'x-frame-options': 'DENY',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
    // With none a browser says `Origin: null` for a form, which the guard against foreign pages refuses.
    'referrer-policy': forms === "'none'" ? 'no-referrer' : 'same-origin',
  });
}
