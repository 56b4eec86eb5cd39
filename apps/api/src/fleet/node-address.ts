import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';

const LOOKUP_MS = 30_000;
const LOOPBACK = /^(127\.|::1$)/;

/** What the address of this node stands for: proxies take no names from discovery. A name that is not known now keeps its last meaning. */
export class NodeAddress {
  private found: string | null;
  private lookedUpMs = -Infinity;

  constructor(private readonly address: string) {
    this.found = isIP(address) === 0 ? null : address;
  }

  /** Null: not known. Never rejects. */
  async ip(): Promise<string | null> {
    if (isIP(this.address) !== 0) return this.address;
    if (performance.now() - this.lookedUpMs > LOOKUP_MS) {
      this.lookedUpMs = performance.now();
      const lookedUp = lookup(this.address, { all: true }).then(
        (found) => (this.found = (found.find(({ address }) => !LOOPBACK.test(address)) ?? found[0])?.address ?? this.found),
        () => this.found,
      );
      // Only the first one is waited for.
      if (this.found === null) await lookedUp;
    }
    return this.found;
  }
}
