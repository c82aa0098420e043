import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { quietly } from './child.mjs';
import { advice, ensurePrograms } from './install-programs.mjs';
import { root } from './paths.mjs';
import { missingPrograms } from './programs.mjs';
import { SetUpError, say } from './report.mjs';

/** Inside node_modules, so that it goes when they go. */
const stampFile = join(root, 'node_modules', '.xvault-stamp');
const packages = ['.', 'shared', 'hub', 'worker', 'scripts'];
/** The worker's native part, built by its install script. */
const native = join('worker', 'native');
/** What node-gyp needs where a native package has no prebuilt binary for this machine. */
const buildTools = ['python', 'make', 'compiler'];

/** Whether the installed dependencies are those of the lockfile. @param {string} node */
export function dependenciesAreCurrent(node) {
  const isBuilt = process.platform !== 'linux' || existsSync(join(root, native, 'build', 'Release', 'xvault.node'));
  return isBuilt && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp(node);
}

/** @param {import('./tools.mjs').Tools} tools @param {NodeJS.ProcessEnv} env */
export async function installDependencies(tools, env) {
  await ensurePrograms([], buildTools);
  say('installing dependencies from the lockfile (once)');
  const headers = tools.nodedir === undefined ? {} : { npm_config_nodedir: tools.nodedir };
  // CI makes pnpm replace a node_modules of another layout without a question.
  const command = [...tools.pnpm, 'install', '--frozen-lockfile'];
  const options = { cwd: root, env: { ...env, ...headers, CI: 'true' } };
  let outcome = await quietly(command, options);
  // Where no package is new, pnpm may pass over install scripts. Builds nothing that is built.
  if (outcome.ok) outcome = await quietly([...tools.pnpm, '--filter', '@xvault/worker', 'run', 'install'], options);
  if (!outcome.ok) {
    const missing = missingPrograms(buildTools);
    const hint = missing.length === 0 ? '' : `\n${advice(missing)}`;
    throw new SetUpError(`the dependencies could not be installed:\n${outcome.output.trim()}${hint}`);
  }
  writeFileSync(stampFile, stamp(tools.node));
}

/** @param {string} node */
function stamp(node) {
  const hash = createHash('sha256').update(`${node}\0${process.platform}-${process.arch}\0`);
  const sources = readdirSync(join(root, native, 'src')).map((name) => join(native, 'src', name));
  const files = [
    'pnpm-lock.yaml',
    'pnpm-workspace.yaml',
    ...packages.map((folder) => join(folder, 'package.json')),
    join(native, 'binding.gyp'),
    join(native, 'build.mjs'),
    ...sources.sort(),
  ];
  for (const file of files)
    hash
      .update(file)
      .update('\0')
      .update(readFileSync(join(root, file)))
      .update('\0');
  return `${hash.digest('hex')}\n`;
}
