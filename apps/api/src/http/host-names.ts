import { isIP } from 'node:net';
import { hostname } from 'node:os';

/** A name or an address in brackets, and a port. */
const HOST = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::\d{1,5})?$/i;
const LOOPBACK = /^(?:localhost|.+\.localhost|127(?:\.\d{1,3}){3}|::1)$/;
/** Names that nobody can register: without a dot, or below a domain that public DNS does not have. */
const PRIVATE_NAME = /^(?:[^.]+|.+\.(?:local|internal|svc))$/;
const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/**
 * The names under which this node answers. A web site can point a name of its own at this machine (DNS rebinding); a
 * browser then takes this node for that site and gives its pages every answer. The name still comes in the Host header.
 */
export class HostNames {
  private readonly known: ReadonlySet<string>;
  private readonly isAnyAllowed: boolean;
  private readonly isForAllInterfaces: boolean;
  /** Most callers say what the last one said. */
  private lastAllowed: string | null = null;

  constructor(options: { host: string; allowedHosts: readonly string[] }) {
    const bound = options.host.toLowerCase();
    this.isForAllInterfaces = WILDCARDS.has(bound);
    this.isAnyAllowed = options.allowedHosts.includes('*');
    this.known = new Set([...options.allowedHosts, ...(this.isForAllInterfaces ? [hostname().toLowerCase()] : [bound])]);
  }

  /** `host`: the header; undefined in HTTP/1.0, which no browser speaks. `localAddress`: where the connection came in. */
  allows(host: string | undefined, localAddress: string | undefined): boolean {
    if (this.isAnyAllowed || host === undefined || host === this.lastAllowed) return true;
    const name = nameOf(host);
    if (name === null) return false;
    if (name === localAddress?.replace(/^::ffff:/, '')) return true;
    const isAllowed =
      LOOPBACK.test(name) || this.known.has(name) || (this.isForAllInterfaces && (isIP(name) !== 0 || PRIVATE_NAME.test(name)));
    if (isAllowed) this.lastAllowed = host;
    return isAllowed;
  }
}

/** `host`: the header. */
export function isLoopbackName(host: string | undefined): boolean {
  return host !== undefined && LOOPBACK.test(nameOf(host) ?? '');
}

/** Lower case, without port, brackets and the dot of the root; null when it is no host. */
function nameOf(host: string): string | null {
  const [, address, name] = HOST.exec(host) ?? [];
  return (address ?? name)?.toLowerCase().replace(/\.$/, '') ?? null;
}
