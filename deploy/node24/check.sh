#!/bin/sh
# The unit tests on Node 24, with the packages that a bundle with Node 24 has: "make check NODE=24" runs it.
#
# Its uWebSockets.js needs glibc 2.38, so the tests run in a Debian 13 root below .cache. mmdebstrap makes it the first time, with
# this machine's network. Needs root, mmdebstrap and rsync, and Go for the tests that use it. FILES: the test files.
set -eu
cd "$(dirname "$0")/../.."

fail() {
  printf 'check: %s\n' "$*" >&2
  exit 1
}

[ "$(id -u)" = 0 ] || fail "a Debian root is made and entered as root: sudo make check NODE=24"
command -v mmdebstrap >/dev/null || fail "mmdebstrap is missing: apt-get install mmdebstrap"
case $(uname -m) in
  x86_64) platform=linux-x64 ;;
  aarch64) platform=linux-arm64 ;;
  *) fail "no Node for $(uname -m)" ;;
esac
node=$PWD/node_modules/node-$platform/bin/node
root=$PWD/.cache/debian13
work=$root/astera

if [ ! -e "$root/.made" ]; then
  rm -rf "$root"
  mkdir -p "$root"
  mmdebstrap --quiet --variant=apt --include=bsdutils,ca-certificates,gcc,git,libc6-dev,libstdc++6,make,openssh-client,openssh-server,openssl,procps \
    trixie "$root"
  touch "$root/.made"
fi

tree=$("$node" --disable-warning=ExperimentalWarning --input-type=module -e "
  const { installPlatform } = await import('$PWD/deploy/bundle/platform.ts');
  console.log(installPlatform('$PWD', { platform: '$platform', node: '24' }));")
mkdir -p "$work"
git ls-files --cached --others --exclude-standard | rsync -a --delete --files-from=- . "$work/"
rsync -a --delete node_modules/ "$work/node_modules/"
sed -i "s/^const NODE_MAJOR = '22';/const NODE_MAJOR = '24';/" "$work/src/main.ts"
# By tsc, each source to a file: what esbuild makes has the native parts of the checkout's packages.
(cd "$work" && npm run --silent build && npx tsc -p tsconfig.build.json && touch dist/.built)
# The packages in which the two differ; the checkout's have compiled it.
for package in "node-$platform" better-sqlite3 msgpackr piscina uWebSockets.js; do
  rsync -a --delete "$tree/node_modules/$package/" "$work/node_modules/$package/"
done
# Go, and the modules that its tests' helpers are built of.
go=$(go env GOROOT 2>/dev/null || true)
modules=$(go env GOMODCACHE 2>/dev/null || true)
mkdir -p "$root/usr/local/go" "$root/root/go/pkg/mod" "$root/run/sshd"
[ -z "$modules" ] || mkdir -p "$modules"
# In a mount namespace of its own, so that no mount stays.
# shellcheck disable=SC2016 # Expanded there.
exec unshare --mount --pid --fork sh -eu -c '
  mount -t proc proc "$1/proc"
  mount --rbind /dev "$1/dev"
  mount -t tmpfs tmpfs "$1/tmp"
  [ -z "$2" ] || mount --bind "$2" "$1/usr/local/go"
  [ -z "$3" ] || mount --bind "$3" "$1/root/go/pkg/mod"
  exec chroot "$1" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    sh -c "cd /astera && exec node_modules/node-$4/bin/node --disable-warning=ExperimentalWarning --test --test-concurrency=2 $5"
' sh "$root" "$go" "$modules" "$platform" "${FILES:?}"
