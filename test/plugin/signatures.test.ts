// Goal: an entry counts only if a trusted key has signed just that, for a namespace that the client reads.
// Method: real keys, of the `key` command and of openssl; each row changes one thing of what was signed.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isSignature } from '../../src/core/build-cache-wire.ts';
import { UsageError } from '../../src/core/usage-error.ts';
import { Signatures } from '../../src/plugin/signatures.ts';
import { runAstera } from '../support/astera.ts';
import { tempDir } from '../support/temp-dir.ts';

const directory = tempDir({ after });
const ENTRY = { actionId: 'a'.repeat(64), outputId: 'b'.repeat(64), size: 7 };
const ci = join(directory, 'ci.key');
const other = join(directory, 'other.key');
for (const path of [ci, other]) {
  const made = await runAstera(['key', path]);
  assert.equal(made.code, 0, made.stderr);
}

function signatures(
  namespace: string,
  { signKey, trustKeys = [] }: { signKey?: string; trustKeys?: readonly string[] },
) {
  const warnings: string[] = [];
  const warn = (line: string) => warnings.push(line);
  return { warnings, keys: new Signatures({ namespace, signKey, trustKeys, warn }) };
}

function signedBy(signKey: string, namespace = 'main'): string {
  const signature = signatures(namespace, { signKey }).keys.sign(ENTRY);
  assert.ok(isSignature(signature));
  return signature;
}

const good = signedBy(ci);
const rows: {
  why: string;
  reader?: string;
  entry?: Partial<typeof ENTRY>;
  signature: string | undefined;
  is: boolean;
}[] = [
  { why: 'what was signed', signature: good, is: true },
  { why: 'no signature', signature: undefined, is: false },
  { why: 'an empty one', signature: '', is: false },
  { why: 'a good one behind those of others', signature: `${signedBy(other)} x ${good}`, is: true },
  { why: 'an unknown key', signature: signedBy(other), is: false },
  {
    why: "another key under the trusted one's name",
    signature: signedBy(other).replace(/:\w+:/, good.slice(2, 20)),
    is: false,
  },
  { why: 'another action', entry: { actionId: 'c'.repeat(64) }, signature: good, is: false },
  { why: 'another output', entry: { outputId: 'c'.repeat(64) }, signature: good, is: false },
  { why: 'another size', entry: { size: 8 }, signature: good, is: false },
  {
    why: 'a flipped bit',
    signature: `${good.slice(0, -2)}${good.at(-2) === 'A' ? 'B' : 'A'}${good.at(-1)}`,
    is: false,
  },
  { why: 'the main one in a namespace', reader: 'pr/7', signature: good, is: true },
  { why: 'its own namespace', reader: 'pr/7', signature: signedBy(ci, 'pr/7'), is: true },
  { why: "a namespace's in the main one", signature: signedBy(ci, 'pr/7'), is: false },
  { why: "another namespace's", reader: 'pr/8', signature: signedBy(ci, 'pr/7'), is: false },
];
for (const { why, reader = 'main', entry, signature, is } of rows) {
  test(`${is ? 'taken' : 'refused'}: ${why}`, () => {
    const { keys, warnings } = signatures(reader, { trustKeys: [`${ci}.pub`] });
    for (const _ of [1, 2]) assert.equal(keys.accepts({ ...ENTRY, ...entry }, signature), is);
    assert.equal(keys.refused, is ? 0 : 2);
    assert.equal(warnings.length, is ? 0 : 1, 'one line for all');
  });
}

test('without any key all entries count; who signs takes what it has signed itself, and no other', () => {
  const none = signatures('main', {}).keys;
  assert.deepEqual([none.accepts(ENTRY, undefined), none.sign(ENTRY)], [true, undefined]);
  const signer = signatures('main', { signKey: ci }).keys;
  assert.deepEqual([signer.accepts(ENTRY, undefined), signer.accepts(ENTRY, good)], [false, true]);
  const both = signatures('main', { signKey: ci, trustKeys: [`${other}.pub`] }).keys;
  assert.ok(both.accepts(ENTRY, signedBy(other)));
});

test('keys of openssl do as well, and a file may have several', () => {
  const path = join(directory, 'openssl.key');
  execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', path], { stdio: 'pipe' });
  const pem = execFileSync('openssl', ['pkey', '-in', path, '-pubout']);
  const keys = join(directory, 'keys.pub');
  writeFileSync(keys, `# CI\n${readFileSync(`${ci}.pub`)}\n# mine\n${pem}`);
  const reader = signatures('main', { trustKeys: [keys] }).keys;
  chmodSync(path, 0o600);
  for (const signKey of [path, ci]) assert.ok(reader.accepts(ENTRY, signedBy(signKey)), signKey);
});

test('a private key that others may read is told of, and the command makes none, and none over another', async () => {
  assert.equal(statSync(ci).mode & 0o777, 0o600);
  assert.deepEqual(signatures('main', { signKey: ci }).warnings, []);
  const open = join(directory, 'open.key');
  writeFileSync(open, readFileSync(ci));
  chmodSync(open, 0o640);
  assert.match(signatures('main', { signKey: open }).warnings.join(), /open\.key.*chmod 600/);
  const before = readFileSync(ci, 'utf8');
  const again = await runAstera(['key', ci]);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /cannot write the key .*ci\.key/);
  assert.equal(readFileSync(ci, 'utf8'), before);
});

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const bad: { why: string; text?: string | Buffer }[] = [
  { why: 'no file' },
  { why: 'nothing in it', text: '' },
  { why: 'no PEM', text: 'secret' },
  { why: 'RSA', text: rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }) },
  { why: 'a public RSA key', text: rsa.publicKey.export({ type: 'spki', format: 'pem' }) },
  { why: 'the other half', text: '' },
  { why: 'a huge one', text: `${readFileSync(ci)}${' '.repeat(70_000)}` },
];
for (const { why, text } of bad) {
  test(`refused at the start, in one line without the file's content: ${why}`, () => {
    const path = join(directory, `bad-${why.replaceAll(' ', '-')}`);
    if (text !== undefined) writeFileSync(path, text);
    for (const options of [
      { signKey: why === 'the other half' ? `${ci}.pub` : path },
      { trustKeys: [why === 'the other half' ? ci : path] },
    ]) {
      assert.throws(
        () => signatures('main', options),
        (error: unknown) =>
          error instanceof UsageError &&
          /--(?:sign|trust)-key/.test(error.message) &&
          !/MC4C|secret/.test(error.message),
      );
    }
  });
}
