#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Calls over TLS to a real Kamailio while ClientHellos of real connections and SYNs of forged addresses come in:
# without the filter, and with it and TLS 1.3 alone. And what a ban does to a connection that is open.

# shellcheck disable=SC2034,SC2154
load common
load platform

HELLOS=10.9.0.1 NEWS=10.1.1.1 OLDS=10.1.2.1 # first addresses: of the flood, of callers with TLS 1.3, and with 1.2

setup() {
	lab_up
	platform_up
	caller=("$root/build/lab/tls_caller" --to "$SERVER")
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$room/server.key" \
		-out "$room/server.pem" -days 9 -subj /CN=sip.example.com 2>"$room/openssl.err"
	sed "s|\"server\.|\"$room/server.|" "$scenarios/kamailio-tls.cfg" >"$room/kamailio.cfg"
	kamailio_tls_start
}
teardown() { lab_down; }

kamailio_tls_start() {
	play kamailio server setsid kamailio -DD -E -m 128 -M 8 -f "$room/kamailio.cfg" -w "$room"
	wait_until 10 has_listener 5061
}

kamailio_tls_end() {
	kill -KILL -- "-${pid[kamailio]}" || true
	wait "${pid[kamailio]}" || true
	unset "pid[kamailio]"
	wait_until 10 is_free 5061 # or the next one would be taken to listen before it does
} 2>/dev/null

is_free() { ! has_listener "$1"; }

attach_for_tls() {
	config "allow: [10.1.0.0/16]" "tls: {min_version: 1.3}"
	sipdam attach edge0 --mode native --config "$room/sipdam.yaml" >"$room/attach.out"
}

# 3,000 hellos a second by connections of 200 addresses, each held for a second, and 30,000 SYNs a second from all
# over a /15, until they are ended.
floods_start() {
	start hellos world nice -n -15 "${flood_cpu[@]}" "${caller[@]}" --from $HELLOS --sources 200 --rate 3000 \
		--seconds 60 --hello
	start syns world nice -n -15 "${flood_cpu[@]}" "$root/build/lab/flood" --interface world0 --destination "$SERVER" \
		--destination-mac "$mac" --port 5061 --method SYN --source-base "$FLOOD" --random 1 --rate 30000 \
		--seconds 60 --count 1000000000
	sleep 1.5 # the bursts of the limits are spent
}

floods_end() {
	finish hellos
	finish syns
	echo "hellos $(<"$room/hellos.out")"
	echo "SYNs $(<"$room/syns.out")"
}

# Callers for so many seconds, with TLS 1.3 and with 1.2: call SECONDS
call() {
	play new world "${caller[@]}" --from $NEWS --sources 20 --rate 40 --seconds "$1" --tls 1.3
	play old world "${caller[@]}" --from $OLDS --sources 20 --rate 10 --seconds "$1" --tls 1.2
	wait_for new
	wait_for old
}

report() {
	echo "calls with TLS 1.3: $(<"$room/new.out")"
	echo "calls with TLS 1.2: $(<"$room/old.out")"
}

of() { jq "$2" "$room/$1.out"; }

@test "tls platform: without the filter floods of hellos and SYNs end the calls" {
	call 1
	report
	same "$(of new .succeeded) $(of old .succeeded)" "$(of new .calls) $(of old .calls)"
	floods_start
	call 3
	floods_end
	report | sed 's/^/# /' >&3
	(($(of new .succeeded) * 10 < $(of new .calls) * 9)) # with the filter: all
}

# 320 calls: one that failed would be more than one in a thousand.
new_succeed() { same "$(of new .succeeded)" "$(of new .calls)"; }
old_are_told() {
	same "$(of old '[.succeeded, .refused, .late]' | jq -c .)" "[0,$(of old .calls),0]" &&
		jq -e '.refused_ms | .p50 < 500 and .p99 < 2000' "$room/old.out" >/dev/null # TCP sends again after 1 s
}

flooded_calls() {
	floods_start
	call 8
	floods_end
	report | tee "$room/report"
	new_succeed && old_are_told
}

# Where others use the machine, it may stand still for longer than a second: then once more.
flooded_calls_in_time() {
	flooded_calls && return
	kamailio_tls_end
	kamailio_tls_start
	flooded_calls
}

@test "tls platform: callers with TLS 1.3 notice no flood, those with 1.2 are told at once" {
	attach_for_tls
	flooded_calls_in_time
	sed 's/^/# /' "$room/report" >&3
	(($(stat reasons.tls_version) >= $(of old .calls)))
	sipdam status --json | jq -c .tls | tee "$room/meter"
	jq -e --argjson calls "$(of new .calls)" '.chosen["1.3"] >= $calls and .chosen["1.2"] == 0' "$room/meter"
	jq -e --argjson calls "$(of old .calls)" '.offered["1.2"] >= $calls' "$room/meter"
}

options() {
	printf '%s\r\n' "OPTIONS sip:1000@$SERVER SIP/2.0" "Via: SIP/2.0/TLS caller.invalid;branch=z9hG4bK-$1" \
		'Max-Forwards: 70' 'From: <sip:a@caller.invalid>;tag=1' "To: <sip:1000@$SERVER>" "Call-ID: $1@lab" \
		"CSeq: $1 OPTIONS" 'Content-Length: 0' ''
}

answered() { grep -qs "^CSeq: $1 OPTIONS" "$room/client.out"; }
banned_at_least() { (($(stat reasons.banned) >= $1)); }

@test "tls platform: of a banned address nothing more gets through on an open connection" {
	attach_for_tls
	mkfifo "$room/words"
	exec 5<>"$room/words"
	start client world sh -c "exec openssl s_client -connect $SERVER:5061 -bind $STRANGER -quiet <words"
	options 1 >&5
	wait_until 5 answered 1
	sipdam ban add "$STRANGER" --for 10m
	options 2 >&5
	options 3 >&5
	wait_until 5 banned_at_least 3 # TCP has sent it again by now
	if answered 2 || answered 3; then
		false
	fi
	sipdam ban del "$STRANGER"
	wait_until 5 answered 3 # by TCP's next attempt
	exec 5>&-
}
