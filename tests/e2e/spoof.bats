#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A flood whose every packet has another source, on a real platform that lists nobody: phones that have registered
# are known from the server's own answers and call as if there were none, new ones get in by sending again, and the
# server gets of the flood what its pool allows.

# shellcheck disable=SC2030,SC2031,SC2034,SC2154
load common
load platform

PHONES=500 NEW_PHONES=20 SCENE_SECONDS=8
SPOOFED=11.0.0.0/8 # nobody's here: what Kamailio answers to them ends in the world

setup() {
	lab_up
	platform_up
	in_server ethtool -K edge0 gro on # or nothing takes live frames there without a filter
	addresses_of 10.5 25 $((PHONES / 25)) >"$room/addresses.csv"
}
teardown() { lab_down; }

# An injection file of sipp: addresses_of PREFIX NETWORKS HOSTS
addresses_of() {
	local network host
	echo SEQUENTIAL
	for ((host = 1; host <= $3; host++)); do
		for ((network = 1; network <= $2; network++)); do
			echo "$1.$network.$host;"
		done
	done
}

# All phones register, in peace, half as fast as the pool admits: 50 a second, with two requests each.
phones_register() {
	clients phones register 5070 50 $((PHONES / 50))
	wait_for phones
	same "$(successful phones)" "$PHONES"
}

# Calls of the registered phones, and in the middle of them new phones, of addresses that nobody has had before,
# that register for the first time: phones_call PREFIX
phones_call() {
	addresses_of "$1" 1 "$NEW_PHONES" >"$room/new.csv"
	rm -f "$room"/caller_*_rtt.csv
	counts_before=$(scene_counts)
	clients calls caller 5060 "$CALL_RATE" "$SCENE_SECONDS"
	sleep 2
	be_patient new
	play new world timeout --signal=KILL 20 sipp "$SERVER:5060" -sf "$scenarios/register.xml" -t ui -i "$1.1.1" \
		-p 5080 -inf "$room/new.csv" -r "$NEW_PHONES" -m "$NEW_PHONES" -max_socket 1000 -nostdin \
		-trace_stat -stf new.csv.out -fd 1 "${patient[@]}"
	{
		wait_for calls >"$room/calls.end" || true
		wait_for new >"$room/new.end" || true
	} 2>"$room/scene.err"
}

# Begins, and the bursts of the pools are spent: spoofed_flood FLOOD-OPTION...
spoofed_flood() {
	local sent_before
	seen_before=$(filter_saw) sent_before=$(world_sent)
	start flood world nice -n -15 "${flood_cpu[@]}" "$root/build/lab/flood" --interface world0 \
		--destination "$SERVER" --destination-mac "$mac" --source-base "$SPOOFED" --random 7 \
		--method INVITE,REGISTER --seconds 60 --count 1000000000 "$@"
	wait_until 10 world_has_sent $((sent_before + 2000))
}

world_sent() { ip -n "$world" -s -j link show world0 | jq '.[0].stats64.tx.packets'; }
world_has_sent() { (($(world_sent) >= $1)); }

