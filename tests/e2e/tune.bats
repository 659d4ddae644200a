#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Changes to the running filter, under traffic: each takes effect whole and soon, a wrong one not at all, and
# none costs a packet or lets one by. Native XDP over veth.

# shellcheck disable=SC2016,SC2034,SC2154
load common

setup() { lab_up; }
teardown() { lab_down; }

# A configuration in which nothing but the source's own bucket limits an INVITE: only_source LIMIT [LINE...]
only_source() {
	config "limits: {unknown: {invite: $1}, network: unlimited, pool: {invite: unlimited}}" "${@:2}"
}

# Runs a command that must be refused as wrong, in one line: refused COMMAND...
refused() {
	run -2 --separate-stderr sipdam "$@"
	[[ -z $output ]]
	same "${#stderr_lines[@]}" 1
	echo "$stderr"
}

# All that commands can change.
state() {
	sipdam get --json
	sipdam allow list --json
	sipdam deny list --json
}

# A stream of a listed source, of which not one packet may be lost.
stream_start() {
	sipdam allow add "$FLOOD_FIRST"
	FLOOD_RATE=20000
	sink
	flood_start --seconds 30
	wait_until 5 stream_has_begun
}

stream_has_begun() { (($(stat reasons.allowed) > 0)); }
is_running() { kill -0 "${pid[$1]}" 2>/dev/null; }

# The stream went on until here, and all of it arrived.
stream_is_whole() {
	finish flood
	sink_end
	same "$(reached)" "$(flood_result sent)"
	same "$(stat reasons.allowed)" "$(flood_result sent)"
}

# Has the capture come so many seconds further than a time? captured_until TIME SECONDS
captured_until() {
	capture_times | tail -n 1 | awk -v time="$1" -v beyond="$2" '{ last = $1 } END { exit last - time < beyond }'
}

# Whether the packets captured from 100 ms after a time on, for so many seconds, are those of a rate, within
# 1 %: follows_rate RATE TIME SECONDS. They come in groups, by the tick of the filter's clock or when the CPU
# was busy; one group, of at most a tenth of a second, may fall to either side of an end.
follows_rate() {
	capture_times | awk -v rate="$1" -v time="$2" -v seconds="$3" '
		{ at = $1 - time - 0.1 }
		at >= -0.1 && at < seconds + 0.1 { gap = at - last > gap && NR > 1 ? at - last : gap }
		at >= 0 && at < seconds { count++ }
		{ last = at }
		END {
			gap = gap < 0.1 ? gap : 0.1
			printf "rate %d: %d in %g s, groups of %.0f ms\n", rate, count, seconds, 1000 * gap
			error = count - rate * seconds
			exit (error < 0 ? -error : error) > rate * (0.01 * seconds + gap) }'
}

@test "tune: set under flood changes the admitted rate within 100 ms" {
	only_source "{rate: 500, burst: 100}"
	attach
	capture_start "net $FLOOD"
	flood_start --seconds 20
	wait_until 5 says_flood_passes 500
	local time rate
	for rate in 2000 250 1000; do
		sipdam set "limits.unknown.invite={rate: $rate, burst: $((rate / 5))}"
		time=$(date +%s.%N)
		wait_until 5 captured_until "$time" 1.2
		follows_rate "$rate" "$time" 1
	done
	finish flood
	capture_end "$(stat reasons.within_limits)"
}

says_flood_passes() { (($(stat reasons.within_limits) >= $1)); }

@test "tune: a wrong set changes nothing and loses no packet" {
	attach
	stream_start
	state >"$room/before"
	refused set nosuch.key=1
	refused set limits.unknown.invite.rate=many
	refused set limits.unknown.invite.rate=-1
	refused set limits.unknown.invite.rate=7 mode=sometimes
	refused set mode=monitor limits.unknown.invite.nosuch=7
	refused set limits.unknown.invite.burst=100 limits.unknown.invite.rate=1000000
	refused set limits.unknown.invite.rate
	refused set ports.udp=5060,99999
	state >"$room/after"
	diff "$room/before" "$room/after"
	stream_is_whole
}

# INVITEs that were judged, whatever became of them.
judged() { echo $(($(stat methods.INVITE.passed) + $(stat methods.INVITE.dropped))); }

@test "tune: a port is judged once it is set, and no longer once it is not" {
	only_source "{rate: 1000, burst: 500}"
	attach
	sipdam set ports.udp=5070
	flood --count 200 --port 5070
	same "$(judged)" 200
	flood --count 200
	same "$(judged)" 200
	(($(stat reasons.not_sip) >= 200))
}

@test "tune: a reload of a broken or missing file changes nothing and loses no packet" {
	attach
	sipdam set limits.unknown.invite.rate=17
	stream_start
	state >"$room/before"
	printf 'limits:\n  unknown:\n    invite: {rate: 5, burst: }\n' >"$room/sipdam.yaml"
	refused reload
	printf '%s\n' 'deny: [192.0.2.77]' 'limits: {pool: {invite: {rate: 5, burst: 10}}}' 'nosuch: 1' \
		>"$room/sipdam.yaml"
	refused reload
	[[ $stderr == *sipdam.yaml:3* && $stderr == *nosuch* ]]
	head -c 100000 /dev/urandom >"$room/sipdam.yaml"
	refused reload
	rm "$room/sipdam.yaml"
	refused reload
	state >"$room/after"
	diff "$room/before" "$room/after"
	stream_is_whole
}

