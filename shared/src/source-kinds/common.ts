import { z } from 'zod';

export const absolutePath = z
  .string()
  .min(1)
  .max(4096)
  .refine((path) => path.startsWith('/') && !path.includes('\0'), 'must be an absolute path without NUL')
  .refine((path) => !path.split('/').includes('..'), 'must not contain ".."');

export const hostName = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[A-Za-z0-9._:-]+$/, 'must be a host name or an address');

export const portNumber = z.int().min(1).max(65535);

/** One line of text as servers take it: user names, database names, prefixes. */
export const oneLine = z
  .string()
  .min(1)
  .max(255)
  .refine((text) => !/[\0\r\n]/.test(text), 'must not contain line breaks');

/** Certificates of authorities of the customer's own, PEM. */
export const caPem = z
  .string()
  .max(65536)
  .regex(/-----BEGIN CERTIFICATE-----/, 'must be PEM certificates');

export const password = z.string().min(1).max(4096);

/** Of a server that speaks HTTP. Parsers drop line breaks in it without a word, so none is let in. */
export const serverUrl = z
  .url({ protocol: /^https?$/ })
  .refine((text) => !/[\s\p{Cc}]/u.test(text), 'must be one line without spaces')
  .refine((text) => !URL.canParse(text) || new URL(text).username === '', 'must not hold credentials');
