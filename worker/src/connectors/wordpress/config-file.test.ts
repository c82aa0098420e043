import { describe, expect, test } from 'vitest';
import { readPhpSettings } from './config-file.ts';
import { parseDbHost } from './db-host.ts';

const read = (body: string) => readPhpSettings(`<?php\n${body}\n`);

describe('constants of a configuration', () => {
  test.each([
    ["define( 'DB_NAME', 'shop' );", 'shop'],
    ['define("DB_NAME", "shop");', 'shop'],
    ["DEFINE('DB_NAME','it\\'s a \\\\ \\n');", "it's a \\ \\n"],
    ['define("DB_NAME", "tab\\t \\x41\\u{1F389} \\$not \\"quoted\\"");', 'tab\t A🎉 $not "quoted"'],
    ["define('DB_NAME', 'sh' . \"op\" . 1);", 'shop1'],
    ["define('A', 'pre'); define('DB_NAME', A . '_fix');", 'pre_fix'],
    ["const DB_NAME = 'shop';", 'shop'],
    ["\\define('DB_NAME', 'shop', true);", 'shop'],
    [
      "// define('DB_NAME', 'old');\n# define('DB_NAME', 'older');\n/* define('DB_NAME', 'oldest'); */\ndefine('DB_NAME', /* here */ 'shop');",
      'shop',
    ],
    ["if (!defined('DB_NAME')) { define('DB_NAME', 'shop'); }", 'shop'],
    ["$text = 'define(\\'DB_NAME\\', \\'fake\\');'; define('DB_NAME', 'shop');", 'shop'],
    ["$h = <<<EOT\ndefine('DB_NAME', 'fake');\nEOT;\ndefine('DB_NAME', 'shop');", 'shop'],
    ["define('DB_NAME', 'shop'); ?>define('DB_NAME', 'html')<?php echo 1;", 'shop'],
    ["#[Attribute] class A {}\ndefine('DB_NAME', 'shop'); // ?>\ndefine('DB_NAME', 'html')", 'shop'],
    ["define('DB_NAME', 'pass//word#1');", 'pass//word#1'],
    ["$db->define('DB_NAME', 'other'); define('DB_NAME', 'shop');", 'shop'],
    ["if (a()) { define('DB_NAME', 'shop'); } else { define('DB_NAME', 'shop'); }", 'shop'],
  ])('%s', (body, value) => {
    expect(read(body).constant('DB_NAME')).toBe(value);
  });

  test('numbers, words and what is not set', () => {
    const settings = read(
      "define('A', 12); define('B', -1.5); define('C', TRUE); define('D', null); $table_prefix = 'wp_' . 'x_';",
    );
    expect(['A', 'B', 'C', 'D', 'E'].map((name) => settings.constant(name))).toEqual([12, -1.5, true, null, undefined]);
    expect(settings.variable('table_prefix')).toBe('wp_x_');
  });

  test.each([
    "define('DB_NAME', getenv('DB_NAME'));",
    "define('DB_NAME', $_ENV['DB_NAME']);",
    'define("DB_NAME", "shop_$stage");',
    'define("DB_NAME", "shop_{$stage}");',
    "define('DB_NAME', getenv('X') ?: 'shop');",
    "define('DB_NAME', UNKNOWN_CONSTANT);",
    "define('DB_NAME', 'a' . other());",
    "define('DB_NAME', <<<EOT\nshop\nEOT);",
    "if (local()) { define('DB_NAME', 'one'); } else { define('DB_NAME', 'two'); }",
  ])('only PHP can tell: %s', (body) => {
    expect(() => read(body).constant('DB_NAME')).toThrow(
      expect.objectContaining({ code: 'WORDPRESS_CONFIG_UNREADABLE' }),
    );
  });

  test('broken PHP is read as far as it goes', () => {
    expect(read("define('DB_NAME', 'shop'); $x = 'never ended").constant('DB_NAME')).toBe('shop');
    expect(readPhpSettings('').constant('DB_NAME')).toBeUndefined();
  });
});

test.each([
  ['localhost', { host: 'localhost', port: null }],
  ['localhost:3307', { host: 'localhost', port: 3307 }],
  ['db.internal', { host: 'db.internal', port: 3306 }],
  ['127.0.0.1:3310', { host: '127.0.0.1', port: 3310 }],
  ['localhost:/run/mysqld/mysqld.sock', { socket: '/run/mysqld/mysqld.sock' }],
  [':/tmp/mysql.sock', { socket: '/tmp/mysql.sock' }],
  ['[::1]:3306', { host: '::1', port: 3306 }],
  ['::1', { host: '::1', port: 3306 }],
])('DB_HOST %s', (text, place) => {
  expect(parseDbHost(text)).toEqual(place);
});

test.each(['', 'a b:99999999', 'host:port', '/path'])('DB_HOST %o is refused', (text) => {
  if (text === '') expect(parseDbHost(text)).toEqual({ host: 'localhost', port: null });
  else expect(() => parseDbHost(text)).toThrow(expect.objectContaining({ code: 'WORDPRESS_CONFIG_UNREADABLE' }));
});
