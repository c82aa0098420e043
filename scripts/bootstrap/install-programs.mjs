import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgramInPath, quietly, succeeds } from './child.mjs';
import { stateDir } from './paths.mjs';
import { find, missingPrograms } from './programs.mjs';
import { SetUpError, say } from './report.mjs';

const triedFile = join(stateDir, 'wished-in-vain');

/** Installs without letting the packages start services; a policy that is there already stays. */
const aptScript = `set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\\nexit 101\\n' > "$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o DPkg::Lock::Timeout=300 update || echo 'apt-get update failed; going on with the lists at hand' >&2
apt-get -qq -y -o DPkg::Lock::Timeout=300 --no-install-recommends install "$@"`;

/**
 * Makes sure that the programs are there: by apt where that needs no question, else by telling the user what to type.
 * @param {readonly string[]} required @param {readonly string[]} wanted missing ones of these are no failure
 */
export async function ensurePrograms(required, wanted) {
  const missing = missingPrograms([...required, ...wanted]);
  if (missing.length === 0) return;
  const prefix = triedBefore(missing) ? undefined : await aptPrefix();
  if (prefix !== undefined) await install(prefix, missing);
  const stillMissing = missingPrograms(required);
  if (stillMissing.length > 0) throw new SetUpError(advice(stillMissing));
  const without = missingPrograms(wanted);
  if (without.length === 0) return;
  say(`going on without: ${without.join(', ')}`);
  mkdirSync(stateDir, { recursive: true });
  writeFileSync(triedFile, without.join('\n'));
}

/** What could not be had once and is only a wish is not asked for at every start. @param {readonly string[]} missing */
function triedBefore(missing) {
  if (!existsSync(triedFile)) return false;
  const tried = readFileSync(triedFile, 'utf8').split('\n');
  return missing.every((key) => tried.includes(key));
}

/** @param {string[]} prefix @param {readonly string[]} missing */
async function install(prefix, missing) {
  const packages = missing.map((key) => find(key).apt);
  say(`installing system packages: ${packages.join(' ')}`);
  const outcome = await quietly([...prefix, 'sh', '-c', aptScript, 'sh', ...packages]);
  if (!outcome.ok) say(`apt could not install them:\n${outcome.output.trimEnd()}`);
}

/** How to become root for apt without a question; undefined where that is not possible. */
async function aptPrefix() {
  if (findProgramInPath('apt-get') === undefined) return undefined;
  if (process.getuid?.() === 0) return [];
  return (await succeeds(['sudo', '-n', 'true'])) ? ['sudo', '-n'] : undefined;
}

/** What the user has to type. @param {readonly string[]} missing */
export function advice(missing) {
  /** @param {'apt' | 'brew' | 'dnf'} manager */
  const packages = (manager) => [...new Set(missing.map((key) => find(key)[manager]))].join(' ');
  return [
    `these programs are missing: ${missing.map((key) => find(key).names[0]).join(', ')}. Install them with one of:`,
    `  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages('apt')}`,
    `  brew install ${packages('brew')}`,
    `  sudo dnf install -y ${packages('dnf')}`,
  ].join('\n');
}
