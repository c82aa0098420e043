import { randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import { XVaultError } from '@xvault/shared/errors.ts';
import { z } from 'zod';
import { type ChildOutcome, describeOutcome, type RunningChild, startChild } from '../../../process/run-child.ts';
import { redact } from '../redact.ts';
import { type LogLine, parseLogLine } from './log-line.ts';
import { LogMarks } from './log-marks.ts';
import { RcClient } from './rc-client.ts';
import { unlinkedFile } from './run-directory.ts';
import { lifelineIntervalMs, superviseScript } from './supervised.ts';
import { featuresOf, type RcloneFeatures } from './version.ts';

const startTimeoutMs = 15_000;
const versionAnswer = z.object({ version: z.string() });
const pidAnswer = z.object({ pid: z.int() });

export interface RcloneOptions {
  readonly binary: string;
  /** Of the run: holds the config while it is written, rclone's cache and temporary files. */
  readonly directory: string;
  /** The config as text; rclone sees it as a descriptor and never under a name. */
  readonly config: { readonly text: string } | { readonly path: string };
  /** All that rclone's environment holds beside PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** Global flags; nothing of a customer's. */
  readonly flags?: readonly string[];
  readonly onLine: (line: LogLine) => void;
  /** What its proxy kept it from. */
  readonly refusal?: () => XVaultError | null;
  readonly signal: AbortSignal;
}

/** rclone breaks off what takes it longer to answer, however much has passed meanwhile: by itself, after an hour. */
const answerHours = 365 * 24;

/** A private rclone of one run, commanded over loopback. */
export interface Rclone {
  readonly rc: RcClient;
  readonly features: RcloneFeatures;
  readonly pid: number;
  /** Settles when rclone is gone, however it went. */
  readonly ended: Promise<ChildOutcome>;
  /** Resolves when all that it has said so far was given to `onLine`. Throws as calls do. */
  logged(): Promise<void>;
  /** Ends it in order; one that does not end is killed. */
  close(): Promise<ChildOutcome>;
}

/** Throws SYNC_TOOL_UNSUITABLE when there is no fitting rclone, ERR_RCLONE_START when it does not start, or the signal's reason. */
export async function startRclone(options: RcloneOptions): Promise<Rclone> {
  options.signal.throwIfAborted();
  const user = randomBytes(12).toString('hex');
  const password = randomBytes(24).toString('hex');
  const file = 'text' in options.config ? await unlinkedFile(options.directory, options.config.text) : undefined;
  let child: RunningChild;
  try {
    child = startChild({
      file: 'bash',
      args: ['-c', superviseScript, 'rclone', options.binary, ...argumentsOf(options)],
      cwd: options.directory,
      env: { ...options.env, HOME: options.directory, RCLONE_RC_USER: user, RCLONE_RC_PASS: password },
      stdin: 'pipe',
      stdout: 'pipe',
      fds: file === undefined ? [] : [file.fd],
    });
  } finally {
    await file?.close();
  }
  const lifeline = setInterval(() => child.stdin?.write('\n'), lifelineIntervalMs);
  const ended = child.outcome.finally(() => clearInterval(lifeline));
  const stop = () => child.kill();
  const marks = new LogMarks();
  const onLine = (line: LogLine) => {
    if (!marks.take(line)) options.onLine(line);
  };
  try {
    const port = await servedPort(child, onLine, options.signal);
    const rc = new RcClient({ port, user, password }, options.refusal);
    const ask = (method: string) => rc.call(method, {}, options.signal);
    const [aboutVersion, aboutProcess] = await Promise.all([ask('core/version'), ask('core/pid')]);
    const { version } = versionAnswer.parse(aboutVersion);
    const { pid } = pidAnswer.parse(aboutProcess);
    return {
      rc,
      features: featuresOf(version),
      pid,
      ended,
      logged: () => marks.reach(rc, ended, options.signal),
      async close() {
        rc.close();
        // By a signal: when it is asked to quit it waits for a second and a half first.
        stop();
        return ended;
      },
    };
  } catch (error) {
    stop();
    await ended;
    throw error;
  }
}

function argumentsOf({ config, directory, flags = [] }: RcloneOptions): string[] {
  return [
    'rcd',
    '--rc-addr=127.0.0.1:0',
    '--rc-serve',
    `--rc-server-read-timeout=${answerHours}h`,
    `--rc-server-write-timeout=${answerHours}h`,
    '--use-json-log',
    '--log-level=INFO',
    '--stats=0',
    '--ask-password=false',
    `--config=${'path' in config ? config.path : '/dev/fd/3'}`,
    `--cache-dir=${directory}/cache`,
    `--temp-dir=${directory}`,
    ...flags,
  ];
}

/** Reads rclone's log for as long as it lives; resolves when it says where it listens. */
function servedPort(child: RunningChild, onLine: (line: LogLine) => void, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const early: string[] = [];
    const timer = setTimeout(() => fail('it did not answer in time', 'ERR_RCLONE_START'), startTimeoutMs);
    const fail = (why: string, code: 'ERR_RCLONE_START' | 'SYNC_TOOL_UNSUITABLE') => {
      clearTimeout(timer);
      const detail = `rclone did not start: ${why} ${redact(early.join(' | ')).slice(0, 1000)}`;
      reject(new XVaultError(code, { detail }));
    };
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    child.outcome.then((outcome) => {
      // The shell's way to say that there is no such program, or that it cannot be run.
      const isMissing = outcome.end.cause === 'exited' && [126, 127].includes(outcome.end.exitCode);
      fail(describeOutcome('rclone', outcome), isMissing ? 'SYNC_TOOL_UNSUITABLE' : 'ERR_RCLONE_START');
    });
    if (child.stdout === null) return;
    let isServing = false;
    createInterface({ input: child.stdout, crlfDelay: Number.POSITIVE_INFINITY }).on('line', (text) => {
      const line = parseLogLine(text);
      if (isServing) return onLine(line);
      const port = /Serving remote control on http:\/\/127\.0\.0\.1:(\d+)\//.exec(line.message)?.[1];
      if (port === undefined) {
        early.push(line.message);
        return;
      }
      isServing = true;
      clearTimeout(timer);
      resolve(Number(port));
    });
  });
}
