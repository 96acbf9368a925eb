#!/bin/sh
# Installs, upgrades, rolls back and removes Astera on the machine that runs it. "make deploy" runs it there, as root.
#
#   remote.sh install DIR     DIR: an unpacked bundle
#   remote.sh rollback        to the version that ran before
#   remote.sh undeploy        settings and data stay, unless --purge
#
# Options: --wait 2m        how long a version may take until it is ready
#          --host NAME      the name of this machine in the lines for its clients
#          --root DIR       put before each path; for tests
#
#   /opt/astera/<version>   each as its bundle has it; current and previous are links to two of them
#   /etc/astera             settings: made once, never changed afterwards
#   /var/lib/astera         the store
set -eu
umask 022

# Whoever reads may be gone.
say() { printf 'astera: %s\n' "$*" || true; }
fail() {
  printf 'astera: %s\n' "$*" >&2
  exit 1
}

command=${1-}
[ $# -gt 0 ] && shift
from='' purge='' root='' wait=2m host=$(uname -n)
while [ $# -gt 0 ]; do
  case $1 in
    --wait) wait=$2 && shift ;;
    --host) host=$2 && shift ;;
    --root) root=$2 && shift ;;
    --purge) purge=yes ;;
    -*) fail "unknown option $1" ;;
    *) from=$1 ;;
  esac
  shift
done

opt=$root/opt/astera etc=$root/etc/astera var=$root/var/lib/astera
unit=$root/etc/systemd/system/astera.service
program=$root/usr/local/bin/astera

# What a bundle of this version takes on the disk, twice over.
room_kb=400000

check_machine() {
  [ "$(id -u)" = 0 ] || fail "must run as root: is sudo allowed here?"
  command -v systemctl >/dev/null || fail "this machine has no systemd: use the bundle without it, or the container"
}

check_bundle() {
  is_release "$from" || fail "no bundle in $from"
  "$from/bin/astera" --version >/dev/null ||
    fail "the bundle does not run here: it needs 64-bit Linux with glibc 2.34 or newer, and libstdc++6"
  free_kb=$(df -Pk "$root/opt" | awk 'NR == 2 { print $4 }')
  [ "$free_kb" -gt "$room_kb" ] || fail "no room in $root/opt: $free_kb kB are free, $room_kb kB are needed"
}

# The version, and a part of its sum where another bundle has that version already.
release_name() {
  version=$(sed -n 's/^ *"version": "\([0-9A-Za-z.+-]*\)".*/\1/p' "$from/package.json")
  [ -n "$version" ] || fail "no version in $from/package.json"
  if [ -d "$opt/$version" ] && ! cmp -s "$from/SHA256SUMS" "$opt/$version/SHA256SUMS"; then
    version=$version-$(sha256sum "$from/SHA256SUMS" | cut -c 1-8)
  fi
  printf '%s\n' "$version"
}

copy_release() {
  if [ -d "$opt/$1" ]; then
    say "version $1 is there already"
    return
  fi
  say "copying version $1 to $opt/$1"
  rm -rf "$opt/.new"
  cp -Rp "$from" "$opt/.new"
  chown -R root:root "$opt/.new"
  if ! (cd "$opt/.new" && sha256sum --check --strict --quiet SHA256SUMS); then
    rm -rf "$opt/.new"
    fail "the copy of the bundle is damaged: try again"
  fi
  # Commands that are run by hand have the service's settings too.
  ln -sf "$etc/astera.conf" "$opt/.new/astera.conf"
  mv "$opt/.new" "$opt/$1"
}

make_user() {
  getent passwd astera >/dev/null && return
  say "making the system user astera"
  useradd --system --user-group --home-dir /var/lib/astera --no-create-home --shell /usr/sbin/nologin astera
}

make_directories() {
  mkdir -p "$etc" "$var" "${unit%/*}" "${program%/*}"
  chown astera:astera "$var"
  chmod 700 "$var"
  if [ -e "$etc/astera.conf" ]; then
    say "keeping the settings in $etc/astera.conf"
    return
  fi
  say "writing the settings to $etc/astera.conf"
  { printf 'db = %s/astera.db\n\n' "$var" && cat "$from/astera.conf"; } >"$etc/.new"
  chown root:astera "$etc/.new"
  chmod 640 "$etc/.new"
  mv "$etc/.new" "$etc/astera.conf"
}

# The link changes at once: there is no moment without a current version.
link_to() {
  ln -sfn "$1" "$opt/.link"
  mv -T "$opt/.link" "$opt/$2"
}

