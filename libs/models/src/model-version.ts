const VERSION = /^[1-9][0-9]{0,8}$/;

/** Whether it is the number of a version: the name of a folder in that of its model. */
export function isModelVersion(version: string): boolean {
  return VERSION.test(version);
}
