/** How often a test does the same thing: often enough to show it, or as often as its issue asks for. */

/**
 * `short`, which shows the same at as many places of the code, or `long` with `ASTERA_LONG_TESTS=1` (`make e2e-long`).
 *
 * A test's claims must not depend on which of the two it gets.
 */
export function times({ short, long }: { short: number; long: number }): number {
  return process.env.ASTERA_LONG_TESTS === '1' ? long : short;
}
