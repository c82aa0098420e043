import { ConfigError } from '@xvault/shared/config.ts';
import { trustAlso } from '@xvault/shared/extra-authority.ts';
import { createLogger } from '@xvault/shared/logging.ts';
import { readWorkerConfig, type WorkerConfig } from './config.ts';
import { startWorker } from './worker.ts';

const config = readConfigOrExit();
trustAlso(config.XVAULT_EXTRA_CA);
const logger = createLogger('worker', config.XVAULT_LOG_LEVEL);
const stopping = new AbortController();

process.on('uncaughtException', (error) => {
  logger.fatal({ err: error }, 'uncaught error');
  process.exit(1);
});
process.on('unhandledRejection', (error) => {
  logger.fatal({ err: error }, 'unhandled rejection');
  process.exit(1);
});
// The signals are caught before the start, so that one that comes during it is not lost.
const asked = new Promise<NodeJS.Signals>((resolve) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      stopping.abort(new Error(signal));
      resolve(signal);
    });
  }
});

try {
  const worker = await startWorker(config, logger, stopping.signal);
  logger.info({ signal: await asked }, 'stopping');
  await worker.stop();
  logger.info('stopped');
  process.exit(0);
} catch (error) {
  logger.fatal({ err: error }, 'the worker cannot go on');
  process.exit(1);
}

function readConfigOrExit(): WorkerConfig {
  try {
    const read = readWorkerConfig(process.env);
    if (read.XVAULT_REFUSE_ROOT && process.getuid?.() === 0)
      throw new ConfigError('XVAULT_REFUSE_ROOT is set and this is root');
    return read;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(2);
  }
}
