import type { JSX } from 'preact';
import type { CpuView } from '@app/contracts';
import { percent, text } from '../../format';
import { SharesBar, sharesText } from '../../parts/meter';
import { groupsOf, type CpuGroup } from './cpu-groups';

/** Above, a CPU is a bar with its number; the rest is in its tooltip. */
const DETAILED_MAX = 48;

export function CpuMap({ cpus }: { cpus: readonly CpuView[] }): JSX.Element {
  const groups = groupsOf(cpus);
  const sockets = new Set(groups.map(({ socket }) => socket)).size;
  return (
    <div class={cpus.length > DETAILED_MAX ? 'cpu-map cpu-map-dense' : 'cpu-map'}>
      {groups.map((group) => (
        <Group
          key={`${group.socket}/${group.numaNode}`}
          group={group}
          isAlone={groups.length === 1 && sockets === 1}
          isDense={cpus.length > DETAILED_MAX}
        />
      ))}
    </div>
  );
}

function Group({ group, isAlone, isDense }: { group: CpuGroup; isAlone: boolean; isDense: boolean }): JSX.Element {
  return (
    <section class="cpu-group" aria-label={`Socket ${group.socket}, memory node ${group.numaNode}`}>
      {!isAlone && (
        <h3>
          Socket {group.socket} <span class="soft">memory node {group.numaNode}</span>
        </h3>
      )}
      <ul class="cores">
        {group.cores.map((threads) => (
          <li key={threads[0]?.core} class="core">
            {threads.map((cpu) => (isDense ? <DenseCpu key={cpu.cpu} cpu={cpu} /> : <Cpu key={cpu.cpu} cpu={cpu} />))}
          </li>
        ))}
      </ul>
    </section>
  );
}

const placeOf = ({ partition, class: kind }: CpuView): string => (partition === null ? 'no partition' : `${partition}, ${kind}`);

const NOT_KNOWN = 'nothing is known of its last minute';

function Cpu({ cpu }: { cpu: CpuView }): JSX.Element {
  const { shares } = cpu;
  return (
    <div class={`cpu cpu-${cpu.class ?? 'free'}`}>
      <div class="cpu-head">
        <strong>CPU {cpu.cpu}</strong>
        <span class="soft small">{placeOf(cpu)}</span>
      </div>
      {shares === null ? (
        <p class="soft small">{NOT_KNOWN}</p>
      ) : (
        <>
          <SharesBar shares={shares} label={`CPU ${cpu.cpu}`} />
          <dl class="cpu-parts small" aria-hidden="true">
            {(['live', 'batch', 'system', 'idle'] as const).map((part) => (
              <div key={part}>
                <dt class="soft">{part === 'system' ? 'other' : part}</dt>
                <dd>{text(percent(shares[part]))}</dd>
              </div>
            ))}
          </dl>
        </>
      )}
    </div>
  );
}

function DenseCpu({ cpu }: { cpu: CpuView }): JSX.Element {
  const { shares } = cpu;
  const words = `CPU ${cpu.cpu}, ${placeOf(cpu)}: ${shares === null ? NOT_KNOWN : sharesText(shares)}`;
  return (
    <div class={`cpu-dense cpu-${cpu.class ?? 'free'}`} title={words}>
      <span class="small" aria-hidden="true">
        {cpu.cpu}
      </span>
      {shares === null ? <span class="only-read">{words}</span> : <SharesBar shares={shares} label={`CPU ${cpu.cpu}, ${placeOf(cpu)}`} />}
    </div>
  );
}
