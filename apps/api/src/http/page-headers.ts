import type { FastifyReply } from 'fastify';

/** Headers of everything that a browser shows: only what the policy lets in, no framing, no referrer. */
export function protectPage(reply: FastifyReply, contentSecurityPolicy: string): void {
  reply.headers({
    'content-security-policy': `${contentSecurityPolicy}; frame-ancestors 'none'; form-action 'none'`,
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
  });
}
