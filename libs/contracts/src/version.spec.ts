import { version } from '../../../package.json';
import { VERSION } from './version';

describe('VERSION', () => {
  it('is that of package.json', () => expect(VERSION).toBe(version));
});
