import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** An rclone that may not read what is closed: root may read everything, so it goes without that right. */
export async function powerlessRclone(directory: string): Promise<string> {
  const lowered = '-dac_override,-dac_read_search';
  const drop = process.getuid?.() === 0 ? `setpriv --bounding-set=${lowered} --inh-caps=${lowered}` : '';
  const path = join(directory, 'rclone');
  await writeFile(path, `#!/bin/sh\nexec ${drop} rclone "$@"\n`, { mode: 0o755 });
  return path;
}
