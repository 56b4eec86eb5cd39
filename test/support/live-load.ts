/** What became of the live requests of one load run. */
export interface LiveReport {
  answered: number;
  failures: string[];
  latenciesMs: number[];
}

/**
 * Sends live requests, `concurrency` at a time one after the other, until `stop` is called. Every answer that is not 200
 * is a failure and kept with its text.
 */
export function startLiveLoad(options: { concurrency: number; send: (sequence: number) => Promise<Response> }): {
  stop: () => Promise<void>;
  report: LiveReport;
} {
  const report: LiveReport = { answered: 0, failures: [], latenciesMs: [] };
  let running = true;
  let sequence = 0;
  const caller = async (): Promise<void> => {
    while (running) {
      const startMs = performance.now();
      const failure = await options.send(sequence++).then(
        async (response) =>
          response.status === 200 ? (await response.arrayBuffer(), null) : `${response.status} ${await response.text()}`,
        (error: Error) => `${error.message} ${String(error.cause ?? '')}`,
      );
      report.latenciesMs.push(performance.now() - startMs);
      if (failure === null) report.answered++;
      else report.failures.push(failure);
    }
  };
  const callers = Array.from({ length: options.concurrency }, caller);
  return {
    report,
    stop: async () => {
      running = false;
      await Promise.all(callers);
    },
  };
}

/** A live embedding request of a text. */
export function embed(url: string, model: string, input: string): Promise<Response> {
  return fetch(`${url}/v1/embeddings`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, input, encoding_format: 'base64' }),
  });
}
