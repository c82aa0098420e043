import type { SyncOptions } from '@xvault/shared/sync-options.ts';

/** rclone's filter of a job's patterns: what matches an exclude is left out, then, if there are includes, all that matches none of them. */
export function rcloneFilter({
  include,
  exclude,
}: Pick<SyncOptions, 'include' | 'exclude'>): Readonly<Record<string, unknown>> {
  const rules = [
    ...exclude
      .toReversed()
      .flatMap((pattern) => (pattern.startsWith('!') ? ruleOf('+', pattern.slice(1)) : ruleOf('-', pattern))),
    ...include.flatMap((pattern) => ruleOf('+', pattern)),
    ...(include.length > 0 ? ['- **'] : []),
  ];
  return rules.length === 0 ? {} : { FilterRule: rules };
}

/** A pattern of .gitignore matches a name and, if it is a directory's, all below it. */
function ruleOf(sign: '+' | '-', pattern: string): string[] {
  // Braces mean alternatives to rclone and nothing to .gitignore.
  const escaped = pattern.replaceAll('{', '\\{').replaceAll('}', '\\}');
  const bare = escaped.replace(/\/$/, '');
  const isAnchored = bare.includes('/');
  const rooted = isAnchored ? `/${bare.replace(/^\//, '')}` : bare;
  return pattern.endsWith('/') ? [`${sign} ${rooted}/**`] : [`${sign} ${rooted}`, `${sign} ${rooted}/**`];
}
