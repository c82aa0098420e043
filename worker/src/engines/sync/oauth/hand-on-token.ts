import { XVaultError } from '@xvault/shared/errors.ts';
import { z } from 'zod';
import { openRcloneRun, type RcloneRun, type RcloneRunOptions } from '../open-run.ts';
import { RcError } from '../rclone/rc-client.ts';
import { asDirectoryError } from '../rclone/run-directory.ts';
import type { RemoteOptions } from '../remotes/config-file.ts';

const remoteAnswer = z.record(z.string(), z.unknown());
/** Whose token it is, and where it is renewed: all that it takes to act by it. */
const handedOn = ['token', 'client_id', 'client_secret', 'token_url'] as const;

/**
 * As {@link openRcloneRun}. Where a drive is read by a connection's token, looks whether rclone has that token and no other: its
 * config is a file, which a wrapper around rclone may replace, and a disk may have no room for. Throws also
 * ERR_GDRIVE_ENFORCE_TOKEN, ERR_WRITE_RCLONE_CONFIG.
 */
export async function openRunWithToken(
  options: RcloneRunOptions,
  diagnose: (name: string, value: boolean) => void,
): Promise<RcloneRun> {
  const given = options.source?.remote.options;
  if (given?.type !== 'drive' || given.token === undefined) {
    return openRcloneRun(options).catch((error: unknown) => {
      throw asDirectoryError(error);
    });
  }
  let run: RcloneRun | undefined;
  try {
    run = await openRcloneRun(options);
    await requireHandedOn(run, given, options.signal);
    diagnose('gdrive.token_enforced_in_conf', true);
    return run;
  } catch (error) {
    diagnose('gdrive.token_enforced_in_conf', false);
    await run?.close();
    throw isOfFile(error) ? refused(`the config could not be written: ${error.code}`, error) : error;
  }
}

async function requireHandedOn({ rclone }: RcloneRun, given: RemoteOptions, signal: AbortSignal): Promise<void> {
  let seen: Readonly<Record<string, unknown>>;
  try {
    seen = remoteAnswer.parse(await rclone.rc.call('config/get', { name: 'src' }, signal));
  } catch (error) {
    if (error instanceof RcError) throw refused(`rclone does not show its config: ${error.words}`, error);
    throw error;
  }
  // Names of options alone: the values are secrets.
  const other = handedOn.filter((name) => seen[name] !== given[name]);
  if (other.length > 0) throw refused(`rclone has another ${other.join(', ')} than it was given`);
}

function refused(detail: string, cause?: unknown): XVaultError {
  return new XVaultError('ERR_GDRIVE_ENFORCE_TOKEN', { detail, cause });
}

/** A failure of the system to open or write a file. */
function isOfFile(error: unknown): error is NodeJS.ErrnoException {
  const syscall = error instanceof Error && 'syscall' in error ? error.syscall : undefined;
  return syscall === 'open' || syscall === 'write';
}
