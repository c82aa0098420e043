import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DestinationConnection } from '@xvault/shared/destinations.ts';
import { newId } from '@xvault/shared/ids.ts';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { signedRequest } from '@xvault/shared/testing/s3-request.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { makeSyncPlatform, type SyncPlatform, type WithSecret } from './sync-context.test-kit.ts';
import { expectFault, type FaultCase } from './sync-faults.test-kit.ts';
import { folderOf, jobOf, keysOf, local, toBucket } from './sync-places.test-kit.ts';

let platform: SyncPlatform;
let s3: Awaited<ReturnType<typeof sharedS3>>;

beforeAll(async () => {
  [platform, s3] = await Promise.all([makeSyncPlatform(), sharedS3()]);
});
afterAll(() => platform.remove());

const secrets = () => [s3.secretKey, s3.accessKey];

describe('a destination that cannot be written', () => {
  const cases: readonly FaultCase<WithSecret<DestinationConnection>>[] = [
    [
      'wrong secret',
      async () => toBucket(s3, await s3.createBucket(), { secret_access_key: 'wrong' }),
      'STORAGE_AUTH_FAILED',
      'ERROR_AUTH',
      false,
    ],
    [
      'another account',
      async () => toBucket(s3, await s3.createBucket(), keysOf(await s3.createUser())),
      'STORAGE_PERMISSION',
      'ERROR_PERMISSION',
      false,
    ],
    [
      'no such bucket',
      async () => toBucket(s3, `none-${newId()}`),
      'STORAGE_BUCKET_NOT_FOUND',
      'ERROR_NOT_FOUND',
      false,
    ],
    [
      'refused',
      async () => toBucket(s3, 'any', {}, { endpoint: `http://127.0.0.1:${await freePort()}` }),
      'STORAGE_UNREACHABLE',
      'ERROR_NETWORK',
      true,
    ],
  ];
  it.each(cases)('s3: %s', async (_, make, code, event, retryable) => {
    const path = await folderOf(platform, { 'a.txt': 'a' });
    await expectFault(platform, jobOf(local(path), await make()), [code, event, retryable], secrets());
  });

  it('s3: puts are denied once the job is at work', async () => {
    const bucket = await s3.createBucket();
    const all = `arn:aws:s3:::${bucket}`;
    const allowed = { Effect: 'Allow', Action: 's3:*', Resource: [all, `${all}/*`] };
    await setPolicy(bucket, [allowed]);
    const path = await folderOf(platform, { 'a.txt': 'a' });
    const running = jobOf(local(path), toBucket(s3, bucket, keysOf(await s3.createUser())));
    await platform.backup(running);
    await setPolicy(bucket, [allowed, { Effect: 'Deny', Action: 's3:PutObject', Resource: [`${all}/*`] }]);
    await writeFile(join(path, 'b.txt'), 'b');
    await expectFault(platform, running, ['STORAGE_PERMISSION', 'ERROR_PERMISSION', false], secrets());
  });

  it('s3: the account is full', async () => {
    const small = await s3.createUser({ maxBytes: 100_000 });
    const bucket = `q-${newId()}`;
    await signedRequest({ ...s3, ...small, method: 'PUT', path: `/${bucket}` });
    const path = await folderOf(platform, { 'a.bin': 'a'.repeat(300_000) });
    const to = toBucket(s3, bucket, keysOf(small));
    await expectFault(platform, jobOf(local(path), to), ['STORAGE_FULL', 'ERROR_STORAGE_FULL', true], secrets());
  });
});

type Statement = Readonly<Record<'Effect' | 'Action' | 'Resource', string | string[]>>;

/** Others than the owner may do so much. */
async function setPolicy(bucket: string, statements: readonly Statement[]): Promise<void> {
  const Statement = statements.map((statement) => ({ Principal: '*', ...statement }));
  const body = JSON.stringify({ Version: '2012-10-17', Statement });
  await signedRequest({ ...s3, method: 'PUT', path: `/${bucket}`, query: 'policy=', body });
}
