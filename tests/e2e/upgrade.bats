#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# One version over another while packets arrive: no packet goes unfiltered, none is lost or counted twice, and
# what was known goes on. build/tests has a sibling (another version, the same layout) and a newer one (a later
# layout, counters of another shape).

load lib

# Of each kind, an even number; SIPDAM_SWAPS=100 is the proof that takes ten minutes: an attach is a second of the
# kernel's verifier beside a flood.
SWAPS=${SIPDAM_SWAPS:-20}

setup() {
	machine_up
	sibling=$root/build/tests/sibling/sipdam newer=$root/build/tests/newer/sipdam
	inside nft -f - <<-'END'
		table netdev behind {
			counter flood { }
			counter stream { }
			chain ingress {
				type filter hook ingress device e0 priority 0;
				ip saddr 198.18.0.0/15 counter name flood
				ip saddr 198.51.100.10 counter name stream
			}
		}
	END
}
teardown() { machine_down; }

# Served first on a busy machine, but after the floods.
sipdam() { inside nice -n -10 "$root/build/sipdam" "$@"; }
sibling() { inside nice -n -10 "$sibling" "$@"; }
newer() { inside nice -n -10 "$newer" "$@"; }

# --- floods to e0 ---

# flood_begin NAME SOURCE RATE: until flood_end NAME, which leaves what was sent in ${sent[NAME]}.
flood_begin() {
	local mac
	mac=$(inside cat /sys/class/net/e0/address)
	(exec nsenter --target "$world" --net -- nice -n -15 "$root/build/lab/flood" --interface w0 \
		--destination 192.0.2.1 --destination-mac "$mac" --source-base "$2" --rate "$3" --seconds 230 \
		--count 100000000 "${@:4}" >"$room/$1.json" 2>"$room/$1.err" 3>&-) &
	children+=($!)
	floods[$1]=$!
}

flood_end() {
	kill -TERM "${floods[$1]}"
	wait "${floods[$1]}"
	sent[$1]=$(jq .sent "$room/$1.json")
	rate[$1]=$(jq '.rate | floor' "$room/$1.json")
}

# What of it arrived behind the filter: behind flood|stream
behind() { inside nft -j list counter netdev behind "$1" | jq '.nftables[] | .counter? // empty | .packets'; }

# Packets that the sender's device had no room for: they never came to the filter.
lost_before() { in_world ip -s -j link show w0 | jq '.[0].stats64.tx.dropped'; }

# One number by the tool that fits: seen TOOL .reasons.denied
seen_by() { "$1" stats e0 --json | jq ".interfaces[0]$2"; }

# Waits until the filter has counted as many as were sent: all_seen TOOL COUNT
all_seen() {
	local tries=250 now
	until now=$(seen_by "$1" '.reasons | .denied + .allowed + .within_limits + .source_rate') && ((now == $2)); do
		((tries-- > 0)) || { echo "counted $now of $2"; "$1" stats; return 1; }
		sleep 0.02
	done
}

deny_flood() {
	printf '%s\n' 'deny: [198.18.0.0/15]' 'allow: [198.51.100.10]' >sipdam.yaml
	sipdam attach e0 --config sipdam.yaml
}

# What an operator sees of a filter's state, whatever tool is asked.
state_of() {
	"$1" get --json
	"$1" allow list --json | jq 'del(.entries[].expires_in)'
	"$1" deny list --json | jq 'del(.entries[].expires_in)'
	"$1" ban list --json | jq '.bans | map([.address, .prefix, .times])'
	"$1" trust list --json | jq '[.. | .address? // empty]'
	"$1" stats --json
	"$1" status --json | jq 'del(.version, .confirm.seconds_left)'
}

has_something_to_lose() {
	sipdam set limits.unknown.invite.rate=7 limits.pool.invite=unlimited ports.udp=5060,5080 trust.ttl=2h
	sipdam deny add 203.0.113.0/24
	sipdam allow add 192.0.2.10 --for 2h
	printf '%s\n' 203.0.113.1 2001:db8::/48 >feed.txt
	sipdam deny import feed.txt --for 1d
	sipdam ban add 203.0.113.9 --for 1h
	sipdam trust add 203.0.113.77 --for 1h
}

