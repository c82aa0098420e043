import { createHash, randomFillSync } from 'node:crypto';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '@xvault/shared/testing/run.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { startTcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { isSkipped, type SourceSession } from '../../../worker/src/connectors/connector.ts';
import { createSftpConnector } from '../../../worker/src/connectors/sftp/connector.ts';
import { createSshConnector } from '../../../worker/src/connectors/ssh/connector.ts';
import { readSource } from '../../../worker/src/engines/archive/backup-source.ts';
import { createAddressGuard } from '../../../worker/src/net/guard.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { timeShell } from './commands.ts';
import { median, round } from './statistics.ts';

const rounds = 5;
const small = { files: 2000, bytes: 23 * 1024, perDirectory: 50 };
const largeBytes = 500 * 2 ** 20;
const roundTripMs = 40;

/**
 * Reading over SSH as backups do it: listed, read ahead, and every byte hashed, but neither compressed nor stored. Small files
 * are timed on a connection that stands; a large one with connecting, as `ssh cat` is. All in turns, medians.
 */
export async function sftp({ workDir, say, signal }: BenchContext): Promise<BenchResult> {
  const sshd = await startSshd();
  const proxy = await startTcpProxy(sshd.port);
  const times: Record<string, number[]> = { sftp40: [], tar40: [], sftp: [], tar: [], large: [], cat: [] };
  try {
    say('making files');
    await makeFiles(sshd);
    const keyFile = join(workDir, 'key');
    await writeFile(keyFile, sshd.privateKey, { mode: 0o600 });
    proxy.setLatencyMs(roundTripMs / 2);
    for (let at = 0; at <= rounds && !signal.aborted; at += 1) {
      const seconds = {
        cat: await sshCat(sshd, keyFile),
        large: await timeLarge(sshd, signal),
        sftp: await timeSmall('sftp', sshd, sshd.port, signal),
        tar: await timeSmall('tar', sshd, sshd.port, signal),
        sftp40: await timeSmall('sftp', sshd, proxy.port, signal),
        tar40: await timeSmall('tar', sshd, proxy.port, signal),
      };
      // The first round fills the caches and is not counted.
      if (at === 0) continue;
      for (const [name, value] of Object.entries(seconds)) times[name]?.push(value);
      const words = Object.entries(seconds).map(([name, value]) => `${name} ${value.toFixed(2)} s`);
      say(`round ${at}: ${words.join(', ')}`);
    }
  } finally {
    await proxy.close();
    await sshd.stop();
  }
  const middle = (name: string) => median(times[name] ?? []);
  const filesPerSecond = (name: string) => round(small.files / middle(name), 0);
  const megabytesPerSecond = (name: string) => round(largeBytes / 1e6 / middle(name), 0);
  return {
    bench: 'sftp',
    ratios: { sshCat: round(middle('cat') / middle('large')) },
    figures: {
      smallFilesPerSecond40ms: filesPerSecond('sftp40'),
      tarFilesPerSecond40ms: filesPerSecond('tar40'),
      smallFilesPerSecond: filesPerSecond('sftp'),
      tarFilesPerSecond: filesPerSecond('tar'),
      largeMBps: megabytesPerSecond('large'),
      sshCatMBps: megabytesPerSecond('cat'),
    },
  };
}

async function makeFiles({ dataDir, user }: TestSshd): Promise<void> {
  const content = Buffer.alloc(small.bytes);
  for (let at = 0; at < small.files; at += 1) {
    const folder = join(dataDir, 'small', `d${Math.floor(at / small.perDirectory)}`);
    if (at % small.perDirectory === 0) await mkdir(folder, { recursive: true });
    await writeFile(join(folder, `f${at}`), randomFillSync(content));
  }
  await mkdir(join(dataDir, 'large'));
  const file = await open(join(dataDir, 'large', 'file'), 'w');
  const block = Buffer.alloc(2 ** 20);
  for (let at = 0; at < largeBytes; at += block.length) await file.write(randomFillSync(block));
  await file.close();
  await run('chown', ['-R', `${user.uid}:${user.gid}`, dataDir]);
}

async function sshCat(sshd: TestSshd, keyFile: string): Promise<number> {
  const options = '-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes -o LogLevel=ERROR';
  const script = `ssh -F none ${options} -i "$1" -p "$2" "$3@127.0.0.1" cat "$4" > /dev/null`;
  const args = [keyFile, String(sshd.port), sshd.user.name, join(sshd.dataDir, 'large', 'file')];
  return (await timeShell(script, args)).seconds;
}

function connect(way: 'sftp' | 'tar', sshd: TestSshd, port: number, folder: string, signal: AbortSignal) {
  const guard = createAddressGuard({ allow: ['127.0.0.0/8'] });
  const connector = way === 'sftp' ? createSftpConnector({ guard }) : createSshConnector({ guard });
  const { host, user, dataDir } = sshd;
  const path = join(dataDir, folder);
  const target = { host, port, user: user.name, jump: null, path, host_key: sshd.fingerprint() };
  return connector.connect(target, { private_key: sshd.privateKey }, signal);
}

async function timeSmall(way: 'sftp' | 'tar', sshd: TestSshd, port: number, signal: AbortSignal): Promise<number> {
  const session = await connect(way, sshd, port, 'small', signal);
  try {
    const startMs = performance.now();
    const bytes = await readAll(session, signal);
    const seconds = (performance.now() - startMs) / 1000;
    if (bytes !== small.files * small.bytes) throw new Error(`${bytes} bytes were read`);
    if (way === 'tar' && session.describe?.()?.transport !== 'tar') throw new Error('tar was not used');
    return seconds;
  } finally {
    await session.close();
  }
}

async function timeLarge(sshd: TestSshd, signal: AbortSignal): Promise<number> {
  const startMs = performance.now();
  const session = await connect('sftp', sshd, sshd.port, 'large', signal);
  try {
    const bytes = await readAll(session, signal);
    if (bytes !== largeBytes) throw new Error(`${bytes} bytes were read`);
  } finally {
    await session.close();
  }
  return (performance.now() - startMs) / 1000;
}

async function readAll(session: SourceSession, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  for await (const items of readSource(session, { oneFileSystem: false, signal })) {
    for (const item of items) {
      if (item.kind === 'skipped' || (item.kind === 'small' && !item.result.ok)) throw new Error('a file was left out');
      if (item.kind === 'small' && item.result.ok) {
        createHash('sha256').update(item.result.data).digest();
        bytes += item.result.data.length;
      }
      if (item.kind !== 'entry' || item.entry.type !== 'file') continue;
      const stream = await session.open(item.entry, signal);
      if (isSkipped(stream)) throw new Error('a file was left out');
      const hash = createHash('sha256');
      for await (const chunk of stream.chunks) {
        hash.update(chunk);
        bytes += chunk.length;
      }
      hash.digest();
      await stream.close();
    }
  }
  return bytes;
}
