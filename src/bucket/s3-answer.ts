/** What an S3 server says in XML: errors, and pages of a listing. Both are the server's own text, so little of it is believed. */

import type { ListedObject, ObjectPage } from '../core/object-store.ts';
import { BUCKET_PAGE_KEYS_MAX } from './limits.ts';

/** The code of an error, such as `SlowDown`; empty if there is none. */
export function errorCode(xml: string): string {
  return /<Code>([A-Za-z0-9.]{1,64})<\/Code>/.exec(xml)?.[1] ?? '';
}

/**
 * A page of ListObjectsV2. Keys come as they are, as all of ours are ASCII that XML can hold: not every server knows
 * `encoding-type`.
 *
 * @throws {Error} another form
 */
export function parsePage(xml: string): ObjectPage {
  if (!/<ListBucketResult[\s>]/.test(xml)) throw new Error('no listing');
  // Not by one pattern: looking for each end anew takes hours where none of them has one.
  const [, ...parts] = xml.split('<Contents>', 1 + BUCKET_PAGE_KEYS_MAX + 1);
  if (parts.length > BUCKET_PAGE_KEYS_MAX) throw new Error(`a page of over ${BUCKET_PAGE_KEYS_MAX} objects`);
  const objects = parts.map((part) => objectOf(part.split('</Contents>', 1)[0] ?? ''));
  const isMore = /<IsTruncated>\s*true\s*<\/IsTruncated>/.test(xml);
  const next = textOf(xml, 'NextContinuationToken');
  if (isMore && !next) throw new Error('a listing that breaks off');
  return { objects, next: isMore ? next : undefined };
}

function objectOf(xml: string): ListedObject {
  const key = textOf(xml, 'Key');
  const size = textOf(xml, 'Size');
  if (key === undefined || size === undefined || !/^[0-9]{1,15}$/.test(size)) throw new Error('no object');
  return { key, size: Number(size) };
}

function textOf(xml: string, tag: string): string | undefined {
  const [, text] = new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(xml) ?? [];
  return text?.replace(/&(amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});/g, (_, name: string) =>
    characterOf(name),
  );
}

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function characterOf(name: string): string {
  const code = name.startsWith('#x') ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
  return NAMED[name] ?? String.fromCodePoint(Math.min(code, 0x10ffff));
}
