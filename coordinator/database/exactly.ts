import { eq, sql, type SQL } from "drizzle-orm";
import type { MySqlColumn } from "drizzle-orm/mysql-core";

/** The column is this text. `=` alone pads the shorter side with blanks, so that "a" and "a " were one. */
export function exactly(column: MySqlColumn, text: string): SQL {
  // CHAR_LENGTH counts code points.
  return sql`(${eq(column, text)} AND CHAR_LENGTH(${column}) = ${[...text].length})`;
}
