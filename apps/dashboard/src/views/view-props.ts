import type { NodeSnapshot } from '@app/contracts';
import type { Route } from '../route';

/** What every view is given. */
export interface ViewProps {
  snapshot: NodeSnapshot;
  route: Route;
  nowMs: number;
}
