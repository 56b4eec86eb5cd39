/** How a server is set up; those that have no such setting leave it out. */
export interface Settings {
  /** Processes that run the model. */
  workers: number;
  /** Intra-op threads of each. */
  threads: number;
  /** Of a dynamic batch. */
  rowsMax: number;
  /** For which a dynamic batch waits for more rows. */
  waitMs: number;
  /** After which the server gives a request up. */
  timeoutMs: number;
  /** Requests that the server holds; it refuses more. */
  requestsMax: number;
}

/** What a server is started with. */
export interface Place {
  port: number;
  /** Folder of its own that stays between starts, with the virtual environment of those in Python. */
  folder: string;
  modelDir: string;
  settings: Settings;
}

export interface Command {
  program: string;
  args: string[];
  environment: Record<string, string>;
}

/** One server that is compared. */
export interface Peer {
  name: string;
  /** With versions, for the report. */
  title: string;
  /** From PyPI, pinned. */
  packages: string[];
  /** The first one is measured; it was the best of these. */
  settings: [Settings, ...Settings[]];
  command(place: Place): Command;
  path: string;
  /** Request and answer for one row of token ids, as JSON. */
  bodyOf(ids: number[]): object;
  vectorOf(answer: never): number[];
}
