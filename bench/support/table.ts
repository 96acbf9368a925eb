/** The result of a bench: a small table, printed as Markdown. */

export type Table = {
  readonly title: string;
  /** One line about the method and the other servers. */
  readonly note?: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
};

export function markdown({ title, note, columns, rows }: Table): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(' | ')} |`;
  const head = [`## ${title}`, ...(note === undefined ? [] : [note, ''])];
  return [...head, line(columns), line(columns.map(() => '---')), ...rows.map(line), ''].join('\n');
}

/** The middle value, so that one noisy round does not count. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

/** Three significant digits. */
export function short(value: number): string {
  return Math.abs(value) >= 1000
    ? Math.round(value).toLocaleString('en')
    : String(Number(value.toPrecision(3)));
}

export function megabytes(bytes: number): string {
  return short(bytes / 1e6);
}

/** A goal as a cell beside its figure; one that was missed is bold. */
export type Goal = { readonly atMost: number } | { readonly over: number };

export function verdict(value: number, goal: Goal, unit = ''): string {
  const [words, limit, isMet] =
    'atMost' in goal
      ? ['at most', goal.atMost, value <= goal.atMost]
      : ['over', goal.over, value > goal.over];
  const text = `${words} ${limit.toLocaleString('en')}${unit}`;
  return isMet ? `${text}: met` : `**${text}: missed**`;
}
