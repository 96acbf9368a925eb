#!/bin/sh
# Deploys Astera from this machine to another one over ssh. "make deploy", "make rollback" and "make undeploy" run it.
#
#   deploy.sh deploy|rollback|undeploy [USER@]MACHINE
#
# Variables: BUNDLE     an archive of "make bundle"; without it one is built for the other machine
#            UPSTREAM   for that build
#            WAIT       how long a version may take until it is ready (2m)
#            PURGE      not empty: undeploy removes settings and data too
#            SSH        the command for ssh, such as "ssh -p 2222"
#            ROOT       put before each path there; for tests
#
# Files go into ~/.cache/astera-deploy there, so that the next time only the changed ones travel. All that needs root
# is in remote.sh. It stops at the first failure.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'deploy: %s\n' "$*"; }
fail() {
  printf 'deploy: %s\n' "$*" >&2
  exit 1
}

command=${1-} host=${2-}
case $command in deploy | rollback | undeploy) ;; *) fail "unknown command '$command'" ;; esac
case $host in
  '') fail "name the machine: make $command HOST=pi@raspberrypi.local" ;;
  -* | *[!A-Za-z0-9@._:%-]*) fail "not a machine: '$host'" ;;
esac
case ${ROOT-}${WAIT-} in *[!A-Za-z0-9./_-]*) fail "not a path or a duration: '${ROOT-}' '${WAIT-}'" ;; esac

scratch=$(mktemp -d)
# One connection for all steps: a password is asked for once. A dead line ends it within a minute.
ssh="${SSH:-ssh} -o ConnectTimeout=15 -o ServerAliveInterval=15 -o ControlMaster=auto -o ControlPath=$scratch/ssh -o ControlPersist=60"
# shellcheck disable=SC2086 # The words of a command.
finish() {
  $ssh -O exit "$host" >/dev/null 2>&1 || true
  rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

# shellcheck disable=SC2086 # The words of a command.
there() { $ssh "$host" "$@"; }

say "asking $host what it is"
# shellcheck disable=SC2016 # Expanded there.
facts=$(there 'mkdir -p "$HOME/.cache/astera-deploy/deploy" && uname -sm && echo "$HOME" && id -u &&
  { command -v rsync || echo none; }') || fail "cannot reach $host: does 'ssh $host' work?"
machine=$(printf '%s\n' "$facts" | sed -n 1p)
incoming=$(printf '%s\n' "$facts" | sed -n 2p)/.cache/astera-deploy
root=
if [ "$(printf '%s\n' "$facts" | sed -n 3p)" != 0 ]; then
  root=sudo
  there 'command -v sudo' >/dev/null || fail "$host has no sudo: deploy as root, HOST=root@${host#*@}"
  if [ ! -t 0 ]; then
    root='sudo -n'
    there 'sudo -n true' ||
      fail "sudo on $host asks for a password, and there is no terminal to ask on: run this on one, or allow sudo without (NOPASSWD)"
  fi
fi
case $machine in
  'Linux aarch64') platform=linux-arm64 ;;
  'Linux x86_64') platform=linux-x64 ;;
  *) fail "$host is '$machine': Astera runs on 64-bit Linux, ARM or x86" ;;
esac

# Runs remote.sh there as root, on a terminal if there is one, as sudo may ask for a password.
as_root() {
  tty=
  [ ! -t 0 ] || tty=-t
  # shellcheck disable=SC2086 # The words of a command.
  $ssh $tty "$host" "$root sh '$incoming/deploy/remote.sh' $* ${WAIT:+--wait $WAIT} ${ROOT:+--root $ROOT} --host ${host#*@}"
}

if [ "$command" != deploy ]; then
  there "cat >'$incoming/deploy/remote.sh'" <deploy/remote.sh || fail "cannot write to $host"
  as_root "$command" ${PURGE:+--purge}
  exit
fi

case $facts in *none) fail "$host has no rsync: install it there ('sudo apt install rsync')" ;; esac
command -v rsync >/dev/null || fail "this machine has no rsync: install it"
if [ -z "${BUNDLE-}" ]; then
  say "building the bundle for $platform"
  MAKEFLAGS='' "${MAKE:-make}" --silent bundle PLATFORM="$platform" UPSTREAM="${UPSTREAM-}"
  BUNDLE=dist/astera-$(sed -n 's/^ *"version": "\(.*\)".*/\1/p' package.json)-$platform.tar.gz
fi
case $BUNDLE in *-"$platform".tar.gz) ;; *) fail "$BUNDLE is not for $host, which is $platform" ;; esac
mkdir "$scratch/bundle"
tar -xzf "$BUNDLE" -C "$scratch/bundle" --strip-components=1 || fail "cannot unpack $BUNDLE"
say "copying $BUNDLE to $host"
# By content: all files of all bundles have the same time.
rsync -rlpt --checksum --delete -e "$ssh" "$scratch/bundle/" "$host:$incoming/" || fail "cannot copy to $host: is its disk full?"
as_root install "'$incoming'"