# swaps_under_flood COUNT TOOL...: the tools in turn, under 100,000 denied packets a second and an allowed stream.
swaps_under_flood() {
	local count=$1 swap lost packets
	local -A floods sent rate
	shift
	deny_flood
	flood_begin stream 198.51.100.10 500
	flood_begin flood 198.18.0.1 100000 --sources 1000
	for ((swap = 0; swap < count; swap++)); do
		"${@:swap % $# + 1:1}" attach e0 >"$room/swap.out"
		grep -q '^e0: replaced in place, native$' "$room/swap.out"
	done
	flood_end flood
	flood_end stream
	lost=$(lost_before)
	packets=$((sent[flood] + sent[stream] - lost))
	echo "# $count swaps, ${sent[flood]} packets at ${rate[flood]} a second, $lost without room" >&3
	all_seen sipdam "$packets"
	[ "$(behind flood)" = 0 ]
	[ "$(stat 0 .reasons.allowed)" = "$(behind stream)" ]
	[ "$(stat 0 '.reasons | .denied + .allowed')" = "$packets" ]
	((rate[flood] > 50000))
}

@test "upgrade: swaps of two versions under 100,000 packets a second: none unfiltered or lost, each counted once" {
	swaps_under_flood "$SWAPS" sibling sipdam
	[ "$(tail -n 1 swap.out)" = "version $(sibling version | cut -d' ' -f2) -> $(sipdam version | cut -d' ' -f2)" ]
}

@test "upgrade: as many more of one version: likewise" {
	swaps_under_flood "$SWAPS" sipdam
}

@test "upgrade: to a later layout under a flood, its counters of another shape: as exact" {
	declare -A floods sent rate
	for ((round = 0; round < 5; round++)); do
		deny_flood
		lost=$(lost_before) let_in=$(behind stream)
		flood_begin stream 198.51.100.10 500
		flood_begin flood 198.18.0.1 100000 --sources 1000
		sleep 0.2
		run -0 newer attach e0
		[ "$output" = "e0: replaced in place, native"$'\n'"version $(sipdam version | cut -d' ' -f2) -> 99.0.0" ]
		sleep 0.2
		flood_end flood
		flood_end stream
		all_seen newer $((sent[flood] + sent[stream] - $(lost_before) + lost))
		[ "$(behind flood)" = 0 ]
		[ "$(seen_by newer .reasons.allowed)" = $(($(behind stream) - let_in)) ]
		newer detach --all
		nothing_left
	done
}

@test "upgrade: a source's bucket goes on: nothing is charged twice, and there is no new burst" {
	declare -A floods sent rate
	echo 'limits: {unknown: {invite: {rate: 0.002, burst: 500}}}' >sipdam.yaml
	sipdam attach e0 --config sipdam.yaml
	send 0 300
	counted 0 .reasons.within_limits 300
	sibling attach e0
	sipdam attach e0
	newer attach e0
	send 0 190
	all_seen newer 490
	[ "$(seen_by newer .reasons.source_rate)" = 0 ]
	flood_begin flood 198.18.0.1 20000
	newer attach e0
	flood_end flood
	all_seen newer $((490 + sent[flood]))
	[ "$(seen_by newer .reasons.within_limits)" = 500 ]
}

@test "upgrade: settings, lists, feeds, counters and a deadline go on" {
	deny_flood
	has_something_to_lose
	sipdam attach e0 --confirm 1h
	send 0 60
	counted 0 .reasons.denied 60
	state_of sipdam >before
	run -0 newer attach e0
	[[ $output == *"version "*" -> 99.0.0"*"everything passes, unless"* && $output != *anew* ]]
	state_of newer >after
	diff before after
	grep -q 203.0.113.77 after
	grep -q 203.0.113.9 after
	[ "$(newer status --json | jq -r .version)" = 99.0.0 ]
	[ "$(newer status --json | jq '.confirm.seconds_left > 3000')" = true ]
	[ "$(newer allow list --json | jq '.entries[] | select(.prefix == "192.0.2.10").expires_in > 7000')" = true ]
	newer deny flush feed.txt # a feed is known by its name
	[ "$(newer status --json | jq .lists.deny)" = 2 ]
	newer reload
	[ "$(newer get limits.unknown.invite.rate)" = 10 ]
	objects >objects
	newer detach --all
	nothing_left objects
}

