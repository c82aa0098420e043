import type { SftpConfig, SftpSecret } from '@xvault/shared/sources.ts';
import { type TargetConnector, TargetItemError, type TargetSession } from '../target.ts';
import { canHardlink, makeHardlink, makeSymlink, removeFile, replace, setAttrs, setLinkTime } from './changes.ts';
import { openSftp, type SftpConnectorOptions } from './connector.ts';
import { realPath, stat } from './operations.ts';
import { SftpStatusError } from './status.ts';
import { itemError, TargetPaths } from './target-paths.ts';
import { mtimeSeconds, TargetWriter } from './target-writer.ts';

const writesInFlight = 16;

export type SftpTargetConfig = Omit<SftpConfig, 'path'> & { readonly host_key: string | null };

/** Restores over SFTP: to sources of the kinds `sftp` and `ssh`. */
export function createSftpTarget(options: SftpConnectorOptions): TargetConnector<SftpTargetConfig, SftpSecret> {
  return {
    async connectTarget(config, secret, rootPath, signal, { tag } = { tag: 'restore' }): Promise<TargetSession> {
      const { links } = await openSftp(options, config, secret, false, signal);
      try {
        const given = Buffer.from(rootPath.replace(/(?<=.)\/+$/, ''));
        const { root, hardlinks } = await links.run(async ({ wire }) => {
          // A root that is a symlink is the customer's wish; below it none is followed.
          const found = await stat(wire, given, signal).then(
            () => realPath(wire, given, signal),
            (error: unknown) => {
              if (error instanceof SftpStatusError) return given;
              throw error;
            },
          );
          return { root: Buffer.from(found), hardlinks: canHardlink(wire) };
        }, signal);
        const paths = new TargetPaths(links, root, signal);
        const writer = new TargetWriter(links, paths, tag);
        return {
          abilities: { symlinks: true, modes: true, mtimes: true },
          writesInFlight,
          stat: (path) => paths.stat(path),
          makeDirectory: (path) => paths.makeDirectory(path),
          writeFile: (entry, content, until) => writer.write(entry, content, until),
          async makeSymlink(entry) {
            const { linkTarget, path } = entry;
            if (!linkTarget) throw new TargetItemError('the entry has no link target');
            const remote = await paths.replaceable(path);
            const temporary = writer.temporaryName(path);
            await links.run(async ({ wire }) => {
              await removeFile(wire, temporary).catch(ignoreStatus);
              await itemError('a symlink could not be made', makeSymlink(wire, linkTarget, temporary));
              await setLinkTime(wire, temporary, mtimeSeconds(entry.mtimeNs)).catch(ignoreStatus);
              await itemError('a symlink could not be moved into place', replace(wire, temporary, remote));
            }, signal);
          },
          ...(hardlinks
            ? {
                async makeHardlink(path: Buffer, existing: Buffer) {
                  const [remote, source] = [await paths.replaceable(path), await paths.inDirectories(existing)];
                  const temporary = writer.temporaryName(path);
                  await links.run(async ({ wire }) => {
                    await removeFile(wire, temporary).catch(ignoreStatus);
                    await itemError('a hard link could not be made', makeHardlink(wire, source, temporary));
                    await itemError('a hard link could not be moved into place', replace(wire, temporary, remote));
                    // Over another name of the same file, moving does nothing.
                    await removeFile(wire, temporary).catch(ignoreStatus);
                  }, signal);
                },
              }
            : {}),
          async finishDirectory(entry) {
            const remote = await paths.directory(entry.path);
            const finish = links.run(
              ({ wire }) => setAttrs(wire, remote, entry.mode, mtimeSeconds(entry.mtimeNs)),
              signal,
            );
            await itemError('mode and time could not be set', finish);
          },
          close: () => links.close(),
        };
      } catch (error) {
        await links.close();
        throw error;
      }
    },
  };
}

function ignoreStatus(error: unknown): void {
  if (!(error instanceof SftpStatusError)) throw error;
}
