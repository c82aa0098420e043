import { join } from 'node:path';
import { z } from 'zod';
import type { Cluster } from '../cluster/cluster.ts';
import { PatientClient } from '../cluster/patient-client.ts';
import { localShapes, sftpShapes, type TreeShape, writeTree } from './trees.ts';

export interface ChaosJob {
  readonly id: string;
  /** The tree on this machine that its snapshots must equal. */
  readonly tree: string;
  readonly weight: number;
}

export interface ChaosTenant {
  readonly id: string;
  readonly name: string;
  readonly client: PatientClient;
  readonly maxRuns: number;
  readonly jobs: readonly ChaosJob[];
  /** A folder that restores go to. */
  readonly restores: string;
}

interface Source {
  readonly tree: string;
  readonly weight: number;
  /** Body of POST /sources. */
  readonly body: Readonly<Record<string, unknown>>;
}

const created = z.object({ id: z.string() });
const password = 'correct horse battery staple';
/** Runs that each tenant may have in flight; the smallest has more to do than it may. */
const limits = [1, 3, 5];

/** Writes the trees and makes tenants of different limits, each with a job on every tree. */
export async function makeTenants(
  cluster: Cluster,
  folders: { readonly local: string; readonly restores: string },
  largestBytes: number,
  signal: AbortSignal,
): Promise<ChaosTenant[]> {
  const sources = await makeSources(cluster, folders.local, largestBytes);
  const { email, password: operatorPassword } = cluster.operator;
  const operator = await PatientClient.signIn(cluster.apiUrl, email, operatorPassword, signal);
  const tenants: ChaosTenant[] = [];
  for (const maxRuns of limits) {
    const name = `tenant-of-${maxRuns}`;
    const restores = join(folders.restores, name);
    const owner = { email: `${name}@chaos.localhost`, password };
    const body = { name, owner, local_paths: [folders.local, restores], max_concurrent_runs: maxRuns };
    const { id } = await operator.post('/api/v1/tenants', body, created);
    const client = await PatientClient.signIn(cluster.apiUrl, owner.email, owner.password, signal);
    tenants.push({ id, name, client, maxRuns, restores, jobs: await makeJobs(client, sources) });
  }
  return tenants;
}

/** Lets every tenant have so many runs in flight. */
export async function liftLimits(cluster: Cluster, tenants: readonly ChaosTenant[], signal: AbortSignal) {
  const { email, password: operatorPassword } = cluster.operator;
  const operator = await PatientClient.signIn(cluster.apiUrl, email, operatorPassword, signal);
  for (const { id } of tenants) await operator.patch(`/api/v1/tenants/${id}`, { max_concurrent_runs: 50 }, created);
}

async function makeSources(cluster: Cluster, local: string, largestBytes: number): Promise<Source[]> {
  const { host, user, dataDir, privateKey, fingerprint } = cluster.sshd;
  const sources: Source[] = [];
  for (const shape of localShapes(largestBytes)) {
    const tree = join(local, shape.name);
    await writeTree(tree, shape);
    sources.push(asSource(shape, tree, { type: 'local', config: { path: tree } }));
  }
  for (const shape of sftpShapes(largestBytes)) {
    const tree = join(dataDir, shape.name);
    await writeTree(tree, shape, user);
    const config = { host, port: cluster.sshLink.port, user: user.name, path: tree };
    const secret = { private_key: privateKey };
    sources.push(asSource(shape, tree, { type: 'sftp', config, secret, host_key: fingerprint() }));
  }
  return sources;
}

function asSource({ name, weight }: TreeShape, tree: string, body: Record<string, unknown>): Source {
  return { tree, weight, body: { name, ...body } };
}

async function makeJobs(client: PatientClient, sources: readonly Source[]): Promise<ChaosJob[]> {
  const destinationBody = { name: 'destination', type: 'local_fs', config: {} };
  const destination = await client.post('/api/v1/destinations', destinationBody, created);
  const jobs: ChaosJob[] = [];
  for (const { tree, weight, body } of sources) {
    const source = await client.post('/api/v1/sources', body, created);
    const ids = { source_id: source.id, destination_id: destination.id };
    const job = await client.post('/api/v1/jobs', { name: String(body.name), ...ids, max_attempts: 4 }, created);
    jobs.push({ id: job.id, tree, weight });
  }
  return jobs;
}
