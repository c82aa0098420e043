import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';

const module_ = JSON.stringify(new URL('./pass-through.mjs', import.meta.url).href);

/** A process that passes through to a child running `body`, and exits with what it gave. */
function wrapper(body: string) {
  const source = `import { passThrough } from ${module_};
    process.exitCode = await passThrough(process.execPath, ['-e', ${JSON.stringify(body)}], process.env);`;
  return spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: ['ignore', 'pipe', 'inherit'] });
}

test('the exit code is the product’s own', async () => {
  expect((await once(wrapper('process.exit(7)'), 'exit'))[0]).toBe(7);
});

test('a product that was killed is a failure', async () => {
  expect((await once(wrapper('process.kill(process.pid, "SIGKILL")'), 'exit'))[0]).toBe(137);
});

test.each(['SIGINT', 'SIGTERM'] as const)('%s reaches the product, whose answer counts', async (signal) => {
  const body = `process.on(${JSON.stringify(signal)}, () => process.exit(5)); process.stdout.write('up');
    setInterval(() => {}, 1000);`;
  const process_ = wrapper(body);
  await once(process_.stdout, 'data');
  process_.kill(signal);
  expect((await once(process_, 'exit'))[0]).toBe(5);
});