@test "upgrade: with another configuration, and with another interface" {
	deny_flood
	has_something_to_lose
	printf '%s\n' 'deny: [198.51.100.0/24]' 'sources: 2048' >other.yaml
	run -0 newer attach e0 e1 --config other.yaml --monitor
	[[ $output == *"e1: attached, native"*"starts anew: buckets of sources, buckets of networks"* ]]
	[ "$(newer get mode)" = monitor ]
	[ "$(newer get sources)" = 2048 ]
	[ "$(newer get limits.unknown.invite.rate)" = 10 ]
	[ "$(newer deny list --json | jq -c '[.entries[].prefix] | sort')" = \
		'["198.51.100.0/24","2001:db8::/48","203.0.113.0/24","203.0.113.1"]' ]
	[ "$(newer status --json | jq -c '[.interfaces[].name]')" = '["e0","e1"]' ]
	refused 1 'ghost0: no such interface' newer attach e0 ghost0
}

@test "upgrade: an older tool leaves a newer filter alone, and says why" {
	newer attach e0
	newer deny add 198.18.0.0/15
	objects >before
	for command in "attach e0" "attach e1 --monitor" status stats "get mode" "set mode=monitor" reload \
		"deny add 192.0.2.1" "deny list" confirm "detach e0"; do
		# shellcheck disable=SC2086
		refused 1 'is of a newer version .99.0.0 with state 99., whose state this one .* cannot read: use that version, or end it with .sipdam detach --all' \
			sipdam $command
	done
	objects | diff before -
	send 0 5
	all_seen newer 5
	[ "$(behind flood)" = 0 ]
	sipdam detach --all
	nothing_left before
}

@test "upgrade: a newer tool says of an older filter that attach upgrades it" {
	deny_flood
	refused 1 'is of an older version .* with state [0-9]+; this is 99.0.0 with state 99.: .sipdam attach INTERFACE. upgrades it' \
		newer status
	refused 1 'is of an older version' newer set mode=monitor
	[ "$(sipdam get mode)" = enforce ]
}

@test "upgrade: state that is not sipdam's is refused and left alone" {
	inside mkdir /sys/fs/bpf/sipdam
	inside bpftool map create /sys/fs/bpf/sipdam/meta type array key 4 value 400 entries 1 name foreign
	inside bpftool map update pinned /sys/fs/bpf/sipdam/meta key 0 0 0 0 value \
		hex 07 $(printf 'ff %.0s' {1..399})
	refused 1 'was not made by sipdam, or is damaged: remove it' sipdam attach e0
	[ "$(inside ls /sys/fs/bpf/sipdam)" = meta ]
	run ! has_xdp e0
	inside rm /sys/fs/bpf/sipdam/meta
	inside bpftool map create /sys/fs/bpf/sipdam/meta type hash key 4 value 4 entries 1 name foreign
	refused 1 'was not made by sipdam, or is damaged' sipdam attach e0
	sipdam detach --all
	nothing_left
}

@test "upgrade: what cannot be loaded leaves the old filter running" {
	deny_flood
	sipdam set limits.unknown.invite.rate=7
	sipdam deny add 203.0.113.0/24
	send 0 5
	counted 0 .reasons.denied 5
	fingerprint >"$room/before"
	refused 1 'loading the filter|Too many open files' inside prlimit --nofile=16 "$newer" attach e0
	untouched
	refused 1 'loading the filter|Too many open files' inside prlimit --nofile=16 "$sibling" attach e0
	untouched
	inside bpftool map create /sys/fs/bpf/sipdam_next type array key 4 value 4 entries 1 name foreign
	refused 1 'sipdam_next: ' newer attach e0
	[ "$(sipdam get mode)" = enforce ]
	inside rm /sys/fs/bpf/sipdam_next
	untouched
	newer attach e0
	send 0 5
	all_seen newer 10
}

