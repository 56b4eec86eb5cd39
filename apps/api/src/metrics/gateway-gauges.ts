import type { InferenceBackend } from '@app/contracts';
import { Gauge, type Registry } from 'prom-client';

/** Of the workers: items that wait for an executor. */
const QUEUE_ITEMS = 'interleave_queue_items';

/**
 * Adds the two gauges of load that inference gateways (llm-d router, engine type `triton`) read to the metrics of all
 * processes. They take the first series of a name for the whole node, so neither has labels.
 */
export async function addGatewayGauges(merged: Registry, live: Pick<InferenceBackend, 'admittedItems' | 'inFlightItems'>): Promise<void> {
  const registers = [merged];
  const [admitted, handedOver] = [live.admittedItems(), live.inFlightItems()];
  // Counted by other processes and at another moment, so it may be more than there is now.
  const waitingInWorkers = Math.min(handedOver, await waitingLiveItems(merged));
  new Gauge({
    name: 'nv_inference_pending_request_count',
    help: 'Live items that wait for an executor',
    registers,
  }).set(Math.max(0, admitted - handedOver) + waitingInWorkers);
  new Gauge({
    name: 'nv_inference_exec_count',
    help: 'Live items that run now. Not the counter of this name that Triton has: gateways read it as the requests in work',
    registers,
  }).set(handedOver - waitingInWorkers);
}

async function waitingLiveItems(merged: Registry): Promise<number> {
  const values = (await merged.getSingleMetric(QUEUE_ITEMS)?.get())?.values ?? [];
  return values.filter(({ labels }) => labels['lane'] === 'realtime').reduce((sum, { value }) => sum + value, 0);
}