# As fast as one CPU sends what it then also receives; where there is one CPU alone, not beside the platform.
full_flood() {
	if ((${#flood_cpu[@]})); then
		spoofed_flood --rate 0 --live
	else
		spoofed_flood --rate 200000
	fi
}

# Packets that the filter has judged, of its own counters; 0 without it.
filter_saw() { sipdam stats edge0 --json 2>/dev/null | jq '.interfaces[0].packets | .passed + .dropped' | grep '[0-9]' || echo 0; }

# What arrived at the filter while the flood went on, packets a second, all but a few thousand of them the flood's.
arrived() { echo "$(filter_saw) $seen_before $(flood_result seconds)" | awk '{ print int(($1 - $2) / $3) }'; }

new_column() { mv "$room/new.csv.out" "$room/newcomers.csv" 2>/dev/null || true; column newcomers "$1"; }

report() {
	echo "# calls $(successful calls) of $((CALL_RATE * SCENE_SECONDS)), setup $(delay caller 50) ms and 99 of 100" \
		"within $(delay caller 99) ms; new phones $(new_column 'SuccessfulCall(C)') of $NEW_PHONES," \
		"$(new_column 'Retransmissions(C)') requests sent again" >&3
}

# Hundredths of a second that the server's processes have computed. Other processes may end while theirs are read.
served() {
	cat /proc/[0-9]*/stat 2>/dev/null |
		awk -v group="${pid[kamailio]}" '$5 == group { ticks += $14 + $15 } END { print ticks + 0 }'
}

platform_begin() {
	kamailio_start
	callee_start
	sipdam attach edge0 --mode native --config "$room/sipdam.yaml" >"$room/attach.out"
}

@test "spoofed flood: registered phones call on, new ones get in, the server gets what its pool allows" {
	local quiet before seconds passed busy served
	platform_begin
	phones_register
	same "$(sipdam trust list --json | jq '.trusted | length')" "$PHONES"
	busy=$(served)
	phones_call 10.6
	busy=$(($(served) - busy))
	report
	same "$(successful calls)" $((CALL_RATE * SCENE_SECONDS))
	quiet=$(delay caller 50)
	full_flood
	before=$(stat reasons.within_limits) seconds=$SECONDS served=$(served)
	phones_call 10.7
	served=$(($(served) - served)) passed=$(($(stat reasons.within_limits) - before)) seconds=$((SECONDS - seconds + 1))
	finish flood
	report
	echo "# flood of $(flood_result rate) a second, of which $(arrived) arrived; let in $passed in $seconds s; the" \
		"server computed for $served hundredths of a second, without a flood for $busy" >&3
	((${#flood_cpu[@]} == 0 || $(arrived) >= 200000))
	(($(successful calls) * 1000 >= 999 * CALL_RATE * SCENE_SECONDS)) || { why calls && false; }
	(($(delay caller 50) <= quiet + 20))
	same "$(new_column 'SuccessfulCall(C)')" "$NEW_PHONES"
	(($(new_column 'Retransmissions(C)') >= NEW_PHONES)) # strangers: the first copy of their first request is dropped
	(($(new_column 'Retransmissions(C)') <= 2 * 2 * NEW_PHONES))
	# Both pools, a second of bursts, and what is asked of nobody: answers and keepalives.
	((passed <= 2 * (200 * seconds + 400) + 1000))
	(($(stat reasons.unverified) > 100000))
	((served <= 2 * busy + 100)) # 400 requests a second more, of calls that it relays by the message
	platform_end 2>"$room/scene.err"
}

# --- the same by replay ---

# All that a scene sends and receives, on the world's end of the wire, where what the filter drops is seen too.
capture_scene() {
	start capture world timeout 60 tcpdump -i world0 -n -Z root -s 0 -B 65536 -U -w scene.pcap udp
	wait_until 5 says capture 'listening on'
}

# Packets of the capture to or from the server: crossed dst|src
crossed() { tcpdump -n -r "$room/scene.pcap" "$1" host "$SERVER" 2>/dev/null | wc -l; }

# The filter has counted as many that came, and the program for what leaves as many that left.
capture_is_whole() {
	(($(crossed dst) == $(stat 'reasons | del(.not_sip, .egress, .reflection) | add'))) &&
		(($(crossed src) == $(stat 'reasons | .egress + .reflection')))
}

# By reason, to the packet; but which packet of a stranger is the first that a pool has no token for depends on the
# tick of the clock, 4 ms for the live filter and none for the capture: what the pools let in may differ by 1 %.
same_by_replay() {
	local live replayed reason
	live=$(stat reasons) replayed=$(jq .reasons "$room/replay.json")
	same "$(by_reason "$live")" "$(by_reason "$replayed")"
	for reason in within_limits pool_rate unverified; do
		echo "# $reason: live $(jq ".$reason" <<<"$live"), by replay $(jq ".$reason" <<<"$replayed")" >&3
		jq -n --argjson a "$(jq ".$reason" <<<"$live")" --argjson b "$(jq ".$reason" <<<"$replayed")" \
			--argjson in "$(jq .within_limits <<<"$live")" '($a - $b | fabs) * 100 <= $in' | grep -q true
	done
}

by_reason() {
	jq -c '.strangers = .within_limits + .pool_rate + .unverified
		| del(.not_sip, .within_limits, .pool_rate, .unverified)' <<<"$1"
}

@test "spoofed flood: a capture of it, replayed with --local, gives the same verdicts" {
	local PHONES=50 SCENE_SECONDS=3 NEW_PHONES=10
	addresses_of 10.5 25 2 >"$room/addresses.csv"
	capture_scene
	platform_begin
	phones_register
	spoofed_flood --rate 10000 --seen # slow enough to be captured whole
	phones_call 10.7
	finish flood
	report
	platform_end 2>"$room/scene.err"
	wait_until 5 capture_is_whole || { stat reasons && false; }
	finish capture
	says capture '^0 packets dropped by kernel'
	sipdam replay --json --local "$SERVER" "$room/scene.pcap" >"$room/replay.json"
	(($(stat reasons.trusted) > 300 && $(stat reasons.peer) > 500 && $(stat reasons.unverified) > 10000))
	same_by_replay
}

# What that is worth: the same without the filter.
@test "spoofed flood: without the filter it ends the calls" {
	local served
	kamailio_start
	callee_start
	full_flood
	served=$(served)
	phones_call 10.6
	served=$(($(served) - served))
	finish flood
	report
	echo "# flood of $(flood_result rate) a second; the server computed for $served hundredths of a second" >&3
	(($(successful calls) * 2 < CALL_RATE * SCENE_SECONDS))
	platform_end 2>"$room/scene.err"
}

# --- a customer's address in somebody else's hands ---

customer_calls() {
	printf 'SEQUENTIAL\n10.5.1.1;\n' >"$room/addresses.csv"
	rm -f "$room"/caller_*_rtt.csv
	clients calls caller "$1" 10 2
	wait_for calls
	same "$(successful calls)" 20
}

@test "spoofed flood: in a customer's name: limited, never banned, and the customer calls again at once" {
	config "ban: {drops: 10}"
	platform_begin
	phones_register
	customer_calls 5060
	FLOOD_FIRST=10.5.1.1
	start flood world "$root/build/lab/flood" --interface world0 --destination "$SERVER" --destination-mac "$mac" \
		--source-base "$FLOOD_FIRST" --rate 5000 --seconds 3 --count 15000 --method INVITE
	wait_for flood
	(($(stat reasons.source_rate) > 10000))
	same "$(sipdam ban list --json | jq -c .bans)" "[]"
	same "$(sipdam explain 10.5.1.1 --json | jq -r .tier)" trusted
	customer_calls 5061
	(($(delay caller 99) < 1000))
	same "$(stat reasons.banned)" 0
	platform_end 2>"$room/scene.err"
}
