/**
 * @typedef {object} Command
 * @property {string} script what to run, from the repository's root
 * @property {string[]} programs system programs that it cannot do without (names in programs.mjs)
 * @property {string[]} wanted system programs that it makes use of when they are there
 */

const platform = ['redis', 'tar'];

/** @type {Record<string, Command>} */
export const commands = {
  demo: { script: 'scripts/src/demo/main.ts', programs: platform, wanted: ['age', 'zstd'] },
  start: { script: 'scripts/src/start.ts', programs: platform, wanted: [] },
  test: {
    script: 'scripts/src/test/main.ts',
    programs: [...platform, 'age', 'zstd', 'unzip', 'python', 'sshd', 'postgres', 'rclone'],
    wanted: [],
  },
  bench: {
    script: 'scripts/src/bench/main.ts',
    programs: [...platform, 'age', 'zstd', 'postgres'],
    wanted: ['restic'],
  },
  chaos: { script: 'scripts/src/chaos/main.ts', programs: [...platform, 'sshd', 'postgres'], wanted: [] },
};
