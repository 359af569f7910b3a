# What the scripts for mosquitto's clients share. It is sourced.

passed=0 failed=0
verdict() { # NAME GOT WANT
	if [ "$2" = "$3" ]; then
		passed=$((passed + 1))
		printf 'ok %s\n' "$1"
	else
		failed=$((failed + 1))
		printf 'FAILED %s\n  got:\n%s\n  want:\n%s\n' "$1" "$2" "$3"
	fi
}

# expect holds what a client prints and its exit code against: NAME EXIT-CODE OUTPUT COMMAND...
expect() {
	local name=$1 want="$3
exit code $2" got
	shift 3
	got=$("$@")
	verdict "$name" "${got}
exit code $?" "$want"
}

# await runs a command until it succeeds, for at least 15 seconds.
await() {
	local i
	for ((i = 0; i < 300; i++)); do
		"$@" && return
		sleep 0.05
	done
	verdict "await $*" failed succeeded
}

# summary ends a script.
summary() {
	printf '%s: %d passed, %d failed\n' "${0##*/}" "$passed" "$failed"
	[ "$failed" -eq 0 ]
}
