/**
 * The mappings of `--git`: from module paths to repositories, for servers that answer no `?go-get=1`.
 *
 *     git.corp.example/*=ssh://git@git.corp.example/*      a star is what stands in its place
 *     git.corp.example/tools=https://git.corp.example/scm/tools.git
 *
 * A star stands for one element of the path; one at the end of a pattern for one or more, as only the server knows where a
 * repository ends and its directories begin. The shortest path that is a repository is one.
 */

import { BadRequest } from '../core/errors.ts';
import { matchElement } from '../core/glob.ts';
import type { ModulePath } from '../core/module-path.ts';
import { quote } from '../core/quote.ts';
import { checkRepositoryUrl } from './repository-url.ts';
import { oneLine } from './words.ts';

/** One mapping: the elements of its pattern, and the URL with its stars. */
export type PathMapping = { readonly elements: readonly string[]; readonly url: string };

/** A repository that a path may be in. */
export type Candidate = { readonly root: string; readonly url: string };

/**
 * Mappings from a setting, separated by commas; may be empty.
 *
 * @throws {BadRequest} with the mapping and the rule it breaks
 */
export function parsePathMappings(text: string): readonly PathMapping[] {
  return text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')
    .map(parseMapping);
}

/**
 * Checks that each mapping is for paths that a private pattern may match. No other path is asked of Git: it would go to the
 * upstreams, name and all.
 *
 * @throws {BadRequest} a mapping that never counts
 */
export function checkMappingsMeet(mappings: readonly PathMapping[], privatePatterns: string): void {
  const patterns = privatePatterns.split(',').filter((one) => one !== '');
  const idle = mappings.find(({ elements }) => !patterns.some((pattern) => mayMeet(elements, pattern)));
  if (idle !== undefined)
    throw new BadRequest(
      `it maps ${quote(idle.elements.join('/'))}, which no private pattern matches: add it to --private`,
    );
}

function mayMeet(elements: readonly string[], pattern: string): boolean {
  const globs = pattern.replace(/\/$/, '').split('/');
  return globs.every((glob, at) => {
    const element = elements[at];
    return element === undefined || element === '*' || matchElement(glob, element);
  });
}

/**
 * The repositories that `path` may be in by the first mapping that fits, the shortest root first; undefined if none fits.
 * None if the path is shorter than the pattern: it is above all repositories.
 */
export function candidatesOf(
  mappings: readonly PathMapping[],
  path: ModulePath,
): readonly Candidate[] | undefined {
  const elements = path.split('/');
  const mapping = mappings.find((one) => isWithin(one, elements));
  if (mapping === undefined) return undefined;
  const fixed = mapping.elements.length;
  const lengthMax = mapping.elements.at(-1) === '*' ? elements.length : fixed;
  const candidates: Candidate[] = [];
  for (let length = fixed; length <= lengthMax && length <= elements.length; length++)
    candidates.push(candidate(mapping, elements.slice(0, length)));
  return candidates;
}

/** Whether `path` begins as the pattern does; it may be shorter. */
function isWithin({ elements: pattern }: PathMapping, path: readonly string[]): boolean {
  return path.every((element, at) => at >= pattern.length || pattern[at] === '*' || pattern[at] === element);
}

function candidate({ elements: pattern, url }: PathMapping, root: readonly string[]): Candidate {
  const stars = pattern.flatMap((element, at) => {
    if (element !== '*') return [];
    return [at === pattern.length - 1 ? root.slice(at).join('/') : (root[at] ?? '')];
  });
  return { root: root.join('/'), url: url.replaceAll('*', () => stars.shift() ?? '') };
}

function parseMapping(text: string): PathMapping {
  const at = text.indexOf('=');
  const [pattern, url] = [text.slice(0, at), text.slice(at + 1)];
  const fault = at < 0 ? 'no "=" between a module path and a URL' : faultOf(pattern, url);
  if (fault !== undefined) throw new BadRequest(`malformed mapping ${quote(oneLine(text))}: ${fault}`);
  checkRepositoryUrl(url.replaceAll('*', 'x'), 'own');
  return { elements: pattern.split('/'), url };
}

function faultOf(pattern: string, url: string): string | undefined {
  if (!/^[a-z0-9][a-z0-9.-]*(?:\/(?:\*|[A-Za-z0-9_~-][A-Za-z0-9._~-]*))*$/.test(pattern))
    return 'its left side is not a module path, or a star is only a part of an element';
  const count = (text: string) => text.split('*').length - 1;
  return count(pattern) === count(url) ? undefined : 'its two sides have different numbers of stars';
}
