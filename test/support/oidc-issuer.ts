/**
 * An OpenID Connect issuer on loopback: its metadata, its keys, and tokens that are right or wrong in one way.
 *
 * It signs by Node's own crypto, not by the library that is tested.
 */

import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Algorithm = 'RS256' | 'ES256' | 'EdDSA' | 'HS256' | 'none';

export type TokenForm = {
  readonly alg?: Algorithm;
  /** Added to the header, or in the place of what it has. */
  readonly header?: Readonly<Record<string, unknown>>;
  /** Another key pair's private key. */
  readonly key?: KeyObject;
};

export class OidcIssuer {
  readonly url: string;
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  /** What is answered in the place of the right answer. */
  answer: ((path: string) => { readonly status?: number; readonly body: string } | undefined) | undefined;
  readonly #server: Server;
  #keys = makeKeys();
  #round = 1;

  static async start(): Promise<OidcIssuer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new OidcIssuer(server);
  }

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', ({ url = '' }, response) => {
      this.asked.push(url);
      const { status = 200, body } = this.answer?.(url) ?? this.#rightAnswer(url);
      response.writeHead(status, { 'content-type': 'application/json' }).end(body);
    });
  }

  /** From now on it signs by other keys, and names these alone. */
  rotate(): void {
    this.#keys = makeKeys();
    this.#round++;
  }

  token(claims: Readonly<Record<string, unknown>>, form: TokenForm = {}): string {
    const { alg = 'ES256', key } = form;
    const header = { alg, typ: 'JWT', kid: `${alg}-${this.#round}`, ...form.header };
    const text = [header, claims].map((part) => base64url(JSON.stringify(part))).join('.');
    return `${text}.${this.#sign(alg, text, key)}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #rightAnswer(path: string): { readonly status?: number; readonly body: string } {
    if (path === '/.well-known/openid-configuration') {
      return { body: JSON.stringify({ issuer: this.url, jwks_uri: `${this.url}/keys` }) };
    }
    if (path !== '/keys') return { status: 404, body: '' };
    const keys = Object.entries(this.#keys).map(([alg, { publicKey }]) => ({
      ...publicKey.export({ format: 'jwk' }),
      ...{ alg, use: 'sig', kid: `${alg}-${this.#round}` },
    }));
    return { body: JSON.stringify({ keys }) };
  }

  #sign(alg: Algorithm, text: string, key: KeyObject | undefined): string {
    if (alg === 'none') return '';
    // As in the attack: by the public key that everybody may read.
    if (alg === 'HS256') {
      const pem = this.#keys.RS256.publicKey.export({ type: 'spki', format: 'pem' });
      return createHmac('sha256', pem).update(text).digest('base64url');
    }
    const privateKey = key ?? this.#keys[alg].privateKey;
    const hash = alg === 'EdDSA' ? null : 'sha256';
    return sign(hash, Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString(
      'base64url',
    );
  }
}

function makeKeys() {
  return {
    RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    EdDSA: generateKeyPairSync('ed25519'),
  };
}

function base64url(text: string): string {
  return Buffer.from(text).toString('base64url');
}
