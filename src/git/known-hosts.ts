/**
 * Where the repository of a path is, by the path alone: hosts that everybody knows, and paths that say it (`host/x.git/dir`).
 *
 * Follows vcsPaths of cmd/go/internal/vcs/vcs.go.
 */

import { NotFound } from '../core/errors.ts';
import type { ModulePath } from '../core/module-path.ts';
import { quote } from '../core/quote.ts';

/** A repository: where it begins in the path, and the URLs that it may be at, in order. */
export type KnownRepository = { readonly root: string; readonly urls: readonly string[] };

/**
 * The repository that the path itself names; undefined where its host must be asked.
 *
 * @throws {NotFound} the path names no repository, or one that is not of Git
 */
export function knownRepository(
  path: ModulePath,
  { isInsecure }: { isInsecure: boolean },
): KnownRepository | undefined {
  for (const { host, form, mayEndIn } of HOSTS) {
    if (path !== host && !path.startsWith(`${host}/`)) continue;
    const root = form.exec(path)?.groups?.root;
    if (root === undefined) throw new NotFound(`${quote(path)} is no repository of ${host}`);
    if (mayEndIn === undefined && QUALIFIED.test(root))
      throw new NotFound(`${quote(path)}: a path of ${host} has no ending such as .git`);
    return { root, urls: [`https://${root}`] };
  }
  return qualified(path, isInsecure);
}

function qualified(path: ModulePath, isInsecure: boolean): KnownRepository | undefined {
  const { root, repository, vcs } = GENERAL.exec(path)?.groups ?? {};
  if (root === undefined || repository === undefined) return undefined;
  if (vcs !== 'git') throw new NotFound(`${quote(root)} is a ${vcs} repository: Astera reads Git only`);
  const schemes = isInsecure ? ['git', 'https', 'http', 'git+ssh', 'ssh'] : ['https', 'git+ssh', 'ssh'];
  return { root, urls: schemes.map((scheme) => `${scheme}://${repository}`) };
}

type Host = { readonly host: string; readonly form: RegExp; readonly mayEndIn?: '.git' };

const HOSTS: readonly Host[] = [
  { host: 'github.com', form: /^(?<root>github\.com\/[\w.-]+\/[\w.-]+)(?:\/[\w.-]+)*$/ },
  { host: 'bitbucket.org', form: /^(?<root>bitbucket\.org\/[\w.-]+\/[\w.-]+)(?:\/[\w.-]+)*$/ },
  { host: 'hub.jazz.net/git', form: /^(?<root>hub\.jazz\.net\/git\/[a-z0-9]+\/[\w.-]+)(?:\/[\w.-]+)*$/ },
  {
    host: 'git.apache.org',
    form: /^(?<root>git\.apache\.org\/[a-z0-9_.-]+\.git)(?:\/[\w.-]+)*$/,
    mayEndIn: '.git',
  },
  {
    host: 'git.openstack.org',
    form: /^(?<root>git\.openstack\.org\/[\w.-]+\/[\w.-]+)(?:\.git)?(?:\/[\w.-]+)*$/,
    mayEndIn: '.git',
  },
];

const QUALIFIED = /\.(?:bzr|fossil|git|hg|svn)$/;

const GENERAL =
  /^(?<root>(?<repository>(?:[a-z0-9.-]+\.)+[a-z0-9.-]+(?::[0-9]+)?(?:\/~?[\w.-]+)+?)\.(?<vcs>bzr|fossil|git|hg|svn))(?:\/~?[\w.-]+)*$/;
