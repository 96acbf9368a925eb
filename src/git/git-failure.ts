/**
 * What a failed `git` means to a client: one line that names the repository, the reason and the way out.
 *
 * A server that can't be reached must never look like a repository that is not there: the `go` command would believe it.
 */

import {
  Busy,
  Forbidden,
  messageOf,
  NotFound,
  type ServeError,
  StoreFailed,
  UpstreamDown,
  UpstreamFailed,
} from '../core/errors.ts';
import { GitFailed } from './git-command.ts';
import { LoginRefused } from './login-pauses.ts';
import { oneLine } from './words.ts';

/** `error` as the client gets it. What is no failure of `git` or of the disk comes back as it is. */
export function gitFailure(error: unknown, repository: string): unknown {
  const name = oneLine(repository);
  if (isDiskFailure(error)) return copyFailed(name, error, error.message);
  if (!(error instanceof GitFailed)) return error;
  if (error.reason === 'missing')
    return new StoreFailed(`cannot read repository ${name}: ${error.message}; install git on the server`, {
      cause: error,
    });
  return error.isOutside ? outside(name, error) : onDisk(name, error);
}

/** Its copy can't be read or written. Nothing here says that the repository's server lacks anything. */
function copyFailed(name: string, cause: Error, why: string): StoreFailed {
  return new StoreFailed(`cannot use the copy of repository ${name}: ${oneLine(why)} (--git-dir)`, { cause });
}

function outside(name: string, error: GitFailed): ServeError {
  const where = `cannot read repository ${name}`;
  if (error.reason === 'timeout')
    return new UpstreamDown(`${where}: its server took too long`, { cause: error });
  if (error.reason === 'too-long')
    return new UpstreamFailed(`${where}: ${messageOf(error)}`, { cause: error });
  const full = findLine(error, DISK_TROUBLE);
  return full === undefined ? ofWords(where, error) : copyFailed(name, error, full);
}

function onDisk(name: string, error: GitFailed): ServeError {
  const path = error.reason === 'exit' ? findLine(error, INVALID_PATH) : undefined;
  if (path !== undefined) return new NotFound(`create zip of ${name}: ${oneLine(path)}`, { cause: error });
  return copyFailed(name, error, error.reason === 'exit' ? lastWords(error) : error.message);
}

/** Of Node's own: no room, no right, a file in a directory's place. */
function isDiskFailure(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}

/** Whether a command failed because of what lies on the disk, or because nothing does. */
export function isDamage(error: unknown): error is GitFailed {
  if (!(error instanceof GitFailed)) return false;
  if (error.reason === 'exit' && error.isOutside) return findLine(error, DAMAGE) !== undefined;
  return error.reason === 'gone' || (error.reason === 'exit' && findLine(error, INVALID_PATH) === undefined);
}

/** The warning that a copy is thrown away. */
export function damaged(repository: string, { words, message }: GitFailed): string {
  return `the copy of ${oneLine(repository)} is damaged, and is fetched again: ${oneLine(words || message)}`;
}

/** Whether the repository's server is there and lets us in, but does not give what was asked. */
export function isRefusal(error: unknown): boolean {
  const failure = error instanceof GitFailed ? gitFailure(error, '') : undefined;
  return failure instanceof UpstreamFailed || failure instanceof NotFound;
}

