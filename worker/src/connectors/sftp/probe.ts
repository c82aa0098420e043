import { pathToText } from '../../artifact/path-text.ts';
import type { SourceProbe, SourceSession } from '../connector.ts';
import { isSkipped } from '../connector.ts';
import type { SftpLinks } from './link.ts';
import { openDirectory, readNames, realPath } from './operations.ts';
import type { OpenedRoot } from './root.ts';
import type { SftpWire } from './wire.ts';

const probedNames = 100;
const measureMs = 5000;

/** What a connection test tells of the tree. */
export async function probeTree(
  links: SftpLinks,
  root: OpenedRoot,
  session: SourceSession,
  signal: AbortSignal,
): Promise<Pick<SourceProbe, 'entryNames' | 'latencyMs'> & Required<Pick<SourceProbe, 'measure'>>> {
  const { latencyMs, entryNames } = await links.run(async ({ wire }) => {
    const askedAt = performance.now();
    await realPath(wire, root.path, signal);
    const tookMs = performance.now() - askedAt;
    return { latencyMs: tookMs, entryNames: await firstNames(wire, root, signal) };
  }, signal);
  return { latencyMs, entryNames, measure: await measureFor(session, signal) };
}

async function firstNames(wire: SftpWire, root: OpenedRoot, signal: AbortSignal): Promise<string[]> {
  const handle = await openDirectory(wire, root.path, signal);
  const names: string[] = [];
  for (let reply = await readNames(wire, handle, signal); reply; reply = await readNames(wire, handle, signal)) {
    for (const { name } of reply) if (name.toString() !== '.' && name.toString() !== '..') names.push(pathToText(name));
    if (names.length >= probedNames) break;
  }
  wire.release(handle);
  return names.slice(0, probedNames).sort();
}

/** Counts for a few seconds; what it had until then is told as not complete. */
async function measureFor(session: SourceSession, signal: AbortSignal) {
  const timeout = AbortSignal.timeout(measureMs);
  const found = { fileCount: 0, totalBytes: 0, complete: false };
  try {
    const options = { oneFileSystem: false, signal: AbortSignal.any([signal, timeout]) };
    for await (const item of session.list(options)) {
      if (isSkipped(item) || item.type !== 'file') continue;
      found.fileCount += 1;
      found.totalBytes += item.sizeBytes;
    }
    found.complete = true;
  } catch (error) {
    if (!timeout.aborted || signal.aborted) throw error;
  }
  return found;
}
