/** Run by the test with a small file system of its own as argument: fills it, aborts, and tells what is left. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asXVaultError } from '@xvault/shared/errors.ts';
import { createLocalFsStorage } from './local-fs.ts';
import { snapshotFiles } from './storage.ts';

const [, , root = ''] = process.argv;
const storage = createLocalFsStorage(root);
const before = await storage.space();
const pending = await storage.create({ tenantId: 't', sourceId: 's', snapshotId: 'snap' }, 1);
let code = 'nothing was thrown';
try {
  const writer = await pending.createFile(snapshotFiles.artifact);
  for (let mebibytes = 0; mebibytes < 16; mebibytes += 1) await writer.write(Buffer.alloc(1024 * 1024, 1));
  await writer.close();
} catch (error) {
  code = asXVaultError(error).code;
}
await pending.abort();
const left = await readdir(join(root, 'tenants/t/sources/s/snapshots'));
// Directories that stay hold a few blocks.
const freeAgain = before.freeBytes - (await storage.space()).freeBytes < 1024 * 1024;
process.stdout.write(JSON.stringify({ code, left, freeAgain }));
