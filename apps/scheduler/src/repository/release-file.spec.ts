import { parseRelease } from './release-file';

describe('release.yaml', () => {
  it('is read with its words', () => {
    const text = `
      versions: { policy: latest, keep: 2 }
      labels: { stable: 3, canary: "4" }
      canary: [{ version: 4, trafficPercent: 10 }]
      mirror: { version: 5, percent: 20 }
      rollback: { p99Ratio: 1.2, errorRate: 0.001, minAgreement: 0.999, window: 2m }
      promote: { after: 500ms, requests: 10 }`;
    expect(parseRelease(text)).toEqual({
      hash: expect.stringMatching(/^[0-9a-f]{32}$/) as string,
      versions: { policy: 'latest', keep: 2 },
      labels: { stable: '3', canary: '4' },
      canary: { version: '4', trafficPercent: 10 },
      mirror: { version: '5', percent: 20 },
      rollback: { p99Ratio: 1.2, errorRate: 0.001, minAgreement: 0.999, windowMs: 120_000 },
      promote: { afterMs: 500, requestsMin: 10 },
    });
  });

  it('may be empty, and has defaults', () => {
    expect(parseRelease('')).toMatchObject({
      versions: { policy: 'all' },
      labels: {},
      canary: null,
      mirror: null,
      rollback: null,
      promote: null,
    });
    expect(parseRelease('rollback: {}\npromote: {}')).toMatchObject({
      rollback: { p99Ratio: null, errorRate: null, minAgreement: null, windowMs: 120_000 },
      promote: { afterMs: 600_000, requestsMin: 1000 },
    });
    expect(parseRelease('versions: { policy: specific, specific: [1, 3] }').versions).toEqual({ policy: 'specific', specific: ['1', '3'] });
  });

  it.each([
    ['labels: { Stable: 1 }', 'labels.Stable: expected labels of lower-case letters'],
    ['labels: [stable]', 'labels: expected labels of lower-case letters'],
    ['canary: { version: 4, trafficPercent: 10 }', 'canary: expected a list as in [{ version: 4, trafficPercent: 10 }]'],
    ['rollback: { window: 120 }', 'rollback.window: expected a time as in "90s"'],
    ['labels: { stable: 0 }', 'labels.stable: expected the number of a version, 1 or more'],
    ['labels: { stable: 1.5 }', 'labels.stable: expected the number of a version'],
    ['canary: [{ version: 1, trafficPercent: 101 }]', 'canary.0.trafficPercent: '],
    ['canary: [{ version: 1, trafficPercent: 1 }, { version: 2, trafficPercent: 1 }]', 'canary: expected one canary at most'],
    ['canary: [{ version: 1, percent: 1 }]', 'canary.0'],
    ['rollback: { window: 2 minutes }', 'rollback.window: expected a time as in "90s", "2m" or "500ms"'],
    ['rollback: { window: 0s }', 'rollback.window: '],
    ['promote: { after: 25h }', 'promote.after: expected at most 24h'],
    ['versions: { policy: newest }', 'versions.policy: expected { policy: all }, { policy: latest, keep: 2 }'],
    ['version: 1', 'version'],
    ['- 1', 'content: '],
    ['labels: [', 'release.yaml: '],
    ['a: &a [1]\nb: *a', 'release.yaml: '],
  ])('says what is wrong with %s', (text, message) => {
    expect(() => parseRelease(text)).toThrow(message);
  });
});
