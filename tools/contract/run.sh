#!/bin/sh
# Lets schemathesis attack the HTTP API: every operation of /openapi.json, with requests that fit their
# schema and requests that do not, all checks on. Needs Go, curl and Python 3; installs schemathesis into
# a virtual environment below $1 (default: a temporary folder). $2 is the number of cases an operation. A program that
# is built already can be named by EVIDENT.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${1:-$(mktemp -d)}
cases=${2:-100}
mkdir -p "$work/docs"
cp "$root"/docs/*.md "$root"/internal/extract/testdata/*.pdf "$root"/internal/picture/testdata/*.jpg "$work/docs/"
[ -x "$work/venv/bin/schemathesis" ] || { python3 -m venv "$work/venv" && "$work/venv/bin/pip" install -q schemathesis; }
evident=${EVIDENT:-$work/evident}
[ -n "${EVIDENT:-}" ] || (cd "$root" && go build -o "$evident" ./cmd/evident)
cp "$root/eval/testdata/small.json" "$work/questions.json"
rm -rf "$work/keys" "$work/address" "$work/keep"
key=$("$evident" key create --keys "$work/keys" --admin contract -q)
HF_ENDPOINT=http://127.0.0.1:9 "$evident" serve --data "$work/index" --in "$work/docs" --fast --keys "$work/keys" --listen 127.0.0.1:0 \
  --keep "$work/keep" --evaluate "$work/questions.json" --allow-pull --log-level warn >"$work/address" 2>"$work/log" &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
until [ -s "$work/address" ] && curl -sf "$(cat "$work/address")/readyz" >/dev/null; do sleep 0.2; done
address=$(cat "$work/address")

documents=0
until [ "$documents" -gt 5 ]; do # what --in names is read while the server answers
  sleep 0.5
  documents=$(curl -sf -H "Authorization: Bearer $key" "$address/api/v1/indexes/default" | grep -o '"images":[0-9]*' | cut -d: -f2)
done
"$work/venv/bin/schemathesis" --config-file "$here/schemathesis.toml" run "$address/openapi.json" \
  --header "Authorization: Bearer $key" --checks all --mode all --max-examples "$cases" \
  --continue-on-failure --workers 2 --seed 20261125 --request-timeout 70 --max-response-time 65
if grep -q '"ERROR"' "$work/log"; then
  echo "the server logged errors:"
  grep '"ERROR"' "$work/log" | head
  exit 1
fi
echo "no error in the server's log"
