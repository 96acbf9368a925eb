/**
 * The `<meta name="go-import" content="prefix vcs root [directory]">` tags of a page.
 *
 * Reads the head of the page only, in time linear to its length. Follows parseMetaGoImports and matchGoImport of
 * cmd/go/internal/vcs.
 */

/** One tag. `directory` is the module's place in the repository, or empty. */
export type GoImport = {
  readonly prefix: string;
  readonly vcs: string;
  readonly root: string;
  readonly directory: string;
};

/** All of the tags before the body; those of `mod` come first, and hide others of their prefix. */
export function parseGoImports(html: string): GoImport[] {
  const imports: GoImport[] = [];
  for (const { name, attributes } of headTags(html)) {
    if (name !== 'meta' || attributeOf(attributes, 'name') !== 'go-import') continue;
    const fields = (attributeOf(attributes, 'content') ?? '').split(/\s+/).filter((field) => field !== '');
    const [prefix, vcs, root, directory = ''] = fields;
    if (prefix === undefined || vcs === undefined || root === undefined || fields.length > 4) continue;
    imports.push({ prefix, vcs, root, directory });
  }
  const proxied = imports.filter(({ vcs }) => vcs === 'mod');
  const hidden = new Set(proxied.map(({ prefix }) => prefix));
  return [...proxied, ...imports.filter(({ vcs, prefix }) => vcs !== 'mod' && !hidden.has(prefix))];
}

/** The tag for `path`; `several`: more than one claims it, which the `go` command takes for an error. */
export function matchGoImport(imports: readonly GoImport[], path: string): GoImport | 'several' | undefined {
  const [first, second] = imports.filter(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`));
  if (second === undefined) return first;
  return first?.vcs === 'mod' && second.vcs !== 'mod' ? first : 'several';
}

type Tag = { readonly name: string; readonly attributes: string };

function* headTags(html: string): Generator<Tag> {
  for (let at = html.indexOf('<'); at >= 0; at = html.indexOf('<', at)) {
    if (html.startsWith('<!--', at)) {
      at = html.indexOf('-->', at);
      if (at < 0) return;
      continue;
    }
    NAME.lastIndex = ++at;
    const [, closing, name = ''] = NAME.exec(html) ?? [];
    if (closing === undefined) continue;
    const lower = name.toLowerCase();
    if (lower === 'body' || (closing === '/' && lower === 'head')) return;
    const end = tagEnd(html, NAME.lastIndex);
    if (end < 0) return;
    if (closing === '') yield { name: lower, attributes: html.slice(NAME.lastIndex, end) };
    at = end;
  }
}

const NAME = /(\/?)([A-Za-z][A-Za-z0-9:-]*)/y;

/** The `>` that ends a tag: one in quotes does not. Negative: there is none. */
function tagEnd(html: string, from: number): number {
  for (let at = from; at < html.length; at++) {
    const character = html[at];
    if (character === '>') return at;
    if (character !== '"' && character !== "'") continue;
    at = html.indexOf(character, at + 1);
    if (at < 0) return -1;
  }
  return -1;
}

function attributeOf(attributes: string, name: string): string | undefined {
  for (const [, key = '', double, single, bare] of attributes.matchAll(ATTRIBUTE)) {
    if (key.toLowerCase() === name) return unescapeEntities(double ?? single ?? bare ?? '');
  }
  return undefined;
}

const ATTRIBUTE = /([A-Za-z][A-Za-z0-9:-]*)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+))/g;

function unescapeEntities(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|apos|#x[0-9a-f]{1,6}|#[0-9]{1,7});/gi, (whole, name: string) => {
    const named = ENTITIES[name.toLowerCase()];
    if (named !== undefined) return named;
    const code = name[1]?.toLowerCase() === 'x' ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
