import { NODE_STATES } from '@app/contracts';
import { Injectable } from '@nestjs/common';
import { Gauge, Registry } from 'prom-client';
import { Fleet } from './fleet';

/** Nodes of the fleet as this one sees them; no series where the node is alone. */
@Injectable()
export class FleetMetrics {
  constructor(registry: Registry, fleet: Fleet) {
    if (!fleet.isShared) return;
    new Gauge({
      name: 'interleave_fleet_nodes',
      help: 'Nodes of the fleet by state; lost: its heartbeat ended, and it did not leave',
      labelNames: ['state'],
      registers: [registry],
      async collect() {
        const { nodes, lost } = await fleet.view();
        for (const state of NODE_STATES) this.set({ state }, nodes.filter((node) => node.state === state).length);
        this.set({ state: 'lost' }, lost.length);
      },
    });
  }
}
