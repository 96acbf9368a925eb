/**
 * The script of `astera completion`, for bash and, through its bashcompinit, for zsh.
 *
 * All words stand in it: pressing Tab starts no process.
 */

import type { Command } from './command.ts';

/** If neither commands nor flags fit, it offers files: most values are files. */
export function completionScript(commands: readonly Command[], shell: 'bash' | 'zsh'): string {
  const names = commands.map(({ name }) => name).join(' ');
  const cases = commands.map(({ name, flags }) => `    ${name}) words="${flagWords(flags)}" ;;`);
  return [
    ...(shell === 'zsh' ? ['autoload -Uz compinit bashcompinit && compinit -u && bashcompinit'] : []),
    '_astera() {',
    // Bash splits at "=", so that the word at hand may be a value.
    '  local word="$' + '{COMP_WORDS[COMP_CWORD]}" command="$' + '{COMP_WORDS[1]}" words=""',
    '  case "$command" in',
    ...cases,
    `    *) words="${flagWords(commands[0]?.flags ?? [])}" ;;`,
    '  esac',
    `  [ "$COMP_CWORD" -eq 1 ] && words="${names} $words"`,
    '  COMPREPLY=($(compgen -W "$words" -- "$word"))',
    '}',
    'complete -o default -F _astera astera',
    '',
  ].join('\n');
}

function flagWords(flags: Command['flags']): string {
  return [...flags.map(({ name }) => `--${name}`), '--help'].join(' ');
}
