/** Signature version 4 of AWS, by `aws4`: 9 kB of the cache program, and loaded when the first request is signed. */

import type { Credentials } from './credentials.ts';

export type Signing = {
  readonly method: string;
  /** As it is sent. */
  readonly url: URL;
  /** All that are signed. Of a body, `x-amz-content-sha256` must be among them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly region: string;
  readonly credentials: Credentials;
};

/** The headers, and those that sign them. */
export async function signed({ method, url, headers, region, credentials }: Signing) {
  const { sign } = (await import('aws4')).default;
  const request = {
    service: 's3',
    region,
    method,
    path: `${url.pathname}${url.search}`,
    headers: { ...headers, host: url.host },
  };
  return sign(request, credentials).headers as Readonly<Record<string, string>>;
}
