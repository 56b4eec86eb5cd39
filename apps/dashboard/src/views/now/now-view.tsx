import type { JSX } from 'preact';
import type { ViewProps } from '../view-props';
import { BatchLanePanel } from './batch-lane-panel';
import { CallersPanel } from './callers-panel';
import { HistoryPanel } from './history-panel';
import { LiveLanePanel } from './live-lane-panel';

/** Whether the node does well, at a glance. */
export function NowView({ snapshot: { view, history } }: ViewProps): JSX.Element {
  return (
    <>
      <div class="lanes">
        <LiveLanePanel view={view} />
        <BatchLanePanel view={view} />
      </div>
      <HistoryPanel recent={history} events={view.events} />
      <CallersPanel view={view} />
    </>
  );
}
