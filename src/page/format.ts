/** Figures as people read them. A unit never stands on another line than its number. */

const SPACE = '\u00a0';

export function count(number: number): string {
  return number.toLocaleString('en-US');
}

/** `1 request`, `2 requests`. */
export function counted(number: number, noun: string): string {
  return `${count(number)}${SPACE}${noun}${number === 1 ? '' : 's'}`;
}

/** Three digits or so, of the largest binary unit that fits. */
export function size(bytes: number): string {
  let [value, unit] = [bytes, 'B'];
  for (const larger of ['KiB', 'MiB', 'GiB', 'TiB']) {
    if (value < 1000) break;
    [value, unit] = [value / 1024, larger];
  }
  return `${unit === 'B' || value >= 100 ? Math.round(value) : value.toFixed(1)}${SPACE}${unit}`;
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const;

/** The two largest units: `3 d 4 h`, `12 min`, `5 s`. */
export function duration(ms: number): string {
  const first = UNITS.findIndex(([, unitMs]) => ms >= unitMs);
  if (first < 0) return `0${SPACE}s`;
  const parts = UNITS.slice(first, first + 2).map(([unit, unitMs], place) => {
    const whole = place === 0 ? ms : ms % (UNITS[first]?.[1] ?? 1);
    return [Math.floor(whole / unitMs), unit] as const;
  });
  // Seconds beside minutes change too often to be read.
  const shown = parts.filter(([value, unit], place) => place === 0 || (value > 0 && unit !== 's'));
  return shown.map(([value, unit]) => `${value}${SPACE}${unit}`).join(' ');
}

/** How long ago, by the largest unit. A clock may have gone back meanwhile. */
export function ago(ms: number): string {
  const unit = UNITS.find(([, unitMs]) => ms >= unitMs);
  if (unit === undefined || unit[0] === 's') return 'just now';
  return `${Math.floor(ms / unit[1])}${SPACE}${unit[0]} ago`;
}
