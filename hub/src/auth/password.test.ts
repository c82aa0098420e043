import { describe, expect, it } from 'vitest';
import { hashPassword, verifyNothing, verifyPassword } from './password.ts';

describe('passwords', () => {
  it('are kept as argon2id in the PHC format, each with its own salt', async () => {
    const [one, two] = await Promise.all([hashPassword('same password'), hashPassword('same password')]);
    expect(one).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    expect(one).not.toBe(two);
  });

  it('fit only themselves, in whatever Unicode form they were typed', async () => {
    const hash = await hashPassword('caf\u00e9 au lait!');
    expect(await verifyPassword('cafe\u0301 au lait!', hash)).toBe(true);
    expect(await verifyPassword('cafe au lait!', hash)).toBe(false);
    expect(await verifyPassword('', hash)).toBe(false);
  });

  it('are verified by the cost that they were hashed with', async () => {
    // argon2 0~20190702: echo -n password | argon2 somesalt -id -t 2 -k 65536 -p 1 -l 32 -e
    const made = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
    expect(await verifyPassword('password', made)).toBe(true);
    expect(await verifyPassword('Password', made)).toBe(false);
  });

  it('never fit an account that does not exist', async () => {
    expect(await verifyNothing('correct horse battery')).toBe(false);
  });

  it('stored in an unknown format are an error, not a wrong password', async () => {
    await expect(verifyPassword('password', '$2b$10$abc')).rejects.toThrow('PHC format');
  });
});
