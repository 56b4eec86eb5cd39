import fc from 'fast-check';
import { FairQueue, type Ticket } from './fair-queue';

interface Load {
  tenant: string;
  weight: number;
  /** Of each request; used in turn. */
  costsNs: number[];
  /** Measured ÷ predicted. */
  ratio: number;
}

const MS = 1e6;
const always = (): boolean => true;
const share = ({ tenant, weight }: Pick<Load, 'tenant' | 'weight'>) => ({ tenant, weight });

/** Executors that take turns from the queue, which every tenant keeps full; returns measured ns by tenant. */
function saturate(loads: Load[], totalNs: number, executors = 2): Map<string, number> {
  const queue = new FairQueue<Load>();
  const used = new Map(loads.map(({ tenant }) => [tenant, 0]));
  const sent = new Map<string, number>();
  const send = (load: Load): void => {
    const count = sent.get(load.tenant) ?? 0;
    sent.set(load.tenant, count + 1);
    const costNs = load.costsNs[count % load.costsNs.length] ?? 1;
    queue.add(share(load), [{ value: load, key: 'm', costNs, order: count }]);
  };
  for (const load of loads) for (let i = 0; i < 8; i++) send(load);
  const running: { ticket: Ticket<Load>; endNs: number }[] = [];
  for (let nowNs = 0; nowNs < totalNs;) {
    while (running.length < executors) {
      const ticket = queue.take(always);
      if (ticket === null) throw new Error('it is not work conserving');
      running.push({ ticket, endNs: nowNs + ticket.costNs * ticket.value.ratio });
    }
    running.sort((a, b) => a.endNs - b.endNs);
    const { ticket, endNs } = running.shift() as { ticket: Ticket<Load>; endNs: number };
    const { value: load, costNs } = ticket;
    const measuredNs = costNs * load.ratio;
    nowNs = endNs;
    used.set(load.tenant, (used.get(load.tenant) ?? 0) + measuredNs);
    queue.ended(ticket, measuredNs);
    send(load);
  }
  return used;
}

const loadOf = fc.record({
  weight: fc.integer({ min: 1, max: 5 }),
  costsNs: fc.array(fc.integer({ min: MS / 10, max: 100 * MS }), { minLength: 1, maxLength: 5 }),
  ratio: fc.double({ min: 0.5, max: 2, noNaN: true }),
});

