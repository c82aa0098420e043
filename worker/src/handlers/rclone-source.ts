import type { SourceConnection } from '@xvault/shared/sources.ts';
import type { WorkerConfig } from '../config.ts';
import type { RcloneLink } from '../connectors/rclone/link.ts';
import { openRunWithToken } from '../engines/sync/oauth/hand-on-token.ts';
import { actsByKey } from '../engines/sync/oauth/key-code.ts';
import type { RcloneRunOptions } from '../engines/sync/open-run.ts';
import { classify } from '../engines/sync/rclone/classify.ts';
import { asDirectoryError, makeRunDirectory } from '../engines/sync/rclone/run-directory.ts';
import { redact } from '../engines/sync/redact.ts';
import { openSource } from '../engines/sync/sides/open-source.ts';
import type { AddressGuard } from '../net/guard.ts';
import { asKeyError, ConnectionKeeper, type Keeping } from './sync-secrets.ts';

const rememberedWords = 1000;

export interface RcloneSourceRequest {
  readonly source: SourceConnection;
  /** Unsealed, in the shape that its type's schema says. */
  readonly secret: unknown;
  /** What the run is, for a source that acts by a connection. */
  readonly run: Keeping;
  /** A short question, which leaves a token that still holds as it is and gives up sooner. */
  readonly isQuestion: boolean;
  readonly signal: AbortSignal;
}

/** Starts a private rclone with nothing but the source. Throws SOURCE_…, CONNECTION_…, SYNC_TOOL_UNSUITABLE. */
export async function openRcloneSource(
  { source, secret, run, isQuestion, signal }: RcloneSourceRequest,
  { config, guard }: { readonly config: WorkerConfig; readonly guard: AddressGuard },
): Promise<RcloneLink> {
  const directory = await makeRunDirectory();
  const keeper = new ConnectionKeeper(run, config);
  const words = new Map<string, string>();
  let isRevoked = false;
  const closing: (() => Promise<void>)[] = [() => directory.remove(), () => keeper.tellDiagnostics()];
  const close = async () => {
    const ends = closing.splice(0).reverse();
    const failures: unknown[] = [];
    for (const end of ends) await end().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  };
  try {
    const localRoots = config.XVAULT_LOCAL_ROOTS;
    const cloud = await keeper.login(isQuestion);
    const side = await openSource(source, secret, { guard, directory: directory.path, signal, localRoots, cloud });
    closing.push(() => side.close());
    const options: RcloneRunOptions = {
      binary: config.XVAULT_RCLONE,
      directory,
      guard,
      source: side,
      crypt: null,
      // Otherwise it tries for minutes before it says what is wrong.
      flags: isQuestion ? ['--low-level-retries=3', '--retries=1'] : [],
      extraCaPem: config.XVAULT_EXTRA_CA,
      onLine({ level, message, object }) {
        if (level === 'info') return;
        if (classify(message, object ?? '').source === 'CONNECTION_REAUTHORIZE') isRevoked = true;
        if (!message.startsWith('rc: "'))
          run.note(redact(object === null ? message : `${object}: ${message}`).slice(0, 2000));
        if (object === null) return;
        if (words.size >= rememberedWords) words.clear();
        words.set(object, redact(message).slice(0, 2000));
      },
      signal,
    };
    const opened = await openRunWithToken(options, (name, value) => keeper.diagnose(name, value));
    closing.push(async () => {
      await opened.close();
      await keeper.keepLeft(() => opened.tokenLeft());
      if (isRevoked) await keeper.revoked();
    });
    return {
      rc: opened.rclone.rc,
      fs: opened.srcFs,
      type: source.type,
      actsByKey: actsByKey(source),
      version: opened.rclone.features.version,
      wordsOf: (path) => words.get(path) ?? null,
      close,
    };
  } catch (error) {
    await keeper.heard(error);
    await close();
    throw asKeyError(asDirectoryError(error), source);
  }
}
