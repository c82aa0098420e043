import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FileReader } from '../storage/storage.ts';

/** A temporary folder of one test, removed at its end. */
export async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'xvault-artifact-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Runs a program to its end; rejects with its words unless it exits with 0. */
export async function runProgram(command: string, args: readonly string[], input?: Buffer): Promise<Buffer> {
  const child = spawn(command, args, { stdio: 'pipe', env: { PATH: process.env.PATH ?? '', LC_ALL: 'C.UTF-8' } });
  const out: Buffer[] = [];
  const words: Buffer[] = [];
  child.stdout.on('data', (data: Buffer) => out.push(data));
  child.stderr.on('data', (data: Buffer) => words.push(data));
  // A program that ends without reading all of its input says so by its exit code.
  child.stdin.on('error', (error) => words.push(Buffer.from(String(error))));
  child.stdin.end(input);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  child.on('error', reject);
  child.on('close', (code, signal) => {
    if (code === 0) resolve();
    else reject(new Error(`${command} ended with ${code ?? signal}: ${Buffer.concat(words).toString()}`));
  });
  await promise;
  return Buffer.concat(out);
}

/** Decrypts with the `age` command. */
export async function ageCommandDecrypt(stored: Buffer, identity: string): Promise<Buffer> {
  await using folder = await temporaryFolder();
  const keyFile = join(folder.path, 'identity.txt');
  await writeFile(keyFile, `${identity}\n`, { mode: 0o600 });
  return await runProgram('age', ['-d', '-i', keyFile], stored);
}

/** Bytes at rest, read like a stored file. */
export function readerOf(data: Buffer): FileReader {
  return {
    sizeBytes: data.length,
    read: async (offset, length) => Buffer.from(data.subarray(offset, offset + length)),
    close: async () => undefined,
  };
}

/** Half text, half noise, so that frames differ in how far they compress. */
export function mixedBytes(length: number): Buffer {
  const data = Buffer.alloc(length, 'The quick brown fox jumps over the lazy dog. ');
  randomBytes(Math.floor(length / 2)).copy(data, Math.floor(length / 4));
  return data;
}

/** The data with one bit turned over. */
export function flipped(data: Buffer, offset: number): Buffer {
  const copy = Buffer.from(data);
  copy[offset] = (copy[offset] ?? 0) ^ 0x10;
  return copy;
}

export const never = new AbortController().signal;
