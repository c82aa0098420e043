// Builds the native part with node-gyp where it is not built yet for these sources and this Node.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(import.meta.url);
const folder = import.meta.dirname;
const built = join(folder, 'build', 'Release', 'xvault.node');
const stampFile = join(folder, 'build', 'stamp');

function stamp() {
  const zstd = require.resolve('zstd-napi/package.json');
  const hash = createHash('sha256').update(`${process.version} ${process.platform} ${process.arch}\n`);
  const sources = readdirSync(join(folder, 'src')).map((name) => join(folder, 'src', name));
  for (const file of [zstd, join(folder, 'binding.gyp'), ...sources.sort()])
    hash.update(readFileSync(file)).update('\0');
  return hash.digest('hex');
}

if (process.platform !== 'linux') {
  process.stderr.write('xvault: the native part is for Linux; workers do not run on this system\n');
} else if (!existsSync(built) || !existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp()) {
  const command = [require.resolve('node-gyp/bin/node-gyp.js'), 'rebuild', '--jobs', 'max'];
  const { status, error } = spawnSync(process.execPath, command, { cwd: folder, stdio: 'inherit' });
  if (error !== undefined) throw error;
  if (status === 0) writeFileSync(stampFile, stamp());
  process.exitCode = status ?? 1;
}
