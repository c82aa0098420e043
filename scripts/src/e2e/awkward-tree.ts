/** For tests: trees that backup tools stumble over. */
import { execFile } from 'node:child_process';
import { chmod, link, lutimes, mkdir, open, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface AwkwardTree {
  /** Entries that a backup leaves out with one warning each. */
  readonly unsupported: readonly string[];
  close(): Promise<void>;
}

/** Everything that is awkward and can be below `root`, but for what is in {@link makeDeepTree}. */
export async function makeAwkwardTree(root: string): Promise<AwkwardTree> {
  await mkdir(join(root, 'empty directory'), { recursive: true });
  const names = [
    'a'.repeat(255),
    'line\nbreak',
    `"quotes' and \\backslash\\`,
    'emoji 🗄️ ☃',
    '-dash',
    ' blank ',
    'tab\t',
  ];
  for (const name of names) await writeFile(join(root, name), `content of ${name}`);
  await writeFile(Buffer.concat([Buffer.from(`${root}/not utf-8 `), Buffer.from([0xff, 0xfe, 0x80])]), 'bytes');
  await writeFile(join(root, 'empty'), '');
  await writeModes(join(root, 'modes'));
  await writeLinks(root);
  await writeTimes(root);
  await writeFile(join(root, 'sparse'), 'begins with data');
  await truncate(join(root, 'sparse'), 5 * 2 ** 30);
  await run('mkfifo', [join(root, 'fifo')]);
  const socket = await listen(join(root, 'socket'));
  return { unsupported: ['fifo', 'socket'], close: () => new Promise((resolve) => socket.close(() => resolve())) };
}

async function writeModes(directory: string): Promise<void> {
  await mkdir(directory);
  for (let mode = 0; mode <= 0o7777; mode += 1) {
    const path = join(directory, mode.toString(8).padStart(4, '0'));
    const file = await open(path, 'w');
    await file.writeFile(String(mode));
    await file.chmod(mode);
    await file.close();
  }
  await mkdir(join(root(directory), 'sticky'));
  await chmod(join(root(directory), 'sticky'), 0o1777);
}

function root(directory: string): string {
  return join(directory, '..');
}

async function writeLinks(root: string): Promise<void> {
  await writeFile(join(root, 'linked'), 'one content, three names');
  await link(join(root, 'linked'), join(root, 'empty directory', 'second name'));
  await link(join(root, 'linked'), join(root, 'zz third name'));
  await symlink('nowhere/at all', join(root, 'dangling'));
  await symlink('/etc/hostname', join(root, 'absolute'));
  await symlink('..', join(root, 'upwards'));
}

async function writeTimes(root: string): Promise<void> {
  await writeFile(join(root, 'from 1931'), 'old');
  await utimes(join(root, 'from 1931'), -1_213_131_313.25, -1_213_131_313.25);
  await writeFile(join(root, 'nanoseconds'), 'fine');
  // Node's own utimes has no more than about 240 ns at today's times.
  await run('touch', ['-d', '2024-05-06T07:08:09.123456789Z', join(root, 'nanoseconds')]);
  await symlink('empty', join(root, 'old link'));
  await lutimes(join(root, 'old link'), 1000, 1000);
}

/** A chain of directories whose joined path is over 4,096 bytes, with a file at its end. Node cannot name it; Perl can walk there. */
export async function makeDeepTree(root: string): Promise<void> {
  await mkdir(root, { recursive: true });
  const name = 'd'.repeat(200);
  const walk = `for (1..22) { mkdir "${name}" or die $!; chdir "${name}" or die $! }`;
  const write = 'open(F, ">", "file") or die $!; print F "deep"; close F; symlink("file", "link") or die $!';
  await run('perl', ['-e', `${walk} ${write}`], { cwd: root });
}

/** Type, mode, mtime, size and link target of everything below, and each file's checksum: also where paths are too long to name. */
export async function describeDeepTree(root: string): Promise<string> {
  const what = await run('find', ['.', '-printf', '%y %m %T@ %s %l %p\n'], { cwd: root, maxBuffer: 2 ** 26 });
  const sums = await run('find', ['.', '-type', 'f', '-execdir', 'sha256sum', '{}', ';'], { cwd: root });
  return what.stdout.split('\n').sort().join('\n') + sums.stdout;
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(path, () => resolve(server));
  });
}
