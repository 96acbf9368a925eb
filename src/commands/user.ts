/**
 * `astera user add NAME`, `remove NAME`, `list`: writes the file that `serve --auth-file` reads.
 *
 * With `--claims` it is a rule for tokens of an OIDC issuer. A password comes from stdin: asked for on a terminal, else its first line. A token is made here and printed once; the
 * file keeps hashes alone.
 */

import { createInterface } from 'node:readline';
import { type Account, formatClaims, parseAccountName, type Token } from '../access/accounts.ts';
import { parseClaims, parseScopeForms } from '../access/claim-rule.ts';
import { parseScopes, type Scope } from '../access/scope.ts';
import { hashPassword, hashToken, newToken } from '../access/secret.ts';
import { messageOf } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { UsageError } from '../core/usage-error.ts';
import { readAuthFile, writeAuthFile } from '../settings/auth-file.ts';

export type UserOptions = {
  readonly authFile: string;
  /** The action, and the name of a user. */
  readonly words: readonly string[];
  readonly scopes: string;
  readonly isToken: boolean;
  /** How long a token is good; undefined: for ever. */
  readonly expiresInMs: number | undefined;
  /** Of tokens of the OIDC issuer; undefined: it is no rule for them. */
  readonly claims: string | undefined;
};

/** @throws {UsageError} an unknown word, a malformed name or scope, no password, or nobody of that name */
export async function userCommand(options: UserOptions): Promise<void> {
  const { authFile, words } = options;
  const [action = '', name, ...more] = words;
  if (more.length > 0 || (action === 'list') !== (name === undefined)) throw wrongWords();
  if (name === undefined) list(readAuthFile(authFile));
  else if (action === 'add')
    await add(
      options,
      usable(() => parseAccountName(name)),
    );
  else if (action === 'remove') remove(authFile, name);
  else throw wrongWords();
}

async function add(options: UserOptions, name: string): Promise<void> {
  const { authFile, isToken, expiresInMs, claims } = options;
  if (expiresInMs !== undefined && !isToken) throw new UsageError('only a token expires: add --token');
  if (claims !== undefined && isToken)
    throw new UsageError('--claims are of tokens that the issuer makes: leave --token out');
  const others = readAuthFile(authFile, { mayBeNew: true }).filter((one) => one.name !== name);
  if (claims !== undefined) {
    const rule = usable(() => ({ scopes: parseScopeForms(options.scopes), claims: parseClaims(claims) }));
    write(authFile, [...others, { kind: 'oidc', name, ...rule }]);
    return;
  }
  const scopes = usable(() => parseScopes(options.scopes));
  if (isToken) {
    const token = newToken();
    const expiresMs = expiresInMs === undefined ? Infinity : Date.now() + expiresInMs;
    write(authFile, [...others, { kind: 'token', name, scopes, sha256: hashToken(token), expiresMs }]);
    process.stdout.write(`${token}\n`);
  } else {
    write(authFile, [...others, await newUser(name, scopes)]);
  }
}

async function newUser(name: string, scopes: readonly Scope[]): Promise<Account> {
  const password = await readPassword(name);
  const hash = await hashPassword(password).catch((error: unknown) => {
    throw new UsageError(`cannot add ${quote(name)}: ${messageOf(error)}`);
  });
  return { kind: 'user', name, scopes, password: hash };
}

function remove(authFile: string, name: string): void {
  const accounts = readAuthFile(authFile);
  const others = accounts.filter((one) => one.name !== name);
  if (others.length === accounts.length) throw new UsageError(`no user or token is named ${quote(name)}`);
  write(authFile, others);
}

function write(authFile: string, accounts: readonly Account[]): void {
  writeAuthFile(authFile, accounts);
  process.stderr.write('a running server reads it at its next SIGHUP\n');
}

function list(accounts: readonly Account[]): void {
  for (const one of accounts) {
    const more = one.kind === 'oidc' ? formatClaims(one) : one.kind === 'token' ? untilOf(one) : '';
    process.stdout.write(`${one.kind} ${one.name} ${one.scopes.join(',')} ${more}`.trimEnd().concat('\n'));
  }
}

function untilOf({ expiresMs }: Token): string {
  return expiresMs === Infinity ? '' : new Date(expiresMs).toISOString();
}

/** The first line of stdin. On a terminal it is asked for, and not shown. */
async function readPassword(name: string): Promise<string> {
  const { stdin, stderr } = process;
  const lines = createInterface({ input: stdin, terminal: stdin.isTTY });
  try {
    if (stdin.isTTY) stderr.write(`password of ${name}: `);
    for await (const line of lines) return line;
    return '';
  } finally {
    lines.close();
    if (stdin.isTTY) stderr.write('\n');
  }
}

function usable<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new UsageError(messageOf(cause), { cause });
  }
}

function wrongWords(): UsageError {
  return new UsageError("expected add NAME, remove NAME or list: see 'astera user --help'");
}
