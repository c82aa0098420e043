import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

export interface SftpTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly path: string;
}

export interface DemoOptions {
  readonly json: boolean;
  readonly stay: boolean;
  /** Absolute; undefined for the default tree or an SFTP source. */
  readonly path: string | undefined;
  readonly sftp: SftpTarget | undefined;
  readonly keyFile: string | undefined;
}

/** The command line was not understood; the message says how it goes. */
export class UsageError extends Error {}

const usage = 'npm run demo [-- PATH] [--sftp user@host[:port]:/path [--key FILE]] [--json] [--stay]';

export function parseDemoOptions(args: readonly string[]): DemoOptions {
  const { values, positionals } = parse(args);
  if (positionals.length > 1) throw new UsageError(`one PATH at most\n${usage}`);
  if (values.sftp !== undefined && positionals.length > 0) throw new UsageError(`PATH or --sftp, not both\n${usage}`);
  if (values.key !== undefined && values.sftp === undefined) throw new UsageError(`--key goes with --sftp\n${usage}`);
  return {
    json: values.json,
    stay: values.stay,
    path: positionals[0] === undefined ? undefined : resolve(positionals[0]),
    sftp: values.sftp === undefined ? undefined : parseSftpTarget(values.sftp),
    keyFile: values.key === undefined ? undefined : resolve(values.key),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: 'boolean', default: false },
        stay: { type: 'boolean', default: false },
        sftp: { type: 'string' },
        key: { type: 'string' },
      },
    });
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
  }
}

/** `user@host:/path`, `user@host:2222:/path`, `user@[::1]:/path`. */
export function parseSftpTarget(text: string): SftpTarget {
  const match = /^([^@]+)@(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?:(\/.*)$/s.exec(text);
  const [, user, address, name, port, path] = match ?? [];
  const host = address ?? name;
  if (user === undefined || host === undefined || path === undefined) {
    throw new UsageError(`not user@host:/path: ${text}\n${usage}`);
  }
  return { user, host, port: port === undefined ? 22 : Number(port), path };
}
