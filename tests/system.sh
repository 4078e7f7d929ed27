#!/usr/bin/env bash
# tests/system.sh [--keep]
# scripts/install on a whole system: the files of this machine below an overlay, booted with systemd in a container that has
# a network of its own. Installs, pushes over ssh, upgrades under load, puts nginx in front, uninstalls. Nothing of this
# machine is changed. Needs root, systemd-nspawn (package systemd-container), sshd, nginx; where it can't run it says so.
# --keep leaves the container running, and says how to get in.
# shellcheck disable=SC2317 # tests are called by their names
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/../scripts/lib.sh"

scratch=$(mktemp -d /tmp/hs-XXXXXX)
machine=$scratch/m out=$scratch/out
source=/handover-source # the repository, in the container
nspawn='' leader=''

leave() {
  local status=$?
  trap - EXIT
  if ((status)) && [[ -n $leader ]] && ! is_gone "$leader"; then
    printf '\nthe journal of the container ends with:\n' >&2
    inside journalctl --no-pager -q -o cat -n 40 >&2 || true
  fi
  if [[ $keep == --keep && -n $leader ]]; then
    note "the container runs on: nsenter -t $leader -m -u -i -n -p; end it with: kill -KILL $nspawn"
    exit "$status"
  fi
  # Powering it off takes the container's systemd away in order.
  if [[ -n $leader ]]; then
    kill -s RTMIN+4 "$leader" 2>/dev/null || true
    wait_for 30 is_gone "$nspawn" || kill -KILL "$nspawn" 2>/dev/null || true
  elif [[ -n $nspawn ]]; then
    kill -KILL "$nspawn" 2>/dev/null || true
  fi
  umount -R "$machine" 2>/dev/null || umount -l "$machine" 2>/dev/null || true
  umount -R "$scratch/t" 2>/dev/null || umount -l "$scratch/t" 2>/dev/null || true
  rm -rf --one-file-system "$scratch"
  exit "$status"
}
keep=${1:-}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

is_gone() { ! kill -0 "$1"; }
skip() { note "skipped: the installation on a whole system ($1)"; exit 0; }
wrong() { printf 'WRONG %s: %s\n' "$step" "$1" >&2; [[ ! -f $out ]] || tail -n 40 "$out" | sed 's/^/      /' >&2; exit 1; }

# ------------------------------------------------------------- the container --

can_run() {
  local program
  ((EUID == 0)) || skip 'it needs root'
  for program in systemd-nspawn systemctl sshd ssh nginx git node npm curl nsenter; do
    has "$program" || skip "$program is not installed"
  done
}

