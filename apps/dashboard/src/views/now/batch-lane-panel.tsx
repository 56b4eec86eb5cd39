import type { JSX } from 'preact';
import type { ActiveBatchView, BatchControlState, BatchLaneView, NodeView } from '@app/contracts';
import { counted, duration, left, percent, perSecond, shortIds, text } from '../../format';
import { Badge, LaneMark, type Tone } from '../../parts/badge';
import { Figure } from '../../parts/figure';
import { Meter } from '../../parts/meter';
import { Panel } from '../../parts/panel';
import { hrefOf } from '../../route';
import { meanShares } from '../cpus/cpu-groups';

const BATCHES_SHOWN_MAX = 3;
/** From here on they are why batches are slow. */
const OTHERS_NOTED = 0.3;

const LIMITS: Readonly<Record<BatchControlState, { tone: Tone; word: string; meaning: string }>> = {
  open: { tone: 'ok', word: 'Not limited', meaning: 'uses every idle CPU' },
  limited: { tone: 'watch', word: 'Limited', meaning: 'held back for live answers' },
  paused: { tone: 'watch', word: 'Almost stopped', meaning: 'held back for live answers' },
  unreachable: { tone: 'bad', word: 'Almost stopped', meaning: 'live answers are late all the same: batches are not the cause' },
};

/** What runs in the time that live requests leave. */
export function BatchLanePanel({ view }: { view: NodeView }): JSX.Element {
  const { batchLane, batches } = view;
  const lane = view.lanes.find((each) => each.lane === 'batch');
  return (
    <Panel
      class="lane lane-batch"
      title="Batch"
      aside={<LaneMark lane="batch" />}
      note="Files of rows that nobody waits for. They run when a CPU has nothing else to do."
    >
      <div class="lane-main">
        <Figure size="huge" label="Rows done" quantity={perSecond(batchLane.rowsPerSecond)} note={amountText(view)} />
        <IdleUse lane={batchLane} otherShare={meanShares(view.cpus)?.system ?? 0} />
      </div>
      <div class="figures">
        <Figure
          label="CPUs it may use"
          quantity={{ value: String(batchLane.executors.allowed), unit: `of ${batchLane.executors.all}` }}
          note={limitNote(batchLane)}
        />
        <Figure
          label="Time left"
          quantity={duration(lane?.queueMs ?? null)}
          note={lane?.queueMsIsLeast ? 'at least: some batches are not predicted yet' : 'of all batches, predicted'}
        />
        <Figure
          label="Chunks"
          quantity={{ value: String(batchLane.chunks?.running ?? '–'), unit: 'running' }}
          note={`${batchLane.chunks?.waiting ?? '–'} waiting`}
        />
        <Figure label="Padding" quantity={percent(lane?.paddingShare ?? null)} note="computed for nothing" />
      </div>
      {batches.length > 0 && <Running batches={batches} />}
    </Panel>
  );
}

function amountText({ batches, batchLane: { chunks }, node }: NodeView): string {
  if (node.redisIsReady === false) return 'Redis is away: batches wait for it';
  if (chunks === null) return 'the runner does not answer';
  if (batches.length === 0) return chunks.running > 0 ? 'for batches of other nodes' : 'no batch is running';
  return `${counted(batches.length, 'batch', 'batches')} not done`;
}

function limitNote(lane: BatchLaneView): string {
  if (lane.isHeldOff) return 'paused for a second to measure';
  return lane.limit === null ? 'no batch worker' : LIMITS[lane.limit].meaning;
}

function IdleUse({ lane, otherShare }: { lane: BatchLaneView; otherShare: number }): JSX.Element {
  const limit = lane.limit === null ? null : LIMITS[lane.limit];
  return (
    <div class="idle-use">
      <div class="idle-words">
        <span>
          <strong class="idle-number">{text(percent(lane.idleShareUsed))}</strong> of the idle CPU time used
        </span>
        {limit !== null && <Badge tone={limit.tone}>{limit.word}</Badge>}
      </div>
      <Meter share={lane.idleShareUsed} label="Idle CPU time used by batches" fill="batch" />
      {lane.limit !== null && lane.limit !== 'open' && lane.reason !== null && <p class="soft small">{lane.reason}</p>}
      {otherShare > OTHERS_NOTED && (
        <p class="soft small">API, runner and other programs take {text(percent(otherShare))} of the CPU time: little is idle.</p>
      )}
    </div>
  );
}

function Running({ batches }: { batches: readonly ActiveBatchView[] }): JSX.Element {
  return (
    <ul class="running" aria-label="Batches that are not done">
      {batches.slice(0, BATCHES_SHOWN_MAX).map((batch) => {
        const done = batch.total === 0 ? null : (batch.completed + batch.failed) / batch.total;
        return (
          <li key={batch.id}>
            <a class="running-name" href={hrefOf('batches', batch.id)}>
              {batch.model ?? 'rows'} <span class="running-version">{shortIds(batch.id).replace('batch ', '')}</span>
            </a>
            <Meter share={done} label={`Rows done of ${batch.id}`} fill="batch" />
            <span class="running-words small">
              <strong>{text(percent(done))}</strong>{' '}
              <span class="soft">
                {batch.paused ?? (batch.secondsLeft === null ? 'time left not known yet' : `${left(batch.secondsLeft.expected)} left`)}
              </span>
            </span>
          </li>
        );
      })}
      {batches.length > BATCHES_SHOWN_MAX && (
        <li>
          <a href={hrefOf('batches')}>All {batches.length} batches</a>
        </li>
      )}
    </ul>
  );
}
