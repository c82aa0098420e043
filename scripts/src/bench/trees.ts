import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { repositoryRoot } from '../repository-root.ts';

const run = promisify(execFile);

export interface TreeSize {
  readonly files: number;
  readonly bytes: number;
}

/** Folders of real files that most machines have; taken from in this order. */
const origins = [join(repositoryRoot, 'node_modules', '.pnpm'), '/usr/lib', '/usr/bin', '/usr/include', '/usr/share'];
/** A folder that would make the tree larger than this share of the goal is passed over. */
const mostBytes = 1.25;

/** Copies real files into a new `tree` until it has at least so many files and bytes; gives what it has. */
export async function growTree(tree: string, goal: TreeSize): Promise<TreeSize> {
  let size: TreeSize = { files: 0, bytes: 0 };
  for (const [number, origin] of origins.filter((folder) => existsSync(folder)).entries()) {
    const chosen: string[] = [];
    for (const [name, more] of await sizesIn(origin)) {
      if (size.files >= goal.files && size.bytes >= goal.bytes) break;
      if (size.bytes + more.bytes > goal.bytes * mostBytes) continue;
      size = addSizes(size, more);
      chosen.push(join(origin, name));
    }
    if (chosen.length > 0) await copyInto(join(tree, String(number)), chosen);
  }
  if (size.files < goal.files || size.bytes < goal.bytes)
    throw new Error('this machine has too few files for the bench');
  return size;
}

async function copyInto(folder: string, paths: readonly string[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  await run('cp', ['-a', '-t', folder, '--', ...paths]);
}

/** Sizes of what lies directly in a folder, each with all below it, by name. */
async function sizesIn(folder: string): Promise<[string, TreeSize][]> {
  const format = '%s %P\\0';
  const { stdout } = await run('find', [folder, '-type', 'f', '-printf', format], {
    maxBuffer: 1 << 29,
    encoding: 'latin1',
  });
  const sizes = new Map<string, TreeSize>();
  for (const line of stdout.split('\0')) {
    const [, bytes, name] = /^(\d+) ([^/]+)/.exec(line) ?? [];
    if (bytes === undefined || name === undefined) continue;
    sizes.set(name, addSizes(sizes.get(name) ?? { files: 0, bytes: 0 }, { files: 1, bytes: Number(bytes) }));
  }
  return [...sizes].sort(([a], [b]) => (a < b ? -1 : 1));
}

function addSizes(a: TreeSize, b: TreeSize): TreeSize {
  return { files: a.files + b.files, bytes: a.bytes + b.bytes };
}
