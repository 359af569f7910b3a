#!/usr/bin/env bash
# mosquitto's clients against a hub over TLS, with a certificate and with a secret, set up as an
# operator does it: what they print and their exit codes, and who is refused.
#
#   HUB=/path/of/the/program interop/mosquitto-tls.sh
set -uo pipefail

: "${HUB:?is not set: run scripts/interop}"
. "$(dirname "$0")/expect.sh"
dir=$(mktemp -d)
hub_pid=
finish() {
	[ -z "$hub_pid" ] || { kill "$hub_pid" && wait "$hub_pid"; } 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT
export HUB_DATA=$dir/data
me='$SCW/twins/me'

# Two devices, of which each has a credential of its own and must not write desired.
token=$("$HUB" token add app 2>>"$dir/hints")
panel=$("$HUB" device add panel --read-only desired --out "$dir/panel" 2>>"$dir/hints" | jq -r .id)
meter=$("$HUB" device add meter --secret --read-only desired --out "$dir/meter" 2>>"$dir/hints" | jq -r .id)

# Two credentials from elsewhere: a certificate by nobody, in the panel's name, and another hub's panel.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=panel \
	-keyout "$dir/own.key" -out "$dir/own.pem" 2>/dev/null
"$HUB" device add panel --out "$dir/elsewhere" --data "$dir/data2" >/dev/null 2>>"$dir/hints"

"$HUB" --mqtt '' --mqtts 127.0.0.1:0 --rest 127.0.0.1:0 --name localhost >"$dir/out" 2>"$dir/log" &
hub_pid=$!
listening() { [ "$(wc -l <"$dir/out")" -ge 2 ]; }
await listening
address=$(sed -n 's,^MQTT over TLS at mqtts://,,p' "$dir/out")
rest=$(sed -n 's,^REST at ,,p' "$dir/out")
[ -n "$address" ] && [ -n "$rest" ] || { echo "mosquitto-tls.sh: the hub did not start:" >&2; cat "$dir/log" >&2; exit 1; }

# A client of each device, with all that it needs. Options that come twice count the last time.
client() { # pub|sub|rr OPTION...
	"mosquitto_$1" -V mqttv311 -h localhost -p "${address##*:}" "${@:2}" 2>&1
}
as_panel() { client "$1" -i "$panel" --cafile "$dir/panel/ca.pem" --cert "$dir/panel/cert.pem" --key "$dir/panel/key.pem" "${@:2}"; }
as_meter() { client "$1" -i "$meter" -u "$meter" -P "$(cat "$dir/meter/secret")" --cafile "$dir/meter/ca.pem" "${@:2}"; }

# app does what an app does: METHOD DEVICE DOCUMENT [BODY].
app() { curl -sS -X "$1" -H "X-Auth-Token: $token" "$rest/twins/$2/documents/$3" ${4+-d "$4"}; }
refused() { grep -qF "$1" "$dir/log"; } # tells whether the hub's log has a reason

for as in as_panel as_meter; do
	name=${as#as_} id=$panel
	[ "$name" = panel ] || id=$meter
	expect "$name: put" 0 '' "$as" pub -q 1 -t "$me/current/put" -m '{"data":{"alarm_armed":false}}'
	verdict "$name: put: written" "$(app GET "$id" current | jq -c .data)" '{"alarm_armed":false}'
	expect "$name: get" 0 '{"version":1,"data":{"alarm_armed":false}}' \
		"$as" rr -t "$me/current/get" -e "$me/current/get/response/success" -n -W 10
	app PUT "$id" desired '{"data":{"alarm_armed":true}}' >/dev/null
	expect "$name: notice" 0 "$me/desired/changed {\"version\":1}" "$as" sub -C 1 -v -t "$me/desired/changed" -W 10
	expect "$name: put of a document that it may only read" 0 '{"error":"permission denied"}' \
		"$as" rr -t "$me/desired/put" -e "$me/desired/put/response/error" -m '{"data":{"alarm_armed":false}}' -W 10
	expect "$name: patch of it" 0 '{"error":"permission denied"}' \
		"$as" rr -t "$me/desired/patch" -e "$me/desired/patch/response/error" -m '{"data":{"alarm_armed":false}}' -W 10
	expect "$name: by its id as well" 0 '{"error":"permission denied"}' \
		"$as" rr -t "\$SCW/twins/$id/desired/put" -e "\$SCW/twins/$id/desired/put/response/error" -m '{"data":{"alarm_armed":false}}' -W 10
	verdict "$name: desired is what the app wrote" "$(app GET "$id" desired | jq -c '[.version, .data]')" '[1,{"alarm_armed":true}]'
done

# Where else the secret can stand: in a file that only its owner can read, and not on the command line.
mkdir "$dir/config"
(umask 077 && printf -- '-P %s\n' "$(cat "$dir/meter/secret")" >"$dir/config/mosquitto_rr")
from_config() { XDG_CONFIG_HOME=$dir/config client rr -i "$meter" -u "$meter" --cafile "$dir/meter/ca.pem" "$@"; }
expect 'secret from a file of options' 0 '{"version":1,"data":{"alarm_armed":false}}' \
	from_config -t "$me/current/get" -e "$me/current/get/response/success" -n -W 10
expect 'secret with another client id' 0 '{"version":1,"data":{"alarm_armed":false}}' \
	as_meter rr -i tool -t "$me/current/get" -e "$me/current/get/response/success" -n -W 10
expect 'certificate with another client id' 0 '{"version":1,"data":{"alarm_armed":false}}' \
	as_panel rr -i tool -t "$me/current/get" -e "$me/current/get/response/success" -n -W 10

# Who is refused, and what the hub logs for those who have to find out why.
no='Connection error: Connection Refused: not authorised.'
any=(-t "$me/#" -W 10)
expect 'nothing but the id' 5 "$no" client sub -i "$panel" --cafile "$dir/panel/ca.pem" "${any[@]}"
await refused 'the id alone does not open this device: it needs its certificate or secret (hub device renew), or hub device set --allow-insecure'
expect 'wrong secret' 5 "$no" as_meter sub -P wrong "${any[@]}"
await refused "password is not the device's secret: see hub device renew --secret"
expect 'no secret' 5 "$no" client sub -i "$meter" -u "$meter" --cafile "$dir/meter/ca.pem" "${any[@]}"
expect 'a token for a secret' 5 "$no" as_meter sub -P "$token" "${any[@]}"
expect "a secret for another device's" 5 "$no" as_meter sub -i "$panel" -u "$panel" "${any[@]}"
expect "a certificate with another device's id" 5 "$no" as_panel sub -i "$meter" "${any[@]}"
await refused "client id or user name is the id of another device than the certificate's"
expect "a certificate with another device's id and secret" 5 "$no" as_panel sub -i "$meter" -u "$meter" -P "$(cat "$dir/meter/secret")" "${any[@]}"
expect 'a certificate that nobody signed' 5 "$no" as_panel sub --cert "$dir/own.pem" --key "$dir/own.key" "${any[@]}"
expect "another hub's certificate" 5 "$no" as_panel sub --cert "$dir/elsewhere/cert.pem" --key "$dir/elsewhere/key.pem" "${any[@]}"
"$HUB" device disable panel >/dev/null
expect 'disabled' 5 "$no" as_panel sub "${any[@]}"
"$HUB" device enable panel >/dev/null

# Whom the clients refuse.
tls="A TLS error occurred." # in one of two sentences, with one of two exit codes, none of them 0
tls_error() { "$@" | grep -oF "$tls"; [ "${PIPESTATUS[0]}" -ne 0 ]; }
expect "another hub's authority" 0 "$tls" tls_error as_panel sub --cafile "$dir/elsewhere/ca.pem" "${any[@]}"
expect 'authorities of the system' 0 "$tls" tls_error client sub -i "$panel" --tls-use-os-certs "${any[@]}"
expect 'a host that the certificate is not for' 0 "$tls" tls_error as_panel pub -h 127.0.0.1 -t "$me/current/put" -m '{}'

# What is renewed needs no restart. Devices that have the old authority alone stay.
issuer() { openssl s_client -connect "$address" </dev/null 2>/dev/null | openssl x509 -noout -issuer; }
renewed() { [ "$(issuer)" != "$before" ]; }
get=(-t "$me/current/get" -e "$me/current/get/response/success" -n -W 10)
answer='{"version":1,"data":{"alarm_armed":false}}'
before=$(issuer)
"$HUB" ca renew server >/dev/null 2>>"$dir/hints"
await renewed
expect 'new authority: a device that has the old one' 0 "$answer" as_panel rr "${get[@]}"
"$HUB" ca export >"$dir/both.pem"
expect 'new authority: a device that has both' 0 "$answer" as_panel rr --cafile "$dir/both.pem" "${get[@]}"
sed '/END CERTIFICATE/q' "$dir/both.pem" >"$dir/new.pem"
expect 'new authority: a device that has the new one' 0 "$answer" as_panel rr --cafile "$dir/new.pem" "${get[@]}"
"$HUB" device renew panel --out "$dir/panel2" >/dev/null 2>>"$dir/hints"
expect 'new certificate: the old one' 5 "$no" as_panel sub "${any[@]}"
expect 'new certificate' 0 "$answer" as_panel rr --cert "$dir/panel2/cert.pem" --key "$dir/panel2/key.pem" "${get[@]}"
"$HUB" device renew meter --secret --out "$dir/meter2" >/dev/null 2>>"$dir/hints"
expect 'new secret: the old one' 5 "$no" as_meter sub "${any[@]}"
expect 'new secret' 0 "$answer" as_meter rr -P "$(cat "$dir/meter2/secret")" "${get[@]}"

verdict 'no secret is in the log' "$(grep -cF -e "$(cat "$dir/meter/secret")" -e "$(cat "$dir/meter2/secret")" -e "$token" "$dir/log")" 0
kill "$hub_pid"
wait "$hub_pid"
verdict 'the hub ends well' $? 0
hub_pid=
summary
