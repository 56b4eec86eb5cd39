import { sourceSettings } from './source-settings';

describe('sourceSettings', () => {
  it('knows the hub and the folder of Docker', () => {
    const { hub, bucketEndpoint, registryAuthFile } = sourceSettings({});
    expect({ hub, bucketEndpoint }).toEqual({ hub: { url: 'https://huggingface.co', token: null }, bucketEndpoint: null });
    expect(registryAuthFile).toMatch(/\/\.docker\/config\.json$/);
  });

  it('takes what the environment says; empty is nothing', () => {
    const given = {
      HF_ENDPOINT: 'http://mirror:8080/',
      HF_TOKEN: 'hf_abc\n',
      DOCKER_CONFIG: '/etc/docker',
      AWS_ENDPOINT_URL_S3: 'http://s3:9000',
    };
    expect(sourceSettings(given)).toEqual({
      hub: { url: 'http://mirror:8080', token: 'hf_abc' },
      bucketEndpoint: { url: 'http://s3:9000', region: 'us-east-1' },
      registryAuthFile: '/etc/docker/config.json',
    });
    expect(sourceSettings({ HF_ENDPOINT: '', HF_TOKEN: '', DOCKER_CONFIG: '' })).toEqual(sourceSettings({}));
  });

  it.each([{ HF_ENDPOINT: 'ftp://hub' }, { HF_ENDPOINT: 'hub' }, { HF_TOKEN: 'two secrets' }])(
    'refuses %j without showing it',
    (environment) => {
      expect(() => sourceSettings(environment)).toThrow(new RegExp(`^environment: ${Object.keys(environment)[0]}: `));
      expect(() => sourceSettings(environment)).not.toThrow(/secrets/);
    },
  );
});
