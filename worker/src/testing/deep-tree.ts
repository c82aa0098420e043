import { closeSync, mkdirSync, writeFileSync } from 'node:fs';
import { anchored, openDeepDirectory } from '../connectors/local/deep-path.ts';

/**
 * Makes nested directories whose joined path may be longer than any single call takes, with a file in the last. Returns
 * the file's path below `root`.
 */
export function makeDeepTree(root: string, names: readonly string[], fileName: string, content: string): string {
  for (const [at, name] of names.entries()) {
    within(root, names.slice(0, at), (fd) => mkdirSync(anchored(fd, Buffer.from(name))));
  }
  within(root, names, (fd) => writeFileSync(anchored(fd, Buffer.from(fileName)), content));
  return [...names, fileName].join('/');
}

function within(root: string, names: readonly string[], use: (fd: number) => void): void {
  const parts = names.map((name) => Buffer.from(name));
  const fd = openDeepDirectory(root, parts);
  try {
    use(fd);
  } finally {
    closeSync(fd);
  }
}
