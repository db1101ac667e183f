#!/bin/sh
# Passes the tests. Installs what they need: npm packages here, Debian packages and a test user in test/setup/.
# Arguments go to vitest: test/run.sh --project unit, test/run.sh test/features/copy.test.ts
set -eu
cd -- "$(dirname -- "$0")/.."
. fixtures/prepare.sh

if [ "$(id -u)" != 0 ]; then
  # npm packages as the owner of the clone; the tests as root, because they make a user and read images with its owners.
  command -v npm >/dev/null 2>&1 || need_packages npm:npm
  need_bundle
  command -v sudo >/dev/null 2>&1 || die "the tests need root (they add a user and build as it): run test/run.sh as root"
  exec sudo -- "$PWD/test/run.sh" "$@"
fi
need_packages npm:npm
need_bundle
exec npm exec --offline -- vitest run "$@"
