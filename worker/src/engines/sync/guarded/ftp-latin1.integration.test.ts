import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '@xvault/shared/ids.ts';
import { sourceConnection } from '@xvault/shared/sources.ts';
import { startVsftpd, type TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeSyncPlatform, type SyncJob, type SyncPlatform } from '../../../handlers/sync-context.test-kit.ts';
import { handleSyncRestore } from '../../../handlers/sync-snapshot.ts';
import { clientOf, closeKept, gatewayTo } from './ftp-gateway.test-kit.ts';

const latin1 = (...parts: string[]) => Buffer.from(parts.join('/'), 'latin1');
const names = ['grüße.txt', 'größe/über.txt', 'größe/ÿ', 'plain.txt'];
let platform: SyncPlatform;
let server: TestVsftpd;
beforeAll(async () => {
  platform = await makeSyncPlatform();
  server = await startVsftpd({ extraConfig: ['utf8_filesystem=NO'] });
  await mkdir(latin1(server.dataDir, 'größe'));
  for (const name of names) await writeFile(latin1(server.dataDir, name), name);
});
afterAll(async () => {
  await server?.stop();
  await platform?.remove();
});

it('names of a server that speaks Latin-1 are stored as UTF-8, and are the same the next time', async () => {
  const { port, user, password } = server;
  const config = { host: '127.0.0.1', port, user, path: '/', tls: 'none', encoding: 'latin1' };
  const source = { connection: sourceConnection.parse({ type: 'ftp', config }), secret: { password } };
  const job: SyncJob = { source, destination: { connection: { type: 'local_fs', config: {} } }, jobId: newId() };
  const { result, told } = await platform.backup(job);
  expect(told.events, JSON.stringify(told.notes)).toMatchObject([{ code: 'COMPLETED_SUCCESS' }]);
  const folder = await mkdtemp(join(tmpdir(), 'xvault-latin1-'));
  try {
    const target = { type: 'directory', path: join(folder, 'back') } as const;
    const snapshot = platform.refOf(job, result);
    const spec = { kind: 'restore', snapshot, paths: null, target, export_id: null, export_expires_at: null } as const;
    const { context } = await platform.contextOf<'restore'>(spec, { destination: job.destination.secret });
    await handleSyncRestore(context, platform.deps);
    for (const name of names) expect(await readFile(join(folder, 'back', name), 'utf8')).toBe(name);
    expect(await readdir(join(folder, 'back'))).toHaveLength(3);
  } finally {
    await rm(folder, { recursive: true });
  }
  expect((await platform.backup(job)).told.events.at(-1)).toMatchObject({ code: 'NO_CHANGES' });
});

it('a client speaks UTF-8, and is told what cannot be written', async () => {
  const client = await clientOf(await gatewayTo(server, { encoding: 'latin1' }));
  const wire = (text: string) => Buffer.from(text).toString('latin1');
  expect((await client.ask('FEAT')).lines.join()).not.toContain('UTF8');
  expect(await client.ask('OPTS UTF8 ON')).toMatchObject({ code: 200 });
  expect((await client.download(wire('RETR größe/ÿ'))).data.toString()).toBe('größe/ÿ');
  expect(await client.upload(wire('STOR neu_é'), Buffer.from('x'))).toMatchObject({ code: 226 });
  expect(await readFile(latin1(server.dataDir, 'neu_é'), 'utf8')).toBe('x');
  expect((await client.ask(wire('CWD größe'))).code).toBe(250);
  expect((await client.ask('PWD')).lines.join()).toContain(wire('größe'));
  for (const name of ['€', '😀']) expect(await client.ask(wire(`SIZE ${name}`))).toMatchObject({ code: 501 });
  expect(await client.ask('SIZE \xff')).toMatchObject({ code: 501 });
  await closeKept();
});
