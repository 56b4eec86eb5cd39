import { webhooksSchema } from './webhook-schema';

const check = (...hooks: object[]) => webhooksSchema.safeParse(hooks.map((hook) => ({ secretFile: 'secret', ...hook })));

describe('webhooks', () => {
  it('are none by default, and of all events and tenants', () => {
    expect(webhooksSchema.parse(undefined)).toEqual([]);
    expect(check({ url: 'https://a.example/x' }).data?.[0]).toMatchObject({
      events: ['batch.completed', 'batch.failed', 'batch.expired', 'batch.cancelled'],
      allowPrivate: false,
    });
    expect(check({ url: 'http://10.0.0.1/', allowPrivate: true }).success).toBe(true);
  });

  it.each([
    ['http:// without leave', { url: 'http://a.example/' }],
    ['another scheme', { url: 'ftp://a.example/', allowPrivate: true }],
    ['no address', { url: 'a.example' }],
    ['a user', { url: 'https://me:secret@a.example/' }],
    ['an event that there is not', { url: 'https://a.example/', events: ['batch.progress'] }],
    ['no events', { url: 'https://a.example/', events: [] }],
    ['no secret', { url: 'https://a.example/', secretFile: '' }],
    ['an unknown key', { url: 'https://a.example/', method: 'PUT' }],
  ])('refuse %s', (_what, hook) => expect(check(hook).success).toBe(false));

  it('refuse one receiver twice, unless it is for two tenants', () => {
    const url = 'https://a.example/';
    expect(check({ url }, { url }).success).toBe(false);
    expect(check({ url, tenant: 'a' }, { url, tenant: 'b' }).success).toBe(true);
  });
});
