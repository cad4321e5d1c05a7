#!/bin/sh
# Installs the packages of package-lock.json unless the ones installed already are exactly those. Node.js is one of them, and npm puts it first on
# the PATH of every script: what runs otherwise is the machine's own, which may be too old for TypeScript.
set -eu
cd "$(dirname "$0")/.."
# Who starts this wants the lab. The rest of what it needs is looked at by lab/preflight.ts, which needs the packages.
[ "$(id -u)" = 0 ] || missing="you are not root: the lab makes devices and networks. Run this as root."
command -v apt-get > /dev/null || missing="there is no apt-get: the lab's nodes are made of Debian's packages. Run this on Debian, or in a container of it."
if [ -n "${missing:-}" ]; then
  echo "rehome: $missing" >&2
  exit 1
fi
stamp=node_modules/.installed-lock
if [ ! -e "$stamp" ] || ! cmp -s package-lock.json "$stamp"; then
  echo "rehome: installing the npm packages of package-lock.json (about 40 s) ..."
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json "$stamp"
fi
wanted=v$(sed -n 's/^ *"node": "\([0-9.]*\)",*$/\1/p' package.json)
found=$(PATH="$PWD/node_modules/.bin:$PATH" node -v 2>/dev/null) || found=missing
if [ "$found" != "$wanted" ]; then
  # The next run installs again.
  rm -f "$stamp"
  echo "rehome: Node.js of node_modules is $found, not $wanted. The package \"node\" fetches it in an install script: allow those" \
    "(npm config get ignore-scripts must say false) and run this again." >&2
  exit 1
fi
