/**
 * The routes of `--route`: module patterns, each with a GOPROXY list of its own.
 *
 *     corp.example/*=https://proxy.corp.example,direct,github.com/acme=off
 *
 * A comma also separates routes. A part that has a "=" before any "://" begins the next route.
 */

import { BadRequest } from '../core/errors.ts';
import { isPrefixPatterns } from '../core/glob.ts';
import { quote } from '../core/quote.ts';
import { parseProxyList } from './proxy-list-syntax.ts';
import { withoutUserinfo } from './redact.ts';

/** Modules that `pattern` matches, as in GOPRIVATE, come from `list`, as `parseProxyList` takes it. */
export type Route = { readonly pattern: string; readonly list: string };

/**
 * Reads routes in their order: the first one that matches a module counts.
 *
 * @throws {BadRequest} no route, or a malformed one, in words that hold no password
 */
export function parseRoutes(text: string): readonly Route[] {
  const routes: { pattern: string; list: string }[] = [];
  for (const [, part = '', separator = ''] of text.matchAll(/([^,|]*)([,|]|$)/g)) {
    const [, pattern, rest = ''] = /^\s*((?:(?!:\/\/)[^=])*)=(.*)$/s.exec(part) ?? [];
    const last = routes.at(-1);
    if (pattern !== undefined) routes.push({ pattern: pattern.trim(), list: `${rest}${separator}` });
    else if (last !== undefined) last.list += `${part}${separator}`;
    else if (part.trim() !== '') throw malformed(part);
  }
  if (routes.length === 0) throw malformed(text);
  for (const { pattern, list } of routes) {
    if (pattern === '' || !isPrefixPatterns(pattern)) throw malformed(`${pattern}=${list}`);
    parseProxyList(list);
  }
  return routes;
}

function malformed(text: string): BadRequest {
  return new BadRequest(
    `cannot read route: ${quote(withoutUserinfo(text).slice(0, 80))}: expected pattern=GOPROXY list, such as corp.example/*=https://proxy.corp.example`,
  );
}
