/**
 * Finds web pages in place of files, such as the log-in page of a hotel's network, which comes with status 200. The first
 * bytes of a file decide. Its Content-Type only makes the judge stricter, as plain web servers send any file as `text/html`; the
 * `go` command ignores the type.
 */

/** Browsers look at as many bytes (https://mimesniff.spec.whatwg.org), because pages may begin with blank lines. */
const BEGINNING_BYTES = 512;

/** The beginnings of files that can't be pages, by the end of their path. An empty list is right, an empty go.mod is not. */
const BEGINNINGS: readonly { readonly end: string; readonly right: RegExp }[] = [
  { end: '.zip', right: /^PK/ },
  { end: '.info', right: /^\s*\{/ },
  { end: '/@latest', right: /^\s*\{/ },
  { end: '/@v/list', right: /^\s*(?:v\d|$)/ },
  {
    end: '.mod',
    right:
      /^(?:\xef\xbb\xbf)?\s*(?:\/\/|\/\*|(?:module|go|toolchain|godebug|require|exclude|replace|retract|tool|ignore)\b)/,
  },
];

const MARKUP = /^(?:\xef\xbb\xbf)?\s*<[a-z!?/]/i;

// Tiles are hashes: one in 256 begins with "<".
const PAGE = /^(?:\xef\xbb\xbf)?\s*<(?:!doctype|!--|\?xml|html|head|body|title|meta|script)/i;

/**
 * Whether `beginning`, the file's first 512 bytes or all of it, is that of a web page.
 *
 * @param path the path asked for, below a proxy's root
 * @param isCalledPage the answer's type is `text/html`
 */
export function isWebPage(path: string, beginning: Uint8Array, isCalledPage: boolean): boolean {
  const { buffer, byteOffset, byteLength } = beginning;
  const text = Buffer.from(buffer, byteOffset, Math.min(byteLength, BEGINNING_BYTES)).toString('latin1');
  const file = BEGINNINGS.find(({ end }) => path.endsWith(end));
  if (file === undefined) return PAGE.test(text);
  return MARKUP.test(text) || (isCalledPage && !file.right.test(text));
}

/** Passes `body` on once its beginning is whole. @param judge throws if no file begins so */
export async function* afterBeginning(
  body: AsyncIterable<Uint8Array>,
  judge: (beginning: Uint8Array) => void,
): AsyncGenerator<Uint8Array, void, void> {
  const held: Uint8Array[] = [];
  let heldBytes = 0;
  for await (const piece of body) {
    if (heldBytes >= BEGINNING_BYTES) {
      yield piece;
      continue;
    }
    held.push(piece);
    heldBytes += piece.byteLength;
    if (heldBytes < BEGINNING_BYTES) continue;
    judge(joint(held));
    yield* held.splice(0);
  }
  if (heldBytes >= BEGINNING_BYTES) return;
  judge(joint(held));
  yield* held;
}

function joint(pieces: readonly Uint8Array[]): Uint8Array {
  const [first] = pieces;
  return pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces);
}
