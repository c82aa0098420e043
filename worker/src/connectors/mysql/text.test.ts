import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { withoutHead } from '../database/part-buffers.ts';
import { sandboxLineCut } from './dump.ts';
import { demandPrivileges, lackingPrivileges } from './grants.ts';
import { renameDatabase } from './rename-database.ts';

async function* chunksOf(text: string, sizes: readonly number[]) {
  const data = Buffer.from(text);
  for (let at = 0, i = 0; at < data.length; i += 1) {
    const size = Math.max(1, sizes[i % sizes.length] ?? 1);
    yield data.subarray(at, at + size);
    at += size;
  }
}

async function joined(chunks: AsyncIterable<Buffer>): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const chunk of chunks) pieces.push(Buffer.from(chunk));
  return Buffer.concat(pieces).toString();
}

const anySizes = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 5 });

describe('the line of the sandbox', () => {
  const line = '/*M!999999\\- enable the sandbox mode */ \n';
  test('goes, wherever the chunks are cut', async () => {
    await fc.assert(
      fc.asyncProperty(anySizes, fc.string(), async (sizes, rest) => {
        expect(await joined(withoutHead(chunksOf(line + rest, sizes), sandboxLineCut))).toBe(rest.toWellFormed());
      }),
    );
  });
  test('is only looked for at the beginning', async () => {
    for (const text of ['', '-- MariaDB dump\n', `x${line}`, `\n${line}`, line.slice(0, 20)]) {
      expect(await joined(withoutHead(chunksOf(text, [7]), sandboxLineCut))).toBe(text);
    }
  });
});

describe('a database under a new name', () => {
  test('is meant by every line that changes its character set, wherever the chunks are cut', async () => {
    const text = (name: string) =>
      `x\nALTER DATABASE ${name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin ;\nCREATE\nALTER DATABASE ${name} CHARACTER SET latin1 ;\ny`;
    await fc.assert(
      fc.asyncProperty(anySizes, async (sizes) => {
        const renamed = await joined(renameDatabase(chunksOf(text('`o``ld`'), sizes), 'o`ld', 'new "one"'));
        expect(renamed).toBe(text('`new "one"`'));
      }),
    );
  });
  test('other lines stay', async () => {
    const text =
      "INSERT 'ALTER DATABASE `old` CHARACTER SET x';\nALTER DATABASE `older` CHARACTER SET x;\n ALTER DATABASE `old` CHARACTER SET x;";
    expect(await joined(renameDatabase(chunksOf(text, [5]), 'old', 'new'))).toBe(text);
  });
});

describe('privileges', () => {
  const lacking = (grants: string[], database = 'shop_1') => lackingPrivileges(grants, database);
  test.each([
    ["GRANT ALL PRIVILEGES ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*A' WITH GRANT OPTION", 'shop_1', []],
    ['GRANT ALL PRIVILEGES ON `shop\\_1`.* TO `u`@`%`', 'shop_1', []],
    ['GRANT ALL PRIVILEGES ON `shop\\_1`.* TO `u`@`%`', 'shopX1', ['SELECT', 'SHOW VIEW', 'TRIGGER', 'EVENT']],
    ['GRANT ALL PRIVILEGES ON `shop_1`.* TO `u`@`%`', 'shopX1', []],
    ['GRANT ALL PRIVILEGES ON `shop%`.* TO `u`@`%`', 'SHOP things', []],
    ['GRANT ALL PRIVILEGES ON `a``b.c`.* TO `u`@`%`', 'a`b.c', []],
    ['GRANT SELECT, LOCK TABLES, SHOW VIEW ON *.* TO `u`@`%`', 'x', ['TRIGGER', 'EVENT']],
    ['GRANT SELECT ON `shop_1`.`one table` TO `u`@`%`', 'shop_1', ['SELECT', 'SHOW VIEW', 'TRIGGER', 'EVENT']],
    ['GRANT `role` TO `u`@`%`', 'shop_1', ['SELECT', 'SHOW VIEW', 'TRIGGER', 'EVENT']],
    ['GRANT USAGE ON *.* TO `u`@`%`', 'shop_1', ['SELECT', 'SHOW VIEW', 'TRIGGER', 'EVENT']],
  ])('%s, on %s', (grant, database, expected) => {
    expect(lacking([grant], database)).toEqual(expected);
  });
  test('add up over several grants', () => {
    const grants = ['GRANT SELECT, EVENT ON *.* TO `u`@`%`', 'GRANT SHOW VIEW, TRIGGER ON `shop%`.* TO `u`@`%`'];
    expect(() => demandPrivileges(grants, ['shop_1'])).not.toThrow();
    expect(() => demandPrivileges(grants, ['shop_1', 'blog'])).toThrow(
      expect.objectContaining({
        code: 'DATABASE_PERMISSION',
        params: { database: 'blog', lacking: 'SHOW VIEW, TRIGGER' },
      }),
    );
  });
});
