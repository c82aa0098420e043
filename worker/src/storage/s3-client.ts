import { S3Client } from '@aws-sdk/client-s3';
import type { S3Secret } from '@xvault/shared/sources.ts';
import type { AddressGuard } from '../net/guard.ts';
import { createGuardedAgents } from '../net/guarded-agents.ts';

/** Where a bucket is and what opens it. */
export interface S3Access {
  /** Null is AWS. */
  readonly endpoint: string | null;
  readonly region: string;
  readonly bucket: string;
  readonly pathStyle: boolean;
  readonly caPem: string | null;
  readonly secret: S3Secret;
  /** Null only for an endpoint that the operator gave. */
  readonly guard: AddressGuard | null;
}

export interface S3Connection {
  readonly client: S3Client;
  readonly bucket: string;
  close(): void;
}

const connectionTimeoutMs = 10_000;
/** Without a byte in either direction. */
const idleTimeoutMs = 60_000;
const attempts = 5;

/** A client for one bucket. Nothing is taken from the environment or from files of the machine. */
export function connectS3(access: S3Access): S3Connection {
  const agents = createGuardedAgents(access.guard, { caPem: access.caPem });
  const { access_key_id, secret_access_key, session_token } = access.secret;
  const client = new S3Client({
    region: access.region,
    ...(access.endpoint === null ? {} : { endpoint: access.endpoint }),
    forcePathStyle: access.endpoint !== null && access.pathStyle,
    credentials: {
      accessKeyId: access_key_id,
      secretAccessKey: secret_access_key,
      ...(session_token === undefined ? {} : { sessionToken: session_token }),
    },
    requestHandler: {
      httpAgent: agents.http,
      httpsAgent: agents.https,
      connectionTimeout: connectionTimeoutMs,
      socketTimeout: idleTimeoutMs,
    },
    maxAttempts: attempts,
    retryMode: 'standard',
    // Every body is signed with its SHA-256, which all servers check; not all know the newer checksums.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    useArnRegion: false,
    useDualstackEndpoint: false,
    useFipsEndpoint: false,
    followRegionRedirects: false,
    disableS3ExpressSessionAuth: true,
    defaultUserAgentProvider: async () => [['xvault', '1']],
    // Its warnings would go to the console.
    logger: silent,
  });
  return {
    client,
    bucket: access.bucket,
    close() {
      client.destroy();
      agents.close();
    },
  };
}

const nothing = () => undefined;
const silent = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };
