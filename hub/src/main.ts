import { ConfigError } from '@xvault/shared/config.ts';
import { trustAlso } from '@xvault/shared/extra-authority.ts';
import { createLogger } from '@xvault/shared/logging.ts';
import { type HubConfig, loadConfig } from './config.ts';
import { startHub } from './hub.ts';
import { closeAtEnd } from './process-end.ts';

async function readConfig(): Promise<HubConfig> {
  try {
    return await loadConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(2);
  }
}

const config = await readConfig();
trustAlso(config.extraCa);
const logger = createLogger('hub', config.logLevel);
try {
  const hub = await startHub(config, logger);
  closeAtEnd(logger, hub.close);
  logger.info({ address: hub.address }, 'the Hub is ready');
} catch (error) {
  logger.fatal({ err: error }, 'the Hub could not start');
  process.exit(1);
}
