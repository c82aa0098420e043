import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { loadConfig } from '../../../hub/src/config.ts';
import { readWorkerConfig } from '../../../worker/src/config.ts';
import { repositoryRoot } from '../repository-root.ts';
import { makeSecrets } from './make-secrets.ts';

const service = z.object({
  environment: z.record(z.string(), z.string()).default({}),
  secrets: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.object({ condition: z.literal('service_healthy') })).default({}),
  healthcheck: z.object({ test: z.array(z.string()).min(2) }),
  volumes: z.array(z.string()).default([]),
});
const composeFile = z.object({
  services: z.record(z.string(), service),
  volumes: z.record(z.string(), z.object({})),
  secrets: z.record(z.string(), z.object({ file: z.string() })),
});

const text = readFileSync(join(repositoryRoot, 'docker-compose.yml'), 'utf8');
const compose = composeFile.parse(parse(text, { merge: true }));
let folder: string;
let secrets: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'xvault-compose-'));
  secrets = join(folder, 'secrets');
  await makeSecrets(secrets);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The environment of a service, its secrets where this test keeps them. */
function environmentOf(name: string): Record<string, string> {
  const entries = Object.entries(compose.services[name]?.environment ?? {});
  return Object.fromEntries(entries.map(([key, value]) => [key, value.replace('/run/secrets', secrets)]));
}

test('two Hubs behind a balancer, two workers, PostgreSQL and Redis', () => {
  const names = Object.keys(compose.services).sort();
  expect(names).toEqual(['balancer', 'hub1', 'hub2', 'postgres', 'redis', 'worker1', 'worker2']);
  const nginx = readFileSync(join(repositoryRoot, 'deploy/nginx.conf'), 'utf8');
  expect(nginx).toMatch(/server hub1:8080/);
  expect(nginx).toMatch(/server hub2:8080/);
});

test('everything that a service names is there, and it may read no secret that it does not name', () => {
  for (const [name, { depends_on, secrets: mounted, volumes, environment }] of Object.entries(compose.services)) {
    for (const needed of Object.keys(depends_on)) expect(compose.services, name).toHaveProperty(needed);
    for (const secret of mounted) expect(Object.keys(compose.secrets), name).toContain(secret);
    const used = Object.values(environment).filter((value) => value.startsWith('/run/secrets/'));
    expect(mounted, name).toEqual(expect.arrayContaining(used.map((value) => value.slice('/run/secrets/'.length))));
    const named = volumes.map((volume) => volume.split(':')[0] ?? '').filter((volume) => !volume.startsWith('.'));
    for (const volume of named) expect(compose.volumes, name).toHaveProperty(volume);
  }
});

test('the secrets are exactly those that are made', () => {
  expect(Object.keys(compose.secrets).sort()).toEqual(readdirSync(secrets).sort());
  expect(Object.values(compose.secrets).map(({ file }) => file)).toEqual(
    Object.keys(compose.secrets).map((name) => `./deploy/secrets/${name}`),
  );
});

test('secrets are never made a second time', async () => {
  const before = readFileSync(join(secrets, 'vault-identity'), 'utf8');
  await expect(makeSecrets(secrets)).rejects.toThrow('there already');
  expect(readFileSync(join(secrets, 'vault-identity'), 'utf8')).toBe(before);
});

test.each(['hub1', 'hub2'])('the Hub accepts the configuration of %s', async (name) => {
  const config = await loadConfig(environmentOf(name));
  expect(config.databaseUrl).toMatch(/^postgres:\/\/xvault:.+@postgres:5432\/xvault$/);
  expect(Object.keys(environmentOf(name)).filter((key) => /IDENTITY/.test(key))).toEqual([]);
});

test.each(['worker1', 'worker2'])('the worker accepts the configuration of %s', (name) => {
  const config = readWorkerConfig(environmentOf(name));
  expect(config.XVAULT_WORKER_ID).toBe(name);
  expect(config.XVAULT_HUB_URL).toBe('http://balancer:8080');
});

test('Redis keeps an append-only file, evicts nothing and wants a password', () => {
  const config = readFileSync(join(secrets, 'redis.conf'), 'utf8');
  expect(config).toMatch(/^requirepass \S{32,}$/m);
  expect(config).toMatch(/^maxmemory-policy noeviction$/m);
  expect(config).toMatch(/^appendonly yes$/m);
});
