import { XVaultError } from '@xvault/shared/errors.ts';
import { untilAborted } from '../../net/until-aborted.ts';
import type { SftpLink, SftpLinks } from '../sftp/link.ts';
import { stat } from '../sftp/operations.ts';
import type { Attrs } from '../sftp/packets.ts';
import type { OpenedRoot } from '../sftp/root.ts';
import { type FindQuestion, findCommand } from './find-command.ts';
import { BadFind, type FoundItem, secondsOf } from './find-records.ts';
import { type FindAnswer, FindShell } from './find-shell.ts';
import { isLoss } from './reconnecting.ts';

/** What all finders of a session have in common. */
export interface FindState {
  /** Why find is no longer used; null while it is. */
  reason: string | null;
}

export interface FinderOptions {
  readonly links: SftpLinks;
  readonly root: OpenedRoot;
  readonly stallMs: number;
  readonly state: FindState;
}

interface Started {
  readonly shell: FindShell;
  readonly root: FoundItem;
}

/** After so many failures that are no broken connections, find is left alone. */
const mostFailures = 3;
const rootPath = Buffer.from('.');

/** GNU find on the far side, over broken connections if need be. */
export class Finder {
  readonly #options: FinderOptions;
  readonly #closing = new AbortController();
  #current: { readonly link: SftpLink; readonly starting: Promise<Started> } | undefined;
  #failures = 0;
  #lastFailure: unknown;

  constructor(options: FinderOptions) {
    this.#options = options;
  }

  /** Null where find says that something went wrong, or is no longer used. Throws SOURCE_LOST and the signal's reason only. */
  ask(question: FindQuestion, path: Buffer, signal: AbortSignal): Promise<FindAnswer> {
    return this.#with(({ shell }) => shell.ask(question, path), signal);
  }

  /** The root as it was when find was started; null where there is no find to use. Throws as {@link ask}. */
  root(signal: AbortSignal): Promise<FoundItem | null> {
    return this.#with(async ({ root }) => root, signal);
  }

  close(): void {
    this.#closing.abort(new XVaultError('SOURCE_LOST', { detail: 'the session was closed' }));
    this.#current?.starting.then(
      ({ shell }) => shell.close(),
      () => undefined,
    );
  }

  async #with<T>(act: (started: Started) => Promise<T>, signal: AbortSignal): Promise<T | null> {
    const { links, state } = this.#options;
    if (state.reason !== null) return null;
    try {
      return await links.run(async (link) => untilAborted(this.#started(link).then(act), signal), signal);
    } catch (error) {
      signal.throwIfAborted();
      if (isLoss(error)) throw error;
      this.#failed(error);
      return null;
    }
  }

  /** What ends a shell fails all that it was asked, and counts once. */
  #failed(error: unknown): void {
    if (error === this.#lastFailure) return;
    this.#lastFailure = error;
    this.#failures += 1;
    if (this.#failures < mostFailures && !(error instanceof OtherRoot)) return;
    this.#options.state.reason ??= error instanceof Error ? error.message : String(error);
  }

  async #started(link: SftpLink): Promise<Started> {
    const { reason } = this.#options.state;
    if (reason !== null) throw new BadFind(reason);
    const known = this.#current;
    if (known?.link === link) {
      const started = await known.starting.catch(() => undefined);
      if (started?.shell.usable) return started;
      // Another task may have started the next one meanwhile.
      if (this.#current !== known) return this.#started(link);
    }
    const starting = this.#start(link);
    this.#current = { link, starting };
    return starting;
  }

  async #start({ client, wire }: SftpLink): Promise<Started> {
    const { root, stallMs } = this.#options;
    const { signal } = this.#closing;
    const [remote, before] = await Promise.all([
      client.exec(findCommand(root.path), { signal }),
      stat(wire, root.path, signal),
    ]);
    const shell = new FindShell(remote, stallMs);
    try {
      // Where a shell and SFTP see different directories under one path, find would tell of other files than are read.
      for (let [tried, attrs] = [1, before]; ; tried += 1, attrs = await stat(wire, root.path, signal)) {
        const item = (await shell.ask('item', rootPath))?.item;
        if (!item) throw new BadFind('find does not see the root');
        if (isSame(item, attrs)) return { shell, root: item };
        // Something may have been made in it between the two looks.
        if (tried === 3) throw new OtherRoot('a shell sees another directory there than SFTP');
      }
    } catch (error) {
      shell.close(error);
      throw error;
    }
  }
}

function isSame(item: FoundItem, { permissions, uid, gid, mtimeNs }: Attrs): boolean {
  const hasMode = permissions === undefined || item.mode === (permissions & 0o7777);
  const hasOwner = item.uid === uid && item.gid === gid;
  return item.type === 'directory' && hasMode && hasOwner && secondsOf(item.mtimeNs) === secondsOf(mtimeNs);
}

class OtherRoot extends Error {
  override readonly name = 'OtherRoot';
}
