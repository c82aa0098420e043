import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '../ids.ts';
import { randomToken } from '../tokens.ts';
import { findProgram } from './find-program.ts';
import { freePort } from './free-port.ts';
import { lazyServer } from './lazy-servers.ts';
import { cephConfig, cephKeyring, type RadosgwPlaces } from './radosgw-config.ts';
import { run } from './run.ts';
import { signedRequest } from './s3-request.ts';
import { type ServerProcess, startServer, untilReady } from './server-process.ts';

export interface RadosgwOptions {
  /** Objects on disk instead of in memory, at most this many bytes of them: for benches with much data. */
  readonly diskBytes?: number;
}

export interface S3Credentials {
  readonly accessKey: string;
  readonly secretKey: string;
}

/** How to reach a running server; plain data, so that it can be handed to another process. */
export interface RadosgwAccess extends S3Credentials {
  /** `http://127.0.0.1:port`; wants path-style requests. */
  readonly endpoint: string;
  readonly region: string;
  /** ceph.conf of the server, for `radosgw-admin`. */
  readonly configFile: string;
}

export interface RadosgwServer extends RadosgwAccess {
  /** Makes an empty bucket and gives its name. */
  createBucket(): Promise<string>;
  /** Makes another account, which may do nothing in the buckets of the first. */
  createUser(options?: { readonly maxBytes?: number }): Promise<S3Credentials>;
  /** Ends all its processes and removes its folder. */
  close(): Promise<void>;
  /** SIGKILL for the S3 server alone; `restartGateway` brings it back with its data. */
  killGateway(): Promise<void>;
  restartGateway(): Promise<void>;
}

const region = 'us-east-1';

/** Starts a private S3 server: Ceph's gateway on a one-node cluster, on loopback. Takes about ten seconds. */
export async function startRadosgw(options: RadosgwOptions = {}): Promise<RadosgwServer> {
  const dir = await mkdtemp(join(tmpdir(), 'xvault-rgw-'));
  const started: ServerProcess[] = [];
  const stop = async () => {
    // The gateway first: it would wait for a store that is gone.
    for (const server of started.toReversed()) await server.end('SIGKILL');
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const places = { dir, monitorPort: await freePort(), gatewayPort: await freePort(), fsid: crypto.randomUUID() };
    await startCluster(places, options, started);
    const startGateway = () => launchGateway(places);
    let gateway = await startGateway();
    started.push(gateway);
    const access = await firstUser(places);
    return {
      ...access,
      ...accountsOf(access),
      close: stop,
      killGateway: () => gateway.end('SIGKILL'),
      async restartGateway() {
        await gateway.end('SIGKILL');
        gateway = await startGateway();
        started.push(gateway);
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What a process that did not start the server may do with it. */
export function accountsOf(access: RadosgwAccess): Pick<RadosgwServer, 'createBucket' | 'createUser'> {
  return {
    async createBucket() {
      const bucket = `b-${newId()}`;
      await signedRequest({ ...access, method: 'PUT', path: `/${bucket}` });
      return bucket;
    },
    async createUser({ maxBytes } = {}) {
      const user = { accessKey: randomToken().slice(0, 20), secretKey: randomToken() };
      const uid = newId();
      await admin(access.configFile, ['user', 'create', `--uid=${uid}`, '--display-name=test', ...keyArgs(user)]);
      if (maxBytes !== undefined) {
        const quota = [`--uid=${uid}`, '--quota-scope=user'];
        await admin(access.configFile, ['quota', 'set', ...quota, `--max-size=${maxBytes}`]);
        await admin(access.configFile, ['quota', 'enable', ...quota]);
      }
      return user;
    },
  };
}

export type SharedRadosgw = RadosgwAccess & ReturnType<typeof accountsOf>;

/** The test run's own server, shared by its tests: `await radosgwOfRun(inject('lazyServersUrl'))`. */
export async function radosgwOfRun(lazyServersUrl: string): Promise<SharedRadosgw> {
  const access = (await lazyServer(lazyServersUrl, 'radosgw')) as RadosgwAccess;
  return { ...access, ...accountsOf(access) };
}

async function startCluster(places: RadosgwPlaces, options: RadosgwOptions, started: ServerProcess[]): Promise<void> {
  const { dir } = places;
  const config = join(dir, 'ceph.conf');
  for (const name of ['mon', 'osd', 'rgw', 'run']) await mkdir(join(dir, name), { mode: 0o700 });
  await writeFile(config, cephConfig(places, options.diskBytes ?? null), { mode: 0o600 });
  const keyring = join(dir, 'keyring');
  await writeFile(keyring, cephKeyring(), { mode: 0o600 });
  const monmap = join(dir, 'monmap');
  const address = `[v2:127.0.0.1:${places.monitorPort}]`;
  await run(program('monmaptool'), ['--create', '--addv', 'a', address, '--fsid', places.fsid, monmap]);
  await run(program('ceph-mon'), ['-c', config, '--mkfs', '-i', 'a', '--monmap', monmap, '--keyring', keyring]);
  const monitor = await daemon(places, 'ceph-mon', ['-i', 'a']);
  started.push(monitor);
  const uuid = crypto.randomUUID();
  // Waits until the monitor answers.
  await run(program('ceph'), ['-c', config, '--connect-timeout', '60', 'osd', 'new', uuid, '0']);
  await run(program('ceph-osd'), ['-c', config, '-i', '0', '--mkfs', '--osd-uuid', uuid]);
  started.push(await daemon(places, 'ceph-osd', ['-i', '0']));
}

async function launchGateway(places: RadosgwPlaces): Promise<ServerProcess> {
  const gateway = await daemon(places, 'radosgw', ['-n', 'client.rgw.a']);
  await untilReady('radosgw', gateway, () => answers(places.gatewayPort), 90_000);
  return gateway;
}

async function answers(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/`)).ok;
  } catch {
    return false;
  }
}

async function firstUser(places: RadosgwPlaces): Promise<RadosgwAccess> {
  const user = { accessKey: randomToken().slice(0, 20), secretKey: randomToken() };
  const configFile = join(places.dir, 'ceph.conf');
  await admin(configFile, ['user', 'create', '--uid=first', '--display-name=first', ...keyArgs(user)]);
  return { ...user, endpoint: `http://127.0.0.1:${places.gatewayPort}`, region, configFile };
}

/** Throw-away keys of a server that only this machine reaches: the tool takes them no other way. */
function keyArgs({ accessKey, secretKey }: S3Credentials): string[] {
  return [`--access-key=${accessKey}`, `--secret-key=${secretKey}`];
}

async function admin(configFile: string, args: readonly string[]): Promise<void> {
  await run(program('radosgw-admin'), ['-c', configFile, ...args]);
}

function daemon({ dir }: RadosgwPlaces, name: string, args: readonly string[]): Promise<ServerProcess> {
  return startServer({
    program: program(name),
    args: ['-c', join(dir, 'ceph.conf'), '-f', ...args],
    cwd: dir,
    deathSignal: 'KILL',
  });
}

function program(name: string): string {
  const file = findProgram([name]);
  if (file === undefined) throw new Error(`Ceph's S3 server is not installed: ${name} was not found`);
  return file;
}
