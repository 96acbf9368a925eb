/** The settings of the policy, which SIGHUP reads again, and its file. Their words: `policy/policy-syntax.ts`. */

import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { choice, parseText } from '../core/setting.ts';
import { UsageError } from '../core/usage-error.ts';
import { POLICY_FILE_BYTES_MAX } from '../policy/limits.ts';
import { Policy } from '../policy/policy.ts';
import {
  parseAges,
  parseDenyPatterns,
  parsePolicyFile,
  parseVersionPatterns,
} from '../policy/policy-syntax.ts';
import { type ServeOption, serveOptions } from './serve-options.ts';
import { checked, type Settings } from './sources.ts';

export type PolicySettings = {
  /** As `parseAges` takes it; may be empty. */
  readonly minAge: string;
  readonly minAgeExact: 'on' | 'off';
  /** As `parseVersionPatterns` takes them; may be empty. */
  readonly allow: string;
  readonly deny: string;
  /** Absolute. */
  readonly policyFile: string | undefined;
};

/** @throws {UsageError} bad value */
export function readPolicySettings(settings: Settings): PolicySettings {
  return {
    minAge: settings.read(serveOptions.minAge, (text) => {
      parseAges(text, '');
      return text;
    }),
    minAgeExact: settings.read(serveOptions.minAgeExact, choice('on', 'off')),
    allow: readPatterns(settings, serveOptions.allow),
    deny: readPatterns(settings, serveOptions.deny),
    policyFile: settings.readIfSet(serveOptions.policyFile, (text) => resolve(parseText(text))),
  };
}

function readPatterns(settings: Settings, option: ServeOption): string {
  const found = settings.find(option.name) ?? { text: '', from: 'default' };
  checked(option, found, () => parseVersionPatterns(found.text));
  return found.text;
}

/** @throws {UsageError} the file can't be read, or a line of it is malformed */
export function readPolicy(
  { minAge, minAgeExact, allow, deny, policyFile }: PolicySettings,
  { noProxyPatterns }: { readonly noProxyPatterns: string },
): Policy {
  const file = policyFile === undefined ? { allow: [], deny: [] } : readFile(policyFile);
  return new Policy({
    allow: [...parseVersionPatterns(allow), ...file.allow],
    // Those of the file have reasons to show.
    deny: [...file.deny, ...parseDenyPatterns(deny)],
    ages: parseAges(minAge, noProxyPatterns),
    isExactDelayed: minAgeExact === 'on',
  });
}

function readFile(path: string): ReturnType<typeof parsePolicyFile> {
  try {
    const stats = statSync(path);
    if (!stats.isFile() || stats.size > POLICY_FILE_BYTES_MAX) {
      throw new Error(`not a file of up to ${POLICY_FILE_BYTES_MAX} bytes`);
    }
    return parsePolicyFile(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new UsageError(`cannot read --policy ${quote(path)}: ${messageOf(cause)}`, { cause });
  }
}
