// Goal: an upstream whose certificate is by a CA of its own is trusted where `go` would trust it, and only there;
// through an HTTP proxy too.
// Method: a certificate made by the generator that comes with Go, an https server, a proxy that knows CONNECT
// alone, and a real Astera with and without SSL_CERT_FILE.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Astera } from '../support/astera.ts';
import { makeCertificate } from '../support/certificate.ts';
import { tunnelTo } from '../support/tunnel.ts';

const PATH = 'example.com/m/@v/v1.0.0.mod';
/** Of no machine: only the proxy knows where it is. */
const NAME = 'mods.example';
const TEXT = 'module example.com/m\n';

test('a private CA is trusted by SSL_CERT_FILE', async (t) => {
  const { url, certificate } = await secureUpstream(t);
  const ask = async (env: Record<string, string>) => {
    const astera = await Astera.start({ upstream: url, env, flags: ['--verify', 'off'] });
    t.after(() => astera.dispose());
    const answer = await astera.get(PATH);
    return [answer.status, await answer.text()] as const;
  };
  assert.deepEqual(await ask({ SSL_CERT_FILE: certificate }), [200, TEXT]);
  const [status, text] = await ask({});
  assert.equal(status, 504);
  assert.match(
    text,
    /^cannot fetch [^\n]+: its certificate is not trusted here: name its CA in SSL_CERT_FILE\n$/,
  );
});

test('an https upstream is reached by CONNECT through HTTPS_PROXY, and its certificate is checked', async (t) => {
  const { url, certificate } = await secureUpstream(t);
  const { proxyUrl, asked } = await tunnelTo(t, Number(new URL(url).port));
  const ask = async (env: Record<string, string>) => {
    const astera = await Astera.start({
      upstream: `https://${NAME}`,
      env: { HTTPS_PROXY: proxyUrl, ...env },
      flags: ['--verify', 'off'],
    });
    t.after(() => astera.dispose());
    const answer = await astera.get(PATH);
    return [answer.status, await answer.text()] as const;
  };
  assert.deepEqual(await ask({ SSL_CERT_FILE: certificate }), [200, TEXT]);
  assert.deepEqual(asked, [`${NAME}:443`]);
  const [status, text] = await ask({});
  assert.equal(status, 504);
  assert.match(
    text,
    /^cannot fetch [^\n]+: its certificate is not trusted here: name its CA in SSL_CERT_FILE\n$/,
  );
});

async function secureUpstream(t: TestContext): Promise<{ url: string; certificate: string }> {
  const { certPath, keyPath } = makeCertificate(t, NAME);
  const secrets = { cert: readFileSync(certPath), key: readFileSync(keyPath) };
  const server = createServer(secrets, (_, response) => response.end(TEXT));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, certificate: certPath };
}
