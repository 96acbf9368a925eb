/** A table's rows, a few a read, so that no transaction stays open while they are looked at. */

/** The rows that `read` gives, from the first up to the one with the id `last`. */
export function* upTo<Row extends { readonly id: number }>(
  last: number,
  read: (after: number) => Row[],
): Generator<Row> {
  for (let after = -1; after < last; ) {
    const rows = read(after);
    yield* rows;
    after = rows.at(-1)?.id ?? last;
  }
}
