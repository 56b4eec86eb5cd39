import { byteText } from '@app/contracts';
import { table } from '../table';
import { bestOf, layoutsOf, predict, type ParallelFacts, type Prediction } from './cost-model';
import { partitionsText } from './cpu-sets';
import { otherLane, threadsText, type ModelPlace } from './place';

export interface ReportRequest {
  model: string;
  facts: ParallelFacts;
  length: number;
  /** `realtime.sloMs` of the model; null: none. */
  goalMs: number | null;
  /** Of the machine. */
  memoryBytes: number;
  place: ModelPlace;
}

/** Every layout that the machine has room for with what it is to do, the best one marked, and what would make it so. */
export function parallelReport({ model, facts, length, goalMs, memoryBytes, place }: ReportRequest): string {
  const predictions = layoutsOf(facts).map((layout) => predict(layout, facts));
  const best = bestOf(predictions, goalMs, memoryBytes);
  const note = (each: Prediction): string =>
    [
      each === best ? 'best' : '',
      goalMs !== null && each.latencyMs > goalMs ? 'over the goal' : '',
      each.totalBytes > memoryBytes ? 'more memory than there is' : '',
      each.isAssumed ? 'if the stages are equal' : '',
    ]
      .filter((part) => part !== '')
      .join(', ');
  const rows = predictions.map((each) => [
    String(each.layout.stages),
    String(each.layout.replicas),
    String(each.layout.width),
    each.latencyMs.toFixed(1),
    each.rowsPerSecond.toFixed(1),
    `${(100 * each.bubbleShare).toFixed(0)} %`,
    byteText(Math.round(each.workerBytes)),
    byteText(Math.round(each.totalBytes)),
    each.cutBytes === null ? '' : byteText(each.cutBytes),
    note(each),
  ]);
  return [
    table(['STAGES', 'REPLICAS', 'WIDTH', 'LATENCY MS', 'ROWS/S', 'BUBBLE', 'WORKER', 'WEIGHTS', 'CUT', ''], rows),
    `predicted for runs of ${facts.rows} × ${length} from what was measured: ` +
      `${widthWords(facts)}; ${facts.allBusyMs.toFixed(1)} ms with every CPU busy.`,
    `goal: ${goalMs === null ? 'the most rows a second; model.yaml has no realtime.sloMs' : `the most rows a second within ${goalMs} ms`}.`,
    ...advice(model, best, facts, place),
  ].join('\n');
}

const widthWords = ({ widths }: ParallelFacts): string =>
  widths
    .map(({ width, ms }) => {
      const gain = (widths[0]?.ms ?? ms) / ms;
      return width === 1 ? `${ms.toFixed(1)} ms on 1 thread` : `${ms.toFixed(1)} ms on ${width} (${gain.toFixed(2)} times as fast)`;
    })
    .join(', ');

function advice(model: string, best: Prediction | null, facts: ParallelFacts, place: ModelPlace): string[] {
  if (best === null) return ['no layout reaches the goal with the memory that there is'];
  const { stages, replicas, width } = best.layout;
  const isPlaced = stages === 1 && replicas * width === place.ownCpus.length;
  const others = place.otherThreads === null ? '' : `, ${otherLane(place.lane)}: ${Math.min(place.otherThreads, replicas * width)}`;
  return [
    ...(best.isMade ? [] : [`split it: interleave split ${model} --stages ${stages}; then ask again`]),
    ...(isPlaced ? [] : [`make ${partitionsText(model, best.layout, facts.cpus)}; all other models need a place too`]),
    ...(isPlaced ? [] : threadsText(model, place, best.layout)),
    ...(stages === 1 && width === place.threads
      ? []
      : [`set executorThreads: { ${place.lane}: ${width}${others} } in model.yaml${stages > 1 ? ' of each stage' : ''}`]),
    ...(stages === 1 && replicas * width < facts.cpus
      ? [`${replicas * width} of ${facts.cpus} CPUs will do: more would gain less than 5 %`]
      : []),
  ];
}
