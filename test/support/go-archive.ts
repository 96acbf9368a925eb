/** Made-up archives that look to the build cache like those of the Go compiler. */

import { randomBytes } from 'node:crypto';

export type ArchiveOptions = {
  readonly path: string;
  /** What the package's code takes. */
  readonly body?: Buffer;
  readonly target?: string;
};

export function goArchive({
  path,
  body = randomBytes(300_000),
  target = 'linux amd64 go1.26.8',
}: ArchiveOptions): Buffer {
  const half = body.length >> 1;
  return Buffer.concat([
    Buffer.from('!<arch>\n'),
    Buffer.from('__.PKGDEF'.padEnd(58)),
    Buffer.from(`\`\ngo object ${target}\nbuild id "x"\n`),
    body.subarray(0, half),
    Buffer.from(`go:cuinfo.producer.${path}main.a`),
    Buffer.from(`go:cuinfo.packagename.${path}type:b`),
    body.subarray(half),
  ]);
}

/** The same with some bytes more at a place. */
export function withChange(output: Buffer, at: number, bytes: Buffer = Buffer.from('changed')): Buffer {
  return Buffer.concat([output.subarray(0, at), bytes, output.subarray(at)]);
}
