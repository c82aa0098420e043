import { run } from '@xvault/shared/testing/run.ts';

/** As /proc and getfattr give them: path, name, value in hex. */
export type FoundXattr = readonly [path: string, name: string, hex: string];

const setOne = 'import os, sys; os.setxattr(sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3]))';
const findAll = `
import json, os, sys
root, found = sys.argv[1], []
for folder, folders, files in os.walk(root):
    for name in [*folders, *files]:
        path = os.path.join(folder, name)
        for key in os.listxattr(path, follow_symlinks=False):
            found.append([os.path.relpath(path, root), key, os.getxattr(path, key, follow_symlinks=False).hex()])
print(json.dumps(sorted(found)))
`;

/** Node has no call for it. */
export async function setXattr(path: string, name: string, value: Buffer): Promise<void> {
  await run('python3', ['-c', setOne, path, name, value.toString('hex')]);
}

const setMany = `
import os, sys
for number in range(int(sys.argv[2])):
    os.setxattr(sys.argv[1], ('user.%04d.' % number).ljust(int(sys.argv[3]), 'n'), bytes(int(sys.argv[4])))
`;

/** Many of zeros, with names of a certain length; only some file systems take as much as Linux allows. */
export async function setXattrs(path: string, count: number, nameBytes: number, valueBytes: number): Promise<void> {
  await run('python3', ['-c', setMany, path, String(count), String(nameBytes), String(valueBytes)]);
}

/** All below a folder. */
export async function findXattrs(folder: string): Promise<FoundXattr[]> {
  return JSON.parse(await run('python3', ['-c', findAll, folder])) as FoundXattr[];
}

const undefinedId = 0xffffffff;

/** An access list as the kernel has it: the owner, one more user, the group, the mask, others. */
export function posixAcl(userId: number): Buffer {
  const entries = [
    [0x01, 6, undefinedId],
    [0x02, 4, userId],
    [0x04, 4, undefinedId],
    [0x10, 6, undefinedId],
    [0x20, 0, undefinedId],
  ] as const;
  const acl = Buffer.alloc(4 + entries.length * 8);
  acl.writeUInt32LE(2, 0);
  for (const [at, [tag, permissions, id]] of entries.entries()) {
    acl.writeUInt16LE(tag, 4 + at * 8);
    acl.writeUInt16LE(permissions, 6 + at * 8);
    acl.writeUInt32LE(id, 8 + at * 8);
  }
  return acl;
}
