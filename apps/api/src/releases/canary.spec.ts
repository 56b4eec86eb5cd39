import { rmSync } from 'node:fs';
import { runPaths } from '@app/config';
import {
  InterleaveError,
  type DecideCommand,
  type InferenceRequest,
  type ItemResult,
  type PlacedRelease,
  type PlacedVersion,
} from '@app/contracts';
import { readPlacement, serveProcessStatus, writePlacement, type ProcessStatusServer } from '@app/process';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Registry } from 'prom-client';
import { createServer, type ApiOptions } from '../server';
import { apiOn, EchoBackend } from '../testing/fakes';
import { Releases } from './releases';

const RULES = { p99Ratio: null, errorRate: 0.001, minAgreement: null, windowMs: 60_000 };

/** Answers each version in its own way. */
class VersionsBackend extends EchoBackend {
  readonly refusals = new Map<string, InterleaveError>();
  /** Versions whose answers are others. */
  readonly wrong = new Set<string>();
  /** Requests that came. */
  asked = 0;

  override async infer(request: InferenceRequest): Promise<(ItemResult | InterleaveError)[]> {
    this.asked += 1;
    await this.gate;
    const refusal = this.refusals.get(request.version ?? '');
    if (refusal !== undefined) throw refusal;
    const results = await super.infer(request);
    if (!this.wrong.has(request.version ?? '')) return results;
    return results.map((result) => {
      if (result instanceof InterleaveError) return result;
      const outputs = result.outputs.map((output) => ({ ...output, data: new Uint8Array(Float32Array.of(7, 7).buffer) }));
      return { ...result, outputs };
    });
  }
}

