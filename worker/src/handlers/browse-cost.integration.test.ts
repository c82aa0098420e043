import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { browseRequest } from '@xvault/shared/browse.ts';
import { seal } from '@xvault/shared/sealing.ts';
import { sourceConnection } from '@xvault/shared/sources.ts';
import { signedRequest } from '@xvault/shared/testing/s3-request.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { identityToRecipient } from 'age-encryption';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type CloudPlatform, makeCloudPlatform } from './sync-cloud.test-kit.ts';

const methods: string[] = [];
let cloud: CloudPlatform;
let s3: Awaited<ReturnType<typeof sharedS3>>;
/** In front of the storage, for what it is asked. */
const counting = createServer((incoming, answer) => {
  methods.push(incoming.method ?? '');
  const { method, url: path, headers } = incoming;
  const { hostname: host, port } = new URL(s3.endpoint);
  const outgoing = httpRequest({ host, port, method, path, headers }, (response) => {
    answer.writeHead(response.statusCode ?? 502, response.headers);
    pipeline(response, answer).catch((error: Error) => answer.destroy(error));
  });
  pipeline(incoming, outgoing).catch((error: Error) => answer.destroy(error));
});

beforeAll(async () => {
  [cloud, s3] = await Promise.all([makeCloudPlatform(), sharedS3()]);
  counting.listen(0, '127.0.0.1');
  await once(counting, 'listening');
});
afterAll(async () => {
  counting.closeAllConnections();
  counting.close();
  await cloud?.stop();
});

it('a picker asks a bucket for its listing, and for no object of it', async () => {
  const bucket = await s3.createBucket();
  const keys = ['folder/a', ...Array.from({ length: 20 }, (_, number) => `file-${number}`)];
  for (const key of keys) {
    await signedRequest({ ...s3, method: 'PUT', path: `/${bucket}/${key}`, body: 'x' });
  }
  const endpoint = `http://127.0.0.1:${(counting.address() as AddressInfo).port}`;
  const source = sourceConnection.parse({ type: 's3', config: { endpoint, region: s3.region, bucket } });
  const secret = { access_key_id: s3.accessKey, secret_access_key: s3.secretKey };
  const sealed = await seal(
    JSON.stringify(secret),
    await identityToRecipient(cloud.config.XVAULT_CREDENTIALS_IDENTITY),
  );
  const { context } = await cloud.contextBy(null, source);
  const request = browseRequest.parse({ what: 'folders' });
  const { items } = await cloud.sources.browse(source, sealed, context.signal, context, request);
  expect(items).toEqual([{ id: 'folder', name: 'folder' }]);
  expect(new Set(methods)).toEqual(new Set(['GET']));
});
