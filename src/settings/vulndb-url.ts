/** The URL of a vulnerability database, as GOVULNDB has it. */

import { BadRequest, messageOf } from '../core/errors.ts';
import { type ListMember, parseProxyList } from '../upstream/proxy-list-syntax.ts';

/**
 * The place of a database without scheme and password, such as `vuln.go.dev` or `/srv/vulndb`; undefined for `off`.
 *
 * @throws {BadRequest} it is not one https, http or file URL
 */
export function placeOfDatabase(url: string): string | undefined {
  const [member, more] = membersOf(url);
  if (member === undefined || more !== undefined || member.kind === 'direct') {
    throw new BadRequest('it takes one URL, or off');
  }
  return placeOf(member);
}

function membersOf(url: string): readonly ListMember[] {
  try {
    return parseProxyList(url);
  } catch (error) {
    throw new BadRequest(messageOf(error).replace('cannot read upstream list: ', ''));
  }
}

function placeOf(member: ListMember): string | undefined {
  if (member.kind === 'http') return `${member.url.host}${member.url.pathname}`.replace(/\/+$/, '');
  return member.kind === 'file' ? member.root : undefined;
}
