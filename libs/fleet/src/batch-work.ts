import { FORMAT_VERSIONS, type NodeHeartbeat } from '@app/contracts';

/**
 * Whether this node may take batch work beside these: null, or why not. A node of a newer release may have written what this one
 * cannot read, and what it does not know it would read wrong.
 */
export function mayTakeBatchWork(
  nodes: readonly Pick<NodeHeartbeat, 'id' | 'version' | 'formatVersions'>[],
  known: Readonly<Record<string, number>> = FORMAT_VERSIONS,
): string | null {
  for (const { id, version, formatVersions } of nodes)
    for (const [format, newest] of Object.entries(formatVersions)) {
      const readable = Object.hasOwn(known, format) ? known[format] : 0;
      if (newest > (readable ?? 0))
        return (
          `node ${id} (Interleave ${version}) writes version ${newest} of ${format}, and this one reads ${readable || 'none'}; ` +
          'upgrade this node, which takes no batch work until then'
        );
    }
  return null;
}
