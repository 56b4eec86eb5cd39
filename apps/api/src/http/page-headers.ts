import type { FastifyReply } from 'fastify';

/** Headers of everything that a browser shows: only what the policy lets in, no framing, no referrer; `forms`: where forms may go. */
export function protectPage(reply: FastifyReply, contentSecurityPolicy: string, forms = "'none'"): void {
  reply.headers({
    'content-security-policy': `${contentSecurityPolicy}; frame-ancestors 'none'; form-action ${forms}`,
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
  });
}
