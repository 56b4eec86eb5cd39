import { table } from '../table';
import { bestOf as bestPrediction, isSameLayout, type Layout } from '../parallel/cost-model';
import { calledModel, partitionsText } from '../parallel/cpu-sets';
import { threadsText, type ModelPlace } from '../parallel/place';
import { isSame, type Settings, type Trial } from './search';
import type { TuneResult } from './tuner';

/** Less is not worth a split. */
const GAIN_MIN = 1.05;

const layoutText = ({ stages, replicas, width }: Layout): string =>
  (stages === 1 ? '' : `${stages} stages, `) +
  `${replicas} ${replicas === 1 ? 'run' : 'runs'} at once${stages === 1 ? '' : ' in each'}, ` +
  `${width} ${width === 1 ? 'thread' : 'threads'} a run`;

export const settingsText = ({ layout, runRowsMax, runTokensMax }: Settings): string =>
  `${layoutText(layout)}, runRowsMax ${runRowsMax}, runTokensMax ${runTokensMax}`;

export interface ReportRequest extends TuneResult {
  model: string;
  /** Null: the newest. */
  version: string | null;
  place: ModelPlace;
  /** `realtime.sloMs`; null: none. */
  sloMs: number | null;
}

/** What was measured, which of it is the best, and what it takes to have it. */
export function autotuneReport(request: ReportRequest): string {
  const { trials, present, goalMs, predictions } = request;
  const predictedRows = (layout: Layout): number | undefined =>
    predictions.find((each) => isSameLayout(each.layout, layout))?.rowsPerSecond;
  const presentRows = predictedRows(present.settings.layout);
  const gainText = ({ layout }: Settings): string => {
    const rows = predictedRows(layout);
    return rows === undefined || presentRows === undefined ? '' : (rows / presentRows).toFixed(2);
  };
  const rows = trials.map((trial) => {
    const { layout, runRowsMax, runTokensMax } = trial.settings;
    return [
      ...[layout.stages, layout.replicas, layout.width, runRowsMax, runTokensMax].map(String),
      trial.rowsPerSecond.toFixed(0),
      gainText(trial.settings),
      trial.p99Ms.toFixed(1),
      trial.p99Ms > goalMs ? 'p99 over the goal' : isSame(trial.settings, present.settings) ? 'present' : '',
    ];
  });
  return [
    table(['STAGES', 'REPLICAS', 'WIDTH', 'runRowsMax', 'runTokensMax', 'ROWS/S', 'PREDICTED', 'P99 MS', ''], rows),
    `predicted: rows a second of the layout, times those of the present one, for one row a run; ${measuredText(request)}.`,
    `p99: of one row, at half of what the present settings can do; goal: at most ${goalMs.toFixed(1)} ms.`,
    ...choiceText(request),
    ...splitText(request),
  ].join('\n');
}

function measuredText({ predictions, trials, place, leftOut }: ReportRequest): string {
  const cpus = place.cpus.length;
  const measured = predictions.filter(({ layout }) => trials.some(({ settings }) => isSameLayout(settings.layout, layout)));
  return (
    `${measured.length} of the ${predictions.length} layouts that fit ${cpus} ${cpus === 1 ? 'CPU' : 'CPUs'} were measured` +
    (leftOut === 0 ? '' : `; for ${leftOut} settings there was no time: give a larger --budget`)
  );
}

const figuresText = ({ rowsPerSecond, p99Ms }: Trial): string => `${rowsPerSecond.toFixed(0)} rows a second, p99 ${p99Ms.toFixed(1)} ms`;

function choiceText(request: ReportRequest): string[] {
  const { present, best, again, goalMs } = request;
  if (isSame(best.settings, present.settings) && again !== null)
    return [
      `the present settings are the best: ${settingsText(again.settings)} seemed better, but measured again in turns gave ` +
        `${figuresText(again)}; the present ones ${figuresText(present)}`,
    ];
  if (isSame(best.settings, present.settings))
    return [
      present.p99Ms <= goalMs
        ? 'the present settings are the best: nothing gains 5 % within the goal among what was measured'
        : 'the present settings are the best, though over the goal: nothing that was measured comes nearer to it',
    ];
  const gain = 100 * (best.rowsPerSecond / present.rowsPerSecond - 1);
  const why = present.p99Ms > goalMs && best.p99Ms <= goalMs ? ', which keeps the goal' : '';
  return [
    `best: ${settingsText(best.settings)}: ${Math.abs(gain).toFixed(0)} % ${gain < 0 ? 'fewer' : 'more'} rows a second, ` +
      `p99 ${best.p99Ms.toFixed(1)} ms (present ${present.p99Ms.toFixed(1)} ms)${why}; measured again in turns`,
    ...placeText(request),
  ];
}

/** Partitions are the owner's: nothing writes them. */
function placeText({ model, place, best }: ReportRequest): string[] {
  const { layout } = best.settings;
  if (layout.stages === 1 && layout.replicas * layout.width === place.ownCpus.length) return [];
  return [
    ...(layout.stages === 1 ? [] : [`callers use ${calledModel(model, layout)}`]),
    `executors are the CPUs of a partition: make ${partitionsText(model, layout, place.cpus.length)}; all other models need a place too: ` +
      'name them in one of these, or in a partition of their own',
    ...threadsText(model, place, layout),
  ];
}

/** A split that is not there can only be predicted. */
function splitText({ model, version, predictions, present, sloMs, place }: ReportRequest): string[] {
  const best = bestPrediction(predictions, sloMs, place.memoryBytes);
  const own = predictions.find((each) => isSameLayout(each.layout, present.settings.layout));
  if (best === null || best.isMade || own === undefined || best.rowsPerSecond < GAIN_MIN * own.rowsPerSecond) return [];
  return [
    `${layoutText(best.layout)} are predicted to be better, but the model is not split so: ` +
      `interleave split ${model} --stages ${best.layout.stages}${version === null ? '' : ` --model-version ${version}`}, then ask again ` +
      '(remove the stages and the pipeline of an earlier split first)',
  ];
}
