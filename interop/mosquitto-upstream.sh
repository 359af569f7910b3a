#!/usr/bin/env bash
# mosquitto's clients, a hub with --upstream, and mosquitto's broker behind it: what the clients print and
# their exit codes. What the broker does, the clients see; twins are beside it on the same connection.
#
#   HUB=/path/of/the/program interop/mosquitto-upstream.sh
set -uo pipefail

: "${HUB:?is not set: run scripts/interop}"
. "$(dirname "$0")/expect.sh"
dir=$(mktemp -d)
hub_pid= broker_pid= background=
finish() {
	[ -z "$background" ] || kill -KILL "$background" 2>/dev/null
	[ -z "$hub_pid" ] || { kill "$hub_pid" && wait "$hub_pid"; } 2>/dev/null
	[ -z "$broker_pid" ] || { kill -KILL "$broker_pid" && wait "$broker_pid"; } 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT

# The hub is there first, as it may be after a power cut: then its clients are told to come back.
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
coproc HUB_DEV { exec "$HUB" dev --upstream "mqtt://127.0.0.1:$port" 2>"$dir/log"; }
hub_pid=$HUB_DEV_PID
read -r -t 60 hub <&"${HUB_DEV[0]}" || { echo "mosquitto-upstream.sh: the hub did not start:" >&2; cat "$dir/log" >&2; exit 1; }
field() { jq -r "$1" <<<"$hub"; }
id=$(field .device.id)
address=$(field .mqtt)
address=${address#mqtt://}
me='$SCW/twins/me'

client() { # pub|sub|rr OPTION...
	"mosquitto_$1" -h "${address%:*}" -p "${address##*:}" -V mqttv311 "${@:2}" 2>&1
}
app() { # METHOD DOCUMENT [BODY]
	curl -sS -X "$1" -H "X-Auth-Token: $(field .token)" "$(field .rest)/twins/$id/documents/$2" ${3+-d "$3"}
}
logged() { grep -qF "$1" "$dir/log"; }
start_broker() {
	mosquitto -c "$dir/conf" >>"$dir/broker" 2>&1 &
	broker_pid=$!
	await broker_listens
}
broker_listens() { (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
kill_broker() {
	{ kill -KILL "$broker_pid" && wait "$broker_pid"; } 2>/dev/null
	broker_pid=
}
printf 'user root\nlistener %s 127.0.0.1\nallow_anonymous true\n' "$port" >"$dir/conf"

expect 'no broker yet' 3 'Connection error: Connection Refused: broker unavailable.' client sub -t 'house/#' -W 10
await logged "broker can't be reached: clients are refused until it can"
start_broker

# Messages, with the client's own name and as the device.
for as in meter "$id"; do
	name=$([ "$as" = meter ] && echo client || echo device)
	expect "$name: retained" 0 '' client pub -i "$as" -q 1 -r -t "house/$name" -m kept
	expect "$name: retained: read" 0 "house/$name 1 1 kept" client sub -i "$as" -q 2 -C 1 -W 10 -t 'house/+' -F '%t %q %r %p'
	expect "$name: retained: taken back" 0 '' client pub -i "$as" -q 2 -r -t "house/$name" -n
	head -c 300000 /dev/urandom | base64 -w 0 >"$dir/large"
	expect "$name: 400 kB at QoS 2" 0 '' client pub -i "$as" -q 2 -r -t "large/$name" -f "$dir/large"
	client sub -i "$as" -q 2 -C 1 -W 10 -N -t "large/$name" >"$dir/got"
	verdict "$name: 400 kB at QoS 2: the same" "$(cmp "$dir/large" "$dir/got" && echo same)" same
done

# Twins beside that.
expect 'put' 0 '{"version":1,"data":{"alarm_armed":false}}' client rr -i "$id" -q 1 -t "$me/current/put" -e "$me/current/put/response/success" -m '{"data":{"alarm_armed":false}}' -W 10
verdict 'put: an app reads it' "$(app GET current | jq -c .data)" '{"alarm_armed":false}'
expect 'filters of both kinds' 0 "$me/current/changed {\"version\":1}" client sub -i "$id" -C 1 -W 10 -v -t 'house/#' -t "$me/current/changed"
expect 'no device, no twin' 0 'All subscription requests were denied.' client sub -i meter -t "$me/#" -W 10
expect 'no device, a request' 7 'Error: The connection was lost.' client pub -i meter -q 1 -t "$me/current/put" -m '{"data":{"alarm_armed":true}}'
verdict 'no device, a request: nothing happened' "$(app GET current | jq -c .version)" 1
expect 'device by its user name' 0 '{"version":1,"data":{"alarm_armed":false}}' client rr -i anything -u "$id" -t "$me/current/get" -e "$me/current/get/response/success" -n -W 10
expect 'MQTT 5' 132 'Connection error: Unsupported Protocol Version. Try connecting to an MQTT v5 broker, or use MQTT v3.x mode.' client sub -V mqttv5 -t a -W 10
expect 'QoS 2 about twins' 7 'Error: The connection was lost.' client pub -i "$id" -q 2 -t "$me/current/put" -m '{"data":{}}'

# A session that is kept: what came meanwhile comes later.
expect 'session: made' 0 '' client sub -i keeper -c -q 1 -t kept/letters -E -W 10
expect 'session: something comes' 0 '' client pub -q 1 -t kept/letters -m letter
expect 'session: read later' 0 'letter' client sub -i keeper -c -q 1 -t kept/letters -C 1 -W 10

# A will, of a client that is killed. That of one that says good-bye is not published.
watch() { # FILE OPTION...: in the background
	: >"$1"
	mosquitto_sub -h "${address%:*}" -p "${address##*:}" -V mqttv311 -v -t 'will/#' "${@:2}" >>"$1" &
}
has() { grep -qxF "$2" "$1"; }
watch "$dir/watched"
watcher=$!
here() { client pub -t will/ping -m "$1"; has "$dir/watched" "will/ping $1"; }
await here 1
expect 'will: good-bye' 0 '' client pub -t a -n --will-topic will/bye --will-payload gone
watch "$dir/other" --will-topic will/kill --will-payload gone --will-qos 1
background=$!
other_here() { client pub -t will/ping -m 2; has "$dir/other" 'will/ping 2'; }
await other_here
{ kill -KILL "$background" && wait "$background"; } 2>/dev/null
background=
await has "$dir/watched" 'will/kill gone'
verdict 'will: none of a client that said good-bye' "$(grep -c will/bye "$dir/watched")" 0

# A broker that is killed takes its clients along; they come back by themselves when it does. This one would give up if it
# were refused, so it sleeps until then.
background=$watcher
kill -STOP "$watcher"
kill_broker
await logged 'broker closed the connection'
expect 'broker away' 3 'Connection error: Connection Refused: broker unavailable.' client sub -t a -W 10
app PUT desired '{"data":{"alarm_armed":true}}' >/dev/null
start_broker
kill -CONT "$watcher"
await here 3
expect 'twins are as they were' 0 '{"version":1,"data":{"alarm_armed":true}}' client rr -i "$id" -t "$me/desired/get" -e "$me/desired/get/response/success" -n -W 10
await logged 'broker can be reached again'

kill "$background"
background=
exec {HUB_DEV[1]}>&-
wait "$hub_pid"
verdict 'the hub ends well with its stdin' $? 0
hub_pid=
summary
