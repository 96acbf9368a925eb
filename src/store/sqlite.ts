/** better-sqlite3 by `require`: Node reads a CommonJS package that is imported twice, once for its names alone. */

import { createRequire } from 'node:module';
import type Sqlite from 'better-sqlite3';

export const Database: typeof Sqlite = createRequire(import.meta.url)('better-sqlite3');
export type Connection = Sqlite.Database;
