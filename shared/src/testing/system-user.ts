import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { signalProcess } from './process-tree.ts';
import { run } from './run.ts';
import { until } from './until.ts';

export interface SystemUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** Throws where no account with a password could be made. */
  readonly password: string;
  remove(): Promise<void>;
}

/** A throw-away account of this machine; without root the current user, who can only log in by key. */
export async function createSystemUser(home: string): Promise<SystemUser> {
  if (process.getuid?.() !== 0) return currentUser();
  const name = `xv${randomBytes(5).toString('hex')}`;
  const password = randomBytes(12).toString('base64url');
  await locked(() => run('useradd', ['--no-create-home', '--home-dir', home, '--shell', '/bin/sh', name]));
  await locked(() => run('chpasswd', [], `${name}:${password}\n`));
  const [uid, gid] = (await run('getent', ['passwd', name])).split(':').slice(2, 4).map(Number);
  return {
    name,
    uid: uid ?? -1,
    gid: gid ?? -1,
    password,
    remove: async () => {
      if (uid !== undefined) await endProcessesOf(uid);
      await locked(() => run('userdel', ['--force', name]));
    },
  };
}

/** A session that a test has stopped outlives its server as nobody's child: the account, made for one test, still tells whose it is. */
async function endProcessesOf(uid: number): Promise<void> {
  await until(`the end of all processes of account ${uid}`, async () => {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    // Not by who owns the folder: that is root for one that has changed its account.
    const texts = await Promise.allSettled(pids.map((pid) => readFile(`/proc/${pid}/status`, 'utf8')));
    const left = pids.filter((_, at) => {
      const text = texts[at];
      // One that has just ended is not there any more, or only waits to be asked how.
      if (text?.status !== 'fulfilled' || /^State:\tZ/m.test(text.value)) return false;
      return new RegExp(`^Uid:\\t${uid}\\t`, 'm').test(text.value);
    });
    for (const pid of left) signalProcess(Number(pid), 'SIGKILL');
    return left.length === 0;
  });
}

function currentUser(): SystemUser {
  const { username, uid, gid } = userInfo();
  return {
    name: username,
    uid,
    gid,
    get password(): string {
      throw new Error(
        'logging in by password needs a throw-away account, and making one needs root: run this test as root',
      );
    },
    remove: async () => undefined,
  };
}

/** Only one program at a time may change the accounts; the others are refused at once. */
async function locked(change: () => Promise<unknown>): Promise<void> {
  let last: unknown;
  const changed = async () => {
    try {
      await change();
      return true;
    } catch (error) {
      last = error;
      if (/lock|currently used/i.test(String(error))) return false;
      throw error;
    }
  };
  await until('the account database', changed).catch((error: unknown) => {
    throw new Error(String(last ?? error), { cause: error });
  });
}
