/**
 * Signed entries: whoever writes signs them, and whoever reads trusts no server, only keys.
 *
 * A key is ed25519 in PEM, as `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout` write it. An entry counts
 * where it is signed for this client's namespace or for the main one, which it reads too: a signature for a branch is
 * worth nothing elsewhere. Files are read at the start, so that a wrong one is told at once; keys are made of them when
 * the first entry comes.
 */

import type { KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { isSignature, type SignedEntry, signedText } from '../core/build-cache-wire.ts';
import { MAIN_NAMESPACE } from '../core/cache-id.ts';
import { messageOf } from '../core/errors.ts';
import { crypto } from '../core/node-modules.ts';
import { quote } from '../core/quote.ts';
import { UsageError } from '../core/usage-error.ts';
import { KEY_FILE_BYTES_MAX } from './limits.ts';

/** An entry without its namespace: that is the client's own, or the main one. */
export type PlacedEntry = Omit<SignedEntry, 'namespace'>;

export type SignaturesOptions = {
  readonly namespace: string;
  /** A file with a private key. Its entries are trusted too. */
  readonly signKey: string | undefined;
  /** Files with public keys, one or more each. */
  readonly trustKeys: readonly string[];
  /** One line for the user. */
  readonly warn: (line: string) => void;
};

export class Signatures {
  readonly #namespace: string;
  readonly #warn: (line: string) => void;
  readonly #privatePem: string | undefined;
  readonly #publicPems: readonly string[];
  #signer: { readonly id: string; readonly key: KeyObject } | undefined;
  #trusted: ReadonlyMap<string, KeyObject> | undefined;
  /** Entries that no trusted key has signed. */
  refused = 0;

  /** @throws {UsageError} a file that can't be read, or has no key */
  constructor({ namespace, signKey, trustKeys, warn }: SignaturesOptions) {
    this.#namespace = namespace;
    this.#warn = warn;
    this.#privatePem = signKey === undefined ? undefined : readPrivatePem(signKey, warn);
    this.#publicPems = trustKeys.flatMap(readPublicPems);
  }

  /**
   * Whether an entry of the server may be used; all may where no key is set. Counts those that may not.
   *
   * @param signatures all that came with it, with spaces between
   */
  accepts(entry: PlacedEntry, signatures: string | undefined): boolean {
    if (this.isTrusted(entry, signatures)) return true;
    if (this.refused++ === 0) {
      this.#warn(
        `an entry without the signature of a trusted key counts as a miss, as all such do: action ${entry.actionId}`,
      );
    }
    return false;
  }

  /** The same, without a count. */
  isTrusted(entry: PlacedEntry, signatures: string | undefined): boolean {
    if (this.#privatePem === undefined && this.#publicPems.length === 0) return true;
    this.#trusted ??= this.#readTrusted();
    return (signatures ?? '').split(' ').some((one) => this.#isGood(entry, one));
  }

  /** Whether it has a key of its own to sign with. */
  get canSign(): boolean {
    return this.#privatePem !== undefined;
  }

  /** The signature of an entry that goes to this client's namespace; undefined where there is no key. */
  sign(entry: PlacedEntry): string | undefined {
    if (this.#privatePem === undefined) return undefined;
    const signer = this.#signerOf(this.#privatePem);
    const text = Buffer.from(signedText({ ...entry, namespace: this.#namespace }));
    return `v1:${signer.id}:${crypto().sign(null, text, signer.key).toString('base64url')}`;
  }

  #isGood(entry: PlacedEntry, signature: string): boolean {
    if (!isSignature(signature)) return false;
    const [, id = '', bytes = ''] = signature.split(':');
    const key = this.#trusted?.get(id);
    if (key === undefined) return false;
    return [this.#namespace, MAIN_NAMESPACE].some((namespace) =>
      crypto().verify(
        null,
        Buffer.from(signedText({ ...entry, namespace })),
        key,
        Buffer.from(bytes, 'base64url'),
      ),
    );
  }

  #readTrusted(): ReadonlyMap<string, KeyObject> {
    const keys = this.#publicPems.map((pem) => crypto().createPublicKey(pem));
    if (this.#privatePem !== undefined) {
      keys.push(crypto().createPublicKey(this.#signerOf(this.#privatePem).key));
    }
    return new Map(keys.map((key) => [keyId(key), key]));
  }

  #signerOf(pem: string): { readonly id: string; readonly key: KeyObject } {
    if (this.#signer === undefined) {
      const key = crypto().createPrivateKey(pem);
      this.#signer = { key, id: keyId(crypto().createPublicKey(key)) };
    }
    return this.#signer;
  }
}

/** The name of a public key: 16 hex digits of its SHA-256. It only finds the key; the signature is what counts. */
export function keyId(key: KeyObject): string {
  const der = key.export({ type: 'spki', format: 'der' });
  return crypto().createHash('sha256').update(der).digest('hex').slice(0, 16);
}

function readPrivatePem(path: string, warn: (line: string) => void): string {
  const [pem] = blocksOf(readKeyFile('--sign-key', path), 'PRIVATE KEY');
  if (pem === undefined || !PRIVATE.test(bodyOf(pem))) {
    throw new UsageError(`cannot use --sign-key ${quote(path)}: no ed25519 private key in PEM`);
  }
  // No modes on Windows, where Node makes up those of all users.
  const isOpen = process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0;
  if (isOpen) warn(`other users may read --sign-key ${quote(path)}: chmod 600 it`);
  return pem;
}

function readPublicPems(path: string): string[] {
  const pems = blocksOf(readKeyFile('--trust-key', path), 'PUBLIC KEY');
  if (pems.length === 0 || !pems.every((pem) => PUBLIC.test(bodyOf(pem)))) {
    throw new UsageError(`cannot use --trust-key ${quote(path)}: no ed25519 public keys in PEM`);
  }
  return pems;
}

function readKeyFile(flag: string, path: string): string {
  try {
    const stat = statSync(path);
    if (!stat.isFile() || stat.size > KEY_FILE_BYTES_MAX) {
      throw new Error(`not a file of up to ${KEY_FILE_BYTES_MAX} bytes`);
    }
    return readFileSync(path, 'latin1');
  } catch (error) {
    throw new UsageError(`cannot read ${flag} ${quote(path)}: ${messageOf(error)}`);
  }
}

function blocksOf(text: string, label: 'PRIVATE KEY' | 'PUBLIC KEY'): string[] {
  const block = new RegExp(`-----BEGIN ${label}-----[^-]*-----END ${label}-----`, 'g');
  return text.match(block) ?? [];
}

function bodyOf(pem: string): string {
  return pem.replace(/-----[^-]*-----|\s/g, '');
}

/** DER of RFC 8410 up to the key's 32 bytes, in base64: known without loading crypto. */
const PRIVATE = /^MC4CAQAwBQYDK2VwBCIEI[A-Za-z0-9+/]{43}$/;
const PUBLIC = /^MCowBQYDK2VwAyEA[A-Za-z0-9+/]{43}=$/;
