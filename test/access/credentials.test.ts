// Goal: logins are taken from where clients send them, and a token in a path never stays in it.
// Method: tables.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAuthorization, splitTokenPath } from '../../src/access/credentials.ts';

const TOKEN = `astera_${'x'.repeat(43)}`;
const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;
const malformed = { kind: 'malformed' } as const;

const headers: { header: string; is: object | undefined; why: string }[] = [
  { header: '', is: undefined, why: 'nothing' },
  { header: basic('a:b'), is: { kind: 'password', user: 'a', password: 'b' }, why: 'as .netrc is sent' },
  { header: basic('a:b:c'), is: { kind: 'password', user: 'a', password: 'b:c' }, why: 'a colon in it' },
  { header: basic('ä:ö'), is: { kind: 'password', user: 'ä', password: 'ö' }, why: 'UTF-8' },
  { header: basic(':'), is: { kind: 'password', user: '', password: '' }, why: 'empty' },
  { header: basic(`any:${TOKEN}`), is: { kind: 'token', token: TOKEN }, why: 'a token as password' },
  {
    header: basic('a:b').replace('Basic', 'bASIC'),
    is: { kind: 'password', user: 'a', password: 'b' },
    why: 'case',
  },
  { header: `Bearer ${TOKEN}`, is: { kind: 'token', token: TOKEN }, why: 'as GOAUTH can send it' },
  { header: 'Bearer x', is: { kind: 'token', token: 'x' }, why: 'a wrong token is one too' },
  { header: basic('a'), is: malformed, why: 'no colon' },
  { header: 'Basic', is: malformed, why: 'nothing behind it' },
  { header: 'Basic !!!!', is: malformed, why: 'not base64' },
  { header: `${basic('a:b')} x`, is: malformed, why: 'more behind it' },
  { header: 'Digest username="a"', is: malformed, why: 'another scheme' },
];

for (const { header, is, why } of headers) {
  test(`Authorization: ${why}`, () => {
    assert.deepEqual(parseAuthorization(header), is && { ...is, text: header });
  });
}

const paths: { path: string; is: [path: string, token: string | undefined]; why: string }[] = [
  { path: '/a.b/c/@v/list', is: ['/a.b/c/@v/list', undefined], why: 'none' },
  { path: `/token/${TOKEN}/a.b/@v/list`, is: ['/a.b/@v/list', TOKEN], why: 'a module' },
  {
    path: `/token/${TOKEN}/mod/sumdb/x/latest`,
    is: ['/mod/sumdb/x/latest', TOKEN],
    why: 'a prefix behind it',
  },
  { path: `/token/${TOKEN}`, is: ['/', TOKEN], why: 'nothing behind it' },
  { path: `/token/${TOKEN}/`, is: ['/', TOKEN], why: 'a slash behind it' },
  { path: '/token//a.b/@v/list', is: ['/a.b/@v/list', ''], why: 'an empty one' },
  { path: `/%74oken/${TOKEN}/x`, is: ['/x', TOKEN], why: 'percent-escapes in the word' },
  { path: `/%74%6f%6B%65%6e/${TOKEN}/x`, is: ['/x', TOKEN], why: 'nothing but percent-escapes' },
  { path: '/token/astera%5Fx/x', is: ['/x', 'astera_x'], why: 'percent-escapes in the token' },
  { path: '/token/%ff/x', is: ['/x', '%ff'], why: 'malformed ones' },
  { path: '/tokens/x/y', is: ['/tokens/x/y', undefined], why: 'another word' },
  { path: '/token', is: ['/token', undefined], why: 'the word alone' },
  { path: '/mod/token/x/y', is: ['/mod/token/x/y', undefined], why: 'not the first element' },
  { path: '/token/a\nb/x', is: ['/x', 'a\nb'], why: 'a line break' },
];

for (const { path, is, why } of paths) {
  test(`a token in a path: ${why}`, () => {
    const { path: rest, token } = splitTokenPath(path);
    assert.deepEqual([rest, token], is);
  });
}
