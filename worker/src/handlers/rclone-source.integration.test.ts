import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type BrowseRequest, browseRequest } from '@xvault/shared/browse.ts';
import { seal } from '@xvault/shared/sealing.ts';
import { type SourceConnection, sourceConnection } from '@xvault/shared/sources.ts';
import { documentType, driveError } from '@xvault/shared/testing/cloud/google-drive.ts';
import { signedRequest } from '@xvault/shared/testing/s3-request.ts';
import { startSamba, type TestSamba } from '@xvault/shared/testing/samba.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { startWebdav, type TestWebdav } from '@xvault/shared/testing/webdav.ts';
import { identityToRecipient } from 'age-encryption';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { pathToText } from '../artifact/path-text.ts';
import type { SourceSession } from '../connectors/connector.ts';
import { createFilter } from '../connectors/filter/filter.ts';
import { workbench } from '../engines/archive/backup.test-kit.ts';
import { entryAt, listAll, readLarge, readOne, skippedAt } from '../testing/sources.ts';
import { type CloudPlatform, type KeptConnection, makeCloudPlatform } from './sync-cloud.test-kit.ts';

const never = new AbortController().signal;
const large = Buffer.from(Uint8Array.from({ length: 3_000_000 }, (_, at) => at % 251));

let cloud: CloudPlatform;
let webdav: TestWebdav;
let samba: TestSamba;
let sshd: TestSshd;
let s3: Awaited<ReturnType<typeof sharedS3>>;
let connections: Record<'google_drive' | 'dropbox', KeptConnection>;

beforeAll(async () => {
  [cloud, webdav, samba, sshd, s3] = await Promise.all([
    makeCloudPlatform(),
    startWebdav(),
    startSamba(),
    startSshd(),
    sharedS3(),
  ]);
  connections = { google_drive: await cloud.connect('google_drive'), dropbox: await cloud.connect('dropbox') };
  const { drive, dropboxFiles } = cloud.providers;
  for (const [path, content] of Object.entries(tree)) {
    drive.put(path, content);
    dropboxFiles.put(path, content);
    for (const { dataDir } of [webdav, samba]) {
      await mkdir(join(dataDir, path, '..'), { recursive: true });
      await writeFile(join(dataDir, path), content);
    }
  }
});
afterAll(() => Promise.all([cloud?.stop(), webdav?.stop(), samba?.stop(), sshd?.stop()]));
afterEach(() => {
  cloud.providers.refusals.length = 0;
  cloud.providers.cuts.length = 0;
});

const tree: Readonly<Record<string, string | Buffer>> = {
  'a folder/deep/one': 'first',
  'a folder/two words': 'second',
  'a folder-after': 'in byte order before what is in the folder',
  empty: '',
  large,
  'ünï çødé 😀': 'name',
};

interface Asked {
  readonly source: SourceConnection;
  readonly secret: unknown;
  readonly connection: KeptConnection | null;
}
const kinds = ['webdav', 'smb', 'google_drive', 'dropbox'] as const;
type Kind = (typeof kinds)[number];

function asked(kind: Kind, config: object = {}, secret: object = {}): Asked {
  const source = (own: object) => sourceConnection.parse({ type: kind, config: { ...own, ...config } });
  switch (kind) {
    case 'webdav':
      return {
        source: source({ url: webdav.url, user: webdav.user }),
        secret: { password: webdav.password, ...secret },
        connection: null,
      };
    case 'smb': {
      const { host, port, user, share } = samba;
      return {
        source: source({ host, port, user, share }),
        secret: { password: samba.password, ...secret },
        connection: null,
      };
    }
    default: {
      const connection = connections[kind];
      return { source: source({ connection_id: connection.id }), secret: {}, connection };
    }
  }
}

async function sealed({ source, secret, connection }: Asked, signal = never) {
  const recipient = await identityToRecipient(cloud.config.XVAULT_CREDENTIALS_IDENTITY);
  const { context } = await cloud.contextBy(connection, source);
  return [source, await seal(JSON.stringify(secret), recipient), signal, context] as const;
}
const connect = async (what: Asked, signal = never) => cloud.sources.connect(...(await sealed(what, signal)));
const probe = async (what: Asked) => cloud.sources.probe(...(await sealed(what)));
const browse = async (what: Asked, request: Partial<BrowseRequest>) =>
  cloud.sources.browse(...(await sealed(what)), browseRequest.parse({ what: 'folders', ...request }));

