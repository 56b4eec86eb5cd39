import { InterleaveError } from '@app/contracts';
import type { ChannelItem } from '@app/native';
import { encodeItem } from '../channel/item-codec';
import type { ReadyModel } from '../channel/worker-slot';
import { type PendingItem, tooLate } from './pending';

/** An item as its worker takes it. */
export interface Submission {
  item: PendingItem;
  encoded: ChannelItem;
  /** What has to be set aside for its answer as far as is known; `encoded` may have more, by what other answers took. */
  computedBytes: number;
}

/** Null when the item had to be settled instead. */
export function encodePending(item: PendingItem, model: ReadyModel): Submission | null {
  const timeoutMs = item.request.timeLeftMs();
  try {
    if (timeoutMs === 0) throw tooLate();
    const { inputs, outputs, responseBytes, isExact } = encodeItem(item.item, model.signature);
    // Past the maximum it is refused as too large.
    const computedBytes = Math.min(Math.max(responseBytes, item.responseBytesMin), Number.MAX_SAFE_INTEGER);
    const encoded = {
      revision: model.revision,
      priority: item.priority,
      alone: item.deaths > 0 || item.request.runAlone,
      ahead: item.goesAhead,
      timeoutMs,
      outputs,
      responseBytes: isExact ? computedBytes : Math.max(computedBytes, model.answerSize.expect(inputBytesOf(item))),
      inputs,
    };
    return { item, encoded, computedBytes };
  } catch (error) {
    if (!(error instanceof InterleaveError)) throw error;
    item.settle(error);
    return null;
  }
}

/** Sets aside no more than is known to be needed: what other answers took is no reason to refuse. False: it was no more. */
export function forgetLearned(submissions: readonly Submission[]): boolean {
  const guessed = submissions.filter(({ encoded, computedBytes }) => encoded.responseBytes > computedBytes);
  for (const submission of guessed) submission.encoded.responseBytes = submission.computedBytes;
  return guessed.length > 0;
}

export const inputBytesOf = ({ item }: PendingItem): number => item.inputs.reduce((sum, { data }) => sum + data.byteLength, 0);
