/** Raised for a setting that is not acceptable; the message lists every one of them. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}
