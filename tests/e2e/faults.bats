#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What happens to a filter that nobody meant to harm: devices that come and go, processes that are killed, files
# half written, memory that is short. Each test prints what it measured.

load lib

setup() { machine_up; }
teardown() { machine_down; }

measured() { echo "# $*" >&3; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }

# Asks every 10 ms until a command succeeds, for so many seconds at the most: wait_until SECONDS COMMAND...
wait_until() {
	local end=$(($(now_ms) + $1 * 1000))
	shift
	until "$@"; do
		(($(now_ms) < end)) || { echo "waited in vain for: $*"; return 1; }
		sleep 0.01
	done
}

mode_of() { sipdam status --json | jq -r --arg name "$1" '.interfaces[] | select(.name == $name) | .mode'; }
is_native() { [[ $(mode_of "$1") == native ]]; }
has_xdp() { inside ip link show "$1" 2>/dev/null | grep -q xdp; }

# The daemon, with privileges or by another program that takes them away: serve [PROGRAM ARGUMENT...]
serve() {
	start_inside "$@" "$root/build/sipdam" serve 2>serve.err
	server=$!
	wait_until 5 grep -qs 'serving http' serve.err
}

metric() { inside curl -sf --max-time 5 http://127.0.0.1:9469/metrics | sed -n "s/^$1 //p"; }

# --- devices that come and go ---

@test "faults: an interface deleted and made again is protected within a second, and its counters go on" {
	sipdam attach e0 e1
	sipdam deny add 198.18.0.0/15
	serve
	[ "$(metric sipdam_reattach_enabled)" = 1 ]
	local turn begin denied=0 rate=4000 count=2000 worst=0 open took
	for ((turn = 1; turn <= 5; turn++)); do
		inside ip link del e0
		[ "$(sipdam status --json | jq -c '[.gone, .gone_interfaces, [.interfaces[].name]]')" = '[1,["e0"],["e1"]]' ]
		begin=$(now_ms)
		add_pair 0
		# What is not denied came before the filter did; nothing is counted then.
		send 0 $count --rate $rate
		wait_until 1 is_native e0
		took=$(($(now_ms) - begin))
		open=$((count - ($(stat 0 .reasons.denied) - denied)))
		denied=$(stat 0 .reasons.denied)
		worst=$((open > worst ? open : worst))
		echo "turn $turn: native $took ms after it was made, at most; $open of $count packets came before"
		((open < rate))
		[ "$(stat 0 .packets.passed)" = 0 ]
		send 0 100
		counted 0 .reasons.denied $((denied += 100))
	done
	measured "at most $((worst * 1000 / rate)) ms of a flood unfiltered"
	[ "$(grep -c 'e0: made again: attached, native' serve.err)" = 5 ]
	[ "$(inside ls /sys/fs/bpf/sipdam | grep -c '^entry_')" = 2 ]
	[ "$(sipdam status --json | jq .gone)" = 0 ]
	kill "$server"
	inside ip link del e0
	add_pair 0
	serve # one that comes later mends it too
	wait_until 1 is_native e0
	objects >objects
	kill "$server"
	sipdam detach --all
	nothing_left objects
}

@test "faults: made again under the same index, in generic mode, and by two daemons" {
	local index
	sipdam attach e0 --mode generic
	index=$(inside cat /sys/class/net/e0/ifindex)
	serve
	start_inside "$root/build/sipdam" serve --listen 127.0.0.1:9470 2>other.err
	wait_until 5 grep -qs 'serving http' other.err
	inside ip link del e0
	inside ip link add e0 index "$index" type veth peer name w0 netns "$world"
	wait_until 1 has_xdp e0
	[ "$(inside cat /sys/class/net/e0/ifindex)" = "$index" ]
	[ "$(mode_of e0)" = generic ]
	[ "$(cat serve.err other.err | grep -c 'made again')" = 1 ]
	# A program that was taken off by hand is not put back behind the operator's back.
	inside ip link set e0 xdpgeneric off
	inside ip link set e0 down
	inside ip link set e0 up
	sleep 0.2
	[ "$(mode_of e0)" = none ]
}

@test "faults: a name that was detached while it was gone is not attached again" {
	sipdam attach e0 e1
	serve
	inside ip link del e0
	run -0 sipdam detach e0
	[ "$(sipdam status --json | jq .gone)" = 0 ]
	refused 1 'detach: e0: no such interface' sipdam detach e0
	add_pair 0
	inside ip link del e1
	add_pair 1 # the near miss, and by it the end of the waiting
	wait_until 1 is_native e1
	! has_xdp e0
}

@test "faults: what cannot be attached again is told once, and the daemon goes on" {
	sipdam attach e0 e1
	serve
	inside ip link del e0
	inside ip tuntap add e0 mode tun
	wait_until 1 grep -q 'made again, and not attached: e0: its packets have no Ethernet header' serve.err
	inside ip link set e0 up
	inside ip link set e0 down
	metric sipdam_up
	[ "$(grep -c 'not attached' serve.err)" = 1 ]
	inside ip link del e0
	add_pair 0
	wait_until 1 is_native e0
}

@test "faults: a daemon without privileges says that it does not attach, once, and exports" {
	sipdam attach e0
	inside chgrp -R 65534 /sys/fs/bpf/sipdam
	serve setpriv --reuid 65534 --regid 65534 --clear-groups
	[ "$(grep -c 'made again is not attached by this process, which lacks CAP_BPF' serve.err)" = 1 ]
	[ "$(metric sipdam_reattach_enabled)" = 0 ]
	inside ip link del e0
	add_pair 0
	sleep 0.3
	! has_xdp e0
	[ "$(metric sipdam_up)" = 1 ]
	[ "$(wc -l <serve.err)" = 2 ]
	run -0 sipdam status
	[[ $output == "e0 "*"gone: deleted"*"sipdam attach"* || $output == "e0 "*"gone: deleted"* ]]
}