async function withSession<T>(what: Asked, work: (session: SourceSession) => Promise<T>): Promise<T> {
  const session = await connect(what);
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

describe.each(kinds)('%s as a source of archives', (kind) => {
  it('is listed in order and read, small files whole and large ones in parts', async () => {
    await withSession(asked(kind), async (session) => {
      const listed = await listAll(session, never);
      expect(listed.skipped).toEqual([]);
      expect(listed.paths.map(String)).toEqual([
        '.',
        'a folder',
        'a folder/deep',
        'a folder/deep/one',
        'a folder/two words',
        'a folder-after',
        'empty',
        'large',
        'ünï çødé 😀',
      ]);
      for (const [path, content] of Object.entries(tree)) {
        const entry = entryAt(listed, path);
        expect(entry).toMatchObject({ type: 'file', sizeBytes: Buffer.byteLength(content) });
        expect(entry.mtimeNs).toBeGreaterThan(1_700_000_000_000_000_000n);
        if (content.length > session.smallFileBytes) {
          expect(await readLarge(session, entry, never)).toEqual({
            data: large,
            sizeBytes: large.length,
            changed: false,
          });
        } else {
          expect(await readOne(session, entry, never)).toMatchObject({
            ok: true,
            data: Buffer.from(content),
            changed: false,
          });
        }
      }
      expect(await session.measure({ oneFileSystem: false, signal: never })).toEqual({
        fileCount: 6,
        totalBytes: Object.values(tree).reduce((sum, content) => sum + Buffer.byteLength(content), 0),
      });
      expect(session.describe?.()).toMatchObject({ transport: 'rclone', backend: kind });
    });
  });

  it('becomes one encrypted artifact that validates', async () => {
    const bench = await workbench();
    await withSession(asked(kind), async (session) => {
      const result = await bench.backup({ wrap: () => session });
      const entries = await bench.entries();
      expect(
        entries
          .filter(({ type }) => type === 'file')
          .map(({ path }) => pathToText(path))
          .sort(),
      ).toEqual(Object.keys(tree).sort());
      expect(await bench.content(entries.find(({ path }) => path.toString() === 'large'))).toEqual(large);
      expect(bench.warnings).toEqual([]);
      expect(await bench.validate(result)).toMatchObject({ verdict: 'success' });
    });
    await bench.folder[Symbol.asyncDispose]();
  });

  it('is not looked into where the filter leaves a directory out', async () => {
    const filter = createFilter({ include: [], exclude: ['/a folder/'] });
    await withSession(asked(kind), async (session) => {
      const paths: string[] = [];
      for await (const item of session.list({ oneFileSystem: false, signal: never, filter }))
        paths.push(item.path.toString());
      expect(paths).toContain('a folder');
      expect(paths.some((path) => path.startsWith('a folder/'))).toBe(false);
      const { fileCount } = await session.measure({ oneFileSystem: false, signal: never, filter });
      expect(fileCount).toBe(4);
    });
  });

  it('answers a test with names and counts, and tells a missing path', async () => {
    const found = await probe(asked(kind));
    expect(found.entryNames).toEqual(['a folder', 'a folder-after', 'empty', 'large', 'ünï çødé 😀']);
    expect(found.measure).toMatchObject({ fileCount: 6, complete: true });
    await expect(probe(asked(kind, { path: 'nowhere/at all' }))).rejects.toMatchObject({
      code: 'SOURCE_PATH_NOT_FOUND',
    });
  });

  it('lists folders for a picker, a page at a time, and below one', async () => {
    const first = await browse(asked(kind), {});
    expect(first.items.map(({ name }) => name)).toEqual(['a folder']);
    const [{ id } = { id: '' }] = first.items;
    const below = await browse(asked(kind), { parent: id });
    expect(below).toMatchObject({ items: [{ name: 'deep' }], next_cursor: null });
  });

  it('ends at once when the run is cancelled', async () => {
    const stop = new AbortController();
    const session = await connect(asked(kind), stop.signal);
    const reason = new Error('cancelled by the test');
    stop.abort(reason);
    await expect(listAll(session, stop.signal)).rejects.toThrow(reason.message);
    await session.close();
  });
});

it.each(['webdav', 'smb'] as const)('%s: a wrong password is told as that', async (kind) => {
  const wrong = asked(kind, {}, { password: 'wrong' });
  await expect(probe(wrong)).rejects.toMatchObject({ code: 'SOURCE_AUTH_FAILED' });
  await expect(connect(wrong)).rejects.toMatchObject({ code: 'SOURCE_AUTH_FAILED' });
});

it('a file that cannot be read, or has gone since it was listed, is a warning and the rest goes on', async () => {
  const [secret, gone] = [join(samba.dataDir, 'secret'), join(samba.dataDir, 'goes')];
  await writeFile(secret, 'for root alone');
  await chmod(secret, 0o600);
  await writeFile(gone, 'soon');
  await withSession(asked('smb'), async (session) => {
    const listed = await listAll(session, never);
    await rm(gone);
    expect(await readOne(session, entryAt(listed, 'secret'), never)).toMatchObject({
      ok: false,
      skipped: { skipped: 'ITEM_UNREADABLE' },
    });
    expect(await readOne(session, entryAt(listed, 'goes'), never)).toMatchObject({
      ok: false,
      skipped: { skipped: 'ITEM_VANISHED' },
    });
    expect(await readOne(session, entryAt(listed, 'a folder-after'), never)).toMatchObject({ ok: true });
  });
  await rm(secret);
});

describe('Google Drive', () => {
  it('a document, whose size nobody knows, is read as it is exported', async () => {
    const { drive } = cloud.providers;
    const folder = drive.put('documents', null);
    drive.put('documents/letter', Buffer.alloc(2_500_000, 'docx'), { mimeType: documentType });
    const source = asked('google_drive', { root_folder_id: folder });
    await withSession(source, async (session) => {
      const listed = await listAll(session, never);
      const letter = await readOne(session, entryAt(listed, 'letter.docx'), never);
      expect(letter).toMatchObject({
        ok: true,
        entry: { sizeBytes: 2_500_000 },
        data: Buffer.alloc(2_500_000, 'docx'),
      });
      const bench = await workbench();
      await bench.backup({ wrap: () => session });
      const entry = (await bench.entries()).find(({ path }) => path.toString() === 'letter.docx');
      expect(await bench.content(entry)).toEqual(Buffer.alloc(2_500_000, 'docx'));
      await bench.folder[Symbol.asyncDispose]();
    });
    drive.remove(folder);
  });

  it('of two items of the same name one is left out with a warning', async () => {
    const { drive } = cloud.providers;
    const folder = drive.put('twins', null);
    drive.put('twins/same', 'one');
    drive.put('twins/other', 'two');
    const second = drive.put('elsewhere/same', 'three');
    drive.move(second, folder);
    await withSession(asked('google_drive', { root_folder_id: folder }), async (session) => {
      const listed = await listAll(session, never);
      expect(listed.entries.map(({ path }) => path.toString())).toEqual(['.', 'other', 'same']);
      expect(skippedAt(listed, 'same')).toBe('ITEM_NAME_UNSUPPORTED');
    });
    drive.remove(folder);
    drive.remove(second);
  });

  it('a transfer that breaks goes on where it was', async () => {
    await withSession(asked('google_drive'), async (session) => {
      const listed = await listAll(session, never);
      cloud.providers.cuts.push(1_000_000, 600_000);
      const { data, changed } = await readLarge(session, entryAt(listed, 'large'), never);
      expect(cloud.providers.cuts).toEqual([]);
      expect(changed).toBe(false);
      expect(data.equals(large)).toBe(true);
    });
  });

  it('a large file that is another by now is told as changed', async () => {
    const { drive } = cloud.providers;
    const folder = drive.put('moving', null);
    drive.put('moving/target', Buffer.alloc(2_000_000, 1));
    await withSession(asked('google_drive', { root_folder_id: folder }), async (session) => {
      const listed = await listAll(session, never);
      const read = await readLarge(session, entryAt(listed, 'target'), never, (bytes) => {
        if (bytes < 1_000_000)
          drive.put('moving/target', Buffer.alloc(2_000_000, 2), { modifiedTime: '2026-05-05T05:05:05Z' });
      });
      expect(read.changed).toBe(true);
    });
    drive.remove(folder);
  });

  it('access that is taken back in the middle ends the run and asks for the owner', async () => {
    const connection = await cloud.connect('google_drive');
    const what = { ...asked('google_drive', { connection_id: connection.id }), connection };
    const session = await connect(what);
    const listed = await listAll(session, never);
    cloud.providers.google.revokeAll();
    await expect(readOne(session, entryAt(listed, 'empty'), never)).rejects.toMatchObject({
      code: expect.stringMatching(/SOURCE_AUTH_FAILED|CONNECTION_REAUTHORIZE/),
    });
    await session.close();
    connections = { ...connections, google_drive: await cloud.connect('google_drive') };
  });

  it('a file that Google does not let out is a warning', async () => {
    await withSession(asked('google_drive'), async (session) => {
      const listed = await listAll(session, never);
      const abusive = driveError(403, 'cannotDownloadAbusiveFile', 'This file has been identified as malware.');
      cloud.providers.refusals.push(abusive, abusive);
      const refused = await readOne(session, entryAt(listed, 'a folder-after'), never);
      expect(refused).toMatchObject({ ok: false, skipped: { skipped: 'ITEM_UNREADABLE' } });
    });
  });

  it('shared drives are listed, page by page', async () => {
    const { drive } = cloud.providers;
    for (const name of ['Beta', 'Alpha', 'Gamma']) drive.addSharedDrive(name);
    const names: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof browse>> = await browse(asked('google_drive'), {
        what: 'drives',
        cursor,
        limit: 2,
      });
      names.push(...page.items.map(({ name }) => name));
      cursor = page.next_cursor;
    } while (cursor !== null);
    expect(names).toEqual(['Alpha', 'Beta', 'Gamma']);
  });

  it('a question leaves a token that still holds as it is', async () => {
    const connection = await cloud.connect('google_drive');
    const before = connection.sealed;
    await probe({ ...asked('google_drive', { connection_id: connection.id }), connection });
    expect(connection).toMatchObject({ sealed: before, generation: 1 });
  });
});

