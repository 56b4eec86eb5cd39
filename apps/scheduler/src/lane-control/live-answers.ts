import type { WorkerLaneReport, WorkerModelPlan, WorkerPlan } from '@app/contracts';
import { ServiceCounts } from '@app/native';
import { InflationWindow, type Inflation } from './inflation';

type ModelReport = WorkerLaneReport['service'][number];

/** Answers of one model since the reading before. */
export interface FreshAnswers {
  model: string;
  version: string;
  sloMs: number | null;
  all: ServiceCounts;
}

interface ModelCounts {
  total: { shared: ServiceCounts; alone: ServiceCounts; other: ServiceCounts };
  window: InflationWindow;
}

/** Turns what one live worker has counted since its start into what is new. */
export class LiveAnswers {
  private readonly models = new Map<string, ModelCounts>();

  constructor(private readonly plan: WorkerPlan) {}

  /** Null: the worker did not answer. */
  read(report: WorkerLaneReport | null, nowMs: number): FreshAnswers[] {
    return this.versions().map(({ name, version, sloMs }) => {
      const model = report?.service.find((other) => other.name === name && other.version === version);
      return { model: name, version, sloMs, all: model ? this.fresh(`${name}/${version}`, model, nowMs) : new ServiceCounts() };
    });
  }

  inflation(): ({ model: string; version: string } & Inflation)[] {
    return this.versions().flatMap(({ name, version }) => {
      const counts = this.models.get(`${name}/${version}`);
      return counts === undefined ? [] : [{ model: name, version, ...counts.window.read() }];
    });
  }

  /** Each once, however many revisions of it the worker has; the last one says what its goal is. */
  private versions(): WorkerModelPlan[] {
    return [...new Map(this.plan.models.map((model) => [`${model.name}/${model.version}`, model])).values()];
  }

  private fresh(key: string, report: ModelReport, nowMs: number): ServiceCounts {
    const total = { shared: ServiceCounts.of(report.shared), alone: ServiceCounts.of(report.alone), other: ServiceCounts.of(report.other) };
    const known = this.models.get(key);
    if (known === undefined) {
      // The worker may be older than this scheduler: what it counted before is not new.
      this.models.set(key, { total, window: new InflationWindow() });
      return new ServiceCounts();
    }
    const [shared, alone] = [total.shared.since(known.total.shared), total.alone.since(known.total.alone)];
    const other = total.other.since(known.total.other);
    known.total = total;
    known.window.add(shared, alone, nowMs);
    const sum = new ServiceCounts();
    for (const counts of [shared, alone, other]) sum.addAll(counts);
    return sum;
  }
}
