/** What tests look for in a Markdown page of this project: its anchors, its links, its code and its tables. */

import { readFileSync } from 'node:fs';

export type MarkdownPage = {
  /** As GitHub makes them of headings. */
  readonly anchors: ReadonlySet<string>;
  /** Targets of links and pictures, those of `<img>` and `<source>` too. */
  readonly links: readonly string[];
  /** Lines of code blocks and spans in the text; a span that goes over lines is one. */
  readonly code: readonly string[];
  /** Rows of all tables, their headers too, by the anchor of the heading above. */
  readonly rows: ReadonlyMap<string, readonly (readonly string[])[]>;
};

export function readMarkdown(path: string): MarkdownPage {
  const blocks: string[] = [];
  const text = readFileSync(path, 'utf8').replace(/^ *```.*\n([\s\S]*?)^ *```$/gm, (_, block: string) => {
    blocks.push(...block.split('\n'));
    return '';
  });
  const spans = Array.from(text.matchAll(/`([^`]+)`/g), ([, span = '']) => span.replace(/\s+/g, ' '));
  const withoutCode = text.replace(/`[^`]+`/g, '');
  return {
    ...sectionsOf(text),
    links: [
      ...Array.from(withoutCode.matchAll(/\]\(([^)\s]+)\)/g), ([, target = '']) => target),
      ...Array.from(withoutCode.matchAll(/\b(?:src|srcset|href)="([^"]+)"/g), ([, target = '']) => target),
    ],
    code: [...blocks, ...spans],
  };
}

function sectionsOf(text: string): Pick<MarkdownPage, 'anchors' | 'rows'> {
  const anchors = new Set<string>();
  const rows = new Map<string, string[][]>();
  let anchor = '';
  for (const line of text.split('\n')) {
    const heading = /^#+ +(.*)$/.exec(line)?.[1];
    if (heading !== undefined) {
      const slug = slugOf(heading);
      anchor = slug;
      for (let again = 1; anchors.has(anchor); again++) anchor = `${slug}-${again}`;
      anchors.add(anchor);
    }
    if (!/^\|.*\|$/.test(line)) continue;
    const cells = line.slice(1, -1).split(/(?<!\\)\|/);
    rows.set(anchor, [...(rows.get(anchor) ?? []), cells.map((cell) => cell.replaceAll('\\|', '|').trim())]);
  }
  return { anchors, rows };
}

/** Letters, digits, `_` and `-` stay; a blank is a `-`. */
function slugOf(heading: string): string {
  return heading
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}_\- ]/gu, '')
    .replaceAll(' ', '-');
}
