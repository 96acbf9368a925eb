// Goal: all modules that a project's files name are found, and none that need not be fetched.
// Method: tables of file texts, as `go` writes them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formOf, keysOf, usedDirectories, wantedOf } from '../../src/core/wanted-files.ts';

const forms = [
  { name: 'go.sum', text: '{', form: 'sum' },
  { name: 'go.work.sum', text: '', form: 'sum' },
  { name: 'go.mod', text: '', form: 'mod' },
  { name: 'tools.mod', text: '', form: 'mod' },
  { name: 'go.work', text: '', form: 'work' },
  { name: 'deps.txt', text: ' \n{"Path": "x"}', form: 'json' },
  { name: '-', text: 'a.example/x@v1.0.0', form: 'lines' },
] as const;

for (const { name, text, form } of forms) {
  test(`${name} beginning with ${JSON.stringify(text)} is read as ${form}`, () => {
    assert.equal(formOf(name, text), form);
  });
}

/** `path version`, then `mod` if only the go.mod is wanted. */
function named(form: (typeof forms)[number]['form'], text: string): string[] {
  return wantedOf(form, text).map(
    ({ module, version, isModOnly }) => `${module} ${version}${isModOnly ? ' mod' : ''}`,
  );
}

const files: { form: (typeof forms)[number]['form']; text: string; wanted: string[]; why: string }[] = [
  {
    form: 'sum',
    text: 'a.example/x v1.0.0 h1:aaa=\na.example/x v1.0.0/go.mod h1:bbb=\n\na.example/y v2.0.0+incompatible/go.mod h1:c=\n',
    wanted: ['a.example/x v1.0.0', 'a.example/x v1.0.0 mod', 'a.example/y v2.0.0+incompatible mod'],
    why: 'both kinds of line',
  },
  {
    form: 'mod',
    text: 'module a.example/main\n\ngo 1.26\ntoolchain go1.26.1\n\nrequire a.example/x v1.0.0 // indirect\n',
    wanted: ['a.example/x v1.0.0'],
    why: 'a line of its own, with a comment',
  },
  {
    form: 'mod',
    text: 'require (\n\ta.example/x v1.0.0\n\t// a.example/no v1.0.0\n\t"a.example/y" v1.1.0\n)\nrequire(\n\ta.example/z v1.2.0\n)\n',
    wanted: ['a.example/x v1.0.0', 'a.example/y v1.1.0', 'a.example/z v1.2.0'],
    why: 'blocks, with and without a space; quotes; a line of comment',
  },
  {
    form: 'mod',
    text: 'exclude a.example/x v1.0.0\nretract v1.0.0\nretract [v1.1.0, v1.2.0]\nexclude (\n\ta.example/y v1.0.0\n)\ntool a.example/x/cmd\n',
    wanted: [],
    why: 'what is excluded or retracted is not wanted',
  },
  {
    form: 'mod',
    text: 'require (\n\ta.example/x v1.0.0\n\ta.example/y v1.0.0\n\ta.example/z v1.0.0\n)\nreplace a.example/x => ../x\nreplace (\n\ta.example/y v1.0.0 => a.example/fork v1.0.1\n\ta.example/z v9.9.9 => ./z\n)\n',
    wanted: ['a.example/z v1.0.0', 'a.example/fork v1.0.1'],
    why: 'replaced by a directory, by a module, and of another version only',
  },
  {
    form: 'work',
    text: 'go 1.26\n\nuse (\n\t./a\n\t../b // there\n)\nuse .\nreplace a.example/x => a.example/fork v1.0.1\n',
    wanted: ['a.example/fork v1.0.1'],
    why: 'a workspace',
  },
  {
    form: 'json',
    text: '{\n\t"Path": "a.example/main",\n\t"Main": true,\n\t"Dir": "/{x}"\n}\n{\n\t"Path": "a.example/x",\n\t"Version": "v1.0.0",\n\t"Time": "2024-01-01T00:00:00Z"\n}\n{\n\t"Path": "a.example/y",\n\t"Version": "v1.0.0",\n\t"Replace": {\n\t\t"Path": "a.example/fork",\n\t\t"Version": "v1.0.1"\n\t}\n}\n{\n\t"Path": "a.example/z",\n\t"Version": "v1.0.0",\n\t"Replace": {\n\t\t"Path": "../z"\n\t}\n}\n',
    wanted: ['a.example/x v1.0.0', 'a.example/fork v1.0.1'],
    why: 'objects one behind the other',
  },
  {
    form: 'lines',
    text: '# what we need\r\na.example/X@v1.0.0\r\n\n  a.example/y@v0.0.0-20240101000000-abcdefabcdef  \n',
    wanted: ['a.example/X v1.0.0', 'a.example/y v0.0.0-20240101000000-abcdefabcdef'],
    why: 'lines, with comments and spaces',
  },
];

for (const { form, text, wanted, why } of files) {
  test(`${form}: ${why}`, () => {
    assert.deepEqual(named(form, text), wanted);
  });
}

test("the directories of a workspace's use lines are found", () => {
  const text = 'use (\n\t./a\n\t"../b c" // there\n)\nuse .\n';
  assert.deepEqual(usedDirectories(text), ['./a', '../b c', '.']);
});

const malformed: { form: (typeof forms)[number]['form']; text: string; says: RegExp }[] = [
  { form: 'sum', text: 'a.example/x v1.0.0\n', says: /^not a line of go\.sum: "a\.example\/x v1\.0\.0"$/ },
  { form: 'lines', text: 'a.example/x v1.0.0\n', says: /^not a line module@version/ },
  { form: 'lines', text: '@v1.0.0\n', says: /^not a line module@version/ },
  { form: 'json', text: '{\n"Path": \n', says: /^not the output of go list -m -json/ },
];

for (const { form, text, says } of malformed) {
  test(`${form} that is none: ${JSON.stringify(text)}`, () => {
    assert.throws(
      () => wantedOf(form, text),
      (error: unknown) => error instanceof Error && says.test(error.message),
    );
  });
}

test('a version has the keys of all its files, or of its go.mod alone', () => {
  const one = { module: 'a.example/X', version: 'v1.0.0-RC1' };
  const base = 'a.example/!x/@v/v1.0.0-!r!c1';
  assert.deepEqual(keysOf({ ...one, isModOnly: false }), [`${base}.info`, `${base}.mod`, `${base}.zip`]);
  assert.deepEqual(keysOf({ ...one, isModOnly: true }), [`${base}.mod`]);
  assert.throws(() => keysOf({ ...one, version: 'latest', isModOnly: false }), /not a canonical version/);
  assert.throws(() => keysOf({ ...one, module: '../x', isModOnly: false }), /malformed module path/);
});
