import type { ColumnType } from 'kysely';

/** JSON columns are written as text (`JSON.stringify`) and read parsed. */
export type Json<T> = ColumnType<T, string, string>;
export type NullableJson<T> = ColumnType<T | null, string | null, string | null>;
/** Times are `timestamptz`; read as Date, written as Date or RFC 3339 text. */
export type Time = ColumnType<Date, Date | string, Date | string>;
export type NullableTime = ColumnType<Date | null, Date | string | null, Date | string | null>;
export type GeneratedJson<T> = ColumnType<T, string | undefined, string>;
export type GeneratedTime = ColumnType<Date, Date | string | undefined, Date | string>;
export type CreatedAt = ColumnType<Date, Date | string | undefined, never>;
