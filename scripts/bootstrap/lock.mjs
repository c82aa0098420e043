import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SetUpError, say } from './report.mjs';

/**
 * Runs `work` while no other process that uses the same lock file does. A lock of a dead process is taken over.
 * @template T
 * @param {string} file @param {() => Promise<T>} work @param {{ waitMs?: number }} [options]
 * @returns {Promise<T>}
 */
export async function withLock(file, work, { waitMs = 20 * 60_000 } = {}) {
  mkdirSync(dirname(file), { recursive: true });
  let said = false;
  for (let waited = 0; !take(file); waited += 200) {
    if (waited >= waitMs) throw new SetUpError(`another set-up has held ${file} for too long; remove it if none runs`);
    if (!said) say('waiting for another set-up to end');
    said = true;
    await sleep(200);
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

/** @param {string} file */
function take(file) {
  // Linked into its place with its holder in it: an empty one would be taken for a dead process's.
  const own = `${file}.${process.pid}.new`;
  writeFileSync(own, String(process.pid));
  try {
    linkSync(own, file);
    return true;
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  } finally {
    rmSync(own, { force: true });
  }
  const holder = read(file);
  if (holder !== undefined && !isAlive(Number(holder))) evict(file, holder);
  return false;
}

/** Only the dead process's own file goes: one that came in between is put back. @param {string} file @param {string} holder */
function evict(file, holder) {
  const aside = `${file}.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  if (read(aside) === holder) rmSync(aside, { force: true });
  else renameSync(aside, file);
}

/** @param {string} file */
function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** @param {number} pid */
function isAlive(pid) {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

/** @param {unknown} error */
function codeOf(error) {
  return /** @type {NodeJS.ErrnoException} */ (error).code;
}
