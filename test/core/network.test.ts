// Goal: networks are read strictly, so that a mistyped one opens nothing, and each address is in the right networks.
// Method: tables; Node's own parser as the second opinion on addresses; properties over arbitrary text.

import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { BadRequest } from '../../src/core/errors.ts';
import { formatIp, isWithin, LOOPBACK, parseIp, parseNetworks, plainIp } from '../../src/core/network.ts';

/** Networks, an address from a client's socket, and whether it is in one of them. */
const inside: { networks: string; address: string; is: boolean; why: string }[] = [
  { networks: 'loopback', address: '127.0.0.1', is: true, why: 'this machine' },
  { networks: 'loopback', address: '127.255.255.254', is: true, why: 'all of 127/8 is loopback' },
  { networks: 'loopback', address: '::1', is: true, why: 'this machine, by IPv6' },
  { networks: 'loopback', address: '::ffff:127.0.0.1', is: true, why: 'by a dual-stack socket' },
  { networks: 'loopback', address: '126.255.255.255', is: false, why: 'the one before' },
  { networks: 'loopback', address: '128.0.0.0', is: false, why: 'the one behind' },
  { networks: 'loopback', address: '::2', is: false, why: 'the one behind, by IPv6' },
  { networks: 'loopback', address: '::', is: false, why: 'no address' },
  { networks: 'loopback', address: '::127.0.0.1', is: false, why: 'IPv4-compatible is not IPv4-mapped' },
  { networks: 'loopback', address: '64:ff9b::7f00:1', is: false, why: 'nor is NAT64' },
  { networks: 'none', address: '127.0.0.1', is: false, why: 'nobody' },
  { networks: '192.168.1.0/24', address: '192.168.1.0', is: true, why: 'first' },
  { networks: '192.168.1.0/24', address: '192.168.1.255', is: true, why: 'last' },
  { networks: '192.168.1.0/24', address: '192.168.0.255', is: false, why: 'before' },
  { networks: '192.168.1.0/24', address: '192.168.2.0', is: false, why: 'behind' },
  { networks: '192.168.1.0/24', address: '::ffff:192.168.1.9', is: true, why: 'mapped' },
  { networks: '192.168.1.0/24', address: 'c0a8:101::', is: false, why: 'the same bytes in IPv6' },
  { networks: '192.168.1.0/24', address: '127.0.0.1', is: false, why: 'loopback is not added' },
  { networks: '192.168.1.128/25', address: '192.168.1.127', is: false, why: 'a mask within a byte: before' },
  { networks: '192.168.1.128/25', address: '192.168.1.128', is: true, why: 'a mask within a byte: first' },
  { networks: '192.168.1.4/30', address: '192.168.1.7', is: true, why: 'four addresses: last' },
  { networks: '192.168.1.4/30', address: '192.168.1.8', is: false, why: 'four addresses: behind' },
  { networks: '10.1.2.3', address: '10.1.2.3', is: true, why: 'an address alone' },
  { networks: '10.1.2.3', address: '10.1.2.2', is: false, why: 'an address alone: another' },
  { networks: '10.1.2.3/32', address: '10.1.2.3', is: true, why: 'the same with its mask' },
  { networks: '0.0.0.0/0', address: '8.8.8.8', is: true, why: 'all of IPv4' },
  { networks: '0.0.0.0/0', address: '2001:db8::1', is: false, why: 'no IPv6 with it' },
  { networks: '::/0', address: '2001:db8::1', is: true, why: 'all of IPv6' },
  { networks: '::/0', address: '8.8.8.8', is: false, why: 'no IPv4 with it' },
  { networks: '::/0', address: '::ffff:8.8.8.8', is: false, why: 'nor a mapped one, which is IPv4' },
  { networks: '::ffff:10.0.0.0/104', address: '10.9.9.9', is: true, why: 'a mapped network' },
  { networks: '::ffff:10.0.0.0/104', address: '11.0.0.0', is: false, why: 'a mapped network: behind' },
  { networks: '::ffff:0:0/96', address: '1.2.3.4', is: true, why: 'all that is mapped' },
  { networks: 'fd00::/8', address: 'fdff:ffff::1', is: true, why: 'local IPv6 addresses' },
  { networks: 'fd00::/8', address: 'fe00::', is: false, why: 'behind' },
  { networks: '2001:db8::/47', address: '2001:db8:1::1', is: true, why: 'a mask within a byte' },
  { networks: 'fe80::/10', address: 'febf::1', is: true, why: 'link-local: last' },
  { networks: 'loopback, 10.0.0.0/8 ,fd00::/8', address: '10.0.0.1', is: true, why: 'spaces between' },
  { networks: '10.0.0.0/8,10.0.0.0/8', address: '10.0.0.1', is: true, why: 'twice' },
];

