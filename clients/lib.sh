# What the scripts under clients/ share; sourced by them with [URL [DYNAMODB]], a server's and its table's: those of
# `cargo run` unless told otherwise. ROLECALL is the command that makes tokens, `cargo run -q --` unless told otherwise.
source .ci/lib.sh
SERVER=${1:-http://127.0.0.1:3000}
SERVER=${SERVER%/}
DYNAMODB=${2:-http://127.0.0.1:8000}
read -ra ROLECALL <<<"${ROLECALL:-cargo run -q --}"
# Neither a proxy nor colours.
export no_proxy=127.0.0.1 NO_PROXY=127.0.0.1
unset FORCE_COLOR

[[ $SERVER =~ ^http://[^/:]+:[0-9]+$ ]] || fail "$SERVER is not a URL such as http://127.0.0.1:3000"

server_answers() {
  curl -sS --max-time 10 -o "$work/answer" "$SERVER" ||
    fail "nothing answers at $SERVER: start it with 'cargo run', or name another"
}

# Prints a token: `token TENANT USER KIND [OPTION…]`.
token() {
  "${ROLECALL[@]}" token --tenant "$1" --user "$2" --kind "$3" --dynamodb "$DYNAMODB" "${@:4}"
}
