#!/usr/bin/env node
// The entry of every root command: sets up what is missing, then starts the product's own script under the right Node.
// Plain JavaScript, because it must run under any Node from 18 on, before anything is installed.
import { join } from 'node:path';
import { commands } from './bootstrap/commands.mjs';
import { passThrough } from './bootstrap/pass-through.mjs';
import { root } from './bootstrap/paths.mjs';
import { SetUpError, say } from './bootstrap/report.mjs';
import { setUp } from './bootstrap/set-up.mjs';

const [name = '', ...args] = process.argv.slice(2);
const command = commands[name];
if (command === undefined) {
  say(`unknown command "${name}"; there are: ${Object.keys(commands).join(', ')}`);
  process.exit(2);
}

try {
  const { node, env } = await setUp(command);
  process.exitCode = await passThrough(node, [join(root, command.script), ...args], env);
} catch (error) {
  if (!(error instanceof SetUpError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
