import { randomBytes } from 'node:crypto';
import { userInfo } from 'node:os';
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
      await locked(() => run('userdel', ['--force', name]));
    },
  };
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
