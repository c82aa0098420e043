import { accessSync, constants, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { stateDir } from './paths.mjs';

/** A home that the package managers can keep caches in: the user's, or one of ours where there is none to write to. */
export function usableHome(given = process.env.HOME) {
  if (given?.startsWith('/')) {
    try {
      accessSync(given, constants.W_OK | constants.X_OK);
      return given;
    } catch {
      // Not there or not ours: fall through to our own.
    }
  }
  const own = join(stateDir, 'home');
  mkdirSync(own, { recursive: true });
  return own;
}
