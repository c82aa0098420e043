import { XVaultError } from '@xvault/shared/errors.ts';
import type { SshClient } from './client.ts';
import { posixShell } from './shell.ts';

export type TarKind = 'gnu' | 'bsd' | 'busybox';

/** What the far side can do for us. */
export interface RemoteTools {
  /** Whether commands run there at all. */
  readonly shell: boolean;
  readonly tar: TarKind | null;
  /** What its tar calls itself. */
  readonly tarVersion: string | null;
  /** GNU's find: a listing with inodes and fractions of seconds. */
  readonly find: boolean;
  /** Why there is no tar to use; null when there is. */
  readonly reason: string | null;
}

const probeMs = 15_000;
const begin = 'xvault-tools-begin';
const maxOutputBytes = 64 * 1024;

const script = [
  'LC_ALL=C; export LC_ALL',
  `echo ${begin}`,
  'for p in tar find; do if command -v $p >/dev/null 2>&1; then v=$($p --version 2>&1 </dev/null | head -n 1); echo "$p: $v"; fi; done',
].join('; ');

/** Looks for a shell and its tools. Throws SOURCE_LOST or the signal's reason only. */
export async function findTools(client: SshClient, signal: AbortSignal): Promise<RemoteTools> {
  const timeout = AbortSignal.timeout(probeMs);
  try {
    const remote = await client.exec(posixShell(script), { signal: AbortSignal.any([signal, timeout]) });
    remote.stdin.end();
    let said = '';
    for await (const chunk of remote.stdout) {
      said += String(chunk);
      if (said.length > maxOutputBytes) throw new XVaultError('SOURCE_PROTOCOL', { detail: 'the shell never stops' });
    }
    await remote.exit;
    return toolsOf(said);
  } catch (error) {
    signal.throwIfAborted();
    if (timeout.aborted) return none('the shell did not answer in time');
    if (client.lost()) throw error;
    if (error instanceof XVaultError) return none(`commands do not run: ${error.detail ?? error.code}`);
    throw error;
  }
}

function toolsOf(said: string): RemoteTools {
  const at = said.indexOf(`${begin}\n`);
  if (at === -1) return none('the account has no shell that runs commands');
  const versions = new Map(
    said
      .slice(at)
      .split('\n')
      .map((line): [string, string] => [line.split(': ', 1)[0] ?? '', line.slice(line.indexOf(': ') + 2)]),
  );
  const tarVersion = versions.get('tar')?.slice(0, 100) ?? null;
  const tar = tarVersion === null ? null : kindOf(tarVersion);
  const reason = tarVersion === null ? 'the server has no tar' : tar === null ? `an unknown tar: ${tarVersion}` : null;
  return { shell: true, tar, tarVersion, find: /GNU findutils/.test(versions.get('find') ?? ''), reason };
}

function kindOf(version: string): TarKind | null {
  if (/GNU tar/.test(version)) return 'gnu';
  if (/^bsdtar/.test(version)) return 'bsd';
  return /busybox/i.test(version) ? 'busybox' : null;
}

function none(reason: string): RemoteTools {
  return { shell: false, tar: null, tarVersion: null, find: false, reason };
}
