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
  UpstreamDown,
  UpstreamFailed,
} from '../core/errors.ts';
import { GitFailed } from './git-command.ts';
import { oneLine } from './words.ts';

/** `error` as the client gets it. What is no failure of `git` comes back as it is. */
export function gitFailure(error: unknown, repository: string): unknown {
  if (!(error instanceof GitFailed)) return error;
  const where = `cannot read repository ${oneLine(repository)}`;
  switch (error.reason) {
    case 'timeout':
      return new UpstreamDown(`${where}: its server took too long`, { cause: error });
    case 'too-long':
      return new UpstreamFailed(`${where}: ${messageOf(error)}`, { cause: error });
    case 'missing':
      return new UpstreamFailed(`${where}: ${messageOf(error)}; install git on the server`, { cause: error });
    case 'exit':
      return ofWords(where, error);
  }
}

/** Whether a command that stays on the disk failed because of what lies there, or because nothing does. */
export function isDamage(error: unknown): error is GitFailed {
  return error instanceof GitFailed && (error.reason === 'exit' || error.reason === 'missing');
}

/** Whether the repository's server is there and lets us in, but does not give what was asked. */
export function isRefusal(error: unknown): boolean {
  const failure = error instanceof GitFailed ? gitFailure(error, '') : undefined;
  return failure instanceof UpstreamFailed || failure instanceof NotFound;
}

type Meaning = new (message: string, options?: ErrorOptions) => ServeError;

function ofWords(where: string, error: GitFailed): ServeError {
  // Names in quotes are not git's words, and may hold any.
  const words = error.words.replace(/'[^'\n]*'/g, '…');
  for (const { pattern, meaning: Meaning, wayOut } of MEANINGS) {
    const said = words.split('\n').find((line) => pattern.test(line));
    if (said !== undefined) return new Meaning(`${where}: ${oneLine(said)}${wayOut}`, { cause: error });
  }
  return new UpstreamFailed(`${where}: ${oneLine(lastWords(error))}`, { cause: error });
}

/** The first line that says `fatal:` or `error:`, as later ones are general advice. */
function lastWords(error: GitFailed): string {
  const lines = error.words.split('\n').filter((line) => line.trim() !== '');
  return lines.find((line) => /^(?:fatal|error|remote): /.test(line)) ?? lines.at(0) ?? error.message;
}

/** In order: the first pattern that one of the lines matches. */
const MEANINGS: readonly { pattern: RegExp; meaning: Meaning; wayOut: string }[] = [
  {
    pattern:
      /could not resolve|connection (?:refused|timed out|reset|closed)|failed to connect|couldn't connect|network is unreachable|no route to host|timed? ?out|early EOF|empty reply|operation too slow|kex_exchange|returned error: 5\d\d/i,
    meaning: UpstreamDown,
    wayOut: '',
  },
  { pattern: /returned error: 429|too many requests/i, meaning: Busy, wayOut: '' },
  {
    pattern: /transport … not allowed|remote helper/i,
    meaning: Forbidden,
    wayOut: ' (the server uses https, ssh and what --insecure allows)',
  },
  {
    pattern:
      /not found|cannot find|could not be found|does not exist|doesn't exist|not appear to be a git repository|no such|invalid repository|invalid path|DENIED by|not exported|returned error: (?:404|410)/i,
    meaning: NotFound,
    wayOut: '',
  },
  {
    pattern:
      /host key verification failed|permission denied|authentication failed|could not read (?:username|password)|terminal prompts disabled|access denied|returned error: (?:401|403)|not authori[sz]ed|certificate|SSL/i,
    meaning: Forbidden,
    wayOut:
      '; give the server access: an ssh key, a credential helper or a netrc entry of the user it runs as',
  },
];
