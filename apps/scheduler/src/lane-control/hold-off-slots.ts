import { SLOT_MS, TICK_MS } from './thresholds';

/** Which one-second slots the batch lane is held off in. */
export interface HoldOffSlots {
  readonly isHeldOff: boolean;
  /** So far. */
  readonly heldOffSlots: number;
  readonly slotEndsMs: number;
  /** Slots with both lanes that are left of this block; one slot of each block is held off. */
  readonly leftInBlock: number;
  /** The slot of this block that is held off, as a value of `leftInBlock`; random, so that no regular traffic falls in step with it. */
  readonly chosen: number;
  /** State of the random numbers. */
  readonly random: number;
}

export const noHoldOff = (seed: number): HoldOffSlots => ({
  isHeldOff: false,
  heldOffSlots: 0,
  slotEndsMs: 0,
  leftInBlock: 0,
  chosen: 0,
  random: seed >>> 0,
});

/** Pure. `hasBoth`: live and batch traffic since the last step; without both a slot would say nothing and is not counted. */
export function stepHoldOff(before: HoldOffSlots, hasBoth: boolean, share: number, nowMs: number): HoldOffSlots {
  if (nowMs < before.slotEndsMs) return before;
  // It ends with the step that is nearest to its end; one that begins late is as long as any other.
  const slot = { ...before, isHeldOff: false, slotEndsMs: nowMs + SLOT_MS - TICK_MS / 2 };
  if (share <= 0 || !hasBoth) return slot;
  const { leftInBlock, chosen, random } = before.leftInBlock > 0 ? before : newBlock(before.random, share);
  const isHeldOff = leftInBlock === chosen;
  return { ...slot, leftInBlock: leftInBlock - 1, chosen, random, isHeldOff, heldOffSlots: before.heldOffSlots + (isHeldOff ? 1 : 0) };
}

/** Numerical Recipes' linear congruential generator; its high bits choose. */
function newBlock(random: number, share: number): Pick<HoldOffSlots, 'leftInBlock' | 'chosen' | 'random'> {
  const slots = Math.max(2, Math.round(1 / share));
  const next = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
  return { leftInBlock: slots, chosen: 1 + Math.floor((next / 2 ** 32) * slots), random: next };
}
