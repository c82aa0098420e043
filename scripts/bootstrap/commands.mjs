/**
 * @typedef {object} Command
 * @property {string} script what to run, from the repository's root
 * @property {string[]} programs system programs that it cannot do without (names in programs.mjs)
 * @property {string[]} wanted system programs that it makes use of when they are there
 */

const platform = ['redis', 'tar'];
/** An S3 server for tests. */
const s3 = ['cephMonitor', 'cephStore', 'radosgw', 'ceph'];

/** FTP servers for tests: one without MLSD, one with it. */
const ftp = ['vsftpd', 'pyftpdlib'];

/** Database servers for tests, and what makes certificates for them and finds their tools. */
const databases = ['mariadb', 'openssl', 'pgrep'];

/** @type {Record<string, Command>} */
export const commands = {
  demo: { script: 'scripts/src/demo/main.ts', programs: platform, wanted: ['age', 'zstd'] },
  start: { script: 'scripts/src/start.ts', programs: platform, wanted: [] },
  test: {
    script: 'scripts/src/test/main.ts',
    programs: [
      ...platform,
      'age',
      'zstd',
      'unzip',
      'python',
      'sshd',
      'busybox',
      'bsdtar',
      'postgres',
      'rclone',
      ...s3,
      ...ftp,
      'samba',
      ...databases,
    ],
    wanted: [],
  },
  bench: {
    script: 'scripts/src/bench/main.ts',
    programs: [...platform, 'age', 'zstd', 'sshd', 'postgres', 'mariadb'],
    wanted: ['restic', 'rclone', ...s3],
  },
  chaos: { script: 'scripts/src/chaos/main.ts', programs: [...platform, 'sshd', 'postgres'], wanted: [] },
};
