import { doorOf } from '../access/doors';

/** How callers say who they are, where the node asks. */
export const SECURITY_SCHEMES = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    description: 'A key of `interleave keys add`, or a token of the issuer in `access.oidc`. Asked for once the node has keys',
  },
  apiKey: {
    type: 'apiKey',
    in: 'header',
    name: 'x-api-key',
    description: 'The same as `bearer`; counts where both are sent',
  },
} as const;

const EITHER = Object.keys(SECURITY_SCHEMES).map((name) => ({ [name]: [] }));

interface Operation {
  responses?: Record<string, { content?: object }>;
}

/** The operation with what the door of its path asks for, and with its refusals. */
export function withSecurity<Described extends Operation>(path: string, operation: Described): Described {
  const door = doorOf(path);
  if (door === 'open') return operation;
  const content = operation.responses?.['default']?.content;
  const refusals = {
    401: {
      description: 'No valid key was shown',
      headers: { 'WWW-Authenticate': { description: 'The scheme that is asked for', schema: { type: 'string' } } },
      content,
    },
    403: {
      description: door === 'operator' ? 'Not a key of an operator' : 'Not allowed to this key, or to a page of another site',
      content,
    },
  };
  return { ...operation, security: EITHER, responses: { ...refusals, ...operation.responses } };
}
