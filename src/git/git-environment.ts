/**
 * The environment and the settings that every `git` process gets.
 *
 * A process gets only the variables named here, so that no GIT_DIR or GIT_TRACE of the server's own shell reaches it.
 * HOME is one of them: `~/.gitconfig` with its `insteadOf`, credential helpers, ssh keys and netrc are the way to
 * give this server credentials. Nothing can ask on a terminal.
 */

/** Variables of the server's environment. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** `ext` and the like never: they run programs. */
export type Protocol = 'https' | 'http' | 'ssh' | 'git' | 'file';

/**
 * The environment of a `git` process.
 *
 * @param protocols the ones this command may use; none for a command that stays on the disk
 * @param hasOwnSsh Git's settings say how ssh is run (`core.sshCommand`), which a variable would hide
 */
export function gitEnvironment(
  server: Environment,
  { protocols, hasOwnSsh }: { readonly protocols: readonly Protocol[]; readonly hasOwnSsh: boolean },
): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(server)) {
    if (value !== undefined && PASSED.test(name)) passed[name] = value;
  }
  if (!hasOwnSsh && passed.GIT_SSH === undefined && passed.GIT_SSH_COMMAND === undefined) {
    passed.GIT_SSH_COMMAND = 'ssh -o BatchMode=yes -o ControlMaster=no -o ConnectTimeout=20';
  }
  return {
    ...passed,
    // The words of errors are read: they must be the ones in the source.
    LC_ALL: 'C',
    GIT_TERMINAL_PROMPT: '0',
    // Empty: neither git nor ssh starts a program that asks.
    GIT_ASKPASS: '',
    SSH_ASKPASS: '',
    SSH_ASKPASS_REQUIRE: 'never',
    GCM_INTERACTIVE: 'never',
    // Only the repository that is named is read, none above the working directory.
    GIT_CEILING_DIRECTORIES: '/',
    // The bytes of a zip must not depend on this machine.
    GIT_ATTR_NOSYSTEM: '1',
    GIT_OPTIONAL_LOCKS: '0',
    // A directory's name is no pattern.
    GIT_LITERAL_PATHSPECS: '1',
    // A bare repository without all of its objects must not fetch them unasked.
    GIT_NO_LAZY_FETCH: '1',
    GIT_ALLOW_PROTOCOL: protocols.length === 0 ? 'none' : protocols.join(':'),
  };
}

/** Settings that stand before every command; the command line beats every file. */
export function gitSettings({ SSL_CERT_FILE }: Environment): readonly string[] {
  // Git's TLS does not know the variable, and the `go` command's discovery does. A setting for one URL still wins.
  const trusted = SSL_CERT_FILE ? ['-c', `http.sslCAInfo=${SSL_CERT_FILE}`] : [];
  return [...GIT_SETTINGS, ...trusted];
}

const GIT_SETTINGS: readonly string[] = [
  ...['-c', 'core.hooksPath=/dev/null', '-c', 'core.fsmonitor=false', '-c', 'core.attributesFile=/dev/null'],
  ...['-c', 'gc.auto=0', '-c', 'maintenance.auto=false', '-c', 'core.askPass='],
  ...['-c', 'protocol.version=2', '-c', 'transfer.bundleURI=false', '-c', 'fetch.recurseSubmodules=false'],
  ...[
    '-c',
    'fetch.writeCommitGraph=false',
    '-c',
    'log.showSignature=false',
    '-c',
    'credential.interactive=false',
  ],
  // A server that goes silent: less than a byte a second for a minute.
  ...['-c', 'http.lowSpeedLimit=1', '-c', 'http.lowSpeedTime=60'],
];

// What finds programs, settings, keys, certificates and HTTP proxies; nothing that traces or names a repository.
const PASSED =
  /^(?:PATH|HOME|USER|LOGNAME|TMPDIR|XDG_(?:CONFIG_HOME|RUNTIME_DIR)|DBUS_SESSION_BUS_ADDRESS|SSH_AUTH_SOCK|GNUPGHOME|GIT_SSH(?:_COMMAND|_VARIANT)?|GIT_CONFIG_(?:GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)|GIT_SSL_(?:CAINFO|CAPATH|CERT|KEY|NO_VERIFY)|SSL_CERT_(?:FILE|DIR)|(?:https?|all|no)_proxy|(?:HTTPS?|ALL|NO)_PROXY)$/;
