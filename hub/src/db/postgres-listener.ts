import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@xvault/shared/logging.ts';
import pg from 'pg';
import { createChannels } from './channels.ts';

const retryDelayMs = 1000;

/** LISTEN on one connection of its own, made at the first use, made again when lost, with all its channels. */
export function createListener(config: pg.ClientConfig, logger: Logger) {
  const channels = createChannels(logger);
  const closed = new AbortController();
  let connected: Promise<pg.Client> | undefined;

  async function connect(): Promise<pg.Client> {
    const client = new pg.Client(config);
    client.on('notification', ({ channel, payload }) => channels.emit(channel, payload ?? ''));
    client.on('error', (error) => logger.warn({ err: error }, 'the listening database connection failed'));
    await client.connect();
    try {
      for (const name of channels.names()) await client.query(`listen ${client.escapeIdentifier(name)}`);
    } catch (error) {
      await client.end();
      throw error;
    }
    // Only a connection that was in use is made again; who failed to make one tries again by itself.
    client.once('end', () => {
      if (!closed.signal.aborted) connected = reconnect();
    });
    return client;
  }

  async function reconnect(): Promise<pg.Client> {
    for (;;) {
      await sleep(retryDelayMs, undefined, { signal: closed.signal });
      try {
        const client = await connect();
        for (const name of channels.names()) channels.emit(name, '');
        return client;
      } catch (error) {
        logger.warn({ err: error }, 'the database cannot be listened to; trying again');
      }
    }
  }

  /** A failed first connection is not kept, so that the next caller tries again. */
  async function client(): Promise<pg.Client> {
    connected ??= connect();
    try {
      return await connected;
    } catch (error) {
      connected = undefined;
      throw error;
    }
  }

  return {
    async listen(channel: string, onPayload: (payload: string) => void): Promise<() => Promise<void>> {
      channels.add(channel, onPayload);
      const current = await client();
      // Harmless when it is listened to already, and right when the first who asked is still waiting.
      await current.query(`listen ${current.escapeIdentifier(channel)}`);
      return async () => {
        if (!channels.remove(channel, onPayload) || closed.signal.aborted) return;
        const at = await client();
        await at.query(`unlisten ${at.escapeIdentifier(channel)}`);
      };
    },
    async close(): Promise<void> {
      if (closed.signal.aborted) return;
      closed.abort();
      const [open] = await Promise.allSettled([connected]);
      if (open.status === 'fulfilled') await open.value?.end();
    },
  };
}
