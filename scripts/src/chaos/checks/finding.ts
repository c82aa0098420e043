/** What a check has found, one sentence for each thing that does not hold. */
export type Findings = readonly string[];

/** Rows of the database; the caller says of which shape. */
export type Query = <Row extends Record<string, unknown>>(sql: string, values?: readonly unknown[]) => Promise<Row[]>;
