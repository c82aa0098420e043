import type { Logger } from '@xvault/shared/logging.ts';

type OnPayload = (payload: string) => void;

/** Who listens to which channel. A listener that throws is logged and does not hinder the others. */
export function createChannels(logger: Logger) {
  const byName = new Map<string, Set<OnPayload>>();
  return {
    names: () => [...byName.keys()],
    add(name: string, onPayload: OnPayload): void {
      const listeners = byName.get(name) ?? new Set();
      byName.set(name, listeners.add(onPayload));
    },
    /** True when it was the channel's last listener. */
    remove(name: string, onPayload: OnPayload): boolean {
      const listeners = byName.get(name);
      if (listeners === undefined || !listeners.delete(onPayload) || listeners.size > 0) return false;
      return byName.delete(name);
    },
    emit(name: string, payload: string): void {
      for (const onPayload of byName.get(name) ?? []) {
        try {
          onPayload(payload);
        } catch (error) {
          logger.error({ err: error, channel: name }, 'a listener of a database channel failed');
        }
      }
    },
  };
}
