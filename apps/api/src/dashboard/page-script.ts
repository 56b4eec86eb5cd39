/**
 * Runs in the browser: asks for the state every second and writes it into the tables of page.ts. Everything that comes
 * from the server is set as text, never as markup.
 */
export const PAGE_SCRIPT = `
'use strict';
const POLL_MS = 1000;
const COLOURS = { serving: 'good', ready: 'good', running: 'good', completed: 'good', in_progress: 'busy', validating: 'busy', finalizing: 'busy',
  cancelling: 'busy', starting: 'busy', loading: 'busy', draining: 'busy', failed: 'bad', quarantined: 'bad', expired: 'bad', 'no answer': 'bad', waiting: 'bad',
  open: 'good', lost: 'bad', limited: 'busy', paused: 'busy', unreachable: 'bad', 'held off': 'busy' };
/* Of a breaker "open" is bad; of the batch lane it is good. */
const BREAKER_COLOURS = { closed: 'good', 'half-open': 'busy', open: 'bad' };
const element = (name, className, ...children) => {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...children.map((child) => child instanceof Node ? child : String(child)));
  return node;
};
const fixed = (value, digits, unit = '') => value === null ? '–' : value.toLocaleString('en', { maximumFractionDigits: digits, minimumFractionDigits: digits }) + unit;
const count = (value) => fixed(value, 0);
const rate = (value) => fixed(value, value !== null && value < 10 ? 1 : 0);
const state = (text) => element('span', COLOURS[text] ?? 'soft', text);
const reason = (text) => text ? [element('span', 'reason', text)] : [];
const progress = (done, total) => {
  const bar = element('progress', '');
  bar.max = Math.max(total, 1);
  bar.value = done;
  return bar;
};
/* A cell is a text, or a list of nodes; numbers of a column are right-aligned like its head. */
const fill = (id, rows, none) => {
  const body = document.getElementById(id);
  const heads = [...body.parentElement.tHead.rows[0].cells];
  const cells = (row) => row.map((cell, i) => element('td', heads[i].className, ...(Array.isArray(cell) ? cell : [cell])));
  const empty = element('td', 'soft', none);
  empty.colSpan = heads.length;
  body.replaceChildren(...(rows.length ? rows.map((row) => element('tr', '', ...cells(row))) : [element('tr', '', empty)]));
};
const models = (list) => list.flatMap((model, i) => [...(i ? [element('br', '')] : []), model.name + ' ' + model.version + ' ', state(model.state), ...reason(model.reason), ...reason(model.merging)]);
const nodeCells = (node) => [node.address + ':' + node.httpPort, node.version, node.partitions.map((part) => part.cpus + ' ' + part.class).join(', ')];
const nodeRow = (node) => [[element('code', '', node.id)], [state(node.state), ...reason(node.reason), ...node.warnings.flatMap(reason)], ...nodeCells(node),
  node.models.map((model) => model.name + ' ' + model.version + (model.state === 'ready' ? '' : ' (' + model.state + ')')).join(', '), fixed(node.liveBacklogMs, 1, ' ms'),
  node.utilization === null ? '–' : fixed(node.utilization * 100, 0, ' %'), node.batch === null ? '–' : [rate(node.batch.rowsPerSecond), ...reason(node.batch.paused)],
  new Date(node.stateSinceMs).toLocaleString()];
const lostRow = ({ id, lastSeenMs, last }) => [[element('code', '', id)], [state('lost')], ...(last === null ? ['–', '–', '–'] : nodeCells(last)), '', '–', '–', '–',
  new Date(lastSeenMs).toLocaleString()];
const shared = (rule) => rule === null ? '–' : rule.version + ' (' + rule.percent + ' %)';
const releaseRow = ({ model, stable, canary, mirror, comparison, lastDecision }) => [model, stable ?? 'newest', shared(canary), shared(mirror),
  !comparison?.rows ? '–' : [fixed(100 * comparison.agreeing / comparison.rows, 2, ' %'), ...reason(count(comparison.rows) + ' rows')],
  fixed(comparison?.cosineMin ?? null, 6), fixed(comparison?.canary?.p99Ratio ?? null, 2), fixed(comparison?.timeRatio ?? null, 2),
  lastDecision === null ? '–' : [new Date(lastDecision.atMs).toLocaleString(), ...reason(lastDecision.text)]];
const show = (s) => {
  fill('lanes', s.lanes.map((lane) => [lane.lane, count(lane.queueItems), rate(lane.rowsPerSecond), fixed(lane.rowsPerRun, 1),
    lane.paddingShare === null ? '–' : fixed(lane.paddingShare * 100, 0, ' %'),
    ...(lane.lane === 'batch' ? ['', '', '', ''] : [rate(lane.requestsPerSecond), rate(lane.errorsPerSecond), fixed(lane.p50Ms, 1, ' ms'), fixed(lane.p99Ms, 1, ' ms')])]), '');
  fill('workers', s.workers.map((worker) => [[element('code', '', worker.id)], worker.lane, [state(worker.state), ...reason(worker.reason)], worker.pid ?? '–',
    worker.cpus.join(', '), count(worker.queueItems), count(worker.restarts), models(worker.models)]), 'No worker is placed yet');
  fill('releases', s.releases.map(releaseRow), 'No model has a canary or a mirrored version');
  const control = s.laneControl ?? { isHeldOff: false, batchWorkers: [], inflation: [] };
  fill('control', control.batchWorkers.map((batch) => [[element('code', '', batch.worker)], [state(control.isHeldOff ? 'held off' : batch.state), ...reason(batch.reason)],
    batch.executors + ' of ' + batch.executorsMax, fixed(batch.runMsMax, 1, ' ms'), batch.slack === null ? '–' : fixed(batch.slack * 100, 0, ' %'), count(batch.floorRuns)]), 'No batch worker is controlled');
  fill('inflation', control.inflation.map((model) => [model.model + ' ' + model.version, [element('code', '', model.worker)], fixed(model.sharedP99Ms, 1, ' ms'),
    fixed(model.aloneP99Ms, 1, ' ms'), fixed(model.inflation, 2)]), 'No live answers yet');
  fill('processes', s.processes.map((process) => [[element('code', '', process.id)], [state(process.state)], process.pid ?? '–', count(process.restarts), process.reason ?? '–']),
    'The scheduler does not answer');
  fill('breakers', s.breakers.map((breaker) => [breaker.name, [element('span', BREAKER_COLOURS[breaker.state], breaker.state), ...reason(breaker.reason)],
    count(breaker.opened), new Date(breaker.sinceMs).toLocaleString()]), 'Nothing was called yet');
  const door = s.frontDoor;
  const share = (ms) => fixed(ms, ms !== null && ms < 10 ? 1 : 0, ' ms/s');
  fill('tenants', door.tenants.map((tenant) => [tenant.tenant, tenant.shareMsPerSecond === null ? 'no limit' : share(tenant.shareMsPerSecond),
    share(tenant.usedMsPerSecond), count(tenant.inFlight), count(tenant.refused)]), 'No live requests yet');
  fill('tiers', door.tiers.map((tier) => [tier.tier, count(tier.requests), rate(tier.requestsPerSecond)]), 'No live requests yet');
  fill('grpc', door.grpc.map((call) => [[element('code', '', call.method)], count(call.open),
    call.calls.flatMap(({ status, calls }, i) => [i ? ', ' : '', element('span', status === 'OK' ? 'good' : 'busy', status), ' ' + count(calls)])]), 'No calls yet');
  const hitRow = (name, { hits, misses }, size) => [name, count(hits), count(misses), hits + misses ? fixed(100 * hits / (hits + misses), 0, ' %') : '–', size];
  const total = door.cache.models.reduce((sum, { hits, misses }) => ({ hits: sum.hits + hits, misses: sum.misses + misses }), { hits: 0, misses: 0 });
  fill('cache', door.cache.models.length === 0 ? [] : [...door.cache.models.map((model) => hitRow(model.model, model, '')),
    hitRow([element('span', 'soft', 'all')], total, fixed(door.cache.bytes / 2 ** 20, 1, ' MiB'))], 'No model keeps answers, or none was asked yet');
  const keys = [['Valid', door.keys.valid, 'good'], ['Ending within 14 days', door.keys.ending, 'busy'], ['Expired', door.keys.expired, 'soft'],
    ['Requests without a valid key', door.keys.requestsWithout, 'soft']];
  fill('keys', keys.map(([name, keys, colour]) => [name, [element('span', keys ? colour : 'soft', count(keys))]]), '');
  fill('batches', s.batches.map((batch) => [[element('code', '', batch.id)], [state(batch.status), ...reason(batch.paused)],
    [progress(batch.completed + batch.failed, batch.total), batch.total ? ' ' + Math.floor(100 * (batch.completed + batch.failed) / batch.total) + ' %' : ''],
    count(batch.total), count(batch.failed), batch.model ?? '–', batch.endpoint, new Date(batch.createdAtMs).toLocaleString()]), 'No batches yet');
  document.getElementById('fleet').closest('section').hidden = s.fleet === null;
  if (s.fleet !== null) fill('fleet', [...s.fleet.nodes.map(nodeRow), ...s.fleet.lost.map(lostRow)], 'No node is known');
  const parts = [s.notReady === null ? element('span', 'good', 'ready') : element('span', 'bad', 'not ready: ' + s.notReady)];
  if (s.redisIsReady === false) parts.push(', ', element('span', 'bad', 'Redis is away: batches wait'));
  if (s.fleet?.problem) parts.push(', ', element('span', 'bad', 'the list of nodes is old: ' + s.fleet.problem));
  if (s.preemption !== null && s.preemption.verdict !== 'holds') parts.push(', ', element('span', s.preemption.verdict === 'fails' ? 'bad' : 'busy', s.preemption.reason));
  if (s.preemption !== null && s.preemption.verdict === 'holds') parts.push(element('span', 'soft', ', ' + s.preemption.reason));
  if (s.eventLoopDelayMs !== null) parts.push(element('span', 'soft', ', event loop p99 ' + fixed(s.eventLoopDelayMs, 1, ' ms') + ', version ' + s.version));
  document.getElementById('summary').replaceChildren(...parts);
};
const poll = async () => {
  try {
    const response = await fetch('/dashboard/state', { cache: 'no-store' });
    if (response.status === 401) return location.assign('/login');
    if (!response.ok) throw new Error('status ' + response.status);
    show(await response.json());
  } catch (error) {
    document.getElementById('summary').replaceChildren(element('span', 'bad', 'no answer: ' + error.message));
  }
  setTimeout(poll, POLL_MS);
};
poll();
`;
