/** A certificate for loopback by a CA of its own, made by the generator that comes with Go. */

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { tempDir } from './temp-dir.ts';

/** Files in PEM; they are gone when `owner`'s test is. */
export function makeCertificate(
  owner: Parameters<typeof tempDir>[0],
  ...names: readonly string[]
): { certPath: string; keyPath: string } {
  const directory = tempDir(owner);
  const root = execFileSync('go', ['env', 'GOROOT'], { encoding: 'utf8' }).trim();
  const generator = join(root, 'src/crypto/tls/generate_cert.go');
  const hosts = ['127.0.0.1', ...names].join(',');
  execFileSync('go', ['run', generator, '--host', hosts, '--ca', '--ecdsa-curve', 'P256'], {
    cwd: directory,
    stdio: 'pipe',
  });
  return { certPath: join(directory, 'cert.pem'), keyPath: join(directory, 'key.pem') };
}
