#!/bin/sh
# Installs the packages of package-lock.json unless the ones installed already are exactly those.
set -eu
cd "$(dirname "$0")/.."
stamp=node_modules/.installed-lock
if [ -e "$stamp" ] && cmp -s package-lock.json "$stamp"; then exit 0; fi
echo "rehome: installing the npm packages of package-lock.json (about 40 s) ..."
npm ci --no-audit --no-fund --loglevel=error
cp package-lock.json "$stamp"