boot() {
  mkdir -p "$scratch/t" "$machine"
  mount -t tmpfs -o size=4g,mode=0755 tmpfs "$scratch/t" || skip 'nothing can be mounted here'
  mkdir "$scratch/t/upper" "$scratch/t/work"
  mount -t overlay -o "lowerdir=/,upperdir=$scratch/t/upper,workdir=$scratch/t/work" overlay "$machine" ||
    skip 'there is no overlay file system here'
  # A machine without services of its own, on which handover was never installed.
  rm -rf "$machine"/etc/systemd/system/*.wants "$machine"/etc/rc?.d/S* "$machine"/etc/ssh/sshd_config.d/* \
    "$machine"/lib/systemd/system-generators/postgresql* "$machine"/{etc,var/lib}/handover \
    "$machine"/etc/systemd/system/handover.* "$machine"/usr/local/bin/handover
  # An identity of its own; without one systemd would take this for a first boot and enable everything.
  tr -d - </proc/sys/kernel/random/uuid >"$machine/etc/machine-id"
  sed -i '/^git:/d' "$machine"/etc/{passwd,shadow,group,gshadow}
  install -D "$binary" "$machine/opt/handover-one"
  start_machine
}

start_machine() {
  set -m
  systemd-nspawn --quiet --directory="$machine" --boot --register=no --keep-unit --private-network --link-journal=no \
    --machine="handover-test-$$" --bind-ro="$root:$source" --console=pipe >"$scratch/boot.log" 2>&1 </dev/null &
  nspawn=$!
  set +m
  wait_for 60 has_booted || { tail -n 5 "$scratch/boot.log" >&2; skip 'systemd does not boot in a container here'; }
}

has_booted() {
  ! is_gone "$nspawn" || { leader=''; return 0; }
  leader=$(pgrep -P "$nspawn" | head -n 1)
  [[ -n $leader ]] && inside systemctl is-system-running | grep -qE 'running|degraded'
}

# inside CMD…: as root in the container, with nothing of this environment.
inside() {
  nsenter -t "$leader" --mount --uts --ipc --net --pid -- \
    env -i HOME=/root USER=root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

setup() { inside "$source/scripts/install" "$@" >"$out" 2>&1 </dev/null; }
property() { inside systemctl show -P "$1" handover.service; }
status_of() { inside handover status shop --json | node -p "JSON.parse(require('node:fs').readFileSync(0, 'utf8')).apps[0].$1"; }
answer() { inside curl -fsS --max-time 20 "http://$1/"; }
# What an installation may change. The database and its backup are the running server's, who writes when it likes; what is
# made or removed in a directory is seen without the directory's own time.
picture() {
  inside sh -c 'find /etc /usr/local/bin /var/lib/handover /run/handover ! -name "handover.db*" \
    \( -type d -printf "%p %y %m %u\n" -o -printf "%p %y %s %T@ %m %u\n" \) 2>/dev/null | sort'
}

# ------------------------------------------------------------- ssh, and an app --

prepare_pusher() {
  # shellcheck disable=SC2016 # the shell in the container expands it
  inside sh -c 'for program in git node npm nginx sshd curl; do command -v $program || exit 1; done' >/dev/null ||
    skip 'git, node, npm, nginx, sshd or curl is not where a service finds it'
  inside sh -c 'mkdir -p /run/sshd && ssh-keygen -qA && systemctl start ssh.service
    mkdir -p /root/.ssh && ssh-keygen -q -t ed25519 -N "" -f /root/push-key'
  inside git config --global user.name test
  inside git config --global user.email test@localhost
  inside git config --global core.sshCommand 'ssh -F /dev/null -i /root/push-key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR'
  # The app that answers the load client; its one dependency comes along, for there is no registry in the container.
  cp -R "$here/apps/load" "$scratch/app"
  (cd "$scratch/app" && npm install --no-audit --no-fund --silent >"$out" 2>&1) || wrong 'ws can not be fetched'
  mv "$scratch/app/node_modules/ws" "$scratch/app/ws"
  rm -rf "$scratch/app"/{node_modules,.gitignore}
  sed -i "s#require('ws')#require('./ws')#" "$scratch/app/server.js"
  printf '%s\n' '{"name":"shop","version":"1.0.0","private":true,"scripts":{"build":"cc check.c -o check && ./check","start":"node server.js"}}' >"$scratch/app/package.json"
  # Within the service's walls a compiler works, and what it makes runs.
  echo 'int main(void) { return 0; }' >"$scratch/app/check.c"
  printf '%s\n' '{"name":"shop","version":"1.0.0","lockfileVersion":3,"requires":true,"packages":{"":{"name":"shop","version":"1.0.0"}}}' >"$scratch/app/package-lock.json"
  tar -C "$scratch/app" -c . | inside sh -c 'mkdir /root/shop && tar -C /root/shop -x && cd /root/shop && git -c init.defaultBranch=main init -q && git add -A && git commit -qm one'
}

push() { inside git -C /root/shop push "$remote" HEAD:main >"$out" 2>&1; }

# By `handover keys` where this handover has it; else the key is simply that of the account.
let_key_in() {
  remote=git@localhost:shop
  inside sh -c 'handover keys add pusher </root/push-key.pub' >"$out" 2>&1 || wrong 'the key is not taken'
}

commit() { inside sh -c "cd /root/shop && echo $1 >VERSION && git commit -qam $1"; }

begin_load() {
  inside sh -c 'echo $$ >/run/load.pid; exec node "$@" >/run/load.json 2>/run/load.err' sh "$source/tests/load/load.mjs" --url http://127.0.0.1 \
    --seconds 600 --keepalive 4 --fresh 4 --poll 2 --upload 1 --stream 1 --websocket 4 --pause-ms 10 &
  load=$!
  wait_for 60 inside grep -q ready /run/load.err || wrong 'the load does not begin'
}

end_load() {
  inside kill -INT "$(inside cat /run/load.pid)"
  wait "$load" || { inside cat /run/load.json >"$out"; wrong 'requests were lost'; }
  inside node -p "const s = JSON.parse(require('node:fs').readFileSync('/run/load.json', 'utf8')); Object.entries(s.kinds ?? {}).map(([k, v]) => k + ' ' + v.ok).join(', ')" >"$out"
  note "nothing lost: $(<"$out")"
}

# --------------------------------------------------------------------- steps --

it_changes_nothing_in_a_dry_run() {
  picture >"$scratch/before"
  setup --dry-run --binary /opt/handover-one || wrong 'it failed'
  grep -q 'would write /etc/systemd/system/handover.service' "$out" || wrong 'it does not say what it would do'
  picture | cmp -s - "$scratch/before" || wrong "it has changed something: $(picture | diff - "$scratch/before")"
}

it_installs_a_service_that_serves() {
  setup --binary /opt/handover-one || wrong 'it failed'
  inside systemd-analyze verify handover.service handover.socket >"$out" 2>&1 || wrong 'systemd does not like the units'
  [[ ! -s $out ]] || wrong 'systemd has words about the units'
  [[ $(property ActiveState) == active ]] || wrong 'it does not run'
  [[ $(inside ps -o user= -p "$(property MainPID)") == git ]] || wrong 'it runs as somebody else'
  [[ $(inside stat -c '%a %U' /var/lib/handover /run/handover /run/handover/control.sock | paste -sd,) == '711 git,711 git,600 git' ]] || wrong 'modes are wrong'
  inside handover app create shop >"$out" 2>&1 || wrong 'no app can be created'
  [[ $(inside curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1/) == 404 || $(inside curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1/) == 503 ]] || wrong 'nobody answers on port 80'
}

it_takes_pushes_over_ssh() {
  let_key_in
  push || wrong 'the push failed'
  grep -q 'success: release 1 is live' "$out" || wrong 'it does not say that it is live'
  [[ $(answer 127.0.0.1) == "$(inside cat /root/shop/VERSION)" ]] || wrong 'the app does not answer'
  [[ $(answer '[::1]') == "$(answer 127.0.0.1)" ]] || wrong 'the app does not answer on IPv6'
  inside ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null git@localhost true >"$out" 2>&1 && wrong 'no key is needed'
  [[ $(inside sshd -T -C user=git,host=x,addr=::1 | grep -cE '^(permittty no|disableforwarding yes|authenticationmethods publickey)') == 3 ]] || wrong 'the drop-in is not in force'
  [[ $(inside sshd -T -C user=root,host=x,addr=::1 | grep -cE '^(permittty yes|disableforwarding no|authenticationmethods any)') == 3 ]] || wrong 'the drop-in is in force for others'
}

it_changes_nothing_the_second_time() {
  local pid
  pid=$(property MainPID)
  picture >"$scratch/before"
  setup --binary /opt/handover-one || wrong 'it failed'
  grep -q 'nothing has changed' "$out" || wrong 'it says that something has changed'
  [[ $(property MainPID) == "$pid" ]] || wrong 'the service was started again'
  picture | cmp -s - "$scratch/before" || wrong "it has changed something: $(picture | diff - "$scratch/before")"
}

it_upgrades_without_a_lost_request() {
  local pid instance front round tmp
  # What the app has in /tmp must stay: it outlives the service.
  tmp=/proc/$(status_of 'live.instances[0].pid')/root/tmp/handover-test
  inside touch "$tmp"
  begin_load
  for round in 2 3; do
    # A build that differs in a byte that nobody reads.
    inside sh -c "cp /opt/handover-one /opt/handover-$round && echo $round >>/opt/handover-$round"
    pid=$(property MainPID) instance=$(status_of 'live.instances[0].pid') front=$(front_pid)
    setup --binary "/opt/handover-$round" || wrong 'it failed'
    [[ $(property MainPID) != "$pid" ]] || wrong 'the old server runs on'
    wait_for 20 front_is_another_than "$front" || wrong 'the old front runs on'
    [[ $(status_of 'live.instances[0].pid') == "$instance" ]] || wrong 'the app was started again'
    ((round > 2)) || inside test -e "$tmp" || wrong 'the app has lost its files in /tmp'
    inside cmp "/opt/handover-$round" /usr/local/bin/handover || wrong 'the binary is not the new one'
    inside test ! -e /usr/local/bin/handover.before || wrong 'the old binary was left behind'
    commit "after-upgrade-$round"
    push || wrong 'the push after it failed'
  done
  end_load
}

front_pid() { inside pgrep -n -f 'handover front --control' || true; }
front_is_another_than() { [[ -n $(front_pid) && $(front_pid) != "$1" ]]; }

it_goes_back_where_the_new_build_does_not_start() {
  inside sh -c 'printf "#!/bin/sh\nexit 7\n" >/opt/handover-broken && chmod +x /opt/handover-broken'
  begin_load
  setup --binary /opt/handover-broken && wrong 'it should fail'
  grep -q 'the one before is back' "$out" || wrong 'it does not say so'
  end_load
  inside cmp /opt/handover-3 /usr/local/bin/handover || wrong 'the binary is not the one before'
  [[ $(property ActiveState) == active ]] || wrong 'the server does not run'
}

it_comes_back_after_sigkill() {
  local pid
  pid=$(property MainPID)
  begin_load
  inside kill -KILL "$pid"
  wait_for 30 serves_as_another_than "$pid" || wrong 'systemd did not start it again'
  end_load
}

serves_as_another_than() { [[ $(property MainPID) != "$1" ]] && inside handover status; }

it_comes_back_after_a_reboot() {
  kill -s RTMIN+5 "$leader"
  wait_for 60 is_gone "$nspawn" || wrong 'the container does not go down'
  start_machine
  inside systemctl start ssh.service
  wait_for 60 is_live_again || wrong 'the app does not come back'
  [[ $(answer 127.0.0.1) == after-upgrade-3 ]] || wrong 'the app does not answer'
}

it_listens_elsewhere_when_told() {
  local instance
  instance=$(status_of 'live.instances[0].pid')
  setup --binary /opt/handover-3 --listen 80 --listen 127.0.0.1:8099 || wrong 'it failed'
  wait_for 20 answer 127.0.0.1:8099 || wrong 'nobody answers at the new address'
  wait_for 20 answer 127.0.0.1 || wrong 'nobody answers at the old address'
  [[ $(status_of 'live.instances[0].pid') == "$instance" ]] || wrong 'the app was started again'
  setup --binary /opt/handover-3 || wrong 'the next run failed'
  grep -q 'nothing has changed' "$out" || wrong 'the next run has forgotten it'
}

it_leaves_the_data_when_it_goes() {
  setup --uninstall --yes || wrong 'it failed'
  [[ -z $(inside pgrep -u git || true) ]] || wrong "left running: $(inside ps -f -u git)"
  inside sh -c '! ls -d /etc/systemd/system/handover* /usr/local/bin/handover* /etc/ssh/sshd_config.d/* 2>/dev/null' || wrong 'files were left behind'
  inside test -d /var/lib/handover/apps/shop/repo.git || wrong 'the data is gone'
  [[ $(inside sshd -T -C user=git,host=x,addr=::1 | grep -c '^disableforwarding no') == 1 ]] || wrong 'sshd still has the drop-in'
}

it_stays_behind_nginx() {
  inside sh -c 'rm -f /etc/nginx/conf.d/* && systemctl start nginx.service' || wrong 'nginx does not start'
  setup --binary /opt/handover-one || wrong 'it failed'
  grep -q 'front = false' <(inside cat /etc/handover/handover.toml) || wrong 'the front is not off'
  grep -q 'front_group = "www-data"' <(inside cat /etc/handover/handover.toml) || wrong 'nginx may not connect'
  ! inside systemctl -q is-active handover.socket || wrong 'the socket is open all the same'
  wait_for 30 is_live_again || wrong 'the app of before does not come up'
  inside sh -c 'handover domains shop add shop.test && handover nginx shop >/etc/nginx/conf.d/shop.conf && nginx -t && nginx -s reload' >"$out" 2>&1 || wrong 'nginx does not take the configuration'
  inside sh -c 'echo 127.0.0.1 shop.test >>/etc/hosts'
  wait_for 10 nginx_reaches_the_app || wrong 'nginx does not reach the app'
  setup --binary /opt/handover-one || wrong 'the next run failed'
  grep -q 'nothing has changed' "$out" || wrong 'the next run changes something'
  setup --uninstall --yes || wrong 'it does not go'
}

nginx_reaches_the_app() { [[ $(inside curl -fsS http://shop.test/) == after-upgrade-3 ]]; }
is_live_again() { [[ $(status_of state) == live ]]; }

step=preparation
can_run
build_binary debug
boot
[[ -n $leader ]] || { tail -n 5 "$scratch/boot.log" >&2; skip 'systemd-nspawn does not run here'; }
prepare_pusher
mapfile -t steps < <(sed -n 's/^\(it_[a-z_]*\)() {$/\1/p' "$0")
for step in "${steps[@]}"; do
  began=$SECONDS
  "$step"
  printf 'ok    %s (%s s)\n' "$step" $((SECONDS - began))
done
