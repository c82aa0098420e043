import { createHash, createHmac } from 'node:crypto';

export interface SignedRequest {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly method: 'GET' | 'PUT' | 'DELETE' | 'HEAD';
  /** Of a bucket or an object, in characters that need no encoding. */
  readonly path: string;
  /** Without the question mark, sorted; a name without a value ends with `=`. */
  readonly query?: string;
  readonly body?: string;
}

const sha256 = (data: string) => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, data: string) => createHmac('sha256', key).update(data).digest();

/** One request to an S3 server, signed (AWS Signature Version 4). Throws unless the answer is a success. */
export async function signedRequest(request: SignedRequest): Promise<string> {
  const { endpoint, region, accessKey, secretKey, method, path, query = '', body = '' } = request;
  const url = new URL(`${path}${query === '' ? '' : `?${query}`}`, endpoint);
  const stamp = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const day = stamp.slice(0, 8);
  const hash = sha256(body);
  const signed = 'host;x-amz-content-sha256;x-amz-date';
  const canonical = [
    method,
    path,
    query,
    `host:${url.host}`,
    `x-amz-content-sha256:${hash}`,
    `x-amz-date:${stamp}`,
    '',
    signed,
    hash,
  ].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', stamp, scope, sha256(canonical)].join('\n');
  const key = [day, region, 's3', 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${secretKey}`);
  const signature = hmac(key, text).toString('hex');
  const response = await fetch(url, {
    method,
    headers: {
      'x-amz-content-sha256': hash,
      'x-amz-date': stamp,
      authorization: `AWS4-HMAC-SHA256 Credential=${accessKey}/${scope},SignedHeaders=${signed},Signature=${signature}`,
    },
    ...(body === '' ? {} : { body }),
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} was answered with ${response.status}: ${answer.slice(0, 1000)}`);
  return answer;
}
