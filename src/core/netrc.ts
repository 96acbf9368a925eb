/**
 * The logins of a netrc file, for requests that Astera makes as `go` and Git would.
 *
 * Follows parseNetrc of cmd/go/internal/auth/netrc.go, line by line: there a `default` entry gives no login, and an entry
 * after it counts only where Go reads on.
 */

/** A user's name, and the password or token. */
export type Login = { readonly login: string; readonly password: string };

/** The login for a machine, which is a host, with its port where it is written so, and maybe the beginning of a path. */
export type NetrcEntry = Login & { readonly machine: string };

/** The file: NETRC, else `.netrc` in the home directory; undefined where neither is known. */
export function netrcPath(env: Readonly<Record<string, string | undefined>>): string | undefined {
  if (env.NETRC) return env.NETRC;
  return env.HOME ? `${env.HOME}/.netrc` : undefined;
}

/** The whole entries of a file, in its order. Never fails: other text gives none. */
export function parseNetrc(text: string): readonly NetrcEntry[] {
  const entries: NetrcEntry[] = [];
  let entry: Partial<NetrcEntry> = {};
  let isMacro = false;
  for (const line of text.split('\n')) {
    // A macro ends with an empty line.
    if (isMacro) isMacro = line !== '';
    else {
      const words = line.split(/\s+/).filter((word) => word !== '');
      for (let at = 0; at + 1 < words.length; at += 2) {
        const [key, value = ''] = [words[at], words[at + 1]];
        if (key === 'machine') entry = { machine: value };
        else if (key === 'login' || key === 'password') entry = { ...entry, [key]: value };
        else if (key === 'macdef') isMacro = true;
        if (!isWhole(entry)) continue;
        entries.push(entry);
        entry = {};
      }
      if (words.length % 2 === 1 && words.at(-1) === 'default') break;
    }
  }
  return entries;
}

/** The first login for exactly this machine. */
export function loginOf(entries: readonly NetrcEntry[], machine: string): Login | undefined {
  return entries.find((entry) => entry.machine === machine);
}

/**
 * The login that `go` sends with a request: that of the longest beginning of the URL, by whole elements. None over http.
 *
 * Follows loadCredential of cmd/go/internal/auth/auth.go.
 */
export function loginFor(entries: readonly NetrcEntry[], url: URL): Login | undefined {
  if (url.protocol !== 'https:' || entries.length === 0) return undefined;
  for (let prefix = `${url.host}${url.pathname}`.replace(/\/$/, ''); prefix !== ''; ) {
    const login = loginOf(
      entries.map((entry) => ({ ...entry, machine: entry.machine.replace(/\/$/, '') })),
      prefix,
    );
    if (login !== undefined) return login;
    prefix = prefix.slice(0, Math.max(0, prefix.lastIndexOf('/')));
  }
  return undefined;
}

function isWhole(entry: Partial<NetrcEntry>): entry is NetrcEntry {
  return Boolean(entry.machine && entry.login && entry.password);
}
