import { mysqlConfig } from '@xvault/shared/source-kinds/database.ts';
import type { DatabaseSecret, SourceOf } from '@xvault/shared/sources.ts';
import type { MariadbServer } from '@xvault/shared/testing/mariadb.ts';
import { loopbackGuard, never } from '../database/database.test-kit.ts';
import { createMysqlConnector } from './connector.ts';

export const connector = createMysqlConnector({ guard: loopbackGuard });

/** A source on the server; `config` as the API takes it. */
export function sourceOn(server: MariadbServer, config: Record<string, unknown> = {}, hostKey: string | null = null) {
  const parsed = mysqlConfig.parse({ host: server.host, port: server.port, user: server.admin.user, ...config });
  return { type: 'mysql', config: parsed, host_key: hostKey } satisfies SourceOf<'mysql'>;
}

export function secretOf(server: MariadbServer): DatabaseSecret {
  return { password: server.admin.password };
}

export function connect(source: SourceOf<'mysql'>, secret: DatabaseSecret, signal = never) {
  return connector.connect({ ...source.config, host_key: source.host_key }, secret, signal);
}

export function probe(source: SourceOf<'mysql'>, secret: DatabaseSecret) {
  return connector.probe({ ...source.config, host_key: source.host_key }, secret, never);
}

export const awkwardName = 'we"ird `d\'b %_é\\ 漢';

/** Everything that a dump can lose. */
export const awkwardContent = `
CREATE TABLE \`quo"ted \`\`table\` (
  id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) COLLATE utf8mb4_unicode_ci, doubled DECIMAL(22,6) AS (amount * 2) STORED,
  text_length INT GENERATED ALWAYS AS (CHAR_LENGTH(name)) VIRTUAL, raw LONGBLOB, moment TIMESTAMP(6) NULL, amount DECIMAL(20,6),
  attributes JSON, kind ENUM('a','b''c'), bits BIT(9), KEY by_name (name)) CHARACTER SET utf8mb4;
INSERT INTO \`quo"ted \`\`table\` (name, raw, moment, amount, attributes, kind, bits) VALUES
  ('emoji 🎉 漢字', 0x00010203fffe0a0d27225c1a, '2024-02-29 12:34:56.789012', 12345678901234.123456, '{"a": [1, "x"]}', 'b''c', b'101010101'),
  ('line\\nbreak \\\\ quote '' "', REPEAT(0xff00, 5000), NULL, -0.000001, NULL, 'a', b'0'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES \`quo"ted \`\`table\` (id) ON DELETE CASCADE);
INSERT INTO child VALUES (1, 1), (2, 2);
CREATE TABLE latin (text VARCHAR(20)) CHARACTER SET latin1; INSERT INTO latin VALUES ('ñandú');
CREATE TABLE log (entry VARCHAR(100));
CREATE VIEW top_names AS SELECT name, doubled FROM \`quo"ted \`\`table\`;
CREATE VIEW view_of_view AS SELECT * FROM top_names;
CREATE SEQUENCE counter START WITH 100 INCREMENT BY 10; DO NEXTVAL(counter);
DELIMITER //
CREATE TRIGGER on_child AFTER INSERT ON child FOR EACH ROW BEGIN INSERT INTO log VALUES (CONCAT('child ', NEW.id, ';')); END//
CREATE PROCEDURE fill(IN n INT) BEGIN DECLARE i INT DEFAULT 0; WHILE i < n DO INSERT INTO log VALUES (CONCAT('row ', i)); SET i = i + 1; END WHILE; END//
CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN n * 2//
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2031-01-01 00:00:00' DO BEGIN DELETE FROM log; END//
DELIMITER ;
`;

export function quoted(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

export async function makeDatabase(server: MariadbServer, name: string, content = awkwardContent): Promise<void> {
  await server.sql(`CREATE DATABASE ${quoted(name)} CHARACTER SET utf8mb4 COLLATE utf8mb4_spanish_ci`);
  await server.sql(content, name);
}

/** All that a database is: definitions of everything in it, and a checksum of each table. */
export async function contentOf(server: MariadbServer, name: string): Promise<string> {
  const list = async (sql: string) => (await server.sql(sql, name)).split('\n').filter((line) => line !== '');
  const text = `'${name.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
  const parts = [
    await server.sql(
      `SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = ${text}`,
    ),
  ];
  for (const table of await list(
    `SELECT table_name FROM information_schema.tables WHERE table_schema = ${text} ORDER BY 1`,
  )) {
    parts.push(await server.sql(`SHOW CREATE TABLE ${quoted(table)}; SELECT COUNT(*) FROM ${quoted(table)}`, name));
  }
  for (const table of await list(
    `SELECT table_name FROM information_schema.tables WHERE table_schema = ${text} AND table_type = 'BASE TABLE' ORDER BY 1`,
  )) {
    const checksum = await server.sql(`CHECKSUM TABLE ${quoted(table)} EXTENDED`, name);
    parts.push(`${table}: ${checksum.trim().split('\t').at(-1)}`);
  }
  const bodies = [
    ['routines', 'routine_name, routine_type, routine_definition, definer, security_type', 'routine_schema'],
    ['triggers', 'trigger_name, event_object_table, action_statement, action_timing', 'trigger_schema'],
    ['events', 'event_name, event_definition, interval_value, starts, status', 'event_schema'],
  ] as const;
  for (const [table, columns, schema] of bodies) {
    parts.push(
      await server.sql(`SELECT ${columns} FROM information_schema.${table} WHERE ${schema} = ${text} ORDER BY 1`),
    );
  }
  // The name itself is the one thing that may differ.
  return parts.join('\n').replaceAll(quoted(name), '<the database>');
}
