/** msgpackr by `require`: one file instead of seven, in each thread. */

import { createRequire } from 'node:module';
import type * as msgpackr from 'msgpackr';

export const { Packr, Unpackr }: typeof msgpackr = createRequire(import.meta.url)('msgpackr');
