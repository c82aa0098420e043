import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import { localPathIn } from '@xvault/shared/snapshots.ts';
import { type MariadbServer, startMariadb } from '@xvault/shared/testing/mariadb.ts';
import { type PostgresServer, startPostgres } from '@xvault/shared/testing/postgres.ts';
import { run as runProgram } from '@xvault/shared/testing/run.ts';
import { ApiClient } from '../api/client.ts';
import { backUp, makeJob, makeTenant } from '../demo/api-steps.ts';
import { type Platform, startPlatform } from '../platform/start-platform.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { type Timed, timeShell } from './commands.ts';
import { cpuWithChildren } from './process-cpu.ts';
import { median, round } from './statistics.ts';

const rounds = 5;
const defaultGib = 1;
/** Of one row of text, half of it words and half of it random. */
const rowBytes = 1024;
const database = 'bench';

interface Contender {
  readonly name: 'Mysql' | 'Postgres';
  readonly source: {
    readonly type: string;
    readonly config: Record<string, unknown>;
    readonly secret: Record<string, string>;
  };
  /** The tools' own way, to a file. */
  native(file: string): Promise<Timed>;
}

/**
 * A backup of one database through the whole platform against the same dumper piped to `zstd` and `age`: the same server, the same
 * way to it, in turns, medians.
 */
export async function dump({ workDir, say, signal, gib = defaultGib }: BenchContext): Promise<BenchResult> {
  const [mariadb, postgres] = await Promise.all([startMariadb(), startPostgres()]);
  const platform = await startPlatform({
    dataDir: join(workDir, 'data'),
    localRoots: [],
    allowNetworks: ['127.0.0.0/8'],
  });
  try {
    const rows = Math.ceil((gib * 2 ** 30) / rowBytes);
    say(`filling two databases with ${rows} rows each`);
    await fillMariadb(mariadb, rows);
    await fillPostgres(postgres, rows);
    const { recipient } = await generateKeyPair();
    const operator = await ApiClient.signIn(platform.hubUrl, platform.operator.email, platform.operator.password);
    const { api } = await makeTenant(operator, []);
    const ratios: Record<string, number> = {};
    const figures: Record<string, number> = {};
    for (const contender of contenders(mariadb, postgres, recipient)) {
      const { name } = contender;
      const follow = { onProgress: () => undefined, signal };
      const body = { name, ...contender.source };
      const { jobId } = await makeJob(api, { title: name, body, localPath: undefined, allowNetworks: [] }, follow);
      const ours: Timed[] = [];
      const native: Timed[] = [];
      let bytes = 0;
      for (let round_ = 0; round_ <= rounds && !signal.aborted; round_ += 1) {
        const timed = await timeBackup(platform, async () => {
          const { snapshot } = await backUp(api, jobId, follow);
          await rm(join(workDir, 'data', 'backups', localPathIn(snapshot.locator)), { recursive: true });
          bytes = snapshot.source_bytes;
        });
        const file = join(workDir, 'native');
        const theirs = await contender.native(file);
        await rm(file);
        // The first round fills the servers' caches and is not counted.
        if (round_ === 0) continue;
        ours.push(timed);
        native.push(theirs);
        say(`${name} round ${round_}: xvault ${timed.seconds.toFixed(2)} s, native ${theirs.seconds.toFixed(2)} s`);
      }
      const seconds = (all: readonly Timed[]) => median(all.map((one) => one.seconds));
      // Of worker and tools on the one side, of all programs of the pipe on the other; the server's is the same.
      const cpuSeconds = (all: readonly Timed[]) => round(median(all.map((one) => one.cpuSeconds)));
      ratios[`dump${name}`] = round(seconds(native) / seconds(ours));
      figures[`xvault${name}Seconds`] = round(seconds(ours));
      figures[`native${name}Seconds`] = round(seconds(native));
      figures[`xvault${name}CpuSeconds`] = cpuSeconds(ours);
      figures[`native${name}CpuSeconds`] = cpuSeconds(native);
      figures[`dump${name}Bytes`] = bytes;
    }
    return { bench: 'dump', ratios, figures };
  } finally {
    await platform.stop();
    await Promise.all([mariadb.stop(), postgres.stop()]);
  }
}

