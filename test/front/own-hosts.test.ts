// Goal: a page of another site cannot have a browser read what this server gives: its name is no name of ours.
// Method: a table of Host headers, with the names of --hosts and without.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Misdirected } from '../../src/core/errors.ts';
import { parseHostNames } from '../../src/core/setting.ts';
import { OwnHosts } from '../../src/front/own-hosts.ts';

const headers: { header: string; isOwn: boolean; hosts?: string; why: string }[] = [
  { header: '127.0.0.1:8080', isOwn: true, why: 'loopback' },
  { header: '192.168.1.20', isOwn: true, why: 'an address without a port' },
  { header: '[::1]:8080', isOwn: true, why: 'IPv6' },
  { header: '[fe80::1:2]', isOwn: true, why: 'IPv6 without a port' },
  { header: '[::ffff:127.0.0.1]:80', isOwn: true, why: 'IPv4 within IPv6' },
  { header: 'localhost:8080', isOwn: true, why: 'localhost' },
  { header: 'pi', isOwn: true, why: 'a single label' },
  { header: 'Pi:8080', isOwn: true, why: 'a capital' },
  { header: 'pi.local:8080', isOwn: true, why: 'mDNS' },
  { header: 'pi.local.', isOwn: true, why: 'a last dot' },
  { header: 'pi.lan', isOwn: true, why: "a home router's name" },
  { header: 'pi.home.arpa', isOwn: true, why: 'RFC 8375' },
  { header: 'build.internal', isOwn: true, why: 'reserved by ICANN' },
  { header: '', isOwn: true, why: 'none: no browser sends that' },
  { header: 'evil.example', isOwn: false, why: 'a name that has an owner' },
  { header: 'evil.example:8080', isOwn: false, why: 'with our port' },
  { header: 'localhost.evil.example', isOwn: false, why: 'begins like ours' },
  { header: '127.0.0.1.evil.example', isOwn: false, why: 'begins like an address' },
  { header: 'evil.example.127.0.0.1', isOwn: false, why: 'ends like an address' },
  { header: '127.0.0.1.1', isOwn: false, why: 'five numbers' },
  { header: 'evillocal.example', isOwn: false, why: 'holds one of ours' },
  { header: 'xlocal.x', isOwn: false, why: 'no suffix of ours' },
  { header: '[evil.example]', isOwn: false, why: 'a name in brackets' },
  { header: '[::1].evil.example', isOwn: false, why: 'behind brackets' },
  { header: 'user@localhost', isOwn: false, why: 'with a user' },
  { header: 'localhost:evil.example', isOwn: false, why: 'no port' },
  { header: '.', isOwn: false, why: 'a dot' },
  { header: 'évil', isOwn: false, why: 'no ASCII' },
  { header: 'x'.repeat(300), isOwn: false, why: 'too long' },
  { header: 'goproxy.example.com', hosts: 'a.example,Goproxy.Example.com.', isOwn: true, why: 'named' },
  { header: 'a.goproxy.example.com', hosts: 'goproxy.example.com', isOwn: false, why: 'below a named one' },
  { header: 'a.b.corp.example:80', hosts: '*.corp.example', isOwn: true, why: 'below a star' },
  { header: 'corp.example', hosts: '*.corp.example', isOwn: false, why: 'the star needs a label' },
  { header: 'evilcorp.example', hosts: '*.corp.example', isOwn: false, why: 'the star needs a dot' },
  { header: 'evil.example', hosts: '*', isOwn: true, why: 'all are' },
];

for (const { header, isOwn, hosts = '', why } of headers) {
  test(`Host ${JSON.stringify(header.slice(0, 40))} is ${isOwn ? 'ours' : 'refused'}: ${why}`, () => {
    const own = new OwnHosts(parseHostNames(hosts));
    assert.equal(own.has(header), isOwn);
    if (!isOwn) assert.throws(() => own.demand(header), Misdirected);
    assert.equal(own.has('evil2.example') && hosts !== '*', false, 'whatever came before');
  });
}
