/**
 * The parts of piscina that are used here, by `require`: what Node does before it imports a CommonJS package, reading
 * all of its files for names they may export, costs each thread some milliseconds of its start.
 */

import { createRequire } from 'node:module';
import type * as piscina from 'piscina';

export const { Piscina, move, transferableSymbol, valueSymbol }: typeof piscina = createRequire(
  import.meta.url,
)('piscina');
export type Piscina = piscina.Piscina;
