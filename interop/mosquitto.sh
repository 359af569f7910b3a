#!/usr/bin/env bash
# mosquitto's clients against the hub's MQTT endpoint: what they print and their exit codes, to the
# letter, for what the hub does and for what it refuses. The specification's own
# commands are in scripts/walkthrough, certificates and secrets in mosquitto-tls.sh.
#
#   HUB=/path/of/the/program interop/mosquitto.sh
set -uo pipefail

: "${HUB:?is not set: run scripts/interop}"
. "$(dirname "$0")/expect.sh"
dir=$(mktemp -d)
coproc HUB_DEV { exec "$HUB" dev 2>"$dir/log"; }
hub_pid=$HUB_DEV_PID
background=
finish() {
	[ -z "$background" ] || kill "$background" 2>/dev/null
	kill "$hub_pid" 2>/dev/null && wait "$hub_pid"
	rm -rf "$dir"
}
trap finish EXIT
read -r -t 60 hub <&"${HUB_DEV[0]}" || { echo "mosquitto.sh: the hub did not start:" >&2; cat "$dir/log" >&2; exit 1; }
field() { jq -r "$1" <<<"$hub"; }
id=$(field .device.id)
address=$(field .mqtt)
address=${address#mqtt://}
me='$SCW/twins/me'

# What every client is told. Options that come twice count the last time.
device=(-h "${address%:*}" -p "${address##*:}" -V mqttv311 -i "$id")

client() { # pub|sub|rr OPTION...
	"mosquitto_$1" "${device[@]}" "${@:2}" 2>&1
}

# app does what an app does: METHOD DOCUMENT [BODY].
app() {
	curl -sS -X "$1" -H "X-Auth-Token: $(field .token)" "$(field .rest)/twins/$id/documents/$2" ${3+-d "$3"}
}

# data is the content of a document, null if there is no such document.
data() { app GET "$1" | jq -c .data; }

# refused tells whether the hub's log has given a reason that many times: TEXT COUNT.
refused() { [ "$(grep -cF "$1" "$dir/log")" -ge "$2" ]; }

get() { client rr -t "$me/$1/get" -e "$me/$1/get/response/${2:-success}" -n -W 10; }

# Publishing. At QoS 0 the client doesn't wait for anything, so the test has to.
expect 'put at QoS 0' 0 '' client pub -t "$me/a/put" -m '{"data":{"qos":0}}'
written() { [ "$(data a)" = '{"qos":0}' ]; }
await written
expect 'put at QoS 1' 0 '' client pub -q 1 -t "$me/a/put" -m '{"data":{"qos":1}}'
verdict 'put at QoS 1: written when the client ends' "$(data a)" '{"qos":1}'
expect 'three patches, a line each' 0 '' client pub -q 1 -l -t "$me/a/patch" <<'END'
{"data":{"x":1}}
{"version":7,"data":{"x":2}}
{"data":{"y":3}}
END
verdict 'three patches: the one in the middle was refused' "$(data a)" '{"qos":1,"x":1,"y":3}'
printf '{"data":{"long":"%0200000d"}}' 0 >"$dir/long"
expect 'a large document' 0 '' client pub -q 1 -t "$me/long/put" -f "$dir/long"
verdict 'a large document: written' "$(data long)" "$(jq -c .data "$dir/long")"
expect 'a request that nobody knows' 0 '' client pub -q 1 -t "$me/a/delete" -n
verdict 'a request that nobody knows: nothing happened' "$(data a)" '{"qos":1,"x":1,"y":3}'

# Answers.
answer='{"version":4,"data":{"qos":1,"x":1,"y":3}}'
topic="$me/a/get/response/success"
expect 'get' 0 "$answer" get a
expect 'answer: topic, QoS, retain flag, length, payload' 0 "$topic 0 0 ${#answer} $answer" \
	client rr -q 1 -t "$me/a/get" -e "$topic" -n -W 10 -F '%t %q %r %l %p'
expect 'get of a missing document' 0 '{"error":"document not found"}' get nothing error
expect 'an answer that was not subscribed to' 27 'Timed out' client rr -t "$me/nothing/get" -e "$me/nothing/get/response/success" -n -W 1
expect 'MQTT 3.1' 0 "$answer" client rr -V mqttv31 -i panel -u "$id" -t "$me/a/get" -e "$topic" -n -W 10
expect 'device by user name, any password, session to be kept' 0 "$answer" \
	client rr -i panel -u "$id" -P secret -c -t "$me/a/get" -e "$topic" -n -W 10

# What the hub refuses. A client at QoS 0 doesn't hear of that; the hub's log does.
expect 'unknown device' 5 'Connection error: Connection Refused: not authorised.' client sub -i panel -t "$me/#" -W 10
expect 'a token is no device' 5 'Connection error: Connection Refused: not authorised.' client sub -i "$(field .token)" -t "$me/#" -W 10
expect 'MQTT 5: sub' 132 'Connection error: Unsupported Protocol Version. Try connecting to an MQTT v5 broker, or use MQTT v3.x mode.' \
	client sub -V mqttv5 -t "$me/#" -W 10
expect 'MQTT 5: rr' 132 'Connection error: Unsupported Protocol Version. mosquitto_rr only supports connecting to an MQTT v5 broker' \
	client rr -V mqttv5 -t "$me/a/get" -e "$topic" -n -W 10
expect 'QoS 2' 7 'Error: The connection was lost.' client pub -q 2 -t "$me/refused/put" -m '{"data":{}}'
await refused 'publish at QoS 2: use QoS 0 or 1' 1
expect 'retain at QoS 1' 7 'Error: The connection was lost.' client pub -q 1 -r -t "$me/refused/put" -m '{"data":{}}'
await refused 'publish with the retain flag: the hub keeps no messages, clear the flag' 1
expect 'retain at QoS 0' 0 '' client pub -r -t "$me/refused/put" -m '{"data":{}}'
await refused 'publish with the retain flag: the hub keeps no messages, clear the flag' 2
expect 'another topic at QoS 1' 7 'Error: The connection was lost.' client pub -q 1 -t house/door -m open
await refused 'publish outside $SCW/twins/: the hub is no broker' 1
expect 'another topic at QoS 0' 0 '' client pub -t house/door -m open
await refused 'publish outside $SCW/twins/: the hub is no broker' 2
verdict 'nothing of that was written' "$(data refused)" null
expect 'filters outside twins' 0 'All subscription requests were denied.' client sub -t 'house/#' -t '#' -W 10
expect 'one filter of two' 27 'Timed out' client sub -t 'house/#' -t "$me/#" -W 1

# Change notices: the present version, then each change by somebody else.
watch() { # COUNT [OPTION...]: in the background
	: >"$dir/notices"
	mosquitto_sub "${device[@]}" -C "$1" -W 20 -v -t "$me/desired/changed" "${@:2}" >>"$dir/notices" &
	background=$!
}
noticed() { [ "$(wc -l <"$dir/notices")" -ge "$1" ]; }
watch 3
await noticed 1
app PUT desired '{"data":{"alarm_armed":true}}' >/dev/null
await noticed 2
app DELETE desired
wait "$background"
verdict 'notices: the client ends well' $? 0
verdict 'notices' "$(cat "$dir/notices")" "$me/desired/changed {\"version\":0}
$me/desired/changed {\"version\":1}
$me/desired/changed {\"version\":0}"

# A second connection of the device drops the first, which comes back by itself after a
# second, subscribes again, and learns what it missed.
watch 3
await noticed 1
expect 'take-over' 0 '{"version":1,"data":{"alarm_armed":true}}' \
	client rr -t "$me/desired/put" -e "$me/desired/put/response/success" -m '{"data":{"alarm_armed":true}}' -W 10
await noticed 2
app PUT desired '{"data":{"alarm_armed":false}}' >/dev/null
wait "$background"
verdict 'take-over: the client ends well' $? 0
verdict 'take-over: notices' "$(cat "$dir/notices")" "$me/desired/changed {\"version\":0}
$me/desired/changed {\"version\":1}
$me/desired/changed {\"version\":2}"

# A will is accepted and never published. Before a second connection is accepted, the
# hub has done with the first.
watch 9 --will-topic "$me/will/put" --will-payload '{"data":{}}' --will-qos 1 --will-retain
await noticed 1
{ kill -KILL "$background" && wait "$background"; } 2>/dev/null
background=
expect 'will' 0 '{"error":"document not found"}' get will error

exec {HUB_DEV[1]}>&-
wait "$hub_pid"
verdict 'the hub ends well with its stdin' $? 0
summary
