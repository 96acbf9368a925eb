// Goal: listen addresses are read as Go reads them, and written back.
// Method: tables, and a property over arbitrary text.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Address, formatAddress, parseAddress } from '../../src/core/address.ts';
import { BadRequest } from '../../src/core/errors.ts';

const good: { text: string; address: Address }[] = [
  { text: ':8080', address: { kind: 'tcp', host: '', port: 8080 } },
  { text: '127.0.0.1:0', address: { kind: 'tcp', host: '127.0.0.1', port: 0 } },
  { text: 'localhost:5970', address: { kind: 'tcp', host: 'localhost', port: 5970 } },
  { text: '[::1]:80', address: { kind: 'tcp', host: '::1', port: 80 } },
  { text: '[::]:65535', address: { kind: 'tcp', host: '::', port: 65_535 } },
  { text: '[fe80::1%eth0]:80', address: { kind: 'tcp', host: 'fe80::1%eth0', port: 80 } },
  { text: 'unix:/run/astera.sock', address: { kind: 'unix', path: '/run/astera.sock' } },
  { text: 'unix:a:1', address: { kind: 'unix', path: 'a:1' } },
];

for (const { text, address } of good) {
  test(`${text} is an address`, () => {
    assert.deepEqual(parseAddress(text), address);
    assert.equal(formatAddress(address), text);
  });
}

const bad: { text: string; why: string }[] = [
  { text: '', why: 'nothing' },
  { text: '8080', why: 'a port without its colon' },
  { text: 'localhost', why: 'no port' },
  { text: 'localhost:', why: 'an empty port' },
  { text: ':65536', why: 'past the last port' },
  { text: ':-1', why: 'below the first' },
  { text: ':http', why: 'a service name' },
  { text: '::1:80', why: 'IPv6 without brackets' },
  { text: '[localhost]:80', why: 'a name in brackets' },
  { text: 'http://localhost:80', why: 'a URL' },
  { text: 'local host:80', why: 'a space' },
  { text: ':80\n', why: 'a line break' },
  { text: 'unix:', why: 'no path' },
  { text: 'unix:a\0b', why: 'NUL in the path' },
  { text: `unix:/${'é'.repeat(60)}`, why: 'more bytes than a socket name has' },
];

for (const { text, why } of bad) {
  test(`${JSON.stringify(text)} is no address: ${why}`, () => {
    assert.throws(() => parseAddress(text), BadRequest);
  });
}

test('arbitrary text is an address that is written back the same, or a BadRequest', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^[a-z0-9.[\]:]{0,9}:[1-9][0-9]{0,5}$/),
  );
  fc.assert(
    fc.property(text, (input) => {
      try {
        assert.equal(formatAddress(parseAddress(input)), input);
      } catch (error) {
        if (!(error instanceof BadRequest)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});
