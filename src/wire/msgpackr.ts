/** msgpackr by `require`: each thread loads one file instead of seven. */

import { createRequire } from 'node:module';
import type * as msgpackr from 'msgpackr';

export const { Packr, Unpackr }: typeof msgpackr = createRequire(import.meta.url)('msgpackr');