/** The first line that has the pattern outside of quotes: names in quotes are not git's words, and may hold any. */
function findLine({ words }: GitFailed, pattern: RegExp): string | undefined {
  return words.split('\n').find((line) => pattern.test(line.replace(/'[^']*'/g, '…')));
}

function ofWords(where: string, error: GitFailed): ServeError {
  for (const { pattern, as: Meaning, wayOut = '' } of MEANINGS) {
    const said = findLine(error, pattern);
    if (said !== undefined) return new Meaning(`${where}: ${oneLine(said)}${wayOut}`, { cause: error });
  }
  return new UpstreamFailed(`${where}: ${oneLine(lastWords(error))}`, { cause: error });
}

/** The first line that says `fatal:` or `error:`, as later ones are general advice. */
function lastWords(error: GitFailed): string {
  const lines = error.words.split('\n').filter((line) => line.trim() !== '');
  return lines.find((line) => /^(?:fatal|error|remote): /.test(line)) ?? lines.at(0) ?? error.message;
}

/** Git makes no archive of names that harm a checkout, and neither does the `go` command. */
const INVALID_PATH = /invalid path …/;

/** A fetch says this of the copy that it is to change. */
const DAMAGE =
  /^(?!remote: ).*(?:not a git repository: …|unable to read|bad object|bad config|unexpected line|object file .*is empty|index file .*is too small|is corrupt|packfile …? ?.*(?:cannot be accessed|index|truncated)|shallow file|current working directory|invalid sha1 pointer|missing (?:blob|tree|commit))/i;

/** Git says this of its own disk, without `remote:`. */
const DISK_TROUBLE =
  /^(?!remote: ).*(?:no space left on device|disk quota exceeded|read-only file system|input\/output error|unable to (?:create|write|append)|cannot (?:create|write|lock)|could not (?:lock|write|create)|insufficient permission for adding|failed to write)/i;

type Meaning = {
  readonly pattern: RegExp;
  readonly as: new (message: string, options: ErrorOptions) => ServeError;
  readonly wayOut?: string;
};

/** In order: the first pattern that one of the lines matches. */
const MEANINGS: readonly Meaning[] = [
  {
    pattern:
      /could not resolve|connection (?:refused|timed out|reset|closed)|failed to connect|couldn't connect|network is unreachable|no route to host|timed? ?out|early EOF|empty reply|operation too slow|kex_exchange|returned error: 5\d\d/i,
    as: UpstreamDown,
  },
  { pattern: /returned error: 429|too many requests/i, as: Busy },
  {
    pattern: /transport … not allowed|remote helper/i,
    as: Forbidden,
    wayOut: ' (the server uses https, ssh and what --insecure allows)',
  },
  {
    pattern: /^.*remote host identification has changed/i,
    as: Forbidden,
    wayOut:
      '; if its new key is right, remove the old one from ~/.ssh/known_hosts of the user that Astera runs as (ssh-keygen -R)',
  },
  {
    pattern: /host key verification failed/i,
    as: Forbidden,
    wayOut:
      "; add the server's key to ~/.ssh/known_hosts of the user that Astera runs as (ssh-keyscan), or set StrictHostKeyChecking in ~/.ssh/config",
  },
  // Before what is not there: ssh says that of a key file too.
  {
    pattern: /permission denied \(|too many authentication failures|no more authentication methods/i,
    as: refusedLogin(false),
    wayOut:
      '; give the user that Astera runs as an ssh key that the server knows (~/.ssh/config, SSH_AUTH_SOCK)',
  },
  {
    pattern:
      /not found|cannot find|could not be found|does not exist|doesn't exist|not appear to be a git repository|no such|invalid repository|invalid path|DENIED by|not exported|returned error: (?:404|410)/i,
    as: NotFound,
  },
  {
    pattern: /authentication failed|access denied/i,
    as: refusedLogin(false),
    wayOut: '; mend the login in ~/.netrc or the credential helper of the user that Astera runs as',
  },
  {
    pattern:
      /could not read (?:username|password)|unable to get password|terminal prompts disabled|returned error: 401/i,
    as: refusedLogin(undefined),
    wayOut:
      '; it wants a login, or another one: put it into ~/.netrc or a credential helper of the user that Astera runs as',
  },
  {
    pattern: /returned error: 403|not authori[sz]ed|permission denied/i,
    as: Forbidden,
    wayOut: '; give the login that Astera has the right to read it',
  },
  {
    pattern: /certificate|SSL/i,
    as: Forbidden,
    wayOut: "; name the CA of its certificate in SSL_CERT_FILE, or in Git's http.sslCAInfo",
  },
];

function refusedLogin(isAnonymous: boolean | undefined) {
  return class extends LoginRefused {
    constructor(message: string, { cause }: ErrorOptions) {
      super(message, { isAnonymous, cause });
    }
  };
}
