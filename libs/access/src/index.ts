export { KeyFileError, keyFilePath, keysSeenPath, readKeyFile } from './key-file';
export { grantSchema, isExpired, laneNames, modelNames, tenantName, type KeyGrant, type KeyRecord } from './key-record';
export { addKey, removeKey, type NewKey } from './new-key';
export { asksWho, checkAccess } from './rule';
export { digestOf } from './secret';