describe('pickers of other sources', () => {
  it('list the buckets of a server and folders in one', async () => {
    const bucket = await s3.createBucket();
    for (const key of ['photos/2026/a', 'music/b', 'c']) {
      await signedRequest({ ...s3, method: 'PUT', path: `/${bucket}/${key}`, body: 'x' });
    }
    const { endpoint, region, accessKey, secretKey } = s3;
    const source = sourceConnection.parse({ type: 's3', config: { endpoint, region, bucket } });
    const what = { source, secret: { access_key_id: accessKey, secret_access_key: secretKey }, connection: null };
    expect((await browse(what, { what: 'buckets', limit: 1000 })).items).toContainEqual({ id: bucket, name: bucket });
    expect((await browse(what, {})).items).toEqual([
      { id: 'music', name: 'music' },
      { id: 'photos', name: 'photos' },
    ]);
    expect((await browse(what, { parent: 'photos' })).items).toEqual([{ id: 'photos/2026', name: '2026' }]);
  });

  it('list the shares of a server', async () => {
    expect((await browse(asked('smb'), { what: 'buckets' })).items).toContainEqual({
      id: samba.share,
      name: samba.share,
    });
  });

  it('list folders over SSH by their whole paths', async () => {
    await mkdir(join(sshd.dataDir, 'inside', 'deeper'), { recursive: true });
    const { host, port, user, dataDir: path } = sshd;
    const config = { host, port, user: user.name, path };
    const source = sourceConnection.parse({ type: 'sftp', config, host_key: sshd.fingerprint() });
    const what = { source, secret: { password: user.password }, connection: null };
    expect((await browse(what, { parent: path })).items).toContainEqual({ id: `${path}/inside`, name: 'inside' });
    expect((await browse(what, {})).items.map(({ id }) => id)).toContain('/etc');
  });

  it('list of this machine only what the source may read', async () => {
    const root = join(cloud.root, 'local');
    await mkdir(join(root, 'inner'), { recursive: true });
    const source = sourceConnection.parse({ type: 'local', config: { path: root } });
    const at = async (parent: string) => {
      const { context } = await cloud.contextBy(null, source);
      return cloud.sources.browse(source, null, never, context, browseRequest.parse({ what: 'folders', parent }));
    };
    expect((await at('')).items).toEqual([{ id: join(root, 'inner'), name: 'inner' }]);
    await expect(at('/etc')).rejects.toMatchObject({ code: 'PATH_NOT_ALLOWED' });
  });
});
