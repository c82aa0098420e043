import type { Logger } from '@xvault/shared/logging.ts';

/** After this the process ends even when something does not close. */
const closeTimeoutMs = 15_000;

/**
 * Closes once at SIGTERM or SIGINT and exits: 0 when all closed, 1 when not. An error that nobody caught is logged and ends the
 * process with 1, for what it left behind is unknown.
 */
export function closeAtEnd(logger: Logger, close: () => Promise<void>): void {
  let isClosing = false;

  async function closeAndExit(signal: NodeJS.Signals): Promise<void> {
    if (isClosing) return;
    isClosing = true;
    logger.info({ signal }, 'closing');
    const timer = setTimeout(() => {
      logger.error('closing takes too long; ending now');
      process.exit(1);
    }, closeTimeoutMs);
    try {
      await close();
    } catch (error) {
      logger.error({ err: error }, 'closing failed');
      process.exit(1);
    }
    clearTimeout(timer);
    logger.info('closed');
    process.exit(0);
  }

  process.on('SIGTERM', closeAndExit);
  process.on('SIGINT', closeAndExit);
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      logger.fatal({ err: error, event }, 'an error was not caught');
      process.exit(1);
    });
  }
}