async function timeBackup(platform: Platform, act: () => Promise<void>): Promise<Timed> {
  const pid = platform.worker?.pid;
  if (pid === undefined) throw new Error('there is no worker');
  const [startMs, cpuBefore] = [performance.now(), cpuWithChildren(pid)];
  await Promise.race([platform.failed, act()]);
  return { seconds: (performance.now() - startMs) / 1000, cpuSeconds: cpuWithChildren(pid) - cpuBefore };
}

function contenders(mariadb: MariadbServer, postgres: PostgresServer, recipient: string): Contender[] {
  const { hostname, port, username } = new URL(postgres.url);
  const user = mariadb.admin;
  // The option file is the server's own: the password is in no argument here either.
  const optionFile = join(mariadb.socket, '..', 'client.cnf');
  const pipe = 'zstd -3 -T0 -q | age -r "$2" > "$3"';
  const mysqlScript = `mariadb-dump --defaults-file="$1" --protocol=TCP --host=127.0.0.1 --port=${mariadb.port} --single-transaction --quick --skip-lock-tables --routines --events --triggers --hex-blob ${database} | ${pipe}`;
  const postgresScript = `pg_dump -w -Fc -Z0 --no-owner -h ${hostname} -p ${port} -U ${username} ${database} | ${pipe}`;
  return [
    {
      name: 'Mysql',
      source: {
        type: 'mysql',
        config: { host: '127.0.0.1', port: mariadb.port, user: user.user, databases: [database] },
        secret: { password: user.password },
      },
      native: (file) => timeShell(mysqlScript, [optionFile, recipient, file]),
    },
    {
      name: 'Postgres',
      source: {
        type: 'postgres',
        config: { host: hostname, port: Number(port), user: username, databases: [database], globals: false },
        secret: { password: 'not asked for' },
      },
      native: (file) => timeShell(postgresScript, ['', recipient, file]),
    },
  ];
}

/** Numbers, dates and text that compresses about as well as that of real tables. */
async function fillMariadb(server: MariadbServer, rows: number): Promise<void> {
  const text = `CONCAT(REPEAT('lorem ipsum dolor sit amet ', ${rowBytes / 64}), ${randomHex('SHA2(CONCAT(seq, %), 512)')})`;
  await server.sql(
    `CREATE DATABASE ${database}; USE ${database}; CREATE TABLE t (id INT PRIMARY KEY, at DATETIME, amount DECIMAL(12,2), body TEXT);` +
      `INSERT INTO t SELECT seq, '2026-01-01' + INTERVAL seq SECOND, seq / 7, ${text} FROM seq_1_to_${rows}`,
  );
}

async function fillPostgres(server: PostgresServer, rows: number): Promise<void> {
  const { hostname, port, username } = new URL(server.url);
  const text = `repeat('lorem ipsum dolor sit amet ', ${rowBytes / 64}) || ${['1', '2', '3', '4'].map((n) => `encode(sha512((seq || '${n}')::bytea), 'hex')`).join(' || ')}`;
  const args = ['-X', '-q', '-w', '-h', hostname, '-p', port, '-U', username, '-v', 'ON_ERROR_STOP=1'];
  await runProgram('psql', [...args, '-d', 'postgres', '-c', `create database ${database} template template0`]);
  const insert = `insert into t select seq, timestamp '2026-01-01' + seq * interval '1 second', seq / 7.0, ${text} from generate_series(1, ${rows}) seq`;
  const create = 'create table t (id int primary key, at timestamp, amount numeric(12,2), body text)';
  await runProgram('psql', [...args, '-d', database, '-c', create, '-c', insert, '-c', 'checkpoint']);
}

function randomHex(pattern: string): string {
  return ['1', '2', '3', '4'].map((salt) => pattern.replace('%', salt)).join(', ');
}
