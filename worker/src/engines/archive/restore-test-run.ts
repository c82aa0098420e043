/**
 * Run by tests in a process of its own: `<folder> <uid>` restores a difficult tree into `<folder>/target/t` as that user and tells what came
 * of it, as JSON.
 */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asXVaultError } from '@xvault/shared/errors.ts';
import { restoreToDirectory } from './restore-directory.ts';
import { artifactOrigin } from './restore-origin.ts';
import { makeSnapshot, type TreeEntry } from './restore-test-kit.ts';

const [, , folder = '', uid = ''] = process.argv;
const parts = Array.from({ length: 20 }, (_, level) => `${level}-`.padEnd(255, 'd'));
const bottom = parts.join('/');
const tree: TreeEntry[] = [
  { path: '.', type: 'directory', mode: 0o500, mtimeNs: 7n },
  { path: 'closed', type: 'directory', mode: 0, mtimeNs: 3n, uid: 77 },
  { path: 'closed/file', type: 'file', data: 'x', mode: 0, uid: 88 },
  ...parts.map((_, level) => ({
    path: parts.slice(0, level + 1).join('/'),
    type: 'directory' as const,
    mode: 0o555,
    mtimeNs: BigInt(level),
  })),
  { path: `${bottom}/file`, type: 'file', data: 'deep' },
  { path: 'top', type: 'hardlink', target: `${bottom}/file` },
];
const snapshot = await makeSnapshot(folder, tree);
const reader = await snapshot.open();
// Only now, for the sources of this program may be closed to that user.
if (Number(uid) !== process.getuid?.()) process.setuid?.(Number(uid));
const target = join(folder, 'target');
let code = 'restored';
try {
  await restoreToDirectory({
    origin: artifactOrigin(reader, null),
    targetPath: join(target, 't'),
    allowedRoots: [target],
    allowSetuid: false,
    runId: 'run',
    epoch: 1,
    signal: new AbortController().signal,
  });
} catch (error) {
  code = asXVaultError(error).code;
}
await reader.close();
const names = await readdir(target);
const described: string[] = [];
for (const name of names.length === 0 ? [] : ['', 'closed', parts[0] ?? '', 'top']) {
  const { mode, mtimeNs, nlink, uid: owner } = await lstat(join(target, 't', name), { bigint: true });
  described.push(`${name.slice(0, 6)} ${mode.toString(8)} ${mtimeNs} ${nlink} ${owner === BigInt(uid)}`);
}
process.stdout.write(JSON.stringify({ code, names, described }));
