import { loadConfigWith } from './index';

describe('settings of the command line', () => {
  const own = process.env;
  beforeEach(() => {
    process.env = { PROCESSES: 'worker', PORT: '9000' };
  });
  afterEach(() => {
    process.env = own;
  });

  it('take the place of the environment, which stays as it is', () => {
    expect(loadConfigWith({ PROCESSES: 'api' })).toMatchObject({ processes: ['api'], port: 9000 });
    expect(process.env['PROCESSES']).toBe('worker');
  });

  it('leave the environment alone where they are not given', () => {
    expect(loadConfigWith({ PROCESSES: undefined })).toMatchObject({ processes: ['worker'] });
  });
});
