import { outputOf, type ToolHost } from '../database/tool-host.ts';
import { toolError } from './errors.ts';
import type { Rows, Sql } from './sql.ts';

const limitBytes = 64 * 1024 * 1024;
const unescaped: Record<string, string> = { '\\t': '\t', '\\n': '\n', '\\0': '\0', '\\\\': '\\' };

/** Looks things up through the client program of the far side. Statements go there on its input. */
export function farSql(
  host: ToolHost,
  program: string,
  options: string,
  caPem: string | null,
  signal: AbortSignal,
): Sql {
  return {
    async rows(sql): Promise<Rows> {
      const command = {
        program,
        files: caPem === null ? [options] : [options, caPem],
        args: ([file = '']: readonly string[]) => [
          `--defaults-file=${file}`,
          '--batch',
          '--skip-column-names',
          '--default-character-set=utf8mb4',
        ],
        stdin: 'pipe' as const,
        signal,
      };
      const { outcome, output } = await outputOf(host, command, `${sql};\n`, limitBytes);
      signal.throwIfAborted();
      if (outcome.lost !== undefined) throw outcome.lost;
      if (!outcome.succeeded) throw toolError(outcome, 'SOURCE_PROTOCOL');
      const lines = output.split('\n').slice(0, -1);
      return lines.map((line) =>
        line.split('\t').map((field) => field.replace(/\\[tn0\\]/g, (text) => unescaped[text] ?? text)),
      );
    },
    close: async () => undefined,
  };
}
