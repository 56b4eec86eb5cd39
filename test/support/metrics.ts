/** The metrics of a node by one scrape of its text format. */
export class Scrape {
  private constructor(readonly text: string) {}

  static async of(url: string): Promise<Scrape> {
    const response = await fetch(`${url}/metrics`);
    if (response.status !== 200) throw new Error(`/metrics: ${response.status} ${await response.text()}`);
    return new Scrape(await response.text());
  }

  /** Names of all metrics, without the series that have none. */
  names(): string[] {
    return [...this.text.matchAll(/^# TYPE (\S+) /gm)].map(([, name = '']) => name);
  }

  /** Sum of the series of `name` that have all of `labels`. */
  sum(name: string, labels: Record<string, string> = {}): number {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    return [...this.text.matchAll(/^([\w:]+)(\{.*\})? (\S+)$/gm)]
      .filter(([, series, found = '']) => series === name && wanted.every((label) => found.includes(label)))
      .reduce((sum, [, , , value]) => sum + Number(value), 0);
  }
}
