/**
 * Text of this room's messages: one graphic line, and no credentials. `git`, ssh and a repository's server write most of it.
 */

/** A longer line is cut here: the `go` command prints 648 bytes of an error in all. */
const LINE_LENGTH_MAX = 300;

/**
 * `text` without what could be a credential: userinfo but for a plain user name of ssh, values of headers,
 * and everything after a `?` of a URL.
 */
export function withoutCredentials(text: string): string {
  return text
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/)([^/\s"'@]*@)+/gi, (_, scheme: string, user: string) =>
      /^(?:git\+)?ssh:/i.test(scheme) && !user.includes(':') ? scheme + user : scheme,
    )
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/[^\s"'?#]*)[?#][^\s"']*/gi, '$1')
    .replace(
      /\b((?:proxy-)?authorization|cookie|private-token|job-token|x-[a-z-]*token)\s*[:=].*$/gim,
      '$1: …',
    )
    .replace(/\b(password|passwd|token|secret)\s*[:=]\s*\S+/gi, '$1: …');
}

/** `text` as one line of graphic characters without credentials, at most 300 of them. */
export function oneLine(text: string): string {
  const flat = withoutCredentials(text)
    .replace(/[\s\p{C}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim();
  return flat.length > LINE_LENGTH_MAX ? `${flat.slice(0, LINE_LENGTH_MAX - 1)}…` : flat;
}
