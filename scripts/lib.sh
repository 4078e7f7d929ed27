# shellcheck shell=bash
# What the scripts share; sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\n==> %s\n' "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }
die() { printf '\nerror: %s\n' "$1" >&2; shift; if (($#)); then printf 'hint: %s\n' "$@" >&2; fi; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# The comment block at the top of a script is its --help.
help_of() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p;}' "$1"; }

# as_root CMD…: runs it as root, or fails where nobody may become root.
as_root() {
  if ((EUID == 0)); then "$@"; elif has sudo; then sudo "$@"; else return 1; fi
}

# apt_install PACKAGE…: says what it does first.
apt_install() {
  local how='as root'
  ((EUID == 0)) || how='with sudo'
  has apt-get || die "missing: $*; this is not Debian or Ubuntu" "install them by your system's means and run this again"
  ((EUID == 0)) || has sudo || die "missing: $*" "as root: apt-get install $*"
  say "installing $* with apt-get, $how (this may take some minutes)"
  as_root apt-get -qq update >&2 || note 'apt-get update failed; trying with the lists that are there'
  # Hundreds of lines on some systems: shown only where it fails.
  local words
  words=$(as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" 2>&1 </dev/null) ||
    { printf '%s\n' "$words" >&2; die "apt-get could not install: $*"; }
}

# node_major: the major version of node, 0 where there is none.
node_major() { node -p 'parseInt(process.versions.node)' 2>/dev/null || echo 0; }

# build_binary PROFILE: compiles handover (release or debug) and sets `binary`, unless HANDOVER_BIN names one.
# shellcheck disable=SC2034 # for whoever sources this
build_binary() {
  if [[ -n ${HANDOVER_BIN:-} ]]; then
    [[ -x $HANDOVER_BIN ]] || die "HANDOVER_BIN names no program: $HANDOVER_BIN"
    binary=$(realpath -- "$HANDOVER_BIN")
    return
  fi
  has cargo || die 'cargo is missing' 'install Rust first: https://rustup.rs'
  local flags=()
  [[ $1 == release ]] && flags=(--release)
  (cd "$root" && cargo build --locked --bin handover "${flags[@]}" </dev/null) || die 'handover does not compile here; see above'
  binary=$(target_dir)/$1/handover
}

target_dir() { (cd "$root" && realpath -m -- "${CARGO_TARGET_DIR:-target}"); }

# wait_for SECONDS CMD…: until CMD succeeds, for at most that long.
wait_for() {
  local until=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < until)) || return 1
    sleep 0.1
  done
}

# port_taken PORT: whether something listens there on the loopback.
port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
