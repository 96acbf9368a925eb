/**
 * `astera doctor`: tells why another machine compiles what this one has compiled, or the other way around, and the line
 * that mends it. It looks at `go env` here, asks the server, and compares with what other machines' sessions told.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { splitTokenPath } from '../access/credentials.ts';
import { NAMESPACE_HEADER } from '../core/build-cache-wire.ts';
import { messageOf } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { SESSIONS_PATH, type SessionTold } from '../core/session-wire.ts';
import { pluginFlags } from '../plugin/flags.ts';
import { type PluginOptions, readArgs, readOptions } from '../plugin/options.ts';
import { factsOf } from '../plugin/session-name.ts';

/** A thing that is wrong, and the line that mends it where there is one. */
type Finding = { readonly what: string; readonly line?: string };

type GoEnv = Readonly<Record<string, string>>;

/** An answer of the server; a LAN's comes in milliseconds. */
const ANSWER_MS = 5_000;

/** Clocks that differ by more make `go` keep results of tests too long, and tokens wrong. */
const CLOCK_MS = 60_000;

/** @returns whether nothing is wrong. @throws {Error} there is no `go` here */
export async function doctorCommand(environment: NodeJS.ProcessEnv): Promise<boolean> {
  const env = await goEnv(environment);
  const findings = [...ofGo(env, environment), ...(await ofProgram(env, environment))];
  for (const { what, line } of findings) {
    process.stdout.write(`- ${what}\n${line === undefined ? '' : `    ${line}\n`}`);
  }
  if (findings.length === 0) process.stdout.write('nothing is wrong: this machine shares its build cache\n');
  return findings.length === 0;
}

function ofGo(env: GoEnv, environment: NodeJS.ProcessEnv): Finding[] {
  const findings: Finding[] = [];
  const [, minor] = /^go1\.(\d+)/.exec(env.GOVERSION ?? '') ?? [];
  if (minor !== undefined && Number(minor) < 24)
    findings.push({ what: `${env.GOVERSION} has no cache programs: install Go 1.24 or newer` });
  const flags = env.GOFLAGS ?? '';
  if (!/(?:^| )--?trimpath(?:=true)?(?: |$)/.test(flags)) {
    const paths = `GOMODCACHE (${env.GOMODCACHE}), GOROOT (${env.GOROOT}) and the project's directory`;
    const value = `${flags} -trimpath`.trim();
    const isSet = (environment.GOFLAGS ?? '') !== '';
    findings.push({
      what: `without -trimpath the cache's keys hold ${paths}: machines where these differ share nothing`,
      line: isSet ? `export GOFLAGS=${shellWord(value)}` : `go env -w GOFLAGS=${shellWord(value)}`,
    });
  }
  return findings;
}

async function ofProgram(env: GoEnv, environment: NodeJS.ProcessEnv): Promise<Finding[]> {
  const program = env.GOCACHEPROG ?? '';
  const example = 'node $HOME/cacheprog.mjs --remote=http://that-machine:8080';
  if (program === '')
    return [
      {
        what: 'GOCACHEPROG is not set: go uses its own cache alone',
        line: `go env -w GOCACHEPROG="${example}"`,
      },
    ];
  const words = program.split(/\s+/);
  if (/(?:^|\s)connect\s/.test(program)) {
    return [
      {
        what: 'GOCACHEPROG is "connect": only the server that it names knows what is shared; run doctor with its --remote',
      },
    ];
  }
  const at = words.findIndex((word) => word.startsWith('-') && word !== '--disable-sigusr1');
  const { flags } = readArgs(at < 0 ? [] : words.slice(at), pluginFlags);
  const options = readOptions((name) => {
    const text = flags[name] ?? environment[`ASTERA_${name.toUpperCase().replaceAll('-', '_')}`];
    return text === undefined || text === '' ? undefined : { text };
  });
  if (options.remote === undefined)
    return [
      {
        what: 'GOCACHEPROG names no server: nothing is shared',
        line: `go env -w GOCACHEPROG="${program} --remote=http://that-machine:8080"`,
      },
    ];
  return ofServer(new Server(options.remote, options), words, env);
}

async function ofServer(server: Server, words: readonly string[], env: GoEnv): Promise<Finding[]> {
  let list: Response;
  try {
    list = await server.ask('GET', SESSIONS_PATH);
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    return [{ what: `the server ${server.name} does not answer: ${messageOf(cause)}` }];
  }
  if (list.status === 401 || list.status === 403)
    return [
      { what: `the server lets this machine not read: ${(await list.text()).trim()}; see --token-file` },
    ];
  if (list.status !== 200)
    return [
      {
        what: `${server.name} is no build cache of this version: status ${list.status} for ${SESSIONS_PATH}`,
      },
    ];
  const told = (await list.json()) as readonly SessionTold[];
  return [
    ...ofClock(list.headers.get('date')),
    ...(await ofRight(server)),
    ...(await ofClient(server, words)),
    ...ofSessions(told, env),
  ];
}

