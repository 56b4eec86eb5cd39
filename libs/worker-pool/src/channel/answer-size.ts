/**
 * Learns how large the answers of one model are whose shapes or strings nobody can foresee. Without it each of them runs twice: a run
 * whose answer does not fit is repeated with more room.
 */
export class AnswerSize {
  private perInputByte = 0;
  private bytesMax = 0;

  /** An item was answered with so much room. One that finds no room at all teaches nothing: others would be refused for it. */
  learn(inputBytes: number, answerBytes: number): void {
    this.perInputByte = Math.max(this.perInputByte, answerBytes / Math.max(1, inputBytes));
    this.bytesMax = Math.max(this.bytesMax, answerBytes);
  }

  /** Bytes to set aside, never more than an answer has taken: a small input with a large answer says little about a large input. */
  expect(inputBytes: number): number {
    return Math.ceil(Math.min(this.perInputByte * Math.max(1, inputBytes), this.bytesMax));
  }
}
