import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** Thrown when the configuration does not parse; names variables, never their values. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

const words: Record<string, boolean> = {
  true: true,
  yes: true,
  on: true,
  '1': true,
  false: false,
  no: false,
  off: false,
  '0': false,
};

/** Booleans by word; anything else is an error, so that "flase" is not taken for true. */
export const booleanWord = z.string().transform((text, context) => {
  const value = words[text.toLowerCase()];
  if (value !== undefined) return value;
  context.addIssue({ code: 'custom', message: 'must be one of true, false, yes, no, on, off, 1, 0' });
  return z.NEVER;
});

export const integerText = z.string().regex(/^\d+$/, 'must be a whole number').transform(Number);

/** `a,b,c` → trimmed, non-empty parts. */
export const listText = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
);

/**
 * Parses variables by a schema whose keys are their names. For each `X`, `X_FILE` may name a file that holds the value
 * (one trailing line break is dropped); giving both is an error.
 */
export function parseConfig<T extends z.ZodRawShape>(
  schema: z.ZodObject<T>,
  env: Readonly<Record<string, string | undefined>>,
): z.infer<z.ZodObject<T>> {
  const values: Record<string, string> = {};
  for (const name of Object.keys(schema.shape)) {
    const direct = env[name] === '' ? undefined : env[name];
    const file = env[`${name}_FILE`];
    if (direct !== undefined && file) throw new ConfigError(`set ${name} or ${name}_FILE, not both`);
    if (direct !== undefined) values[name] = direct;
    else if (file) values[name] = readSecretFile(name, file);
  }
  const parsed = schema.safeParse(values);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'configuration'}: ${issue.message}`);
  throw new ConfigError(`configuration is not valid:\n  ${lines.join('\n  ')}`);
}

function readSecretFile(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (cause) {
    throw new ConfigError(`${name}_FILE cannot be read: ${(cause as NodeJS.ErrnoException).code ?? 'unknown error'}`);
  }
}
