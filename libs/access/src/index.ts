export { KeyFileError, keyFilePath, readKeyFile } from './key-file';
export { grantSchema, isExpired, laneNames, modelNames, tenantName, type KeyGrant, type KeyRecord } from './key-record';
export { addKey, removeKey } from './new-key';
export { AccessError, asksWho, checkAccess } from './rule';
export { digestOf } from './secret';
