import { childEnvironment, serverUrl } from './index';

describe('the environment of a child process', () => {
  const own = { ...process.env };
  beforeEach(() => {
    process.env = {
      PATH: '/bin',
      LANG: 'C',
      PORT: '1',
      REDIS_URL: 'redis://:secret@host',
      CUDA_VISIBLE_DEVICES: '0',
      AWS_SECRET_ACCESS_KEY: 'x',
      NODE_OPTIONS: '--inspect',
    };
  });
  afterEach(() => {
    process.env = own;
  });

  it.each([
    ['a program', { settings: false, secrets: false }, { PATH: '/bin', LANG: 'C', X: '1' }],
    ['a worker', { settings: true, secrets: false }, { PATH: '/bin', LANG: 'C', PORT: '1', CUDA_VISIBLE_DEVICES: '0', X: '1' }],
    [
      'an API',
      { settings: true, secrets: true },
      {
        PATH: '/bin',
        LANG: 'C',
        PORT: '1',
        CUDA_VISIBLE_DEVICES: '0',
        REDIS_URL: 'redis://:secret@host',
        AWS_SECRET_ACCESS_KEY: 'x',
        X: '1',
      },
    ],
  ])('%s gets what it needs and no secret of others', (_, inherits, expected) => {
    expect(childEnvironment(inherits, { X: '1' })).toEqual(expected);
  });
});

describe('where the command line finds the server', () => {
  it.each([
    [{}, 'http://127.0.0.1:8080'],
    [{ PORT: '9000' }, 'http://127.0.0.1:9000'],
    [{ HOST: '0.0.0.0', PORT: '9000' }, 'http://localhost:9000'],
    [{ PORT: '9000', INTERLEAVE_URL: 'http://far:1' }, 'http://far:1'],
  ])('%j', (environment, url) => {
    expect(serverUrl(environment)).toBe(url);
  });
});