@test "tune: reload under flood loses nothing of the listed caller, whose entry stays" {
	only_source "{rate: 500, burst: 100}"
	attach
	callee
	sink
	calls_start 4
	wait_until 5 calls_have_begun
	flood_start --seconds 30
	local reloads=0
	while is_running calls || ((reloads < 10)); do
		only_source "{rate: 500, burst: 100}" "deny: [203.0.113.$((reloads % 256))]" \
			"ports: {udp: [5060, $((6000 + reloads))]}"
		sipdam reload >/dev/null
		reloads=$((reloads + 1))
	done
	finish flood
	echo "$reloads reloads"
	calls_all_succeed
	sink_end
	same "$(reached)" "$(stat reasons.within_limits)"
	admitted "$(reached)" 100 500
	same "$(flood_seen)" "$(flood_result sent)"
}

@test "tune: fifty commands at once corrupt nothing" {
	config "limits: {unknown: {invite: {rate: 42, burst: 420}}}"
	attach
	stream_start
	local i command ids=() lost=0
	for ((i = 0; i < 50; i++)); do
		case $((i % 5)) in
		0) command=(set "limits.unknown.options.rate=$((i + 1))" "limits.unknown.options.burst=$((i + 1001))") ;;
		1) command=(deny add "203.0.113.$i") ;;
		2) command=(allow add "2001:db8:77::$i") ;;
		3) command=(reload) ;;
		4) command=(deny add "10.$i.0.0/16" --for 1h) ;;
		esac
		sipdam "${command[@]}" >"$room/parallel.$i" 2>&1 3>&- &
		ids+=($!)
	done
	for i in "${!ids[@]}"; do
		wait "${ids[i]}" || { lost=$((lost + 1)); echo "command $i: $(<"$room/parallel.$i")"; }
	done
	same "$lost" 0
	sipdam deny list --json | jq -r '.entries[].prefix' | sort >"$room/deny"
	for ((i = 0; i < 50; i++)); do
		case $((i % 5)) in 1) echo "203.0.113.$i" ;; 4) echo "10.$i.0.0/16" ;; esac
	done | sort | diff - <(sed 's|/32$||' "$room/deny")
	same "$(sipdam allow list | grep -c '^2001:db8:77:')" 10
	options_are_of_one_command
	same "$(sipdam get limits.unknown.invite.rate)" 42
	stream_is_whole
}

# Rate and burst of one `set`, or both of the file: no mixture.
options_are_of_one_command() {
	local rate burst
	rate=$(sipdam get limits.unknown.options.rate)
	burst=$(sipdam get limits.unknown.options.burst)
	echo "options: rate $rate, burst $burst"
	((rate == 5 && burst == 50 || burst == rate + 1000))
}

@test "tune: attach over attached under flood lets nothing by and keeps counters and debts" {
	only_source "{rate: 1000, burst: 500}"
	attach
	sink
	flood_start --seconds 120
	local before after turn
	for ((turn = 0; turn < 5; turn++)); do
		before=$(stat packets.dropped)
		run -0 sipdam attach edge0
		[[ $output == *"replaced in place"* ]]
		after=$(stat packets.dropped)
		((after > before))
	done
	finish flood
	sink_end
	admitted "$(reached)" 500 1000
	same "$(reached)" "$(stat reasons.within_limits)"
	same "$(flood_seen)" "$(flood_result sent)"
	same "$(sipdam get limits.unknown.invite.rate)" 1000
	sipdam allow list | grep -q "^$CALLER"
}

@test "tune: monitor mode drops nothing and counts what it would drop" {
	only_source "{rate: 1000, burst: 500}"
	attach --monitor
	sink
	FLOOD_RATE=20000
	flood
	sink_end
	same "$(reached)" "$(flood_result sent)"
	same "$(stat packets.dropped)" 0
	same "$(stat reasons.source_rate)" "$(stat packets.would_drop)"
	same "$(($(stat reasons.within_limits) + $(stat packets.would_drop)))" "$(flood_result sent)"
	admitted "$(stat reasons.within_limits)" 500 1000
}

@test "tune: leaving monitor mode under flood takes effect at once" {
	only_source "{rate: 500, burst: 100}"
	attach --monitor
	capture_start "net $FLOOD"
	FLOOD_RATE=20000
	flood_start --seconds 10
	wait_until 5 says_flood_passes 101
	sipdam set mode=enforce
	local time
	time=$(date +%s.%N)
	wait_until 5 captured_until "$time" 0.7
	finish flood
	follows_rate 500 "$time" 0.5
}

@test "tune: the filter goes on without any process of ours" {
	only_source "{rate: 1000, burst: 500}"
	attach
	sink
	flood_start
	wait_until 5 says_flood_passes 500
	for id in $(ip netns pids "$server") $(ip netns pids "$world"); do
		[[ $(readlink "/proc/$id/exe") != *sipdam* ]]
	done
	wait_for flood
	sink_end
	admitted "$(reached)" 500 1000
}

@test "tune: detach under traffic leaves nothing, and all passes again" {
	ip -n "$server" -j -d link show edge0 | jq '.[0] | del(.stats64)' >"$room/link"
	attach
	sink
	FLOOD_RATE=20000
	flood_start --seconds 10
	wait_until 5 flood_is_dropped
	ip -n "$server" link show edge0 | grep -q xdp
	sipdam detach edge0
	is_running flood
	ip -n "$server" -j -d link show edge0 | jq '.[0] | del(.stats64)' | diff "$room/link" -
	[[ -z $(find "$SIPDAM_BPFFS" -mindepth 1 ! -name '*.debug') ]]
	capture_start "net $FLOOD"
	wait_until 5 captured_at_least 5000
	finish flood
	finish capture
	run -1 sipdam stats
	[[ $output == *"nothing is attached"* ]]
}

flood_is_dropped() { (($(stat packets.dropped) > 0)); }
