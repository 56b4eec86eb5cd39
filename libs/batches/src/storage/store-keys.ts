/** Where everything of the batch lane is in the store. Ids must have been checked: `isFileId`, `isBatchId`, `isUploadId`, `isPartId`. */
export const storeKeys = {
  instanceId: 'instance-id',
  /** Says that all batches have the marks of this release. */
  layout: 'layout.json',
  /** Written now and then to see whether the store can be written to. */
  trial: 'trial',
  /** `<prefix><batchId>`: a batch that is not over. */
  open: 'open/',
  files: 'files/',
  batches: 'batches/',
  uploads: 'uploads/',
  /** `<prefix><hash of tenant and key>`: what an `Idempotency-Key` was used for. */
  idempotency: 'idempotency/',
  /** `<prefix><name>`: a webhook that is to be delivered. */
  webhooks: 'webhooks/',
  file: (fileId: string) => {
    const prefix = `files/${fileId}/`;
    return {
      prefix,
      content: `${prefix}content`,
      record: `${prefix}file.json`,
      lineIndex: `${prefix}lines.idx`,
      /** One empty object per batch that reads this file, named by the batch. */
      uses: `${prefix}uses/`,
      /** The file is being deleted. */
      deleted: `${prefix}deleted`,
    };
  },
  upload: (uploadId: string) => {
    const prefix = `uploads/${uploadId}/`;
    return {
      prefix,
      record: `${prefix}upload.json`,
      /** How it ended; the first one counts. */
      end: `${prefix}end.json`,
      parts: `${prefix}parts/`,
      /** `<prefix><partId>.<bytes>`: one empty object for each part that is whole. */
      marks: `${prefix}marks/`,
    };
  },
  batch: (batchId: string) => {
    const prefix = `batches/${batchId}/`;
    return {
      prefix,
      open: `open/${batchId}`,
      manifest: `${prefix}manifest.json`,
      /** Paused or not, and its priority. */
      control: `${prefix}control.json`,
      /** The chunks that it is divided into. */
      plan: `${prefix}plan.idx`,
      /** What became of its chunks over time, for people. */
      timeline: `${prefix}timeline.json`,
      /** One empty object per batch that retries rows of this one, named by it. */
      retries: `${prefix}retries/`,
      /** The batch is being deleted. */
      deleted: `${prefix}deleted`,
      /** Somebody asked to cancel. */
      cancelMarker: `${prefix}cancel`,
      /** Runners of some node crash of it. */
      crashMarker: `${prefix}crashed`,
      chunks: `${prefix}chunks/`,
      /** Says which of the rows below `preparedRows` are the batch's. */
      preparedRecord: `${prefix}rows.json`,
      preparedRows: `${prefix}rows/`,
      /** The table of what its output files are made of. */
      resultTable: `${prefix}results.idx`,
    };
  },
};
