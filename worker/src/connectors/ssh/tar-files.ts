import { XVaultError } from '@xvault/shared/errors.ts';
import type { SftpLink, SftpLinks } from '../sftp/link.ts';
import { isLoss } from './reconnecting.ts';
import { tarWay } from './tar-command.ts';
import { type TarAnswer, TarFeed } from './tar-feed.ts';
import type { TarKind } from './tools.ts';

export interface TarFilesOptions {
  readonly links: SftpLinks;
  readonly kind: TarKind;
  readonly root: Buffer;
  readonly limitBytes: number;
  readonly stallMs: number;
}

/** A longer file that has grown since it was listed is passed over up to here; beyond, tar is started again. */
const patienceBytes = 4 * 1024 * 1024;
/** After so many failures that are no broken connections, tar is left alone. */
const mostFailures = 3;

/** Contents of files through the far side's tar, over broken connections if need be. */
export class TarFiles {
  readonly #options: TarFilesOptions;
  readonly #closing = new AbortController();
  #feed: { readonly link: SftpLink; readonly opening: Promise<TarFeed> } | undefined;
  #failures = 0;
  #fileCount = 0;
  #reason: string | null = null;
  followSymlinks = false;

  constructor(options: TarFilesOptions) {
    this.#options = options;
  }

  /** Why tar is no longer used; null while it is. */
  get reason(): string | null {
    return this.#reason;
  }

  get fileCount(): number {
    return this.#fileCount;
  }

  /** An answer for each name; all `nothing` where tar fails. Throws SOURCE_LOST and the signal's reason only. */
  async read(paths: readonly Buffer[], signal: AbortSignal): Promise<TarAnswer[]> {
    const nothing = () => paths.map((): TarAnswer => 'nothing');
    if (this.#reason !== null || paths.length === 0) return nothing();
    const { links } = this.#options;
    try {
      const answers = await links.run((link) => this.#readOn(link, paths, signal), signal);
      this.#fileCount += answers.filter((answer) => typeof answer === 'object').length;
      return answers;
    } catch (error) {
      signal.throwIfAborted();
      if (isLoss(error)) throw error;
      this.#failures += 1;
      if (this.#failures >= mostFailures) this.#reason = error instanceof Error ? error.message : String(error);
      return nothing();
    }
  }

  /** Starts tar before it is needed, which saves its round trips. */
  prepare(signal: AbortSignal): void {
    const { links, kind } = this.#options;
    // What fails here fails again where it is needed.
    if (tarWay(kind).streams) links.run((link) => this.#sharedFeed(link), signal).catch(() => undefined);
  }

  close(): void {
    this.#closing.abort(new XVaultError('SOURCE_LOST', { detail: 'the session was closed' }));
    this.#feed?.opening.then(
      (feed) => feed.close(),
      () => undefined,
    );
  }

  async #readOn(link: SftpLink, paths: readonly Buffer[], signal: AbortSignal): Promise<TarAnswer[]> {
    const { streams } = tarWay(this.#options.kind);
    const feed = streams ? await this.#sharedFeed(link) : await this.#start(link);
    const onAbort = () => feed.close(signal.reason);
    // A list of its own ends with its signal; the common one is still needed by others, and closed with the session.
    if (!streams) signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await feed.read(paths);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #sharedFeed(link: SftpLink): Promise<TarFeed> {
    const known = this.#feed;
    if (known?.link === link) {
      const feed = await known.opening;
      if (feed.usable) return feed;
      // Another task may have started the next one meanwhile.
      if (this.#feed !== known) return this.#sharedFeed(link);
    }
    const opening = this.#start(link);
    this.#feed = { link, opening };
    return opening;
  }

  async #start({ client }: SftpLink): Promise<TarFeed> {
    const { kind, root, limitBytes, stallMs } = this.#options;
    const way = tarWay(kind);
    const remote = await client.exec(way.command(root, this.followSymlinks), { signal: this.#closing.signal });
    return new TarFeed(remote, { limitBytes, patienceBytes, stallMs, streams: way.streams });
  }
}
