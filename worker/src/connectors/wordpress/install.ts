import { XVaultError } from '@xvault/shared/errors.ts';
import { shellQuote } from '../database/shell-quote.ts';
import type { SshClient } from '../ssh/client.ts';
import { type PhpSettings, readPhpSettings } from './config-file.ts';

/** What the configuration says of an installation. */
export interface WordpressInstall {
  readonly database: { readonly name: string; readonly user: string; readonly password: string; readonly host: string };
  readonly tablePrefix: string;
  /** Set in the configuration, and so stronger than what the database says. */
  readonly siteUrl: string | null;
  readonly multisite: boolean;
  readonly wordpressVersion: string | null;
  readonly phpVersion: string | null;
  /** How the configuration was read. */
  readonly readBy: 'wp-cli' | 'tokenizer';
  /** wp-config.php where it is beside the installation's directory and not in it. */
  readonly configOutside: Buffer | null;
}

const limitBytes = 4 * 1024 * 1024;

/** Throws WORDPRESS_NOT_FOUND, WORDPRESS_CONFIG_UNREADABLE, SOURCE_…. */
export async function findWordpress(ssh: SshClient, path: string, signal: AbortSignal): Promise<WordpressInstall> {
  const root = path.replace(/\/+$/, '') || '/';
  const version = await readRemote(ssh, `${root}/wp-includes/version.php`, signal);
  const file = await findConfig(ssh, root, signal);
  if (version === null || file === null) {
    const lacking = version === null ? 'wp-includes/version.php' : 'wp-config.php';
    throw new XVaultError('WORDPRESS_NOT_FOUND', { detail: `no ${lacking} that may be read at ${root}` });
  }
  const byCli = await askWpCli(ssh, root, signal);
  const settings = byCli ?? readPhpSettings(file.content.toString('utf8'));
  const need = (name: string) => {
    const value = settings.constant(name);
    if (typeof value === 'string') return value;
    throw new XVaultError('WORDPRESS_CONFIG_UNREADABLE', { detail: `${name} is not set`, params: { setting: name } });
  };
  const prefix = settings.variable('table_prefix');
  if (typeof prefix !== 'string' || !/^\w*$/.test(prefix)) {
    const params = { setting: '$table_prefix' };
    throw new XVaultError('WORDPRESS_CONFIG_UNREADABLE', { detail: 'the table prefix is not set', params });
  }
  const siteUrl = optional(settings, 'WP_HOME') ?? optional(settings, 'WP_SITEURL');
  const found = readPhpSettings(version.toString('utf8')).variable('wp_version');
  return {
    database: { name: need('DB_NAME'), user: need('DB_USER'), password: need('DB_PASSWORD'), host: need('DB_HOST') },
    tablePrefix: prefix,
    siteUrl,
    multisite: optional(settings, 'MULTISITE') === 'true',
    wordpressVersion: typeof found === 'string' ? found : null,
    phpVersion: await phpVersion(ssh, signal),
    readBy: byCli === null ? 'tokenizer' : 'wp-cli',
    configOutside: file.outside ? file.content : null,
  };
}

/** Things that are nice to know and need not be there. */
function optional(settings: PhpSettings, name: string): string | null {
  try {
    const value = settings.constant(name);
    return value === undefined || value === null ? null : String(value);
  } catch {
    return null;
  }
}

/** As wp-load.php looks for it: in the directory, or above it unless that is an installation of its own. */
async function findConfig(ssh: SshClient, root: string, signal: AbortSignal) {
  const inside = await readRemote(ssh, `${root}/wp-config.php`, signal);
  if (inside !== null) return { content: inside, outside: false };
  if (root === '/') return null;
  const parent = root.slice(0, root.lastIndexOf('/'));
  if ((await readRemote(ssh, `${parent}/wp-settings.php`, signal)) !== null) return null;
  const above = await readRemote(ssh, `${parent}/wp-config.php`, signal);
  return above === null ? null : { content: above, outside: true };
}

/** The file's content; null where there is none that may be read. */
async function readRemote(ssh: SshClient, path: string, signal: AbortSignal): Promise<Buffer | null> {
  const { code, output } = await runRemote(ssh, `[ -f ${shellQuote(path)} ] && exec cat ${shellQuote(path)}`, signal);
  return code === 0 ? output : null;
}

/** Where wp-cli is, it knows what PHP makes of the configuration. Its answer comes over the connection and goes nowhere else. */
async function askWpCli(ssh: SshClient, root: string, signal: AbortSignal): Promise<PhpSettings | null> {
  const wp = `wp --path=${shellQuote(root)} --skip-plugins --skip-themes --skip-packages --quiet`;
  const script = `command -v wp >/dev/null 2>&1 || exit 9; r=; [ "$(id -u)" = 0 ] && r=--allow-root; exec ${wp} $r config list --format=json`;
  const { code, output } = await runRemote(ssh, script, signal);
  const listed = code === 0 ? parseJson(output.toString()) : undefined;
  if (!Array.isArray(listed)) return null;
  const value = (type: string, name: string) => {
    const found: unknown = listed.find((one) => one?.type === type && one?.name === name);
    const given: unknown = typeof found === 'object' && found !== null ? Reflect.get(found, 'value') : undefined;
    return given === undefined || given === null ? undefined : String(given);
  };
  return { constant: (name) => value('constant', name), variable: (name) => value('variable', name) };
}

async function phpVersion(ssh: SshClient, signal: AbortSignal): Promise<string | null> {
  const { code, output } = await runRemote(ssh, `exec php -n -r 'echo PHP_VERSION;'`, signal);
  const text = output.toString().trim();
  return code === 0 && /^\d[\w.+~-]*$/.test(text) ? text : null;
}

async function runRemote(ssh: SshClient, script: string, signal: AbortSignal) {
  const remote = await ssh.exec(`exec sh -c ${shellQuote(script)}`, { signal });
  remote.stdin.end();
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of remote.stdout as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > limitBytes) {
      remote.kill();
      throw new XVaultError('WORDPRESS_CONFIG_UNREADABLE', { detail: 'a file of WordPress is far too large' });
    }
    pieces.push(piece);
  }
  const { code } = await remote.exit;
  return { code, output: Buffer.concat(pieces) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
