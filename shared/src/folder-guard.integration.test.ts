import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { guardFolder } from './folder-guard.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'xvault-guard-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('a second use is refused, also by another name, until the first is over', async () => {
  const release = await guardFolder(folder);
  const alias = `${folder}-alias`;
  symlinkSync(folder, alias);
  await expect(guardFolder(folder)).rejects.toThrow('another process is using this folder');
  await expect(guardFolder(alias)).rejects.toThrow('another process is using this folder');
  rmSync(alias);
  await release();
  await (await guardFolder(folder))();
});

test('a killed process leaves nothing that refuses the next', async () => {
  const module_ = JSON.stringify(new URL('./folder-guard.ts', import.meta.url).href);
  const source = `import { guardFolder } from ${module_}; await guardFolder(${JSON.stringify(folder)});
    process.stdout.write('held'); setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', source]);
  await once(holder.stdout, 'data');
  await expect(guardFolder(folder)).rejects.toThrow('another process is using this folder');
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  await (await guardFolder(folder))();
});
