import { loadAddon, type ChannelHandle, type ChannelItem, type Completion, type PackedCompletions } from './addon';

const ITEM_NUMBERS = 8;
const TENSOR_NUMBERS = 3;
/** Of the bytes of an input: which memory, where in it, and how many. */
const PLACE_NUMBERS = 3;
/** Tensors are cut from few pieces of memory, the latest ones mostly; what is listed twice does no harm. */
const LATEST_MEMORIES = 4;
const COMPLETION_NUMBERS = 7;
const ALONE = 1;
const AHEAD = 2;
const NO_DEADLINE = -1;
const TENSORS_MAX = 64;
const WORD_BITS = 32;

/**
 * Copies the items into shared memory and submits all of them or none: ids, or null when there is no room now. Throws as
 * `NativeAddon.channelSubmit`. One call into C++ reads numbers and bytes, not the properties of a thousand objects.
 */
export function submitItems(channel: ChannelHandle, items: readonly ChannelItem[]): number[] | null {
  let length = 0;
  for (const { inputs } of items) {
    length += ITEM_NUMBERS;
    for (const { shape } of inputs) length += TENSOR_NUMBERS + shape.length + PLACE_NUMBERS;
  }
  const numbers = new Float64Array(length);
  const memories: ArrayBufferLike[] = [];
  let at = 0;
  for (const { revision, priority, alone, ahead, timeoutMs, outputs, responseBytes, inputs } of items) {
    numbers[at++] = revision;
    numbers[at++] = priority;
    numbers[at++] = (alone ? ALONE : 0) + (ahead ? AHEAD : 0);
    numbers[at++] = timeoutMs ?? NO_DEADLINE;
    numbers[at++] = maskOf(outputs, 0);
    numbers[at++] = maskOf(outputs, WORD_BITS);
    numbers[at++] = responseBytes;
    numbers[at++] = inputs.length;
    for (const { index, type, shape, data: bytes } of inputs) {
      numbers[at++] = index;
      numbers[at++] = type;
      numbers[at++] = shape.length;
      for (const dim of shape) numbers[at++] = dim;
      numbers[at++] = indexIn(memories, bytes.buffer);
      numbers[at++] = bytes.byteOffset;
      numbers[at++] = bytes.byteLength;
    }
  }
  const first = loadAddon().channelSubmit(
    channel,
    numbers,
    memories.map((memory) => new Uint8Array(memory)),
  );
  return first === null ? null : items.map((_, position) => first + position);
}

/** Where it is among them; it is added if it is not among the latest. */
function indexIn(memories: ArrayBufferLike[], memory: ArrayBufferLike): number {
  const end = Math.max(0, memories.length - LATEST_MEMORIES);
  for (let i = memories.length - 1; i >= end; i--) if (memories[i] === memory) return i;
  return memories.push(memory) - 1;
}

/** Half of the mask of the outputs wanted, from bit `first` on; 0 in both halves: all. */
function maskOf(outputs: number[] | null, first: number): number {
  let mask = 0;
  for (const index of outputs ?? []) {
    if (index < 0 || index >= TENSORS_MAX) throw new TypeError('expected a whole number in range for outputs');
    if (index >= first && index < first + WORD_BITS) mask |= 1 << (index - first);
  }
  return mask >>> 0;
}

/** Their outputs are views of one buffer. */
export function completionsOf({ numbers, messages, data }: PackedCompletions): Completion[] {
  const completions: Completion[] = [];
  let nextMessage = 0;
  for (let at = 0; at < numbers.length;) {
    const status = numbers[at + 1] as number;
    const completion: Completion = {
      itemId: numbers[at] as number,
      status,
      message: status === 0 ? '' : (messages[nextMessage++] ?? ''),
      outputs: [],
      timing: {
        queueUs: numbers[at + 2] as number,
        runUs: numbers[at + 3] as number,
        runRows: numbers[at + 4] as number,
        startedNs: numbers[at + 5] as number,
      },
    };
    const outputs = numbers[at + 6] as number;
    at += COMPLETION_NUMBERS;
    for (let i = 0; i < outputs; i++) {
      const shape: number[] = [];
      for (let axis = 0; axis < (numbers[at + 2] as number); axis++) shape.push(numbers[at + TENSOR_NUMBERS + axis] as number);
      const end = at + TENSOR_NUMBERS + shape.length;
      const offset = numbers[end] as number;
      completion.outputs.push({
        index: numbers[at] as number,
        type: numbers[at + 1] as number,
        shape,
        data: new Uint8Array(data.buffer, data.byteOffset + offset, numbers[end + 1] as number),
      });
      at = end + 2;
    }
    completions.push(completion);
  }
  return completions;
}
