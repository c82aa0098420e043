import { lookup } from 'node:dns/promises';
import { readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '../repository-root.ts';
import { askSecret } from './ask-secret.ts';
import type { DemoOptions, SftpTarget } from './options.ts';

export interface DemoSource {
  /** What the user reads. */
  readonly title: string;
  /** Body of POST /sources. */
  readonly body: { name: string; type: string; config: Record<string, unknown>; secret?: Record<string, string> };
  /** The tree on this machine, to compare with; undefined when it is elsewhere. */
  readonly localPath: string | undefined;
  readonly allowNetworks: readonly string[];
}

/** A real tree that every set-up machine has, and that nothing writes to while the demo runs. */
const defaultTree = join(repositoryRoot, 'node_modules', '.pnpm');

export async function chooseSource(options: DemoOptions): Promise<DemoSource> {
  if (options.sftp !== undefined) return sftpSource(options.sftp, options.keyFile);
  const path = options.path ?? defaultTree;
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory() !== true) throw new Error(`there is no directory ${path}`);
  return {
    title: path,
    body: { name: 'demo source', type: 'local', config: { path } },
    localPath: path,
    allowNetworks: [],
  };
}

async function sftpSource(target: SftpTarget, keyFile: string | undefined): Promise<DemoSource> {
  // The network guard refuses private addresses; the user has just named this host, so its addresses alone are opened.
  const addresses = await lookup(target.host, { all: true });
  return {
    title: `sftp://${target.user}@${target.host}:${target.port}${target.path}`,
    body: { name: 'demo source', type: 'sftp', config: { ...target }, secret: await sftpSecret(keyFile) },
    localPath: undefined,
    allowNetworks: addresses.map(({ address, family }) => `${address}/${family === 4 ? 32 : 128}`),
  };
}

async function sftpSecret(keyFile: string | undefined): Promise<Record<string, string>> {
  const password = process.env.XVAULT_DEMO_PASSWORD;
  if (keyFile === undefined && password !== undefined && password !== '') return { password };
  const file = keyFile ?? join(homedir(), '.ssh', 'id_ed25519');
  const key = await readFile(file, 'utf8').catch((cause: unknown) => {
    if (keyFile !== undefined) throw new Error(`the key file cannot be read: ${file}`, { cause });
    return undefined;
  });
  return key === undefined ? { password: await askSecret('SFTP password: ') } : { private_key: key };
}