describe('the fair queue', () => {
  it('gives tenants executor time by weight, whatever their requests cost and however wrong predictions are', () => {
    fc.assert(
      fc.property(fc.array(loadOf, { minLength: 2, maxLength: 4 }), (loads) => {
        const named = loads.map((load, i) => ({ ...load, tenant: `t${i}` }));
        const totalNs = 60e9;
        const used = saturate(named, totalNs);
        const weights = named.reduce((sum, { weight }) => sum + weight, 0);
        const sum = [...used.values()].reduce((total, ns) => total + ns, 0);
        for (const { tenant, weight } of named) {
          const part = (used.get(tenant) ?? 0) / sum;
          expect(Math.abs(part / (weight / weights) - 1)).toBeLessThan(0.1);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('lets one tenant alone have everything', () => {
    const used = saturate([{ tenant: 'a', weight: 0.001, costsNs: [MS], ratio: 1 }], 1e9);
    expect(used.get('a')).toBeGreaterThanOrEqual(1e9 - 2 * MS);
  });

  it('lets a tenant that was idle go next, without time saved up', () => {
    const queue = new FairQueue<string>();
    for (let i = 0; i < 1000; i++) queue.add({ tenant: 'heavy', weight: 1 }, [{ value: 'heavy', key: 'm', costNs: 10 * MS, order: i }]);
    for (let i = 0; i < 500; i++) queue.take(always);
    const light = { tenant: 'light', weight: 1 };
    queue.add(
      light,
      Array.from({ length: 100 }, (_, i) => ({ value: 'light', key: 'm', costNs: 10 * MS, order: 1000 + i })),
    );
    const turns = Array.from({ length: 100 }, () => queue.take(always)?.value);
    expect(turns.slice(0, 2)).toContain('light');
    expect(turns.filter((value) => value === 'light').length).toBeGreaterThanOrEqual(49);
    expect(turns.filter((value) => value === 'light').length).toBeLessThanOrEqual(52);
  });

  it('says what goes ahead of a tenant by its share, not by the whole queue', () => {
    const queue = new FairQueue<string>();
    const heavy = { tenant: 'heavy', weight: 3 };
    queue.add(
      heavy,
      Array.from({ length: 1000 }, (_, order) => ({ value: '', key: 'm', costNs: MS, order })),
    );
    const light = { tenant: 'light', weight: 1 };
    expect(queue.aheadNs(light, 2 * MS, 2)).toBe(0); // it goes ahead
    queue.add(light, [{ value: '', key: 'm', costNs: 2 * MS, order: 0 }]);
    expect(queue.aheadNs(light, 2 * MS, 2)).toBeCloseTo(14 * MS, 3); // 2 of its own, 4 by 3 of the other
    // What the other has and, at its rate, brings.
    expect(Math.floor(queue.aheadNs(heavy, 2 * MS, 2) / MS)).toBe(1002);
    expect([queue.partOf(heavy), queue.partOf(light)]).toEqual([0.75, 0.25]);
  });

  describe('where another tenant always has something to do', () => {
    let nowMs = 0;
    const executors = 2;
    const tiny = { tenant: 'tiny', weight: 0.001 };
    /** Callers that wait for their answers, 10 ms each, until as much time has passed; and its ends. */
    const saturatedQueue = (): { queue: FairQueue<string>; passMs: (ms: number) => void } => {
      const queue = new FairQueue<string>(() => nowMs);
      const put = (): void => void queue.add({ tenant: 'heavy', weight: 1 }, [{ value: 'heavy', key: 'm', costNs: 10 * MS, order: nowMs }]);
      for (let i = 0; i < 20; i++) put();
      const passMs = (ms: number): void => {
        for (const untilMs = nowMs + ms; nowMs < untilMs; nowMs += 10)
          for (let i = 0; i < executors; i++) {
            const ticket = queue.take(always) as Ticket<string>;
            queue.ended(ticket, ticket.costNs);
            if (ticket.value === 'heavy') put();
          }
      };
      return { queue, passMs };
    };

    it('says how long a tenant of little weight waits for what it owes, not how long for what is there', () => {
      const { queue, passMs } = saturatedQueue();
      passMs(10_000);
      expect(queue.aheadNs(tiny, 5 * MS, executors)).toBe(0);
      queue.add(tiny, [{ value: 'tiny', key: 'm', costNs: 5 * MS, order: 0 }]);
      passMs(100);
      // 5 s for the one that ran, 5 s for the next.
      const waitMs = queue.aheadNs(tiny, 5 * MS, executors) / executors / MS;
      expect(waitMs).toBeGreaterThan(4500);
      expect(waitMs).toBeLessThan(5100);
      passMs(waitMs + 100);
      expect(queue.aheadNs(tiny, 5 * MS, executors)).toBe(0);
    });

    it('does not count what a tenant hangs up', () => {
      const queue = new FairQueue<string>(() => nowMs);
      for (let i = 0; i < 1000; i++) {
        const [ticket] = queue.add({ tenant: 'gone', weight: 1 }, [{ value: '', key: 'm', costNs: 10 * MS, order: i }]);
        queue.ended(ticket as Ticket<string>, null);
      }
      queue.add(tiny, [{ value: '', key: 'm', costNs: 5 * MS, order: 0 }]);
      expect(queue.aheadNs(tiny, 5 * MS, executors) / MS).toBeCloseTo(5, 3);
    });

    it('lets it wait for what is there where the others bring little', () => {
      const { queue, passMs } = saturatedQueue();
      passMs(10_000);
      queue.add(tiny, [{ value: 'tiny', key: 'm', costNs: 5 * MS, order: 0 }]);
      passMs(100);
      nowMs += 60_000; // nothing came
      expect(queue.aheadNs(tiny, 5 * MS, executors) / MS).toBeCloseTo(200, 3);
    });
  });

  it('marks the first run of an idle tenant to go ahead, and nothing of a busy one or one that had more than its share', () => {
    const queue = new FairQueue<string>();
    const add = (tenant: string, count: number) =>
      queue.add(
        { tenant, weight: 1 },
        Array.from({ length: count }, (_, order) => ({ value: '', key: 'm', costNs: 15 * MS, order })),
      );
    expect(add('a', 4).map(({ goesAhead }) => goesAhead)).toEqual([true, true, false, false]);
    expect(add('a', 1).map(({ goesAhead }) => goesAhead)).toEqual([false]);
    const [b] = add('b', 1) as [Ticket<string>];
    while (b.state === 'waiting') queue.take(always);
    queue.ended(b, 500 * MS);
    expect(add('b', 1).map(({ goesAhead }) => goesAhead)).toEqual([false]);
  });

  it('hands over what goes ahead where workers have no room for anything else', () => {
    const queue = new FairQueue<string>();
    const put = (tenant: string, order: number) => queue.add({ tenant, weight: 1 }, [{ value: tenant, key: 'm', costNs: MS, order }]);
    for (let i = 0; i < 100; i++) put('heavy', i);
    while (queue.take((_key, goesAhead) => goesAhead) !== null);
    put('light', 100);
    expect(queue.take((_key, goesAhead) => goesAhead)?.value).toBe('light');
    expect(queue.take((_key, goesAhead) => goesAhead)).toBeNull();
    expect(queue.take(always)?.value).toBe('heavy');
  });

  it('keeps the order within a tenant, and passes what cannot run now', () => {
    const queue = new FairQueue<string>();
    const put = (tenant: string, value: string, key: string, order: number) =>
      queue.add({ tenant, weight: 1 }, [{ value, key, costNs: MS, order }]);
    put('a', 'second', 'm', 2);
    put('a', 'first', 'm', 1);
    put('a', 'other', 'n', 0);
    expect(queue.take((key) => key === 'm')?.value).toBe('first');
    const second = queue.take((key) => key === 'm') as Ticket<string>;
    expect(second.value).toBe('second');
    queue.putBack(second);
    expect(queue.take((key) => key === 'm')).toBe(second);
    expect(queue.take((key) => key === 'm')).toBeNull();
    expect(queue.take(always)?.value).toBe('other');
  });

  it('forgets what no longer waits: nothing is held, nothing stays in memory', () => {
    const queue = new FairQueue<number>();
    const a = { tenant: 'a', weight: 1 };
    const [head] = queue.add(a, [{ value: -1, key: 'm', costNs: MS, order: -1 }]) as [Ticket<number>];
    for (let i = 0; i < 10_000; i++) {
      const [ticket] = queue.add(a, [{ value: i, key: 'm', costNs: MS, order: i }]) as [Ticket<number>];
      queue.ended(ticket, null);
    }
    expect([queue.size, queue.heldItems('a'), queue.aheadNs(a, 0, 1)]).toEqual([1, 1, MS]);
    expect(JSON.stringify([...(queue as unknown as { lines: Map<string, unknown> }).lines.values()]).length).toBeLessThan(20_000);
    queue.ended(head, null);
    expect([queue.size, queue.take(always)]).toEqual([0, null]);
    for (let i = 0; i < 5000; i++) {
      const [ticket] = queue.add({ tenant: `t${i}`, weight: 1 }, [{ value: i, key: 'm', costNs: MS, order: i }]) as [Ticket<number>];
      queue.ended(queue.take(always) ?? ticket, 2 * MS);
    }
    expect((queue as unknown as { tenants: Map<string, unknown> }).tenants.size).toBeLessThanOrEqual(1024);
  });

  it('says how much work waits, and nothing of what runs or has ended', () => {
    const queue = new FairQueue<number>();
    const add = (costNs: number) => queue.add({ tenant: 'a', weight: 1 }, [{ value: 0, key: 'm', costNs, order: 0 }])[0] as Ticket<number>;
    const [first, second] = [add(0.1 * MS), add(0.2 * MS)];
    expect(queue.waitingNs).toBeCloseTo(0.3 * MS);
    expect(queue.take(always)).toBe(first);
    expect(queue.waitingNs).toBeCloseTo(0.2 * MS);
    queue.putBack(first);
    queue.ended(second, null);
    expect(queue.waitingNs).toBeCloseTo(0.1 * MS);
    queue.ended(first, null);
    expect(queue.waitingNs).toBe(0);
  });

  it('lets no tenant starve when another one could not be served for long', () => {
    const queue = new FairQueue<string>();
    const put = (tenant: string, key: string, order: number) =>
      queue.add({ tenant, weight: 1 }, [{ value: tenant, key, costNs: 10 * MS, order }]);
    for (let i = 0; i < 10_000; i++) put('a', 'm', i);
    put('b', 'full', 0);
    for (let i = 0; i < 9000; i++) queue.take((key) => key === 'm');
    for (let i = 0; i < 1000; i++) put('b', 'm', i);
    const turns = Array.from({ length: 300 }, () => queue.take((key) => key === 'm')?.value);
    expect(turns.filter((value) => value === 'a').length).toBeGreaterThanOrEqual(95);
  });
});
