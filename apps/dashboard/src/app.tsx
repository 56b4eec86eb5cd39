import type { JSX } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import type { NodeSnapshot } from '@app/contracts';
import { LinkNotice, Waiting } from './frame/link-notice';
import { TopBar } from './frame/top-bar';
import { VerdictBand } from './frame/verdict-band';
import { staleMs } from './live/live-state';
import { useLive, useNowMs } from './live/stream';
import { useRoute, type View } from './route';
import { BatchesView } from './views/batches/batches-view';
import { CpusView } from './views/cpus/cpus-view';
import { EventsView } from './views/events-view';
import { FleetView } from './views/fleet-view';
import { ModelsView } from './views/models/models-view';
import { NowView } from './views/now/now-view';
import type { ViewProps } from './views/view-props';

const VIEWS: Readonly<Record<View, { title: string; show: (props: ViewProps) => JSX.Element }>> = {
  now: { title: 'Now', show: NowView },
  cpus: { title: 'CPUs', show: CpusView },
  models: { title: 'Models', show: ModelsView },
  batches: { title: 'Batches', show: BatchesView },
  events: { title: 'Events', show: EventsView },
  fleet: { title: 'Fleet', show: FleetView },
};

export function App(): JSX.Element {
  const live = useLive();
  const nowMs = useNowMs();
  const route = useRoute();
  const main = useRef<HTMLElement>(null);
  const { title, show: View } = VIEWS[route.view];
  const { snapshot } = live;
  const age = staleMs(live, nowMs);
  // Before the effects of the view, which may scroll to what the route names.
  useLayoutEffect(() => {
    document.title = `${title} · Interleave`;
    scrollTo(0, 0);
  }, [route.view]);
  return (
    <>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to content
      </button>
      <TopBar view={route.view} titles={titlesOf(snapshot)} live={live} node={snapshot?.view.node.id ?? null} />
      <main ref={main} tabIndex={-1} class={age !== null || live.link === 'away' ? 'is-stale' : ''}>
        <h1 class="only-read">{title}</h1>
        <LinkNotice live={live} ageMs={age} />
        {snapshot === null ? (
          <Waiting live={live} />
        ) : (
          <>
            <VerdictBand view={snapshot.view} isLarge={route.view === 'now'} />
            <View snapshot={snapshot} route={route} nowMs={nowMs} />
          </>
        )}
      </main>
    </>
  );
}

/** The fleet has a view where there is one. */
const titlesOf = (snapshot: NodeSnapshot | null): [View, string][] =>
  (Object.keys(VIEWS) as View[]).filter((view) => view !== 'fleet' || snapshot?.view.fleet).map((view) => [view, VIEWS[view].title]);
