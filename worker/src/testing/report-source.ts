import { asXVaultError } from '@xvault/shared/errors.ts';
import { pathToText } from '../artifact/path-text.ts';
import { createLocalConnector } from '../connectors/local/connector.ts';
import { listAll } from './sources.ts';

// A program for tests: lists and reads a local source with the rights that it was started with, and prints what it saw as JSON.

const [path = ''] = process.argv.slice(2);
const { signal } = new AbortController();
try {
  const session = await createLocalConnector({ allowedRoots: ['/'] }).connect({ path }, {}, signal);
  const listed = await listAll(session, signal);
  const files = listed.entries.filter(({ type }) => type === 'file');
  const results = await session.readMany(files, signal);
  const opened = await Promise.all(files.map((file) => session.open(file, signal)));
  for (const stream of opened) if ('chunks' in stream) await stream.close();
  await session.close();
  const report = {
    listed: listed.entries.map((entry) => pathToText(entry.path)),
    skipped: Object.fromEntries(listed.skipped.map((item) => [pathToText(item.path), item.skipped])),
    read: Object.fromEntries(
      results.map((result, at) => [
        pathToText(files[at]?.path ?? Buffer.alloc(0)),
        result.ok ? result.data.toString() : result.skipped.skipped,
      ]),
    ),
    opened: opened.map((stream) => ('chunks' in stream ? 'opened' : stream.skipped)),
  };
  process.stdout.write(JSON.stringify(report));
} catch (error) {
  process.stdout.write(JSON.stringify({ error: asXVaultError(error).code }));
}
