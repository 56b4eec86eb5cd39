import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { addKey, digestOf, keyFilePath, keysSeenPath } from '@app/access';
import { createLogger } from '@app/telemetry';
import { GRANT } from '../../../../test/fixtures/key-grant';
import { KeyRing } from './key-ring';

describe('the keys of a Secret of Kubernetes', () => {
  let dir: string;
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'il-secret-'))));
  afterEach(() => rmSync(dir, { recursive: true }));

  /** As the kubelet does it: each version in a folder of its own, and one link that is replaced. */
  const publish = (version: string): void => {
    symlinkSync(version, join(dir, 'next'));
    renameSync(join(dir, 'next'), join(dir, '..data'));
  };
  const isKnown = async (ring: KeyRing, secret: string): Promise<boolean> => {
    for (let waitedMs = 0; waitedMs < 20_000; waitedMs += 50) {
      if (ring.find(digestOf(secret)) !== null) return true;
      await sleep(50);
    }
    return false;
  };

  it('are taken anew through the links that lead to them', async () => {
    const [first, second] = await Promise.all(['v1', 'v2'].map((version) => addKey(keyFilePath(join(dir, version)), GRANT)));
    publish('v1');
    symlinkSync(join('..data', 'keys.json'), join(dir, 'keys.json'));
    const data = join(dir, 'data');
    mkdirSync(data);
    symlinkSync(join(dir, 'keys.json'), keyFilePath(data));
    const ring = new KeyRing({ path: keyFilePath(data), seenPath: keysSeenPath(data) }, createLogger('test', 'fatal'));
    try {
      expect(await isKnown(ring, first?.secret ?? '')).toBe(true);
      publish('v2');
      expect(await isKnown(ring, second?.secret ?? '')).toBe(true);
      expect(ring.find(digestOf(first?.secret ?? ''))).toBeNull();
    } finally {
      ring.close();
    }
  });
});
