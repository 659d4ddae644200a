#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bats file_tags=unmeasured
# A filter with a deadline: what is not confirmed in time lets everything pass, whatever has died meanwhile.

load lib

setup() { machine_up; }
teardown() { machine_down; }

# A flood all of which is denied: flood COUNT
flood() { send 0 "$1"; }
dropped() { stat 0 .packets.dropped; }
spared() { stat 0 .packets.would_drop; }
status_of() { sipdam status --json | jq -c "$1"; }
seconds_left() { status_of .confirm.seconds_left; }

attach_denying() {
	echo 'deny: [198.18.0.0/15]' >sipdam.yaml
	sipdam attach e0 --config sipdam.yaml "$@"
}

# Waits until the deadline has passed, by the clock and not by what the filter says.
wait_out() { sleep "$(jq -n "$(seconds_left) + 0.05 | if . > 0 then . else 0 end")"; }

@test "confirm: nobody confirms, everything dies, and from the deadline on the flood passes" {
	run -0 attach_denying --confirm 3s
	[ "${lines[1]}" = 'in 3s everything passes, unless `sipdam confirm` comes first' ]
	start_inside "$root/build/sipdam" serve >/dev/null 2>&1
	daemon=$!
	flood 100
	counted 0 .packets.dropped 100
	[ "$(status_of '.confirm | .passed, .seconds_left > 0 and .seconds_left <= 3')" = $'false\ntrue' ]
	kill -KILL "$daemon"
	wait "$daemon" || true
	wait_out
	flood 100
	counted 0 .packets.would_drop 100
	[ "$(dropped)" = 100 ]
	[ "$(stat 0 .reasons.denied)" = 200 ]
	[ "$(status_of '.confirm | .passed, .seconds_left <= 0')" = $'true\ntrue' ]
	run -0 sipdam status
	[[ $output == *"EVERYTHING PASSES"*"sipdam confirm --late"* ]]
	run -0 sipdam stats
	[[ ${lines[0]} == "e0: native, not confirmed in time: nothing is dropped" ]]
}

@test "confirm: in time, and it goes on dropping" {
	attach_denying --confirm 2s
	flood 50
	counted 0 .packets.dropped 50
	until=$(jq -n "$(date +%s.%N) + $(seconds_left)")
	run -0 sipdam confirm
	[[ $output == "confirmed "*" s before the deadline: the filter stays in force" ]]
	[ "$(status_of .confirm)" = null ]
	sleep "$(jq -n "[$until - $(date +%s.%N) + 0.1, 0] | max")"
	flood 50
	counted 0 .packets.dropped 100
	[ "$(spared)" = 0 ]
	run -0 sipdam confirm
	[ "$output" = "no deadline is set: nothing to confirm" ]
}

@test "confirm: too late is refused, unless it is said that it is meant" {
	attach_denying --confirm 1s
	wait_out
	refused 1 'the deadline passed [0-9]+ s ago, and the filter lets everything pass: .sipdam confirm --late' \
		sipdam confirm
	flood 20
	counted 0 .packets.would_drop 20
	# Another attach is no confirmation; a new deadline is.
	run -0 sipdam attach e0
	[ "${lines[1]}" = 'its deadline has passed, so everything passes: `sipdam confirm --late` ends that' ]
	flood 20
	counted 0 .packets.would_drop 40
	run -0 sipdam confirm --late
	[[ $output == "confirmed "*" s after the deadline: the filter is in force again" ]]
	flood 20
	counted 0 .packets.dropped 20
	[ "$(status_of .confirm)" = null ]
}

@test "confirm: set, reload, lists and attach leave the deadline as it is" {
	attach_denying --confirm 1m
	left=$(seconds_left)
	same_deadline() {
		local now
		now=$(seconds_left)
		[[ $(jq -n "$now > 0 and $now < $left") == true ]] || { echo "$1: $now after $left"; return 1; }
		left=$now
	}
	sipdam set limits.unknown.invite.rate=3 mode=monitor
	same_deadline set
	sipdam deny add 203.0.113.0/24
	sipdam allow add 192.0.2.9
	sipdam allow del 192.0.2.9
	echo 203.0.113.1 >feed.txt
	sipdam deny import feed.txt
	sipdam deny flush feed.txt
	same_deadline lists
	sipdam reload
	same_deadline reload
	printf '%s\n' 'deny: [198.18.0.0/15]' 'sources: 2048' >sipdam.yaml
	sipdam reload
	same_deadline 'reload of another size'
	sipdam attach e0 e1
	same_deadline attach
	sipdam attach e0 --config sipdam.yaml --monitor
	same_deadline 'attach --config --monitor'
	sipdam detach e1
	same_deadline 'detach of one'
	run -0 sipdam attach e0 --confirm 10m
	[ "$(jq -n "$(seconds_left) > 500")" = true ]
	sipdam detach e0
	sipdam attach e0
	[ "$(status_of .confirm)" = null ]
}

@test "confirm: over a filter that runs, with another policy and without" {
	sipdam attach e0
	sipdam set limits.unknown.invite.rate=7
	sipdam attach e0 --confirm 2s
	[ "$(sipdam get limits.unknown.invite.rate)" = 7 ]
	[ "$(status_of .confirm.passed)" = false ]
	attach_denying --confirm 2s
	flood 20
	counted 0 .packets.dropped 20
	wait_out
	flood 20
	counted 0 .packets.would_drop 20
	attach_denying --confirm 1m # again: it begins anew
	flood 20
	counted 0 .packets.dropped 40
}

@test "confirm: what is no time is refused, and nothing is attached" {
	for time in '' 0 0s 60 -1s 999ms 8d 1y 1s1 s 99999999999999999999s; do
		refused 2 '--confirm takes a time from 1s to 7d such as 60s, not' sipdam attach e0 "--confirm=$time"
	done
	refused 2 'requires an argument' sipdam attach e0 --confirm
	refused 2 'unexpected argument' sipdam confirm e0
	refused 1 'nothing is attached' sipdam confirm
	nothing_left
}
