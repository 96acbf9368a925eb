// Goal: netrc files are read as `go` reads them, and a login goes to the URLs that it is for.
// Method: Go's own file and its own result (cmd/go/internal/auth/netrc_test.go), then a table of URLs.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loginFor, loginOf, netrcPath, parseNetrc } from '../../src/core/netrc.ts';

const GO_FILE = `
machine incomplete
password none

machine api.github.com
  login user
  password pwd

machine incomlete.host
  login justlogin

machine test.host
login user2
password pwd2

machine oneline login user3 password pwd3

machine ignore.host macdef ignore
  login nobody
  password nothing

machine hasmacro.too macdef ignore-next-lines login user4 password pwd4
  login nobody
  password nothing

default
login anonymous
password gopher@golang.org

machine after.default
login oops
password too-late-in-file
`;

test("Go's own file has the entries that Go finds in it", () => {
  assert.deepEqual(parseNetrc(GO_FILE), [
    { machine: 'api.github.com', login: 'user', password: 'pwd' },
    { machine: 'test.host', login: 'user2', password: 'pwd2' },
    { machine: 'oneline', login: 'user3', password: 'pwd3' },
    { machine: 'hasmacro.too', login: 'user4', password: 'pwd4' },
  ]);
});

const odd: readonly { text: string; machines: readonly string[]; why: string }[] = [
  { text: '', machines: [], why: 'nothing' },
  { text: 'default login a password b', machines: [], why: 'a default login is for no machine' },
  { text: 'machine a login b\r\npassword c\r\n', machines: ['a'], why: 'lines as on Windows' },
  { text: 'machine __proto__ login b password c', machines: ['__proto__'], why: 'a name like any' },
  { text: 'machine a login b password', machines: [], why: 'cut off' },
  { text: '\0\u{1f980}\n'.repeat(9), machines: [], why: 'no netrc file at all' },
];

for (const { text, machines, why } of odd) {
  test(`netrc: ${why}`, () => {
    assert.deepEqual(
      parseNetrc(text).map(({ machine }) => machine),
      machines,
    );
  });
}

const entries = parseNetrc(`
machine a.example login host password 1
machine a.example login later password 2
machine a.example:8443 login port password 3
machine b.example/team/ login team password 4
`);

const urls: readonly { url: string; login: string | undefined; why: string }[] = [
  { url: 'https://a.example', login: 'host', why: 'the first of two' },
  { url: 'https://a.example/x/y/', login: 'host', why: 'below the host' },
  { url: 'http://a.example', login: undefined, why: 'never over http' },
  { url: 'https://a.example:8443/x', login: 'port', why: 'a port is a part of the name' },
  { url: 'https://a.example:9443', login: undefined, why: 'as for `go`, not another port' },
  { url: 'https://b.example/team', login: 'team', why: 'the beginning of a path' },
  { url: 'https://b.example/team/x', login: 'team', why: 'below it' },
  { url: 'https://b.example/teams', login: undefined, why: 'whole elements only' },
  { url: 'https://b.example', login: undefined, why: 'above it' },
  { url: 'https://sub.a.example', login: undefined, why: 'another host' },
];

for (const { url, login, why } of urls) {
  test(`the login for ${url}: ${why}`, () => {
    assert.equal(loginFor(entries, new URL(url))?.login, login);
  });
}

test('a machine is found by its whole name', () => {
  assert.equal(loginOf(entries, 'a.example')?.password, '1');
  assert.equal(loginOf(entries, 'a'), undefined);
});

test('NETRC wins over HOME', () => {
  assert.equal(netrcPath({ NETRC: '/n', HOME: '/h' }), '/n');
  assert.equal(netrcPath({ NETRC: '', HOME: '/h' }), '/h/.netrc');
  assert.equal(netrcPath({}), undefined);
});
