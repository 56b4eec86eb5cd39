/** What stands for the values that came too late. */
export const OTHER = 'other';

/** The values of a label that may grow: the first `max` keep their names, later ones are counted together as `other`. */
export class BoundedLabel {
  private readonly known = new Set<string>();

  constructor(private readonly max: number) {}

  of(value: string): string {
    if (this.known.has(value)) return value;
    if (this.known.size >= this.max) return OTHER;
    this.known.add(value);
    return value;
  }
}
