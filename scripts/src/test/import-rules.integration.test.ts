import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { repositoryRoot } from '../repository-root.ts';

const leaf = 'export const value = 1;\n';
const user = (path: string) => `import { value } from '${path}';\nexport const copy = value;\n`;
const typeUser = (path: string) => `import type { Value } from '${path}';\nexport type Copy = Value;\n`;

const allowed: Record<string, string> = {
  'shared/src/leaf.ts': leaf,
  'hub/src/leaf.ts': leaf,
  'hub/src/leaf.test.ts': leaf,
  'hub/src/testing/leaf.ts': leaf,
  'hub/src/leaf.routes.ts': leaf,
  'hub/src/leaf.service.ts': leaf,
  'worker/src/leaf.ts': leaf,
  'scripts/src/leaf.ts': leaf,
  'hub/src/things/things.repository.ts': user('../../../shared/src/leaf.ts'),
  'hub/src/things/things.service.ts': user('./things.repository.ts'),
  'hub/src/things/things.routes.ts': user('./things.service.ts'),
  'worker/src/uses-shared.ts': user('../../shared/src/leaf.ts'),
  'worker/src/uses-shared.test.ts': user('./uses-shared.ts'),
  'worker/src/type-circle-a.ts': user('./type-circle-b.ts'),
  'worker/src/type-circle-b.ts': `${typeUser('./type-circle-a.ts')}${leaf}`,
};
const forbidden: [rule: string, file: string, text: string][] = [
  ['hub-and-worker-never-meet', 'hub/src/a.ts', user('../../worker/src/leaf.ts')],
  ['worker-and-hub-never-meet', 'worker/src/a.ts', user('../../hub/src/leaf.ts')],
  ['worker-and-hub-never-meet', 'worker/src/by-type.ts', typeUser('../../hub/src/leaf.ts')],
  ['shared-knows-nobody', 'shared/src/a.ts', user('../../hub/src/leaf.ts')],
  ['packages-do-not-need-scripts', 'hub/src/b.ts', user('../../scripts/src/leaf.ts')],
  ['not-resolvable', 'worker/src/b.ts', user('./nowhere.ts')],
  ['no-test-code-in-product-code', 'hub/src/c.ts', user('./leaf.test.ts')],
  ['no-test-code-in-product-code', 'hub/src/d.ts', user('./testing/leaf.ts')],
  ['services-know-no-routes', 'hub/src/x.service.ts', user('./leaf.routes.ts')],
  ['repositories-are-the-bottom', 'hub/src/x.repository.ts', user('./leaf.service.ts')],
  ['no-circular', 'worker/src/circle.ts', user('./circle.ts')],
];

const report = z.object({
  summary: z.object({ violations: z.array(z.object({ from: z.string(), rule: z.object({ name: z.string() }) })) }),
});
let found: Map<string, string[]>;

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'xvault-rules-'));
  const files = { ...allowed, ...Object.fromEntries(forbidden.map(([, file, text]) => [file, text])) };
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  found = await brokenRules(folder);
  rmSync(folder, { recursive: true });
});

/** File → the rules that it breaks. */
function brokenRules(folder: string): Promise<Map<string, string[]>> {
  const tool = join(repositoryRoot, 'node_modules', '.bin', 'depcruise');
  const config = join(repositoryRoot, '.dependency-cruiser.cjs');
  const args = ['--config', config, '--output-type', 'json', 'shared', 'hub', 'worker', 'scripts'];
  return new Promise((resolve, reject) => {
    execFile(tool, args, { cwd: folder, maxBuffer: 1 << 26 }, (_, stdout) => {
      const parsed = report.safeParse(JSON.parse(stdout));
      if (!parsed.success) return reject(parsed.error);
      const rules = new Map<string, string[]>();
      for (const { from, rule } of parsed.data.summary.violations) {
        rules.set(from, [...(rules.get(from) ?? []), rule.name]);
      }
      resolve(rules);
    });
  });
}

test('what is allowed breaks no rule', () => {
  expect(Object.keys(allowed).filter((file) => found.has(file))).toEqual([]);
});

test.each(forbidden)('%s is found in %s', (rule, file) => {
  expect(found.get(file)).toEqual([rule]);
});
