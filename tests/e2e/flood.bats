#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The main job on a wire: a flood is let through exactly as far as the limits say, counted by the server that
# it hits and not only by the filter, while every call of a listed caller succeeds. Native XDP over veth.

# shellcheck disable=SC2016,SC2034,SC2154
load common

setup() { lab_up; }
teardown() { lab_down; }

# The limits of a class for a source, a network and the pool: limits invite RATE/BURST RATE/BURST RATE/BURST
limits() {
	config "limits:" "  unknown: {$1: $(limit "$2")}" "  network: $(limit "$3")" "  pool: {$1: $(limit "$4")}" \
		"verify: {enabled: false}"
}

limit() { echo "{rate: ${1%/*}, burst: ${1#*/}}"; }

# Floods the sink while the listed caller calls the callee, then compares what reached the sink with the
# bucket that admits least: accounted REASON BURST RATE FLOOD-OPTION...
accounted() {
	local reason=$1 burst=$2 rate=$3
	shift 3
	FLOOD_SECONDS=3
	attach
	callee
	sink
	calls_start $((FLOOD_SECONDS + 1))
	wait_until 5 calls_have_begun
	flood "$@"
	sink_end
	calls_all_succeed
	admitted "$(reached)" "$burst" "$rate"
	same "$(reached)" "$(stat reasons.within_limits)"
	same "$(flood_seen)" "$(flood_result sent)"
	is_a_flood
	refused_by "$reason"
}

# This limit refused, and none behind it had to.
refused_by() {
	local behind='' reason
	(($(stat "reasons.$1") > 0))
	for reason in source_rate network_rate pool_rate; do
		[[ -z $behind ]] || same "$(stat "reasons.$reason")" 0
		[[ $reason != "$1" ]] || behind=yes
	done
}

# The machine must have been able to send what the test is about.
is_a_flood() {
	cat "$room/flood.out"
	(($(flood_result rate) > FLOOD_RATE / 2 && $(flood_result 'seconds | floor') >= FLOOD_SECONDS - 1))
}

@test "flood: INVITE from one source is held to the source's limit" {
	limits invite 1000/500 3000/3000 5000/5000
	accounted source_rate 500 1000 --method INVITE
}

@test "flood: INVITE from 100 sources in one network is held to the network's limit" {
	limits invite 1000/1000 2000/1000 4000/4000
	accounted network_rate 1000 2000 --method INVITE --sources 100
}

@test "flood: INVITE from 100 sources in 100 networks is held to the pool" {
	limits invite 1000/1000 1000/1000 2000/1000
	accounted pool_rate 1000 2000 --method INVITE --sources 100 --stride 256
}

@test "flood: REGISTER from one source is held to the pool" {
	limits register 3000/3000 2000/2000 1000/500
	accounted pool_rate 500 1000 --method REGISTER
}

@test "flood: REGISTER from 100 sources in one network is held to the sources' limits" {
	limits register 50/50 8000/8000 10000/10000
	accounted source_rate 5000 5000 --method REGISTER --sources 100
}

@test "flood: REGISTER from 100 sources in 100 networks is held to the networks' limits" {
	limits register 1000/1000 50/50 10000/10000
	accounted network_rate 5000 5000 --method REGISTER --sources 100 --stride 256
}

@test "flood: the built-in limits keep a callee serving that is flooded itself, from 131,072 sources" {
	config "verify: {enabled: false}"
	attach
	callee
	capture_start udp and net "$FLOOD"
	calls_start $((FLOOD_SECONDS + 1))
	wait_until 5 calls_have_begun
	FLOOD_FIRST=$FLOOD flood --method INVITE --random 1 --destination "$SERVER"
	calls_all_succeed
	is_a_flood
	capture_end "$(stat reasons.within_limits)"
	admitted "$(captured)" 400 200 # limits.pool.invite
	same "$(flood_seen)" "$(flood_result sent)"
}

# Three calls a second of somebody whom nobody knows.
stranger_calls() { from=$STRANGER calls_start $((FLOOD_SECONDS + 1)) -r 3 -m $((3 * (FLOOD_SECONDS + 1))); }

@test "flood: from forged addresses: strangers who send again are let in, and it is not" {
	FLOOD_SECONDS=5
	attach
	callee
	sink
	FLOOD_FIRST=$FLOOD flood_start --method INVITE --random 1
	wait_until 5 strangers_must_send_twice
	stranger_calls
	wait_for calls
	same "$(calls_number 'SuccessfulCall(C)')" "$(calls_number TotalCallCreated)"
	(($(calls_number 'Retransmissions(C)') >= 1))
	wait_for flood
	sink_end
	is_a_flood
	(($(reached) >= 400 && $(reached) <= 420)) # the burst of limits.pool.invite, and what came before it was empty
	same "$(stat reasons.pool_rate)" 0
	sipdam status | grep 'strangers must send twice'
	sipdam explain "$SINK" | grep -A1 'INVITE from there would be dropped now: unverified'
}

strangers_must_send_twice() { (($(stat reasons.unverified) > 1000)); }

