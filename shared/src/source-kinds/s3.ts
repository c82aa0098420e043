import { z } from 'zod';
import { caPem, password, serverUrl } from './common.ts';

const bucketName = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'must be a bucket name');

/** Where a bucket is: AWS when there is no endpoint. */
export const s3Place = {
  endpoint: serverUrl.nullable().default(null),
  region: z
    .string()
    .min(1)
    .max(64)
    .regex(/^[A-Za-z0-9-]+$/)
    .default('us-east-1'),
  bucket: bucketName,
  /** Put before every key; no slash at its beginning. */
  prefix: z
    .string()
    .max(512)
    .refine(
      (text) => !/[\0\r\n]/.test(text) && !text.startsWith('/'),
      'must not begin with a slash or hold line breaks',
    )
    .default(''),
  /** `https://host/bucket/key` instead of `https://bucket.host/key`; most servers that are not AWS want it. */
  path_style: z.boolean().default(true),
  ca_pem: caPem.nullable().default(null),
};

export const s3SourceConfig = z.strictObject({
  ...s3Place,
  /** Parts of a large object fetched at a time. */
  parallel_gets: z.int().min(1).max(64).default(8),
});
export const s3Secret = z.strictObject({
  access_key_id: z.string().min(1).max(256),
  secret_access_key: password,
  session_token: z.string().max(8192).optional(),
});
export type S3SourceConfig = z.infer<typeof s3SourceConfig>;
export type S3Secret = z.infer<typeof s3Secret>;
