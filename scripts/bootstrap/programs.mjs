import { accessSync, constants, readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @typedef {object} Program
 * @property {string[]} names any of these files will do
 * @property {string} apt
 * @property {string} brew
 * @property {string} dnf
 */

/** @type {Record<string, Program>} */
export const programs = {
  redis: { names: ['redis-server', 'valkey-server'], apt: 'redis-server', brew: 'redis', dnf: 'valkey' },
  tar: { names: ['tar'], apt: 'tar', brew: 'gnu-tar', dnf: 'tar' },
  age: { names: ['age'], apt: 'age', brew: 'age', dnf: 'age' },
  busybox: { names: ['busybox'], apt: 'busybox', brew: 'busybox', dnf: 'busybox' },
  bsdtar: { names: ['bsdtar'], apt: 'libarchive-tools', brew: 'libarchive', dnf: 'bsdtar' },
  zstd: { names: ['zstd'], apt: 'zstd', brew: 'zstd', dnf: 'zstd' },
  sshd: { names: ['sshd'], apt: 'openssh-server', brew: 'openssh', dnf: 'openssh-server' },
  postgres: { names: ['initdb'], apt: 'postgresql', brew: 'postgresql@17', dnf: 'postgresql-server' },
  mariadb: { names: ['mariadbd', 'mysqld'], apt: 'mariadb-server', brew: 'mariadb', dnf: 'mariadb-server' },
  openssl: { names: ['openssl'], apt: 'openssl', brew: 'openssl', dnf: 'openssl' },
  pgrep: { names: ['pgrep'], apt: 'procps', brew: 'proctools', dnf: 'procps-ng' },
  rclone: { names: ['rclone'], apt: 'rclone', brew: 'rclone', dnf: 'rclone' },
  cephMonitor: { names: ['ceph-mon'], apt: 'ceph-mon', brew: 'ceph', dnf: 'ceph-mon' },
  cephStore: { names: ['ceph-osd'], apt: 'ceph-osd', brew: 'ceph', dnf: 'ceph-osd' },
  radosgw: { names: ['radosgw'], apt: 'radosgw', brew: 'ceph', dnf: 'ceph-radosgw' },
  ceph: { names: ['ceph'], apt: 'ceph-common', brew: 'ceph', dnf: 'ceph-common' },
  vsftpd: { names: ['vsftpd'], apt: 'vsftpd', brew: 'vsftpd', dnf: 'vsftpd' },
  samba: { names: ['smbd'], apt: 'samba', brew: 'samba', dnf: 'samba' },
  // A Python module and no program: found beside the folders of programs.
  pyftpdlib: {
    names: ['../lib/python3/dist-packages/pyftpdlib'],
    apt: 'python3-pyftpdlib',
    brew: 'pyftpdlib',
    dnf: 'python3-pyftpdlib',
  },
  restic: { names: ['restic'], apt: 'restic', brew: 'restic', dnf: 'restic' },
  unzip: { names: ['unzip'], apt: 'unzip', brew: 'unzip', dnf: 'unzip' },
  python: { names: ['python3'], apt: 'python3', brew: 'python3', dnf: 'python3' },
  make: { names: ['make'], apt: 'make', brew: 'make', dnf: 'make' },
  compiler: { names: ['g++', 'clang++'], apt: 'g++', brew: 'gcc', dnf: 'gcc-c++' },
};

/** Those of the wanted programs that are not on this machine. @param {readonly string[]} wanted */
export function missingPrograms(wanted) {
  const folders = searchFolders();
  return wanted.filter(
    (key) => !find(key).names.some((name) => folders.some((folder) => executable(join(folder, name)))),
  );
}

/** @param {string} key @returns {Program} */
export function find(key) {
  const program = programs[key];
  if (program === undefined) throw new Error(`no such program in the table: ${key}`);
  return program;
}

function searchFolders() {
  const path = (process.env.PATH ?? '').split(':').filter((folder) => folder !== '');
  const system = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin', '/opt/homebrew/bin'];
  return [...path, ...system, ...postgresFolders()];
}

/** Debian keeps the server's programs out of PATH. */
function postgresFolders() {
  try {
    return readdirSync('/usr/lib/postgresql').map((version) => `/usr/lib/postgresql/${version}/bin`);
  } catch {
    return [];
  }
}

/** @param {string} file */
function executable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
