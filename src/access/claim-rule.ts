/**
 * Rules for tokens of an OIDC issuer: which claims a token must have, and the scopes that it gives then.
 *
 * A scope's namespace may hold a claim, `cache-write:{ref}`: each build of foreign code then has a namespace of its own.
 * Others may choose a claim's text, so it never stands for the main namespace, and never for more than one.
 */

import { isNamespace, MAIN_NAMESPACE } from '../core/cache-id.ts';
import { BadRequest } from '../core/errors.ts';
import { quote } from '../core/quote.ts';
import { parseScopes, type Scope } from './scope.ts';

/** What a token says, once it is checked. */
export type Claims = Readonly<Record<string, unknown>>;

export type ClaimRule = {
  readonly kind: 'oidc';
  readonly name: string;
  /** A namespace may hold claims in braces. */
  readonly scopes: readonly Scope[];
  /** All must match; at least one. `*` in a pattern stands for any text. */
  readonly claims: readonly { readonly name: string; readonly pattern: string }[];
};

/** @throws {BadRequest} no scope, braces without a claim's name in them, or a star right behind braces */
export function parseScopeForms(text: string): readonly Scope[] {
  // A claim of `m` would give all namespaces that begin so, the main one among them.
  if (text.includes('}*')) throw new BadRequest('a star can not follow a claim: put a / between them');
  parseScopes(text.replace(IN_BRACES, 'x'));
  return text.split(',').map((part) => part.trim() as Scope); // Checked with a letter for each claim.
}

/** Of `ref=refs/heads/main,repository=corp/*`. @throws {BadRequest} no claim, or one without a value */
export function parseClaims(text: string): ClaimRule['claims'] {
  return text.split(',').map((part) => {
    const [, name, pattern] = /^([A-Za-z0-9_.:/-]{1,100})=([!-+\--~]{1,500})$/.exec(part.trim()) ?? [];
    if (name === undefined || pattern === undefined || /^\**$/.test(pattern)) {
      throw new BadRequest(`not a claim and its value: ${quote(part.slice(0, 80))}: expected name=value`);
    }
    return { name, pattern };
  });
}

/** The scopes that all rules together give. */
export function scopesByClaims(rules: readonly ClaimRule[], claims: Claims): readonly Scope[] {
  const matching = rules.filter((rule) => rule.claims.every((one) => isMatch(one.pattern, claims[one.name])));
  return matching.flatMap(({ scopes }) => scopes.flatMap((scope) => filledIn(scope, claims) ?? []));
}

const IN_BRACES = /\{[A-Za-z0-9_.-]{1,100}\}/g;

function isMatch(pattern: string, value: unknown): boolean {
  if (Array.isArray(value)) return value.some((one) => isMatch(pattern, one));
  const text = textOf(value);
  if (text === undefined) return false;
  const [begin = '', ...parts] = pattern.split('*');
  const end = parts.pop();
  if (end === undefined) return text === pattern;
  if (text.length < begin.length + end.length || !text.startsWith(begin) || !text.endsWith(end)) return false;
  // Not by a regular expression: many stars would make one slow.
  const middle = text.slice(begin.length, text.length - end.length);
  let at = 0;
  return parts.every((part) => {
    const found = middle.indexOf(part, at);
    at = found + part.length;
    return found >= 0;
  });
}

function filledIn(form: Scope, claims: Claims): Scope | undefined {
  if (!form.includes('{')) return form;
  let isGood = true;
  const scope = form.replace(IN_BRACES, (braces) => {
    const text = textOf(claims[braces.slice(1, -1)]);
    isGood &&= isNamespace(text);
    return text ?? '';
  });
  const namespace = scope.slice(scope.indexOf(':') + 1);
  if (!isGood || namespace === MAIN_NAMESPACE) return undefined;
  return scope as Scope; // As the form, with texts that a namespace may have.
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}
