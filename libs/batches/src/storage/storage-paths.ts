import { join } from 'node:path';

/** Where everything of the batch lane lies under DATA_DIR. Ids must have been checked by `isFileId` and `isBatchId`. */
export const storagePaths = (dataDir: string) => {
  const files = join(dataDir, 'files');
  const batches = join(dataDir, 'batches');
  return {
    files,
    file: (fileId: string) => filePaths(join(files, fileId)),
    batches,
    batch: (batchId: string) => batchPaths(join(batches, batchId)),
    instanceId: join(dataDir, 'instance-id'),
  };
};

export type StoragePaths = ReturnType<typeof storagePaths>;

export const filePaths = (directory: string) => ({
  directory,
  content: join(directory, 'content'),
  record: join(directory, 'file.json'),
  lineIndex: join(directory, 'lines.idx'),
  /** One empty file per batch that reads this file, named by the batch. */
  uses: join(directory, 'uses'),
});

const batchPaths = (directory: string) => ({
  directory,
  manifest: join(directory, 'manifest.json'),
  /** Written by the API, read by the runner: somebody asked to cancel. */
  cancelMarker: join(directory, 'cancel'),
  /** Written by the runner: what is known of crashes while this batch was in work. */
  crashMark: join(directory, 'crashes.json'),
  chunks: join(directory, 'chunks'),
});
