// Goal: a private module is given only to clients of the networks that are named, and a public one to everybody.
// Method: a table of settings, addresses and modules; each row holds the one right decision.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Access } from '../../src/access/access.ts';
import { Forbidden } from '../../src/core/errors.ts';
import { parseModulePath } from '../../src/core/module-path.ts';
import { parseIp, parseNetworks } from '../../src/core/network.ts';

type Row = {
  /** `--private`, and what GONOPROXY says. */
  patterns: readonly string[];
  allow: string;
  /** Empty: a Unix socket. */
  address: string;
  module: string;
  is: 'public' | 'private' | 'refused';
  why: string;
};

const CORP = ['*.corp.example,github.com/me', ''];
const LAN = '192.168.1.0/24';

const rows: Row[] = [
  { patterns: ['', ''], allow: 'none', address: '8.8.8.8', module: 'a.example/x', is: 'public', why: 'open' },
  { patterns: CORP, allow: 'none', address: '8.8.8.8', module: 'a.example/x', is: 'public', why: 'no match' },
  {
    patterns: CORP,
    allow: 'loopback',
    address: '8.8.8.8',
    module: 'git.corp.example/x',
    is: 'refused',
    why: 'far',
  },
  {
    patterns: CORP,
    allow: 'loopback',
    address: '127.0.0.1',
    module: 'git.corp.example/x',
    is: 'private',
    why: 'here',
  },
  {
    patterns: CORP,
    allow: 'loopback',
    address: '::1',
    module: 'git.corp.example/x',
    is: 'private',
    why: 'here',
  },
  {
    patterns: CORP,
    allow: 'loopback',
    address: '::ffff:127.0.0.1',
    module: 'git.corp.example/x',
    is: 'private',
    why: 'by a dual-stack socket',
  },
  {
    patterns: CORP,
    allow: 'loopback',
    address: '',
    module: 'git.corp.example/x',
    is: 'private',
    why: 'a socket',
  },
  {
    patterns: CORP,
    allow: 'none',
    address: '127.0.0.1',
    module: 'github.com/me/x/v2',
    is: 'refused',
    why: 'none',
  },
  {
    patterns: CORP,
    allow: 'none',
    address: '',
    module: 'github.com/me',
    is: 'refused',
    why: 'none: a socket',
  },
  {
    patterns: CORP,
    allow: LAN,
    address: '',
    module: 'github.com/me',
    is: 'refused',
    why: 'LAN only: a socket',
  },
  {
    patterns: CORP,
    allow: '127.0.0.1',
    address: '',
    module: 'github.com/me',
    is: 'private',
    why: 'a socket is here',
  },
  {
    patterns: CORP,
    allow: '::1',
    address: '',
    module: 'github.com/me',
    is: 'private',
    why: 'a socket is here',
  },
  {
    patterns: CORP,
    allow: LAN,
    address: '127.0.0.1',
    module: 'github.com/me',
    is: 'refused',
    why: 'the LAN only',
  },
  {
    patterns: CORP,
    allow: LAN,
    address: '192.168.1.9',
    module: 'github.com/me',
    is: 'private',
    why: 'the LAN',
  },
  {
    patterns: CORP,
    allow: LAN,
    address: '192.168.2.9',
    module: 'github.com/me',
    is: 'refused',
    why: 'the next LAN',
  },
  {
    patterns: CORP,
    allow: LAN,
    address: '8.8.8.8',
    module: 'github.com/meme',
    is: 'public',
    why: 'longer name',
  },
  {
    patterns: CORP,
    allow: LAN,
    address: '8.8.8.8',
    module: 'corp.example/x',
    is: 'public',
    why: '* is a label',
  },
  {
    patterns: ['', 'p.example'],
    allow: LAN,
    address: '8.8.8.8',
    module: 'p.example/x',
    is: 'refused',
    why: 'a module that no proxy may hear of is private too',
  },
  {
    patterns: ['p.example', 'none'],
    allow: LAN,
    address: '8.8.8.8',
    module: 'p.example/x',
    is: 'refused',
    why: 'GONOPROXY=none lets it come from a proxy, and makes it no less private',
  },
];

for (const { patterns, allow, address, module, is, why } of rows) {
  const asker = address || 'a Unix socket';
  test(`${module} for ${asker}, with ${patterns.join(' ')} and ${allow}, is ${is}: ${why}`, () => {
    const access = new Access({ privatePatterns: patterns, privateNetworks: parseNetworks(allow) });
    const path = parseModulePath(module);
    const decide = () =>
      access.decide({ address: parseIp(address) ?? new Uint8Array(0), credentials: undefined }, path);
    assert.equal(access.visibilityOf(path), is === 'refused' ? 'private' : is);
    if (is !== 'refused') assert.equal(decide(), is);
    else assert.throws(decide, Forbidden);
  });
}

test('a refusal names the module, the setting and the client, on one line', () => {
  const access = new Access({ privatePatterns: ['p.example'], privateNetworks: [] });
  const module = parseModulePath('p.example/x');
  const why = (address: Uint8Array) => {
    try {
      access.decide({ address, credentials: undefined }, module);
    } catch (error) {
      return String(error);
    }
    return 'given';
  };
  assert.match(
    why(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 7)),
    /"p\.example\/x": it is private here, and --private-allow .* network of 10\.0\.0\.7$/,
  );
  assert.match(why(new Uint8Array(0)), /network of this machine$/);
});

test('a public module costs no look at the address', () => {
  const access = new Access({ privatePatterns: ['p.example'], privateNetworks: [] });
  const client = {
    get address(): Uint8Array {
      throw new Error('the kernel was asked');
    },
    credentials: undefined,
  };
  assert.equal(access.decide(client, parseModulePath('a.example/x')), 'public');
  assert.throws(() => access.decide(client, parseModulePath('p.example/x')), /the kernel was asked/);
});

test('an address of no known form is trusted by nobody', () => {
  const access = new Access({
    privatePatterns: ['p.example'],
    privateNetworks: parseNetworks('0.0.0.0/0,::/0,loopback'),
  });
  for (const length of [1, 3, 5, 15, 17]) {
    const address = new Uint8Array(length);
    assert.throws(
      () => access.decide({ address, credentials: undefined }, parseModulePath('p.example/x')),
      Forbidden,
    );
  }
});
