export * from './cpu-group';
export * from './cpus';
export * from './executables';
export * from './gpus';
export * from './kernel';
export * from './kernel-lock';
export * from './topology';
export * from './tls-pair';
