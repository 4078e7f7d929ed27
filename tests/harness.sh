# shellcheck shell=bash
# For tests in bash: a scratch directory, a handover of its own, and nothing left behind. Sourced.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/../scripts/lib.sh"

scratch=$(mktemp -d /tmp/ht-XXXXXX) # short: sockets lie below
home=$scratch/h
server=
port=
export GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test@localhost GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test@localhost
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
unset GIT_DIR GIT_WORK_TREE HANDOVER_HOME HANDOVER_RUN HANDOVER_QUICKSTART_HOME
at_end=()

leave() {
  local status=$? command
  trap - EXIT
  for command in "${at_end[@]}"; do $command 2>/dev/null || true; done
  if [[ -n $server ]]; then kill -INT "$server" 2>/dev/null && wait "$server"; fi
  if ((status)) && [[ -f $scratch/serve.log ]]; then tail -n 40 "$scratch/serve.log" >&2; fi
  rm -rf "$scratch"
  exit "$status"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

handover() { "$binary" --home "$home" "$@"; }

free_port() { node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'; }

start_handover() {
  build_binary debug
  port=$(free_port)
  set -m
  "$binary" --home "$home" serve --listen "127.0.0.1:$port" >>"$scratch/serve.log" 2>&1 </dev/null &
  server=$!
  set +m
  wait_for 30 handover status || die 'handover did not start'
}

# new_repo FIXTURE DIRECTORY: a working repository with the fixture's files as its first commit.
new_repo() {
  mkdir -p "$2"
  cp -R "$here/apps/$1/." "$2"
  git -C "$2" -c init.defaultBranch=main init -q
  git -C "$2" add -A
  git -C "$2" commit -qm first
}

# commit_version DIRECTORY VERSION
commit_version() {
  echo "$2" >"$1/VERSION"
  git -C "$1" commit -qam "$2"
}

# The processes that were given a word, in their arguments or their environment.
processes_with() {
  local entry
  for entry in /proc/[0-9]*; do
    # A zombie has neither; whatever has ended meanwhile is not there any more.
    if cat "$entry/environ" "$entry/cmdline" 2>/dev/null | tr '\0' '\n' | grep -qF -- "$1"; then
      ps -o pid=,args= -p "${entry#/proc/}" || true
    fi
  done
}
