/** For tests: a site as WordPress lays it out, with its tables; WordPress itself is not in it. */
import { chown, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MariadbServer } from './mariadb.ts';
import type { TestSshd } from './sshd.ts';

export interface WordpressSite {
  readonly path: string;
  readonly password: string;
}

export interface WordpressSiteOptions {
  readonly name: string;
  /** `parent`: wp-config.php one directory up. */
  readonly config?: 'inside' | 'parent';
  /** The value of DB_HOST; without it a port of 127.0.0.1. */
  readonly dbHost?: string;
  /** PHP in the place of the password's literal. */
  readonly passwordCode?: string;
  readonly grants?: string;
}

const files: Record<string, string> = {
  'index.php': "<?php require __DIR__ . '/wp-blog-header.php';",
  'wp-load.php': '<?php',
  'wp-settings.php': '<?php',
  'wp-includes/version.php':
    "<?php\n/** @global string $wp_version */\n$wp_version = '6.7.1';\n$wp_db_version = 58975;\n",
  'wp-content/uploads/2026/11/bild ü.txt': 'picture',
  'wp-content/plugins/shop/shop.php': '<?php // plugin',
  'wp-content/cache/page.html': 'cached',
  'wp-content/updraft/backup.zip': 'an old backup',
  'wp-content/plugins/shop/cache/keep.txt': 'not the cache of the site',
};

const tables = `
CREATE TABLE blog_options (option_id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, option_name VARCHAR(191) UNIQUE, option_value LONGTEXT, autoload VARCHAR(20)) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;
INSERT INTO blog_options (option_name, option_value, autoload) VALUES ('siteurl', 'https://shop.example', 'yes'), ('home', 'https://shop.example', 'yes'), ('emoji', '🎉', 'no');
CREATE TABLE blog_posts (ID BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, post_title TEXT, post_content LONGTEXT, post_date DATETIME DEFAULT '1000-01-01 00:00:00') CHARACTER SET utf8mb4;
INSERT INTO blog_posts (post_title, post_content) VALUES ('Hello', REPEAT('text ', 50000)), ('Größe', 'x');
`;

export async function makeWordpressSite(
  sshd: TestSshd,
  server: MariadbServer,
  options: WordpressSiteOptions,
): Promise<WordpressSite> {
  const { name, config = 'inside', dbHost = `127.0.0.1:${server.port}`, grants = 'ALL' } = options;
  const password = 'p"ass \\#\'w';
  await server.sql(`CREATE DATABASE \`${name}\``);
  await server.sql(
    `CREATE USER '${name}' IDENTIFIED BY 'p"ass \\\\#''w'; GRANT ${grants} ON \`${name}\`.* TO '${name}'`,
  );
  await server.sql(tables, name);
  const parent = join(sshd.dataDir, name);
  const path = join(parent, 'public html');
  for (const [file, content] of Object.entries(files)) {
    await mkdir(join(path, file, '..'), { recursive: true });
    await writeFile(join(path, file), content);
  }
  const lines = [
    '<?php',
    "/** Settings */ // define( 'DB_NAME', 'old' );",
    `define( 'DB_NAME', '${name}' );`,
    `define( 'DB_USER', "${name}" );`,
    `define( 'DB_PASSWORD', ${options.passwordCode ?? `'p"ass \\\\#' . "'" . 'w'`} );`,
    `define( 'DB_HOST', '${dbHost}' );`,
    "$table_prefix = 'blog_';",
    "if ( ! defined( 'ABSPATH' ) ) { define( 'ABSPATH', __DIR__ . '/' ); }",
    "require_once ABSPATH . 'wp-settings.php';",
  ];
  await writeFile(join(config === 'inside' ? path : parent, 'wp-config.php'), `${lines.join('\n')}\n`);
  for (const file of await readdir(parent, { recursive: true }))
    await chown(join(parent, file), sshd.user.uid, sshd.user.gid);
  return { path, password };
}
