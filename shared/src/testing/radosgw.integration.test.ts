import { expect, test } from 'vitest';
import { signedRequest } from './s3-request.ts';
import { sharedS3 } from './test-databases.ts';

test('the S3 server keeps objects, and lets nobody in by a wrong key', async () => {
  const [server, again] = await Promise.all([sharedS3(), sharedS3()]);
  expect(again.endpoint).toBe(server.endpoint);
  const bucket = await server.createBucket();
  const path = `/${bucket}/object`;
  await signedRequest({ ...server, method: 'PUT', path, body: 'content' });
  expect(await signedRequest({ ...server, method: 'GET', path })).toBe('content');
  await expect(signedRequest({ ...server, secretKey: 'wrong', method: 'GET', path })).rejects.toThrow('403');
  const stranger = await server.createUser();
  await expect(signedRequest({ ...server, ...stranger, method: 'GET', path })).rejects.toThrow('403');
});
