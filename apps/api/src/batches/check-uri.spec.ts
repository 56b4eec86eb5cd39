import { checkUri } from './check-uri';

const PLACES = { roots: [], buckets: ['inputs'] };

describe('checkUri', () => {
  it.each(['a', 'a/b c', '?', '#x', '//', '@', 'ü%20\n', '\\'])('takes the key %j of a bucket that batches may read', async (key) => {
    await expect(checkUri(`s3://inputs/${key}`, PLACES)).resolves.toBeUndefined();
  });

  it.each(['other', 'INPUTS', 'in puts', '[inputs', 'a\\b', 'user@inputs', 'inputs?', 'inputs#', 'inputs:80', '%'])(
    'refuses the bucket %j',
    async (bucket) => {
      await expect(checkUri(`s3://${bucket}/key`, PLACES)).rejects.toMatchObject({ code: 'invalid_request', param: 'input.uri' });
    },
  );
});
