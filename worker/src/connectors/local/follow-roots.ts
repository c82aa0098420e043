import { realpath } from 'node:fs/promises';
import { isWithin } from '@xvault/shared/sources.ts';

/** Where symlinks of a source may lead: into the source, and into those of the asked places that the operator has opened. */
export async function followRoots(
  sourceRoot: Buffer,
  asked: readonly string[],
  allowedRoots: readonly string[],
): Promise<Buffer[]> {
  const [wanted, allowed] = await Promise.all([realPaths(asked), realPaths(allowedRoots)]);
  const both = wanted.flatMap((path) => [
    ...(allowed.some((root) => isWithin(root, path)) ? [path] : []),
    ...allowed.filter((root) => root !== path && isWithin(path, root)),
  ]);
  return [sourceRoot, ...new Set(both)].map((path) => Buffer.from(path));
}

/** Of those that are there. */
async function realPaths(paths: readonly string[]): Promise<string[]> {
  const outcomes = await Promise.allSettled(paths.map((path) => realpath(path)));
  return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
}
