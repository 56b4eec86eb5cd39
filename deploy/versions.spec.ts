import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

const root = join(__dirname, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const { version } = JSON.parse(read('package.json')) as { version: string };

describe('the version of the image', () => {
  it('is that of the project in the Helm chart and in the runtime for KServe', () => {
    const { appVersion } = parse(read('deploy/helm/interleave/Chart.yaml')) as { appVersion: string };
    const images = read('deploy/kserve/clusterservingruntime.yaml').match(/image: \S+/g);
    expect([appVersion, images]).toEqual([version, [`image: interleave:${version}`]]);
  });
});
