import { chmod, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLocalConnector } from './connector.ts';

const { signal } = new AbortController();
let dir: string;
let allowed: string;

beforeAll(async () => {
  dir = await realpath(await mkdtemp(join(tmpdir(), 'xvault-local-')));
  allowed = join(dir, 'allowed');
  await mkdir(join(allowed, 'source'), { recursive: true });
  await mkdir(join(dir, 'allowed-not'));
  await mkdir(join(dir, 'outside'));
  await writeFile(join(allowed, 'source', 'file'), 'x');
  await writeFile(join(allowed, 'source', Buffer.from([0xff]).toString('latin1')), 'x');
  await symlink(join(dir, 'outside'), join(allowed, 'escape'));
  await symlink('source', join(allowed, 'alias'));
  await symlink(allowed, join(dir, 'way in'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function connect(path: string, roots = [allowed]): Promise<void> {
  const session = await createLocalConnector({ allowedRoots: roots }).connect({ path }, {}, signal);
  await session.close();
}

test('what lies in an allowed root by its real path may be read', async () => {
  await connect(allowed);
  await connect(join(allowed, 'source'));
  await connect(join(allowed, 'alias'));
  await connect(join(dir, 'way in', 'source'));
  await connect(join(allowed, 'source'), [join(dir, 'outside'), join(dir, 'way in')]);
});

test('what lies outside may not, and it is not told whether it exists', async () => {
  const outside = [
    'outside',
    'allowed-not',
    'missing',
    'allowed/escape',
    'allowed/escape/missing',
    'allowed/../outside',
    '',
  ];
  for (const path of outside) {
    await expect(connect(join(dir, path)), path).rejects.toMatchObject({ code: 'PATH_NOT_ALLOWED' });
  }
  await expect(connect('/')).rejects.toMatchObject({ code: 'PATH_NOT_ALLOWED' });
  await expect(connect(join(allowed, 'source'), [])).rejects.toMatchObject({ code: 'PATH_NOT_ALLOWED' });
});

test('the root must be a directory that is there', async () => {
  await expect(connect(join(allowed, 'missing'))).rejects.toMatchObject({ code: 'SOURCE_PATH_NOT_FOUND' });
  await expect(connect(join(allowed, 'source', 'file'))).rejects.toMatchObject({ code: 'SOURCE_PATH_NOT_FOUND' });
  await expect(connect(join(dir, 'gone'), [join(dir, 'gone')])).rejects.toMatchObject({
    code: 'SOURCE_PATH_NOT_FOUND',
  });
});

test('a probe names what is there', async () => {
  await chmod(join(allowed, 'source'), 0o755);
  const connector = createLocalConnector({ allowedRoots: [allowed] });
  const probe = await connector.probe({ path: join(allowed, 'source') }, {}, signal);
  expect(probe).toMatchObject({ hostKey: null, server: null, entryNames: ['file', 'ÿ'] });
  await expect(connector.probe({ path: dir }, {}, signal)).rejects.toMatchObject({ code: 'PATH_NOT_ALLOWED' });
});
