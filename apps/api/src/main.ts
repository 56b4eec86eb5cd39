import { runApi } from './api-process';

runApi().catch((error: Error) => {
  process.stderr.write(`api: ${error.stack ?? error.message}\n`);
  process.exitCode = 1;
  // Connections that were opened before the failure would keep the process alive.
  process.exit();
});
