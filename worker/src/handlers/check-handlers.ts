import { runKindNames } from '@xvault/shared/run-kinds.ts';
import type { Handlers } from './handler.ts';

/** Throws unless there is exactly one handler for each kind of the catalogue and none beside. */
export function checkHandlers(handlers: Handlers): void {
  const have = Object.keys(handlers);
  const missing = runKindNames.filter((kind) => typeof handlers[kind] !== 'function');
  const strange = have.filter((name) => !(runKindNames as readonly string[]).includes(name));
  if (missing.length > 0) throw new Error(`no handler for: ${missing.join(', ')}`);
  if (strange.length > 0) throw new Error(`handlers for unknown kinds: ${strange.join(', ')}`);
}
