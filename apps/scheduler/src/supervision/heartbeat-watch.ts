/** Counts, at every look, how often in a row a heart that had begun to beat has not beaten. */
export class HeartbeatWatch {
  private beats = 0n;
  private missed = 0;

  /**
   * True when the heart has stood still for `missedMax` looks. Looks are counted, not time: after a pause of the whole
   * machine or of the one who looks, one look may find nothing new.
   */
  stoodStill(beats: bigint, missedMax: number): boolean {
    this.missed = beats === 0n || beats !== this.beats ? 0 : this.missed + 1;
    this.beats = beats;
    return this.missed >= missedMax;
  }
}