describe('a canary', () => {
  let live: VersionsBackend;
  let batch: VersionsBackend;
  let options: ApiOptions;
  let app: NestFastifyApplication;
  let url: string;
  let scheduler: ProcessStatusServer;
  let decisions: DecideCommand[];

  beforeEach(async () => {
    live = new VersionsBackend();
    batch = new VersionsBackend('batch');
    const [echo] = live.reports;
    // Requests without a version get the first one.
    live.reports = ['2', '1'].map((version, i) => ({ ...echo, version, revision: i + 1 })) as typeof live.reports;
    options = apiOn(live, { batch });
    app = await createServer(options);
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
    decisions = [];
    scheduler = await serveProcessStatus({
      socketPath: runPaths(options.config.runDir).statusSocket('scheduler'),
      registry: new Registry(),
      status: () => ({}),
      commands: { '/releases/decide': (command) => ({ release: decisions.push(command as DecideCommand) }) },
    });
  });
  afterEach(async () => {
    await app.close();
    await scheduler.close();
    rmSync(options.config.dataDir, { recursive: true });
  });

  /** `canaryRevision`: of the files of version 2. */
  async function place(rules: Partial<PlacedRelease>, canaryRevision = 1): Promise<void> {
    const path = runPaths(options.config.runDir).placement;
    const release = {
      name: 'echo',
      labels: { stable: '1' },
      canary: { version: '2', trafficPercent: 10 },
      mirror: null,
      rollback: null,
      promote: null,
    };
    const placement = readPlacement(path);
    if (placement === null) throw new Error('expected a placement');
    const serving = (version: string, revision: number): PlacedVersion => {
      return { name: 'echo', version, serving: revision, next: null, state: 'serving', reason: null };
    };
    const versions = [serving('1', 2), serving('2', canaryRevision)];
    const sinceMs = figures()?.sinceMs;
    writePlacement(path, { ...placement, versions, releases: [{ ...release, ...rules }] });
    await until(() => (figures()?.sinceMs ?? sinceMs) !== sinceMs);
  }

  async function until(isSo: () => boolean): Promise<void> {
    for (let turns = 0; turns < 1500 && !isSo(); turns++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(isSo()).toBe(true);
  }

  const infer = (version?: string): Promise<Response> =>
    fetch(`${url}/v2/models/echo${version === undefined ? '' : `/versions/${version}`}/infer`, {
      method: 'POST',
      body: JSON.stringify({ inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 2], data: [1, 0.5] }] }),
      headers: { 'content-type': 'application/json' },
    });
  const answer = async (version?: string): Promise<string> => {
    const response = await infer(version);
    const body = (await response.json()) as { model_version?: string };
    return `${response.status} ${body.model_version ?? ''}`;
  };
  const outcomes = async (): Promise<string[]> => {
    const lines = (await (await fetch(`${url}/metrics`)).text()).split('\n');
    return lines.flatMap((line) => /^interleave_canary_requests_total\{.*outcome="(\w+)"\} (\d+)/.exec(line)?.slice(1).join(' ') ?? []);
  };
  const figures = () => app.get(Releases).comparisons()[0]?.canary;

  it('that fails costs no caller anything, and the scheduler is told why it is taken back', async () => {
    await place({ rollback: RULES });
    live.refusals.set('2', new InterleaveError('internal', 'broken'));
    expect(await answer()).toBe('200 1');
    expect(figures()).toMatchObject({ requests: 1, errors: 1, requestsTotal: 1 });
    expect(decisions).toEqual([]);
    expect(await answer()).toBe('200 1');
    expect(await outcomes()).toEqual(['rescued 2']);
    await until(() => decisions.length > 0);
    expect(decisions).toMatchObject([
      {
        name: 'echo',
        version: '2',
        action: 'rollback',
        by: 'rule',
        reason: '2 of 2 requests failed, and at most 0.1 % may',
        figures: { requests: 2, errors: 2 },
      },
    ]);
  });

  it('is not blamed for what its callers do wrong, or for a full node', async () => {
    await place({ rollback: RULES });
    const refusal = new InterleaveError('inference_failed', 'this input cannot be run');
    for (const version of ['1', '2']) live.refusals.set(version, refusal);
    expect(await answer()).toBe('422 ');
    live.refusals.clear();
    live.refusals.set('2', new InterleaveError('overloaded', 'full'));
    expect(await answer()).toBe('200 1');
    expect(await outcomes()).toEqual([]);
    expect(figures()).toMatchObject({ requests: 0, errors: 0 });
  });

  it('whose runs fail where those of the stable version do not is blamed', async () => {
    await place({ rollback: RULES });
    live.refusals.set('2', new InterleaveError('inference_failed', 'the graph is broken'));
    expect(await answer()).toBe('200 1');
    expect(await outcomes()).toEqual(['rescued 1']);
  });

  it('and the stable version may both fail: then the caller is told, and it is counted', async () => {
    await place({ rollback: RULES });
    for (const version of ['1', '2']) live.refusals.set(version, new InterleaveError('internal', 'broken'));
    expect(await answer()).toBe('500 ');
    expect(await outcomes()).toEqual(['failed 1']);
  });

  it('is not measured by requests that name a version', async () => {
    await place({ rollback: RULES });
    expect(await answer('2')).toBe('200 2');
    live.refusals.set('2', new InterleaveError('internal', 'broken'));
    expect(await answer('2')).toBe('500 ');
    expect(await outcomes()).toEqual([]);
    expect(figures()).toMatchObject({ requests: 0, stableRequests: 0 });
  });

  it('that answers something else is taken back', async () => {
    await place({ rollback: { ...RULES, minAgreement: 0.999 } });
    live.wrong.add('2');
    for (let i = 0; decisions.length === 0 && i < 100; i++) {
      expect(await answer()).toBe('200 2');
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    expect(decisions).toMatchObject([
      { action: 'rollback', version: '2', reason: expect.stringMatching(/compared answers differ/) as string },
    ]);
    expect(batch.requests.every(({ version, priority, timeoutMs }) => version === '1' && priority === 255 && timeoutMs === null)).toBe(
      true,
    );
  });

  it('that answers as the stable version does is promoted', async () => {
    await place({ rollback: RULES, promote: { afterMs: 1, requestsMin: 5 } });
    for (let i = 0; i < 5; i++) expect(await answer()).toBe('200 2');
    expect(await outcomes()).toEqual(['answered 5']);
    await until(() => decisions.length > 0);
    expect(decisions).toMatchObject([{ action: 'promote', version: '2', by: 'rule' }]);
  });

  it('is measured beside the stable version', async () => {
    await place({ rollback: RULES });
    await answer();
    live.reports = [...live.reports].reverse();
    expect(await answer()).toBe('200 1');
    live.refusals.set('1', new InterleaveError('internal', 'broken'));
    expect(await answer()).toBe('500 ');
    expect(figures()).toMatchObject({ requests: 1, errors: 0, stableRequests: 2, stableErrors: 1 });
    expect(figures()?.p99Ratio).toBeGreaterThan(0);
  });

  it('is not judged by what came of its former files', async () => {
    await place({ rollback: { ...RULES, minAgreement: 0.999 } });
    let open = (): void => undefined;
    live.gate = new Promise<void>((resolve) => (open = resolve));
    live.refusals.set('2', new InterleaveError('internal', 'broken'));
    const failing = [answer(), answer()];
    await until(() => live.asked === 2);
    await place({ rollback: { ...RULES, minAgreement: 0.999 } }, 7);
    open();
    expect(await Promise.all(failing)).toEqual(['200 1', '200 1']);
    expect(await outcomes()).toEqual(['rescued 2']);
    expect(figures()).toMatchObject({ requests: 0, errors: 0, requestsTotal: 0 });
  });

  it('is not judged by comparisons of its former files', async () => {
    const rules = { rollback: { ...RULES, minAgreement: 0.999 } };
    await place(rules);
    let open = (): void => undefined;
    batch.gate = new Promise<void>((resolve) => (open = resolve));
    live.wrong.add('2');
    expect(await answer()).toBe('200 2');
    await until(() => batch.asked === 1);
    await place(rules, 7);
    open();
    await until(() => batch.requests.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(figures()).toMatchObject({ comparedRows: 0 });
    expect(app.get(Releases).comparisons()).toMatchObject([{ requests: 0, rows: 0 }]);
  });
});
