# The gate and the scripts under clients/ source this file. Every job that they start ends with them, however they end.
#
# `work` is a folder that ends with the script. A script may define `on_failure`, which gets the status before the script ends.
set -euo pipefail
exec </dev/null
# Each job gets a process group of its own, so that it can be ended with all processes that it has started.
set -m
work=$(mktemp -d)
job='' servers=()

# Runs a command or a function as a job; a signal to the script does not wait for its end.
run() {
  local status=0
  "$@" &
  job=$!
  wait "$job" || status=$?
  job=''
  return "$status"
}

# Keeps the job that was just started until the script ends.
keep() {
  servers+=("$!")
}

# Ends a job's process group.
end() {
  kill -TERM -- "-$1" 2>/dev/null || return 0
  for _ in {1..100}; do
    kill -0 -- "-$1" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL -- "-$1" 2>/dev/null || true
}

finish() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  for pid in $job "${servers[@]}"; do
    end "$pid"
  done
  if ((status != 0)) && declare -F on_failure >/dev/null; then
    on_failure "$status"
  fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  echo "$*" >&2
  exit 1
}

# Installs missing commands, each by the name of its Debian package: `needs curl=curl go=golang-go`.
needs() {
  local missing=() sudo=() need packages
  for need; do
    if ! command -v "${need%%=*}" >/dev/null; then
      read -ra packages <<<"${need#*=}"
      missing+=("${packages[@]}")
    fi
  done
  [[ -e /etc/ssl/certs/ca-certificates.crt ]] || missing+=(ca-certificates)
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  if ((${#missing[@]} > 0)); then
    [[ $(id -u) == 0 ]] || sudo=(sudo)
    "${sudo[@]}" apt-get update -q
    "${sudo[@]}" apt-get install -qy --no-install-recommends "${missing[@]}"
  fi
}

# Makes a virtual environment with the packages of a file, and again when the file has changed: `venv DIR REQUIREMENTS`.
venv() {
  cmp -s "$2" "$1/requirements.txt" && return
  python3 -m venv --clear "$1" && "$1/bin/pip" install --quiet --disable-pip-version-check -r "$2" && cp "$2" "$1/requirements.txt"
}
