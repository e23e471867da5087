# The scripts under clients/ source this file with [URL [DYNAMODB]], the URLs of a server and of its table. Without them it takes
# those of `cargo run`. ROLECALL is the command that makes tokens; without it, that is `cargo run -q --`.
source .ci/lib.sh
SERVER=${1:-http://127.0.0.1:3000}
SERVER=${SERVER%/}
DYNAMODB=${2:-http://127.0.0.1:8000}
read -ra ROLECALL <<<"${ROLECALL:-cargo run -q --}"
# No proxy, and no colours.
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
