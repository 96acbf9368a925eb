// Goal: only files of the database's own form are taken, and a refusal names the file.
// Method: one right file of each kind, and hostile ones.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UpstreamFailed } from '../../src/core/errors.ts';
import { checkVulns, parseDb, parseModules, parseReport } from '../../src/vulndb/vuln-json.ts';
import { parseVulnPath, vulnKey } from '../../src/vulndb/vuln-path.ts';
import { databaseFiles, reportText } from '../support/vuln-server.ts';

const report = { id: 'GO-2024-1', modified: '2024-02-03T04:05:06Z', module: 'example.com/m', fixed: '1.2.0' };
const files = databaseFiles([report]);

test('files of the right form are read', () => {
  assert.equal(parseDb(files.get('index/db') ?? ''), report.modified);
  assert.deepEqual(parseModules(files.get('index/modules') ?? ''), [
    { path: report.module, vulns: [{ id: report.id, modified: report.modified, fixed: '1.2.0' }] },
  ]);
  checkVulns(files.get('index/vulns') ?? '');
  const { id, modified, isWithdrawn, affected } = parseReport(reportText(report), report.id);
  assert.deepEqual([id, modified, isWithdrawn], [report.id, report.modified, false]);
  assert.deepEqual(affected[0]?.ranges[0]?.events, [
    { introduced: '0', fixed: undefined },
    { introduced: undefined, fixed: '1.2.0' },
  ]);
  assert.equal(
    parseReport(reportText({ ...report, withdrawn: '2024-03-01T00:00:00Z' }), report.id).isWithdrawn,
    true,
  );
});

const hostile: { why: string; parse: () => unknown; message: RegExp }[] = [
  { why: 'a page', parse: () => parseDb('<html>'), message: /no "index\/db": it is not JSON$/ },
  { why: 'no object', parse: () => parseDb('[]'), message: /no "index\/db": an object is missing$/ },
  { why: 'no time', parse: () => parseDb('{"modified":"soon"}'), message: /a time is malformed$/ },
  { why: 'no list', parse: () => parseModules('{}'), message: /no "index\/modules": a list is missing$/ },
  {
    why: 'a module without a path',
    parse: () => parseModules('[{"vulns":[]}]'),
    message: /a text is missing$/,
  },
  {
    why: 'a module without reports',
    parse: () => parseModules('[{"path":"m"}]'),
    message: /a list is missing$/,
  },
  { why: 'null in a list', parse: () => checkVulns('[null]'), message: /an object is missing$/ },
  {
    why: 'another report',
    parse: () => parseReport(reportText(report), 'GO-2024-2'),
    message: /no "ID\/GO-2024-2": it has another ID$/,
  },
  {
    why: 'an affected module without a name',
    parse: () => parseReport('{"id":"a","modified":"2024-01-01T00:00:00Z","affected":[{"package":{}}]}', 'a'),
    message: /a text is missing$/,
  },
];

for (const { why, parse, message } of hostile) {
  test(`refused: ${why}`, () => {
    assert.throws(parse, (error) => error instanceof UpstreamFailed && message.test(error.message));
  });
}

test('paths of the database, and of nothing else', () => {
  assert.deepEqual(parseVulnPath('vulndb/index/modules.json.gz'), { file: 'index/modules', isPacked: true });
  assert.deepEqual(parseVulnPath('vulndb/ID/GO-2024-2687.json'), {
    file: 'ID/GO-2024-2687',
    isPacked: false,
  });
  for (const path of [
    ...[
      'vulndb',
      'vulndb/',
      'vulndb/index.json',
      'vulndb/index/other.json',
      'vulndb/ID/.json',
      'vulndb/ID/../x.json',
    ],
    ...[
      'vulndb/ID/a/b.json',
      'vulndb/ID/.hidden.json',
      `vulndb/ID/${'x'.repeat(101)}.json`,
      'vulndb/ID/a.json.gz.gz',
    ],
    'vulndb/ID/a\n.json',
  ]) {
    assert.equal(parseVulnPath(path), undefined, path);
  }
});

test('databases at other places have other keys, and none leaves its own', () => {
  assert.equal(vulnKey('vuln.go.dev', 'index/db'), 'vulndb/vuln.go.dev/index/db.json.gz');
  assert.equal(vulnKey('h/a/../b', 'ID/x'), 'vulndb/h%2Fa%2F..%2Fb/ID/x.json.gz');
});
