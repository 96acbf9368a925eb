// Goal: GOPROXY lists are read as the go command reads them.
// Method: a table after proxyList and newProxyRepo of cmd/go/internal/modfetch/proxy.go; a row with
// `error` must be refused on one line without the userinfo.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BadRequest } from '../../src/core/errors.ts';
import { parseProxyList } from '../../src/upstream/proxy-list-syntax.ts';

const cases: { list: string; members?: string[]; error?: RegExp; why: string }[] = [
  { list: 'https://a.example', members: ['https://a.example/,'], why: 'one' },
  {
    list: 'https://a.example,http://b.example|c.example',
    members: ['https://a.example/,', 'http://b.example/|', 'https://c.example/,'],
    why: 'separators belong to the member before them; https is the missing scheme',
  },
  {
    list: ' a.example , ,| b.example ',
    members: ['https://a.example/,', 'https://b.example/,'],
    why: 'blanks',
  },
  { list: 'a.example/sub,', members: ['https://a.example/sub,'], why: 'path, trailing comma' },
  { list: 'HTTP://A.example', members: ['http://a.example/,'], why: 'a scheme has no case' },
  { list: 'localhost:8080', members: ['https://localhost:8080/,'], why: 'host and port without scheme' },
  { list: 'off,:::', members: ['off'], why: 'nothing is read behind off' },
  { list: 'a.example,direct,:::', members: ['https://a.example/,', 'direct'], why: 'nor behind direct' },
  { list: 'a.example|noproxy', members: ['https://a.example/|', 'direct'], why: 'noproxy ends it too' },
  { list: 'file:///srv/go%20mod|off', members: ['/srv/go mod|', 'off'], why: 'a directory' },
  { list: '', error: /no entries/, why: 'empty' },
  { list: ' ,|, ', error: /no entries/, why: 'separators only' },
  { list: 'proxy', error: /missing scheme: "proxy"/, why: 'single words are reserved' },
  { list: '/srv/mod', error: /file:\/\/ URL/, why: 'a plain directory' },
  { list: 'ftp://a.example', error: /scheme must be/, why: 'another scheme' },
  { list: 'https:/a.example', error: /no host/, why: 'one slash' },
  { list: 'https:///x', error: /no host/, why: 'no host' },
  { list: 'https://a b.example', error: /no host/, why: 'a blank in the URL' },
  { list: 'https://[::1', error: /not a URL/, why: 'cut address' },
  { list: 'file://host/srv', error: /absolute path/, why: 'file with a host' },
  { list: 'file:///srv?x', error: /absolute path/, why: 'file with a query' },
  { list: 'file:/srv', error: /absolute path/, why: 'file with one slash' },
  { list: 'https://me:s3cret@[::1', error: /not a URL/, why: 'userinfo is not shown' },
  {
    list: 'https://me:%zzs3cret@a.example',
    error: /percent-encoded/,
    why: 'userinfo that cannot be decoded',
  },
];

for (const { list, members, error, why } of cases) {
  test(`parseProxyList: ${why}: ${JSON.stringify(list)}`, () => {
    if (error === undefined) {
      assert.deepEqual(parseProxyList(list).map(shown), members);
      return;
    }
    assert.throws(
      () => parseProxyList(list),
      (thrown) => {
        assert.ok(thrown instanceof BadRequest);
        assert.match(thrown.message, error);
        assert.doesNotMatch(thrown.message, /\n|s3cret/);
        return true;
      },
    );
  });
}

function shown(member: ReturnType<typeof parseProxyList>[number]): string {
  if (!('fallsBack' in member)) return member.kind;
  const what = member.kind === 'http' ? member.url.href : member.root;
  return `${what}${member.fallsBack ? '|' : ','}`;
}
