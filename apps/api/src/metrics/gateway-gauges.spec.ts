import { Gauge, Registry } from 'prom-client';
import { addGatewayGauges } from './gateway-gauges';

describe('the gauges that inference gateways read', () => {
  async function lines({ admitted = 0, handedOver = 0, waiting = {} as Record<string, number> }): Promise<string[]> {
    const merged = new Registry();
    const queue = new Gauge({ name: 'interleave_queue_items', help: 'q', labelNames: ['lane', 'model'], registers: [merged] });
    for (const [labels, items] of Object.entries(waiting)) {
      const [lane = '', model = ''] = labels.split(' ');
      queue.set({ lane, model }, items);
    }
    await addGatewayGauges(merged, { admittedItems: () => admitted, inFlightItems: () => handedOver });
    return (await merged.metrics()).split('\n').filter((line) => line.startsWith('nv_'));
  }
  const gauges = (waiting: number, running: number): string[] => [
    `nv_inference_pending_request_count ${waiting}`,
    `nv_inference_exec_count ${running}`,
  ];

  it('count all models of the real-time lane in one series each, and no rows of batches', async () => {
    expect(await lines({ admitted: 10, handedOver: 10, waiting: { 'realtime a': 3, 'realtime b': 4, 'batch a': 500 } })).toEqual(
      gauges(7, 3),
    );
  });

  it('count what waits in the API as waiting', async () => {
    expect(await lines({ admitted: 10, handedOver: 2, waiting: { 'realtime a': 0 } })).toEqual(gauges(8, 2));
  });

  it('never go below 0 when the parts were counted at different moments', async () => {
    expect(await lines({ admitted: 1, handedOver: 2, waiting: { 'realtime a': 5 } })).toEqual(gauges(2, 0));
  });

  it('are there while no worker has said anything', async () => {
    const merged = new Registry();
    await addGatewayGauges(merged, { admittedItems: () => 2, inFlightItems: () => 0 });
    expect(await merged.metrics()).toContain('nv_inference_pending_request_count 2\n');
  });
});
