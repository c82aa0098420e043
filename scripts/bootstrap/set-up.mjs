import { delimiter, dirname, join } from 'node:path';
import { dependenciesAreCurrent, installDependencies } from './dependencies.mjs';
import { usableHome } from './home.mjs';
import { ensurePrograms } from './install-programs.mjs';
import { withLock } from './lock.mjs';
import { root, stateDir } from './paths.mjs';
import { missingPrograms } from './programs.mjs';
import { ensureTools } from './tools.mjs';

/**
 * Brings the machine to where the command can run; does nothing that is done already.
 * @param {import('./commands.mjs').Command} command
 * @returns {Promise<{ node: string, env: NodeJS.ProcessEnv }>}
 */
export async function setUp(command) {
  const home = { ...process.env, HOME: usableHome() };
  return withLock(join(stateDir, 'set-up.lock'), async () => {
    const tools = await ensureTools(home);
    // Install scripts and the product look `node` and the workspace's tools up in PATH.
    const folders = [dirname(tools.node), join(root, 'node_modules', '.bin'), process.env.PATH ?? ''];
    const env = { ...home, PATH: folders.join(delimiter) };
    if (missingPrograms([...command.programs, ...command.wanted]).length > 0) {
      await ensurePrograms(command.programs, command.wanted);
    }
    if (!dependenciesAreCurrent(tools.node)) await installDependencies(tools, env);
    return { node: tools.node, env };
  });
}
