/**
 * The keys for a bucket: AWS_ACCESS_KEY_ID and its like, then the shared file of AWS' own programs. Nothing else is asked:
 * no role, no login of a browser, no service of a machine. A server asks those too: `server-keys.ts`.
 */

import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { os } from '../core/node-modules.ts';
import { quote } from '../core/quote.ts';
import { UsageError } from '../core/usage-error.ts';

export type Credentials = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
};

export type BucketEnv = Readonly<Record<string, string | undefined>>;

/** The variables that matter to a bucket, for a thread that is given no others. */
export function bucketEnv(env: BucketEnv): BucketEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => /^(AWS_|HOME$|USERPROFILE$)/.test(name)));
}

/** As {@link lookForCredentials}. @throws {UsageError} there are none */
export function findCredentials(env: BucketEnv): Credentials {
  const found = lookForCredentials(env);
  if (found !== undefined) return found;
  throw new UsageError(noCredentials(env));
}

/** Reads them anew each time: another program may renew the file. @throws {UsageError} they can't be used, or the file can't be read */
export function lookForCredentials(env: BucketEnv): Credentials | undefined {
  const found = toCredentials({
    aws_access_key_id: env.AWS_ACCESS_KEY_ID,
    aws_secret_access_key: env.AWS_SECRET_ACCESS_KEY,
    aws_session_token: env.AWS_SESSION_TOKEN,
  });
  if (found !== undefined) return found;
  const { profile, path } = profileOf(env);
  return toCredentials(readProfile(path, profile));
}

/** What is said where there are none. */
export function noCredentials(env: BucketEnv): string {
  const { profile, path } = profileOf(env);
  return `cannot use --bucket: no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or have the profile ${quote(profile)} in ${quote(path)}`;
}

function profileOf(env: BucketEnv): { readonly profile: string; readonly path: string } {
  const path = env.AWS_SHARED_CREDENTIALS_FILE || join(env.HOME || os().homedir(), '.aws', 'credentials');
  return { profile: env.AWS_PROFILE || 'default', path };
}

type Words = Readonly<Record<string, string | undefined>>;

function toCredentials(words: Words): Credentials | undefined {
  const { aws_access_key_id: accessKeyId, aws_secret_access_key: secretAccessKey } = words;
  const { aws_session_token: sessionToken } = words;
  if (!accessKeyId || !secretAccessKey) return undefined;
  const all = [accessKeyId, secretAccessKey, sessionToken ?? ''];
  if (!all.every((word) => /^[\x21-\x7e]*$/.test(word)))
    throw new UsageError('cannot use --bucket: a key has spaces, or characters outside ASCII');
  return { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) };
}

/** Its words; none where there is no such file or profile. @throws {UsageError} it can't be read */
function readProfile(path: string, profile: string): Words {
  const words: Record<string, string> = {};
  let isOurs = false;
  for (const line of readSmallFile(path).split(/\r?\n/)) {
    const [, section] = /^\s*\[\s*(.*?)\s*\]/.exec(line) ?? [];
    if (section !== undefined) isOurs = section === profile;
    const [, name, value] = /^\s*([a-z_]+)\s*=\s*(\S+)\s*$/.exec(line) ?? [];
    if (isOurs && name !== undefined && value !== undefined) words[name] = value;
  }
  return words;
}

function readSmallFile(path: string): string {
  try {
    const { size } = statSync(path);
    if (size > FILE_BYTES_MAX) throw new Error(`over ${FILE_BYTES_MAX} bytes`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw new UsageError(`cannot read the keys for --bucket: ${messageOf(error)}`);
  }
}

/** Hundreds of profiles. */
const FILE_BYTES_MAX = 256 * 1024;
