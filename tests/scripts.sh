#!/usr/bin/env bash
# tests/scripts.sh [TEST]…
# The scripts that people run: quickstart, install-hooks and install (on a whole system: tests/system.sh). Needs a handover binary (HANDOVER_BIN, else it is compiled).
# shellcheck disable=SC2317 # tests are called by their names
set -euo pipefail

# Each test is a process of its own, with a scratch directory of its own.
if [[ ${1:-} != --one ]]; then
  tests=("$@")
  (($#)) || mapfile -t tests < <(sed -n 's/^\(it_[a-z_]*\)() {$/\1/p' "$0")
  failed=0
  for test in "${tests[@]}"; do
    began=$SECONDS
    if "$0" --one "$test"; then printf 'ok    %s (%s s)\n' "$test" $((SECONDS - began)); else failed=1; fi
  done
  exit "$failed"
fi

# ------------------------------------------- a scratch directory, and nothing left behind --

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

# ------------------------------------------------------------------------------- the tests --

test=$2 user=$scratch/u out=$scratch/out
mkdir "$user"
build_binary debug
export HANDOVER_BIN=$binary

wrong() { printf 'WRONG %s: %s\n' "$test" "$1"; [[ ! -f ${out:-} ]] || sed 's/^/      /' "$out"; exit 1; }
expect_line() { grep -qE -- "$1" "$out" || wrong "no line like «$1»"; }

# quickstart with an empty home of its own, below the scratch directory.
quickstart() { HOME=$user "$root/scripts/quickstart" "$@" >"$out" 2>&1 </dev/null; }
# The same in the background, as a process group of its own whose leader, `pid`, is the script.
quickstart_stays() {
  set -m
  (HOME=$user exec "$root/scripts/quickstart" >"$out" 2>&1 </dev/null) &
  pid=$!
  set +m
  at_end+=("kill -INT $pid" "wait $pid")
  wait_for 120 is_up || wrong 'it did not come up'
}
nothing_runs() { [[ -z $(processes_with "$user") ]] || wrong "left behind: $(processes_with "$user")"; }
address() { sed -n 's/^==> It is live: *\(.*\)/\1/p' "$out"; }
is_up() { grep -q 'It is live' "$out"; }
picture() { (cd "$1" && find . -printf '%p %y %s %T@ %m\n' | sort && find . -type f -exec cksum {} + | sort); }

it_deploys_a_sample_from_an_empty_home() {
  quickstart --once || wrong 'it failed'
  expect_line '^remote: .*success: release 1 is live'
  expect_line 'GET http://127\.0\.0\.1:[0-9]+/? answered 200'
  nothing_runs
}

it_runs_a_second_time() {
  quickstart --once || wrong 'the first failed'
  local code=$user/.local/share/handover-quickstart/hello/code
  sed -i 's/Hello!/Hello again!/' "$code/server.js"
  git -C "$code" commit -qam 'Another greeting'
  quickstart --once || wrong 'the second, with a change, failed'
  expect_line '^remote: .*success: release 2 is live'
  quickstart --once || wrong 'the third, without a change, failed'
  expect_line 'answered 200'
  nothing_runs
}

it_stays_until_ctrl_c_and_leaves_no_process() {
  local pid
  quickstart_stays
  curl -fsS "$(address)" | grep -q 'Hello!' || wrong 'the page does not answer'
  kill -INT -- "-$pid"
  wait "$pid" && wrong 'Ctrl-C should be its end'
  nothing_runs
}

it_names_a_push_that_deploys() {
  local pid code=$user/.local/share/handover-quickstart/hello/code
  quickstart_stays
  sed -i 's/Hello!/Good evening!/' "$code/server.js"
  (cd "$code" && git commit -qam 'Another greeting' && git push production main) >"$out.push" 2>&1 || wrong "the push failed: $(<"$out.push")"
  curl -fsS "$(address)" | grep -q 'Good evening!' || wrong 'the new page does not answer'
  kill -TERM "$pid"
  wait "$pid" && wrong 'SIGTERM should be its end'
  nothing_runs
}

it_leaves_a_repository_as_it_is() {
  new_repo http-port "$user/shop"
  picture "$user/shop" >"$user.before"
  quickstart --once "$user/shop" || wrong 'it failed'
  picture "$user/shop" >"$user.after"
  cmp -s "$user.before" "$user.after" || wrong "the repository has changed: $(diff "$user.before" "$user.after")"
  expect_line '^remote: .*handover  shop  main'
}

it_leaves_a_plain_directory_as_it_is() {
  mkdir -p "$user/My_App"
  cp -R "$here/apps/http-port/." "$user/My_App"
  picture "$user/My_App" >"$user.before"
  quickstart --once "$user/My_App" || wrong 'it failed'
  picture "$user/My_App" >"$user.after"
  cmp -s "$user.before" "$user.after" || wrong "the directory has changed: $(diff "$user.before" "$user.after")"
  expect_line 'no git repository: its files .* are now under git in '
  expect_line '^remote: .*handover  my-app  main'
  echo v2 >"$user/My_App/VERSION"
  quickstart --once "$user/My_App" || wrong 'the second run failed'
  expect_line '^remote: .*success: release 2 is live'
}

it_says_how_to_make_a_lockfile() {
  mkdir -p "$user/app"
  echo '{"name":"app","version":"1.0.0","scripts":{"start":"node server.js"}}' >"$user/app/package.json"
  quickstart --once "$user/app" && wrong 'it should fail'
  expect_line 'npm install --package-lock-only'
}

it_takes_the_next_port_and_says_so() {
  local holder
  port_taken 8080 || { node -e 'require("net").createServer().listen(8080, "127.0.0.1")' & holder=$!; at_end+=("kill $holder"); wait_for 10 port_taken 8080; }
  quickstart --once || wrong 'it failed'
  expect_line 'port 8080 is taken'
  expect_line 'GET http://127\.0\.0\.1:80(8[1-9]|9)'
}

it_leaves_no_process_when_it_fails_half_way() {
  new_repo http-port "$user/broken"
  echo 'process.exit(3)' >"$user/broken/server.js"
  git -C "$user/broken" commit -qam 'Break it'
  quickstart --once "$user/broken" && wrong 'it should fail'
  expect_line '^remote: .*error: '
  nothing_runs
}

it_works_below_a_deep_home() {
  user=$user/$(printf 'deep%.0s' {1..25})
  mkdir -p "$user"
  quickstart --once || wrong 'it failed'
  expect_line 'answered 200'
  nothing_runs
  rm -rf "$(readlink -f "$user/.local/share/handover-quickstart/hello/run")"
}

it_puts_hooks_into_a_repository_and_takes_them_out_again() {
  local bare=$user/shop.git before
  home=$user/h
  start_handover
  git -c init.defaultBranch=main init -q --bare "$bare"
  before=$(ls "$bare/hooks")
  HANDOVER_HOME=$home "$root/scripts/install-hooks" "$bare" shop >"$out" 2>&1 || wrong 'install-hooks failed'
  new_repo http-port "$user/work"
  git -C "$user/work" push "$bare" main >"$out" 2>&1 || wrong 'the push failed'
  expect_line '^remote: .*success: release 1 is live'
  "$root/scripts/install-hooks" --home "$home" --remove "$bare" >"$out" 2>&1 || wrong 'install-hooks --remove failed'
  [[ $(ls "$bare/hooks") == "$before" ]] || wrong "the hooks are not what they were: $(ls "$bare/hooks")"
}

# install, below a directory instead of on this machine.
target=$scratch/target
install_there() { "$root/scripts/install" --root "$target" --binary "$binary" "$@" >"$out" 2>&1 </dev/null || wrong "install $* failed"; }
modes() { (cd "$target" && find . -type f -printf '%p %m\n' -o -path './*/handover' -type d -printf '%p %m\n' | sort); }

it_installs_below_a_directory() {
  install_there
  modes | cmp -s - <(printf '%s\n' './etc/handover 755' './etc/ssh/sshd_config.d/handover.conf 644' './etc/systemd/system/handover.service 644' \
    './etc/systemd/system/handover.socket 644' './usr/local/bin/handover 755' './var/lib/handover 711') || wrong "files or modes: $(modes)"
  cmp -s "$binary" "$target/usr/local/bin/handover" || wrong 'the binary is another one'
  grep -rn '@[A-Z]*@' "$target/etc" >"$out" && wrong 'something was not filled in'
  grep -qx 'User=git' "$target/etc/systemd/system/handover.service" || wrong 'the service runs as somebody else'
}

it_changes_nothing_when_it_installs_again() {
  install_there --user deploy --listen '[::1]:8081' --listen 8082
  picture "$target" >"$scratch/before"
  install_there
  expect_line 'nothing has changed'
  picture "$target" | cmp -s - "$scratch/before" || wrong "it has: $(picture "$target" | diff - "$scratch/before")"
  grep -c '^ListenStream=' "$target/etc/systemd/system/handover.socket" | grep -qx 2 || wrong 'the addresses were forgotten'
}

it_only_says_what_it_would_do_in_a_dry_run() {
  mkdir "$target"
  install_there --dry-run
  expect_line "would write $target/etc/systemd/system/handover.service"
  [[ -z $(ls -A "$target") ]] || wrong "it has made: $(ls -A "$target")"
  install_there
  picture "$target" >"$scratch/before"
  install_there --dry-run --listen 8083
  expect_line 'would write .*/handover.socket'
  install_there --dry-run --uninstall
  expect_line 'would remove .*/usr/local/bin/handover'
  picture "$target" | cmp -s - "$scratch/before" || wrong "it has: $(picture "$target" | diff - "$scratch/before")"
}

it_leaves_the_data_when_it_is_taken_out() {
  install_there
  echo kept >"$target/var/lib/handover/handover.db"
  echo 'builds = 1' >"$target/etc/handover/handover.toml"
  install_there --uninstall
  expect_line 'left as it is: .*/var/lib/handover'
  [[ $(cd "$target" && find . -type f | sort | paste -sd' ') == './etc/handover/handover.toml ./var/lib/handover/handover.db' ]] || wrong "there is: $(find "$target" -type f)"
}

it_refuses_what_it_can_not_use() {
  local words
  for words in '--listen 0' '--listen 70000' '--listen example.com:80' '--listen 80;reboot' '--user Root' '--user a/b' '--nonsense'; do
    # shellcheck disable=SC2086 # two words
    "$root/scripts/install" --root "$target" --binary "$binary" $words >"$out" 2>&1 && wrong "it takes $words"
    [[ ! -e $target ]] || wrong "it has begun all the same with $words"
  done
  install_there
  "$root/scripts/install" --root "$target" --binary "$binary" --user another >"$out" 2>&1 && wrong 'it changes the account'
  expect_line 'is installed for the account git already'
}

it_writes_units_that_systemd_likes() {
  has systemd-analyze || { note "skipped: $test (systemd is not installed)"; [[ -z ${HANDOVER_TEST_NO_SKIP:-} ]] || wrong 'nothing may be skipped here'; return; }
  install_there
  # The units that they lean on, and the account.
  mkdir -p "$target/usr/lib/systemd"
  cp -R /lib/systemd/system "$target/usr/lib/systemd/"
  ln -s usr/lib "$target/lib"
  echo 'git:x:999:999::/var/lib/handover:/bin/sh' >"$target/etc/passwd"
  systemd-analyze verify --root="$target" handover.service handover.socket >"$out" 2>&1 || wrong 'verify fails'
  [[ ! -s $out ]] || wrong 'verify has words'
  systemd-analyze security --offline=true --root="$target" --threshold=20 --no-pager handover.service >"$out" 2>&1 || wrong 'the exposure is more than 2.0'
}

it_writes_a_drop_in_that_sshd_likes() {
  PATH=$PATH:/usr/sbin
  has sshd || { note "skipped: $test (sshd is not installed)"; [[ -z ${HANDOVER_TEST_NO_SKIP:-} ]] || wrong 'nothing may be skipped here'; return; }
  install_there
  ssh-keygen -q -t ed25519 -N '' -f "$scratch/host-key"
  printf '%s\n' "HostKey $scratch/host-key" "Include $target/etc/ssh/sshd_config.d/*.conf" >"$scratch/sshd_config"
  ((EUID != 0)) || mkdir -p /run/sshd
  "$(command -v sshd)" -t -f "$scratch/sshd_config" >"$out" 2>&1 || wrong 'sshd does not take it'
  "$(command -v sshd)" -T -C user=git,host=x,addr=::1 -f "$scratch/sshd_config" >"$out" 2>&1
  expect_line '^authorizedkeysfile /var/lib/handover/authorized_keys'
  expect_line '^disableforwarding yes'
  expect_line '^permittty no'
  "$(command -v sshd)" -T -C user=somebody,host=x,addr=::1 -f "$scratch/sshd_config" >"$out" 2>&1
  expect_line '^permittty yes'
}

"$test"