@test "flood: IPv6: addresses of one /64 are one source" {
	limits invite 1000/500 3000/3000 5000/5000
	attach
	at=$SERVER6 callee
	SINK=$SINK6 sink
	from=$CALLER6 to="[$SERVER6]" calls_start $((FLOOD_SECONDS + 1))
	wait_until 5 calls_have_begun
	SINK=$SINK6 FLOOD_FIRST=$FLOOD6_FIRST flood --sources 100
	sink_end
	calls_all_succeed
	is_a_flood
	admitted "$(reached "$FLOOD6")" 500 1000
	same "$(reached "$FLOOD6")" "$(stat reasons.within_limits)"
	refused_by source_rate
}

@test "flood: IPv6: a new source for every packet is held to its /48" {
	limits register 10/10 2000/1000 5000/5000
	attach
	SINK=$SINK6 sink
	SINK=$SINK6 FLOOD_FIRST=2001:db8:8000::/48 flood --method REGISTER --random 1
	sink_end
	is_a_flood
	admitted "$(reached "$FLOOD6")" 1000 2000
	same "$(reached "$FLOOD6")" "$(stat reasons.within_limits)"
	same "$(flood_seen)" "$(flood_result sent)"
	refused_by network_rate
}

@test "flood: a VLAN tag is no way around" {
	limits invite 1000/500 3000/3000 5000/5000
	attach
	capture_start vlan 7
	flood --vlan 7
	is_a_flood
	capture_end "$(stat reasons.within_limits)"
	admitted "$(captured)" 500 1000
	same "$(flood_seen)" "$(flood_result sent)"
}

@test "flood: what goes to another port passes, all of it" {
	attach
	local sink_port=40000
	sink --port 40000
	FLOOD_RATE=20000
	flood --port 40000 --sources 100
	sink_end
	is_a_flood
	same "$(reached)" "$(flood_result sent)"
	same "$(flood_seen)" 0
	same "$(stat packets.dropped)" 0
	(($(stat reasons.not_sip) >= $(flood_result sent)))
}

# sipp's own scenario with an INVITE of more than 3,000 bytes.
large_scenario() {
	sipp -sd uac | awk '{ print } /Max-Forwards/ && !done++ {
			for (i = 0; i < 40; i++)
				printf "      X-Pad-%02d: %070d\n", i, i
		}' >"$room/large.xml"
}

# Datagrams that the server's kernel put together: reassembled 4|6
reassembled() {
	if [[ $1 == 4 ]]; then
		in_server awk '$1 != "Ip:" { next } at { print $at }
			{ for (i = 1; i <= NF; i++) if ($i == "ReasmOKs") at = i }' /proc/net/snmp
	else
		in_server awk '$1 == "Ip6ReasmOKs" { print $2 }' /proc/net/snmp6
	fi
}

@test "flood: fragments: large INVITEs of strangers get through while orphans are held to their limit" {
	limits fragment 500/250 2000/2000 2000/2000
	large_scenario
	attach
	callee
	capture_start 'net 198.18.0.0/15 and ip[6:2] & 0x1fff != 0'
	from=$STRANGER calls_start $((FLOOD_SECONDS + 1)) -sf large.xml
	wait_until 5 strangers_have_begun
	flood --method FRAGMENT
	calls_all_succeed
	(($(reassembled 4) >= $(calls_number TotalCallCreated)))
	capture_end "$(captured)"
	admitted "$(captured)" 250 500
	same "$(($(captured) + $(stat reasons.fragment)))" "$(flood_result sent)"
}

strangers_have_begun() { (($(stat reasons.within_limits) > 0)); }

@test "flood: fragments: the same over IPv6" {
	limits fragment 500/250 2000/2000 2000/2000
	large_scenario
	attach
	at=$SERVER6 callee
	capture_start "net $FLOOD6 and ip6[6] = 44"
	from=$STRANGER6 to="[$SERVER6]" calls_start $((FLOOD_SECONDS + 1)) -sf large.xml
	wait_until 5 strangers_have_begun
	SINK=$SINK6 FLOOD_FIRST=$FLOOD6_FIRST flood --method FRAGMENT
	calls_all_succeed
	(($(reassembled 6) >= $(calls_number TotalCallCreated)))
	capture_end "$(captured)"
	admitted "$(captured)" 250 500
	same "$(($(captured) + $(stat reasons.fragment)))" "$(flood_result sent)"
}

@test "flood: TCP: a stranger's calls get through" {
	attach
	callee -t t1
	from=$STRANGER calls_start 2 -t t1
	calls_all_succeed
	(($(stat methods.INVITE.passed) >= $(calls_number TotalCallCreated)))
	same "$(stat packets.dropped)" 0
}

@test "flood: TCP: SYNs of one source are held to tcp_syn while calls over TCP get through" {
	limits tcp_syn 1000/500 3000/3000 5000/5000
	attach
	callee -t t1
	capture_start "tcp and net $FLOOD"
	calls_start $((FLOOD_SECONDS + 1)) -t t1
	wait_until 5 calls_have_begun
	flood --method SYN --destination "$SERVER"
	calls_all_succeed
	is_a_flood
	capture_end "$(captured)"
	admitted "$(captured)" 500 1000
	same "$(($(captured) + $(stat reasons.source_rate)))" "$(flood_result sent)"
}
