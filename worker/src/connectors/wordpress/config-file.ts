import { XVaultError } from '@xvault/shared/errors.ts';
import { type PhpToken, phpTokens } from './php-tokens.ts';

export type PhpValue = string | number | boolean | null;

/** The constants and global variables that a PHP file sets, as far as they can be known without running it. */
export interface PhpSettings {
  /** Throws WORDPRESS_CONFIG_UNREADABLE where it is set to what only PHP can tell, or to different things. */
  constant(name: string): PhpValue | undefined;
  variable(name: string): PhpValue | undefined;
}

type Setting = { readonly value: PhpValue } | 'unknown';

/** Reads `define('NAME', …)`, `const NAME = …` and `$name = …`. Nothing is run. */
export function readPhpSettings(source: string): PhpSettings {
  const tokens = phpTokens(source);
  const constants = new Map<string, Setting[]>();
  const variables = new Map<string, Setting[]>();
  const lookUp = (name: string) => soleValue(constants.get(name));
  for (let at = 0; at < tokens.length; at += 1) {
    const token = tokens[at];
    if (token === undefined) break;
    const defined = definedAt(tokens, at);
    if (defined !== undefined) note(constants, defined.name, evaluate(tokens, defined.valueAt, lookUp));
    // Not `==`, `=>` or an element of an array.
    else if (token.kind === 'variable' && isSign(tokens[at + 1], '=') && !isSign(tokens[at + 2], '=', '>')) {
      note(variables, token.name, evaluate(tokens, at + 2, lookUp));
    }
  }
  return {
    constant: (name) => known(name, constants.get(name)),
    variable: (name) => known(`$${name}`, variables.get(name)),
  };
}

function definedAt(tokens: readonly PhpToken[], at: number): { name: string; valueAt: number } | undefined {
  const [first, second, third, fourth] = tokens.slice(at, at + 4);
  if (first?.kind !== 'word') return undefined;
  const before = tokens[at - 1];
  if (isSign(before, '>', ':') || (before?.kind === 'word' && before.value.toLowerCase() === 'function'))
    return undefined;
  if (first.value.toLowerCase() === 'define' && isSign(second, '(') && third?.kind === 'text' && isSign(fourth, ',')) {
    return { name: third.value, valueAt: at + 4 };
  }
  if (first.value.toLowerCase() === 'const' && second?.kind === 'word' && isSign(third, '=')) {
    return { name: second.value, valueAt: at + 3 };
  }
  return undefined;
}

/** Literals and constants, joined by dots; anything else is unknown. */
function evaluate(tokens: readonly PhpToken[], from: number, lookUp: (name: string) => Setting | undefined): Setting {
  const parts: PhpValue[] = [];
  let at = from;
  for (;;) {
    const minus = isSign(tokens[at], '-');
    const token = tokens[minus ? at + 1 : at];
    at += minus ? 2 : 1;
    const part = token === undefined || isSign(tokens[at], '(', '[') ? 'unknown' : literalOf(token, minus, lookUp);
    if (part === 'unknown') return 'unknown';
    parts.push(part.value);
    const next = tokens[at];
    if (isSign(next, '.')) at += 1;
    else if (isSign(next, ';', ')', ',')) break;
    else return 'unknown';
  }
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return { value: only };
  return { value: parts.map(asPhpText).join('') };
}

function literalOf(token: PhpToken, minus: boolean, lookUp: (name: string) => Setting | undefined): Setting {
  if (token.kind === 'number') {
    const value = Number(token.value.replaceAll('_', ''));
    return Number.isNaN(value) ? 'unknown' : { value: minus ? -value : value };
  }
  if (minus) return 'unknown';
  if (token.kind === 'text') return { value: token.value };
  if (token.kind !== 'word') return 'unknown';
  const literals: Record<string, PhpValue> = { true: true, false: false, null: null };
  const literal = literals[token.value.toLowerCase()];
  return literal === undefined ? (lookUp(token.value) ?? 'unknown') : { value: literal };
}

function asPhpText(value: PhpValue): string {
  if (value === true) return '1';
  return value === false || value === null ? '' : String(value);
}

function note(settings: Map<string, Setting[]>, name: string, setting: Setting): void {
  settings.set(name, [...(settings.get(name) ?? []), setting]);
}

/** Set in several branches, it is known only when all say the same. */
function soleValue(settings: readonly Setting[] | undefined): Setting | undefined {
  const [first, ...others] = settings ?? [];
  if (first === undefined || first === 'unknown') return first;
  const same = others.every((other) => other !== 'unknown' && other.value === first.value);
  return same ? first : 'unknown';
}

function known(name: string, settings: readonly Setting[] | undefined): PhpValue | undefined {
  const sole = soleValue(settings);
  if (sole === undefined) return undefined;
  if (sole !== 'unknown') return sole.value;
  throw new XVaultError('WORDPRESS_CONFIG_UNREADABLE', {
    detail: `only PHP can tell what ${name} is: it is computed, read from the environment, or set in several places; with wp-cli on the server it would be asked`,
    params: { setting: name },
  });
}

function isSign(token: PhpToken | undefined, ...values: string[]): boolean {
  return token?.kind === 'sign' && values.includes(token.value);
}