# A tool that dies at the very call by which the new state takes the old one's place: the new filter runs already.
die_at_the_exchange() {
	echo '#include <signal.h>
		int renameat2(void) { return raise(SIGKILL); }' >die.c
	gcc -shared -fPIC -o die.so die.c
	run -137 inside env LD_PRELOAD="$PWD/die.so" "$newer" attach e0
}

@test "upgrade: killed between the swap and the change of state, then attached again" {
	deny_flood
	has_something_to_lose
	send 0 100
	counted 0 .reasons.denied 100
	before=$(filter_program)
	die_at_the_exchange
	[ "$(filter_program)" != "$before" ]
	refused 1 'is of an older version' newer status
	send 0 50
	sleep 0.2
	[ "$(behind flood)" = 0 ]
	run -0 newer attach e0
	[ "$output" = "e0: replaced in place, native" ]
	all_seen newer 150
	[ "$(newer get limits.unknown.invite.rate)" = 7 ]
	[ "$(newer deny list --json | jq '.entries | length')" = 4 ]
	newer detach --all
	nothing_left
	# The same, and the older version goes on as if nothing had been.
	deny_flood
	die_at_the_exchange
	sipdam attach e0
	send 0 50
	counted 0 .reasons.denied 50
	newer attach e0
	all_seen newer 50
	newer detach --all
	nothing_left
}

@test "upgrade: killed at any instant: the old filter or the new one runs, and the next attach mends" {
	declare -A floods sent rate
	deny_flood
	begin=$(date +%s%N)
	newer attach e0
	took=$((($(date +%s%N) - begin) / 1000))
	newer detach --all
	RANDOM=5060 upgraded=0
	for ((i = 0; i < 25; i++)); do
		deny_flood
		has_something_to_lose
		flood_begin flood 198.18.0.1 20000
		start_inside "$newer" attach e0 >/dev/null 2>&1
		victim=$!
		instant=$((took * (i * 100 + RANDOM % 100) / 1000)) # up to 2.5 times as long: the flood slows it
		sleep "$((instant / 1000000)).$(printf %06d $((instant % 1000000)))"
		kill -KILL "$victim" 2>/dev/null || true
		wait "$victim" 2>/dev/null || true
		! newer status >/dev/null 2>&1 || upgraded=$((upgraded + 1))
		flood_end flood
		newer attach e0 >/dev/null
		send 0 10
		all_seen newer $((sent[flood] + 10))
		[ "$(newer get limits.unknown.invite.rate)" = 7 ]
		[ "$(newer deny list --json | jq '.entries | length')" = 4 ]
		newer detach --all
		nothing_left
	done
	echo "# $upgraded of 25 were upgraded when they were killed" >&3
	((upgraded > 0 && upgraded < 25)) # so both sides of the swap were met
	[ "$(behind flood)" = 0 ]
}

@test "upgrade: attaches of several versions at once come one after the other" {
	deny_flood
	jobs=()
	for tool in newer sibling sipdam newer sibling sipdam; do
		"$tool" attach e0 e1 >"out.${#jobs[@]}" 2>&1 3>&- &
		jobs+=($!)
	done
	failed=0
	for job in "${jobs[@]}"; do
		wait "$job" || failed=$((failed + 1))
	done
	cat out.*
	((failed <= 4))
	[ "$(grep -l 'is of a newer version' out.* | wc -l)" = $failed ]
	send 0 5
	all_seen newer 5
	[ "$(behind flood)" = 0 ]
	[ "$(newer status --json | jq -c '[.interfaces[].name, .version]')" = '["e0","e1","99.0.0"]' ]
	newer detach --all
	nothing_left
}