linked() { readlink "$opt/$1" || true; }

# Prints "ready at URL" when the server is.
is_ready() {
  addr=$(sed -n 's/^ASTERA_ADDR=//p' "$root/etc/default/astera" 2>/dev/null | tr -d \" | tail -n 1)
  ASTERA_CONFIG="$etc/astera.conf" ASTERA_ADDR="${addr:-${ASTERA_ADDR-}}" "$opt/current/bin/astera" ready --wait "$wait"
}

start_release() {
  say "starting version $1"
  link_to "$1" current || return 1
  cp "$opt/$1/deploy/astera.service" "$unit" || return 1
  systemctl daemon-reload || return 1
  systemctl enable --quiet astera || return 1
  systemctl restart astera || return 1
  ready=$(is_ready) || return 1
  say "version $1 is $ready"
}

# Starts version $1; where that fails, version $2 comes back.
switch() {
  # A connection that breaks now must not leave the machine between two versions.
  trap '' HUP INT TERM PIPE
  if start_release "$1"; then
    [ -z "$2" ] || [ "$1" = "$2" ] || link_to "$2" previous
    return
  fi
  say "version $1 did not become ready. The end of its log:"
  journalctl --unit astera --lines 20 --no-pager --output cat 2>/dev/null || true
  if [ -z "$2" ]; then
    systemctl disable --now --quiet astera || true
    rm -rf "$opt/current" "${opt:?}/$1"
    fail "version $1 did not become ready, and none ran before it: see 'journalctl -u astera' and $etc/astera.conf"
  fi
  [ "$1" != "$2" ] || fail "version $1 does not start again: see 'journalctl -u astera' and $etc/astera.conf"
  say "putting version $2 back"
  start_release "$2" || fail "version $2 does not start either: see 'journalctl -u astera'; the data in $var is untouched"
  remove_others
  fail "version $1 did not become ready: version $2 serves again"
}

is_release() { [ -f "$1/SHA256SUMS" ] && [ -f "$1/bin/astera" ] && [ ! -L "$1" ]; }

remove_others() {
  for directory in "$opt"/*; do
    is_release "$directory" || continue
    case ${directory##*/} in "$(linked current)" | "$(linked previous)") continue ;; esac
    say "removing ${directory##*/}"
    rm -rf "$directory"
  done
}

tell_clients() {
  case $ready in
    *unix:*) return ;;
  esac
  url=${ready#ready at }
  printf '\nOn each client, run:\n\n  go env -w GOPROXY=%s://%s:%s,direct\n\n' "${url%%://*}" "$host" "${url##*:}"
}

install_release() {
  check_machine
  mkdir -p "$opt"
  check_bundle
  name=$(release_name)
  before=$(linked current)
  copy_release "$name"
  make_user
  make_directories
  ln -sfn "$opt/current/bin/astera" "$program"
  if [ "$before" = "$name" ] && cmp -s "$opt/$name/deploy/astera.service" "$unit" &&
    systemctl is-active --quiet astera && ready=$(is_ready); then
    say "version $name runs already, $ready"
  else
    switch "$name" "$before"
  fi
  remove_others
  tell_clients
}

roll_back() {
  check_machine
  before=$(linked current) name=$(linked previous)
  is_release "$opt/$name" || fail "there is no version to go back to: only ${before:-none} is installed"
  switch "$name" "$before"
  tell_clients
}

undeploy() {
  check_machine
  say "stopping and removing the service"
  systemctl disable --now --quiet astera || say "the service was not there"
  rm -f "$unit"
  systemctl daemon-reload
  [ "$(readlink "$program" || true)" != "$opt/current/bin/astera" ] || rm -f "$program"
  for directory in "$opt"/*; do
    if is_release "$directory"; then rm -rf "$directory"; fi
  done
  rm -rf "$opt/current" "$opt/previous" "$opt/.new"
  rmdir "$opt" 2>/dev/null || true
  if [ -z "$purge" ]; then
    say "kept: $var and $etc; remove them with PURGE=1"
    return
  fi
  say "removing $var, $etc and the user astera"
  rm -rf "$var" "$etc"
  userdel astera || say "the user astera was not there"
}

ready=
case $command in
  install) install_release ;;
  rollback) roll_back ;;
  undeploy) undeploy ;;
  *) fail "unknown command '$command': install DIR, rollback or undeploy" ;;
esac