function ofClock(date: string | null): Finding[] {
  const differenceMs = Math.abs(Date.parse(date ?? '') - Date.now());
  if (!(differenceMs > CLOCK_MS)) return [];
  return [
    { what: `the clocks of this machine and of the server differ by ${Math.round(differenceMs / 1000)} s` },
  ];
}

/** Puts the empty output, which every cache has: nothing is changed. */
async function ofRight(server: Server): Promise<Finding[]> {
  const empty = createHash('sha256').digest('hex');
  const { status } = await server.ask('PUT', `/cache/output/${empty}`);
  if (status !== 401 && status !== 403) return [];
  return [
    {
      what: `this machine may not write: what it compiles, all others compile again (status ${status}); see --token-file`,
    },
  ];
}

async function ofClient(server: Server, words: readonly string[]): Promise<Finding[]> {
  const path = words.find((word) => word.endsWith('.mjs'));
  if (path === undefined) return [];
  const answer = await server.ask('GET', '/cacheprog.mjs.sha256');
  const [theirs = ''] = (await answer.text()).split(' ');
  const own = await readFile(path).catch(() => undefined);
  if (own === undefined) return [{ what: `cannot read the program ${quote(path)}` }];
  if (answer.status !== 200 || createHash('sha256').update(own).digest('hex') === theirs) return [];
  return [
    {
      what: `${path} is of another version than the server`,
      line: `curl -o ${path} ${server.name}/cacheprog.mjs`,
    },
  ];
}

/** Where no other machine's session is as this one would be, the difference to the last one of the same target. */
function ofSessions(told: readonly SessionTold[], env: GoEnv): Finding[] {
  const target = `${env.GOOS}/${env.GOARCH}`;
  const own = withoutPaths([env.GOVERSION ?? '', ...factsOf(env)]);
  const others = told.map(({ label }) => label.split(' ')).filter((words) => words.includes(target));
  const theirs = others.map((words) => withoutPaths(words.slice(words.indexOf(target) + 1)));
  const [last] = theirs;
  if (last === undefined || theirs.some((one) => one.join(' ') === own.join(' '))) return [];
  const here = own.filter((fact) => !last.includes(fact)).join(' ');
  const there = last.filter((fact) => !own.includes(fact)).join(' ');
  return [
    {
      what: `other machines build with ${there || 'less'}, this one with ${here || 'less'}: they share nothing`,
    },
  ];
}

/** Paths do not matter with `-trimpath`, and without it they are told of anyway. */
function withoutPaths(facts: readonly string[]): string[] {
  return facts.filter((fact) => !fact.includes('#'));
}

class Server {
  /** Its URL without a login or a token, and without a slash at its end: it is shown. */
  readonly name: string;
  /** The same with a token in its path. */
  readonly #url: string;
  /** Of the login in its URL, which `fetch` takes in no URL. */
  readonly #login: { readonly authorization?: string };
  readonly #options: Pick<PluginOptions, 'tokenFile' | 'namespace'>;

  constructor(url: URL, options: Pick<PluginOptions, 'tokenFile' | 'namespace'>) {
    const { origin, pathname, username, password } = url;
    this.name = `${origin}${splitTokenPath(pathname).path}`.replace(/\/$/, '');
    this.#url = `${origin}${pathname}`.replace(/\/$/, '');
    const login = [username, password].map(decodeURIComponent).join(':');
    this.#login = login === ':' ? {} : { authorization: `Basic ${Buffer.from(login).toString('base64')}` };
    this.#options = options;
  }

  async ask(method: 'GET' | 'PUT', path: string): Promise<Response> {
    const { tokenFile, namespace } = this.#options;
    const token = tokenFile === undefined ? undefined : (await readFile(tokenFile, 'utf8')).trim();
    const headers = {
      [NAMESPACE_HEADER]: namespace,
      ...this.#login,
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    };
    return await fetch(`${this.#url}${path}`, { method, headers, signal: AbortSignal.timeout(ANSWER_MS) });
  }
}

/** By name: for all of them `go` would start the cache program itself. */
const VARIABLES = [
  ...['GOVERSION', 'GOFLAGS', 'GOROOT', 'GOMODCACHE', 'GOCACHEPROG', 'GOOS', 'GOARCH', 'CGO_ENABLED'],
  ...['GOEXPERIMENT', 'GO386', 'GOAMD64', 'GOARM', 'GOARM64'],
];

function goEnv(environment: NodeJS.ProcessEnv): Promise<GoEnv> {
  return new Promise((resolve, reject) => {
    execFile('go', ['env', '-json', ...VARIABLES], { env: environment }, (error, stdout, stderr) => {
      if (error === null) resolve(JSON.parse(stdout));
      else
        reject(
          new Error(`cannot ask go for its settings: ${stderr.trim().split('\n')[0] || messageOf(error)}`),
        );
    });
  });
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
