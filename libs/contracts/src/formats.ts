/**
 * The newest version of each format that this release writes to where other nodes read it, which is the newest that it reads. Raise one
 * with the format; nodes of the release before then take no batch work beside this one.
 */
export const FORMAT_VERSIONS = { manifest: 3, results: 1, queue: 1 } as const;
