import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { quietly, succeeds } from './child.mjs';
import { toolsDir } from './paths.mjs';
import { SetUpError, say } from './report.mjs';

const nodeVersion = '24.21.0';
const pnpmVersion = '12.21.0';
/** node:crypto has argon2 from here on. */
const oldestNode = [24, 7];

/**
 * @typedef {object} Tools
 * @property {string} node path of a Node that runs the product
 * @property {string[]} pnpm the command that runs pnpm
 * @property {string | undefined} nodedir folder whose `include/node` has that Node's headers, if known
 */

/** Where the tools are; fetches those that are missing. @param {NodeJS.ProcessEnv} env @returns {Promise<Tools>} */
export async function ensureTools(env) {
  const own = isRecent(process.versions.node);
  const archPackage = `node-${process.platform}-${process.arch}`;
  const fetchedDir = join(toolsDir, 'node_modules', archPackage);
  const node = own ? process.execPath : join(fetchedDir, 'bin', 'node');
  const pnpm = join(toolsDir, 'node_modules', 'pnpm', 'bin', 'pnpm.mjs');
  if (!existsSync(node)) await fetchTool('Node', archPackage, nodeVersion, env, () => succeeds([node, '--version']));
  if (!existsSync(pnpm)) await fetchTool('pnpm', 'pnpm', pnpmVersion, env, () => succeeds([node, pnpm, '--version']));
  return { node, pnpm: [node, pnpm], nodedir: headersOf(own ? dirname(dirname(node)) : fetchedDir) };
}

/** @param {string} version */
export function isRecent(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > (oldestNode[0] ?? 0) || (major === oldestNode[0] && minor >= (oldestNode[1] ?? 0));
}

/** @param {string} dir */
function headersOf(dir) {
  return existsSync(join(dir, 'include', 'node', 'node.h')) ? dir : undefined;
}

/**
 * Both packages carry their binaries as files, so no install script has to run, whatever npm's policy on those is.
 * @param {string} title @param {string} name @param {string} version @param {NodeJS.ProcessEnv} env
 * @param {() => Promise<boolean>} works
 */
async function fetchTool(title, name, version, env, works) {
  say(`fetching ${title} ${version} (once)`);
  mkdirSync(toolsDir, { recursive: true });
  const manifest = join(toolsDir, 'package.json');
  if (!existsSync(manifest)) writeFileSync(manifest, '{ "private": true }\n');
  // Spelt out, because the user's npm configuration may say otherwise.
  const flags = ['--ignore-scripts', '--include=optional', '--no-global', '--no-dry-run', '--no-audit', '--no-fund'];
  const args = ['install', `--prefix=${toolsDir}`, ...flags, '--save-exact', '--loglevel=error', `${name}@${version}`];
  const outcome = await quietly([...npm(), ...args], { cwd: toolsDir, env });
  if (!outcome.ok)
    throw new SetUpError(`${title} could not be fetched from the npm registry:\n${outcome.output.trim()}`);
  if (!(await works()))
    throw new SetUpError(`${title} was fetched but does not run on this machine (${name}@${version})`);
}

/** The npm that runs us, else the one in PATH. */
function npm() {
  const own = process.env.npm_execpath;
  return own !== undefined && basename(own) === 'npm-cli.js' ? [process.execPath, own] : ['npm'];
}
