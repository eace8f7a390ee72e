#!/usr/bin/env bash
# Installs pg_pond from the folder that this script is in into a PostgreSQL installation.
#
# Usage: PG_CONFIG=/path/to/pg_config [DESTDIR=…] ./install.sh [--uninstall]
#
# Every file is checked against SHA256SUMS before it is put in place: pg_pond loads DuckDB's
# extensions without hashing them again, so the installed files belong to whoever installs and
# nobody else may write them. Files are replaced by rename: running backends keep the old ones.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
PG_CONFIG=${PG_CONFIG:-pg_config}
DESTDIR=${DESTDIR:-}
die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }

command -v "$PG_CONFIG" >/dev/null || die "no pg_config at '$PG_CONFIG': set PG_CONFIG"
version=$("$PG_CONFIG" --version)
major=$(cat "$here/PG_MAJOR")
case $version in
  "PostgreSQL $major"[.\ a-z]* | "PostgreSQL $major") ;;
  *) die "this is pg_pond for PostgreSQL $major, but $PG_CONFIG is of $version" ;;
esac
library_dir=$DESTDIR$("$PG_CONFIG" --pkglibdir)
extension_dir=$DESTDIR$("$PG_CONFIG" --sharedir)/extension

destination_of() {
  case $1 in
    lib/*) printf '%s/%s\n' "$library_dir" "${1#lib/}" ;;
    extension/*) printf '%s/%s\n' "$extension_dir" "${1#extension/}" ;;
    *) die "unexpected file $1 in SHA256SUMS" ;;
  esac
}
hash_of() { sha256sum -- "$1" | cut -d' ' -f1; }

if [ "${1:-}" = --uninstall ]; then
  rm -rf "$library_dir/pg_pond.so" "$library_dir/pg_pond" "$extension_dir/pg_pond.control"
  rm -f "$extension_dir"/pg_pond--*.sql
  printf 'Removed pg_pond from %s and %s\n' "$library_dir" "$extension_dir"
  exit 0
fi
[ $# = 0 ] || die "unknown argument '$1'"

for dir in "$library_dir" "$extension_dir"; do
  mkdir -p "$dir" 2>/dev/null || true
  [ -w "$dir" ] || die "$dir is not writable: run as the owner of this PostgreSQL (often root)"
done

umask 022
# Link instead of copying: only for a private copy of PostgreSQL on the same file system.
link=${POND_INSTALL_LINK:-}
# All files are brought beside their places and checked first; only then are they renamed into them.
placed=()
suffix=.new.$$
trap 'for file in ${placed[@]+"${placed[@]}"}; do rm -f "$file$suffix"; done' EXIT
while read -r hash file; do
  destination=$(destination_of "$file")
  source=$here/$file
  [ -f "$source" ] || die "$file is missing in $here"
  if [ -n "$link" ] && [ "$source" -ef "$destination" ]; then continue; fi
  if [ -z "$link" ] && [ -f "$destination" ] && [ ! -L "$destination" ] && [ -O "$destination" ] &&
     [ "$(stat -c %a "$destination")" = 644 ] && [ "$(hash_of "$destination")" = "$hash" ]; then
    continue
  fi
  mkdir -p "$(dirname "$destination")"
  placed+=("$destination")
  rm -f "$destination$suffix"
  if [ -z "$link" ] || ! ln -T "$source" "$destination$suffix" 2>/dev/null; then
    install -m 0644 -T "$source" "$destination$suffix"
  fi
  # The copy is hashed, not the source: what is checked is what stays.
  [ "$(hash_of "$destination$suffix")" = "$hash" ] || die "$file does not have its SHA-256 ($hash): nothing installed"
done <"$here/SHA256SUMS"
for file in ${placed[@]+"${placed[@]}"}; do mv -fT "$file$suffix" "$file"; done
placed=()
chmod go-w "$library_dir/pg_pond" "$library_dir/pg_pond/extensions" "$library_dir"/pg_pond/extensions/* "$library_dir"/pg_pond/extensions/*/*
printf 'Installed pg_pond for PostgreSQL %s into %s and %s\n' "$major" "$library_dir" "$extension_dir"