for (const { networks, address, is, why } of inside) {
  test(`${address} is ${is ? '' : 'not '}in ${networks}: ${why}`, () => {
    const bytes = parseIp(address);
    assert.ok(bytes !== undefined);
    assert.equal(isWithin(parseNetworks(networks), plainIp(bytes)), is);
  });
}

const refused: { text: string; why: string }[] = [
  { text: '', why: 'nothing' },
  { text: ' ', why: 'a space' },
  { text: ',', why: 'two nothings' },
  { text: '10.0.0.0/8,', why: 'nothing behind a comma' },
  { text: 'none,loopback', why: 'none among others' },
  { text: 'localhost', why: 'a name' },
  { text: 'LOOPBACK', why: 'another spelling' },
  { text: '10.0.0.0/33', why: 'a mask too long' },
  { text: 'fd00::/129', why: 'a mask too long, IPv6' },
  { text: '10.0.0.0/', why: 'no mask behind the slash' },
  { text: '10.0.0.0/08', why: 'a zero before the mask' },
  { text: '10.0.0.0/-1', why: 'a sign' },
  { text: '10.0.0.0/8.0', why: 'a fraction' },
  { text: '10.0.0.0/1e1', why: 'an exponent' },
  { text: '10.0.0.0/255.0.0.0', why: 'a mask in the old form' },
  { text: '10.0.0.0/8/8', why: 'two masks' },
  { text: '10.1.2.3/8', why: 'bits behind the prefix' },
  { text: '0.0.0.1/0', why: 'bits behind an empty prefix' },
  { text: '::1/127', why: 'bits behind the prefix, IPv6' },
  { text: '::ffff:10.1.2.3/104', why: 'bits behind the prefix, mapped' },
  { text: '::ffff:0:0/90', why: 'a network that is half mapped' },
  { text: '/8', why: 'no address' },
  { text: '10.0.0', why: 'three parts' },
  { text: '10.0.0.0.0', why: 'five parts' },
  { text: '010.0.0.0/8', why: 'octal for some, decimal for others' },
  { text: '0x0a.0.0.0/8', why: 'hexadecimal' },
  { text: '10.0.0.256', why: 'over a byte' },
  { text: '167772160', why: 'one number' },
  { text: '10.0.0.0 /8', why: 'a space within' },
  { text: '１０.0.0.0/8', why: 'digits of another script' },
  { text: 'fe80::1%eth0', why: 'a zone' },
  { text: 'fe80::%eth0/64', why: 'a zone and a mask' },
  { text: '[::1]', why: 'brackets' },
  { text: ':::', why: 'three colons' },
  { text: '1::2::3', why: 'two gaps' },
  { text: '1:2:3:4:5:6:7:8::', why: 'a gap of nothing' },
  { text: '1:2:3:4:5:6:7', why: 'seven groups' },
  { text: '1:2:3:4:5:6:7:8:9', why: 'nine groups' },
  { text: '12345::', why: 'a group of five digits' },
  { text: '1.2.3.4::', why: 'IPv4 that is not last' },
  { text: '::1.2.3.4:5', why: 'IPv4 in the middle' },
  { text: '10.0.0.0/8\0', why: 'a NUL' },
  { text: '10.0.0.0\n/8', why: 'a line break' },
  { text: `${'0'.repeat(8_000)}::/8`, why: 'far too long' },
];

for (const { text, why } of refused) {
  test(`${JSON.stringify(text.slice(0, 40))} is no list of networks: ${why}`, () => {
    assert.throws(() => parseNetworks(text), BadRequest);
  });
}

test('Node accepts the same texts as addresses, except zones', () => {
  const ipv6 = fc
    .array(fc.constantFrom('', '0', '1', 'ffff', 'FfF0', '10000', '1.2.3.4', '01.2.3.4', '1.2.3'), {
      maxLength: 10,
    })
    .map((groups) => groups.join(':'));
  const text = fc.oneof(fc.ipV4(), fc.ipV6(), ipv6, fc.string());
  fc.assert(
    fc.property(text, (text) => {
      if (text.includes('%')) return;
      assert.equal(parseIp(text)?.byteLength, { 0: undefined, 4: 4, 6: 16 }[isIP(text)]);
    }),
    { numRuns: 5_000 },
  );
});

test('an address is read back from its text', () => {
  const bytes = fc.uint8Array({ minLength: 4, maxLength: 4 });
  const long = fc.uint8Array({ minLength: 16, maxLength: 16 });
  fc.assert(
    fc.property(fc.oneof(bytes, long), (address) => {
      assert.deepEqual(parseIp(formatIp(address)), address);
    }),
  );
});

test('a text that is no address is in no network', () => {
  for (const length of [0, 1, 5, 15, 17]) {
    const address = new Uint8Array(length);
    assert.equal(isWithin([...LOOPBACK, ...parseNetworks('0.0.0.0/0,::/0')], plainIp(address)), false);
  }
});
