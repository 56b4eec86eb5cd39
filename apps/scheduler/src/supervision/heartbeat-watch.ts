/** Counts, at every look, how often in a row a heart that had begun to beat has not beaten. */
export class HeartbeatWatch {
  private beats = 0n;
  private missed = 0;

  /**
   * Looks in a row that found the heart standing still. Looks are counted, not time: after a pause of the whole machine or of
   * the one who looks, one look may find nothing new.
   */
  missedBeats(beats: bigint): number {
    this.missed = beats === 0n || beats !== this.beats ? 0 : this.missed + 1;
    this.beats = beats;
    return this.missed;
  }
}
