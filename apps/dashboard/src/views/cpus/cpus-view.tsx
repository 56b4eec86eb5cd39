import type { JSX } from 'preact';
import type { GpuView, NodeView } from '@app/contracts';
import type { ViewProps } from '../view-props';
import { bytes, percent, text } from '../../format';
import { LaneMark } from '../../parts/badge';
import { Meter, SharesBar, SharesLegend } from '../../parts/meter';
import { Empty, Panel } from '../../parts/panel';
import { CpuMap } from './cpu-map';
import { IsolationPanel } from './isolation-panel';
import { meanShares } from './cpu-groups';
import { ProcessesPanel } from './processes-panel';

/** Which CPU does what, and what keeps the lanes apart. */
export function CpusView({ snapshot: { view } }: ViewProps): JSX.Element {
  const mean = meanShares(view.cpus);
  return (
    <>
      <Panel
        title="CPUs"
        note={`The last minute of ${view.cpus.length} CPUs, by socket, memory node and core. CPUs in one frame are threads of one core.`}
      >
        {mean !== null && (
          <div class="cpu-total">
            <SharesBar shares={mean} label="All CPUs" />
            <SharesLegend shares={mean} />
          </div>
        )}
        {view.cpus.length === 0 ? (
          <Empty title="Nothing is known of the CPUs yet">The first numbers come a few seconds after the scheduler has started.</Empty>
        ) : (
          <CpuMap cpus={view.cpus} />
        )}
        <CutNote view={view} />
        <ul class="soft small cpu-words">
          <li>
            <span class="class-mark cpu-reserved" aria-hidden="true" />
            <strong>Reserved</strong>: live requests only
          </li>
          <li>
            <span class="class-mark cpu-burstable" aria-hidden="true" />
            <strong>Burstable</strong>: live requests first, batches in the time that is left
          </li>
          <li>
            <span class="class-mark" aria-hidden="true" />
            <strong>No partition</strong>: for other programs
          </li>
        </ul>
      </Panel>
      {view.gpus.length > 0 && <Gpus gpus={view.gpus} />}
      <ProcessesPanel view={view} />
      <IsolationPanel view={view} />
    </>
  );
}

const CutNote = ({ view }: { view: NodeView }): JSX.Element | null =>
  view.cut.cpus === 0 ? null : <p class="soft small">{view.cut.cpus} more CPUs are not shown.</p>;

function Gpus({ gpus }: { gpus: readonly GpuView[] }): JSX.Element {
  return (
    <Panel title="GPUs" note="How long the last minute had a run on each part.">
      <ul class="gpus">
        {gpus.map(({ uuid, name, parts }) => (
          <li key={uuid} class="gpu">
            <h3>{name}</h3>
            <code class="soft small">{uuid}</code>
            {parts.map(({ worker, lane, busyShare, memoryBytes, threadPercent }) => (
              <div key={worker} class="gpu-part">
                <span>
                  <LaneMark lane={lane === 'realtime' ? 'live' : 'batch'} /> {worker}
                </span>
                <Meter share={busyShare} label={`${worker} busy`} fill={lane === 'realtime' ? 'live' : 'batch'} />
                <span class="small soft">
                  {text(percent(busyShare))} busy, {memoryBytes === null ? 'memory not limited' : `at most ${text(bytes(memoryBytes))}`}
                  {threadPercent !== null && `, ${threadPercent} % of its processors`}
                </span>
              </div>
            ))}
          </li>
        ))}
      </ul>
    </Panel>
  );
}
