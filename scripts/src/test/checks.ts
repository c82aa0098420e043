import { join } from 'node:path';

export interface Check {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
}

const packages = ['shared', 'hub', 'worker', 'scripts'];

/** What is checked without running the product; each counts as one test. */
export function checks(root: string): Check[] {
  const tool = (name: string) => join(root, 'node_modules', '.bin', name);
  return [
    { name: 'lint and format', command: [tool('biome'), 'check', '--error-on-warnings', '.'] },
    ...packages.map((name): Check => ({ name: `types of ${name}`, command: [tool('tsc'), '-p', name] })),
    {
      name: 'import direction',
      command: [tool('depcruise'), '--config', '.dependency-cruiser.cjs', ...packages.map((name) => `${name}/src`)],
    },
  ];
}
