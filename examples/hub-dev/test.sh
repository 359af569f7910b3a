#!/usr/bin/env bash
# A test in shell of something that speaks to a hub: how to start one, and how it ends.
#
#   examples/hub-dev/test.sh [HUB]     HUB is the program; $HUB or hub if not given
#
# Needs jq, curl and mosquitto_rr (Debian: mosquitto-clients).
set -euo pipefail
hub=${1:-${HUB:-hub}}

# hub dev prints one line when it is ready. It ends when its stdin does: at the end of this
# script, however that comes.
coproc DEV { exec "$hub" dev 2>/dev/null; } # stderr is its log
pid=$DEV_PID out=${DEV[0]} in=${DEV[1]}
read -r line <&"$out" || { echo "FAIL: $hub dev says nothing"; exit 1; }
get() { jq -er "$1" <<<"$line"; } # a value of that line
SCW_SECRET_KEY=$(get .token) IOT_API=$(get .rest) id=$(get .device.id)
mqtt=$(get .mqtt)
host=${mqtt#mqtt://}

check() { # what, got, want
  if [ "$2" != "$3" ]; then
    printf 'FAIL: %s:\n got %s\nwant %s\n' "$@"
    exit 1
  fi
  echo "ok: $1"
}
rest() { # method, document, curl's other arguments...
  curl -sS -X "$1" -H "X-Auth-Token: $SCW_SECRET_KEY" "$IOT_API/twins/$id/documents/$2" "${@:3}"
}

check 'an app puts a document' \
  "$(rest PUT desired -d '{"data":{"alarm_armed":true}}')" \
  '{"twin_id":"'"$id"'","document_name":"desired","version":1,"data":{"alarm_armed":true}}'

check 'it can be read' "$(rest GET desired | jq -c .data)" '{"alarm_armed":true}'

check 'the device gets it' \
  "$(mosquitto_rr -h "${host%:*}" -p "${host#*:}" -V mqttv311 -i "$id" -W 10 \
    -t '$SCW/twins/me/desired/get' -e '$SCW/twins/me/desired/get/response/success' -n)" \
  '{"version":1,"data":{"alarm_armed":true}}'

check 'a token for reading changes nothing' \
  "$(SCW_SECRET_KEY=$(get .read_only_token) rest PATCH desired -d '{"data":{"alarm_armed":false}}' | jq -r .type)" \
  permissions_denied

exec {in}>&- # not needed: the end of the script does the same
wait "$pid"
echo 'ok: the hub has ended with its stdin'
