/** The product's version, equal to that of package.json, which the built program does not read. */
export const VERSION = '0.1.0';
