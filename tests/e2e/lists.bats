#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Large lists on the running filter: imported under a flood, exchanged at once, killed half way.
# Native XDP over veth.

# shellcheck disable=SC2016,SC2034,SC2154
load common

setup() { lab_up; }
teardown() { lab_down; }

# Feeds of different prefixes: feed NAME FIRST-OCTET COUNT. Single addresses, IPv6 among them, and some /24.
feed() {
	awk -v first="$2" -v count="$3" 'BEGIN {
		for (i = 0; i < count; i++) {
			if (i % 10 == 9) printf "2001:db8:%x:%x::%x\n", first, i / 65536, i % 65536
			else if (i % 10 == 8) printf "%d.%d.%d.0/24\n", first, i / 256 % 256, i % 256
			else printf "%d.%d.%d.%d\n", first + 10, i / 65536 % 256, i / 256 % 256, i % 256
		} }' >"$room/$1"
}

# Packets of an interface that had a reason: reason_count REASON
reason_count() { sipdam stats --json | jq ".interfaces[0].reasons.$1"; }

listed() { sipdam status --json | jq ".lists.$1"; }

@test "lists: a million prefixes are imported, counted, listed and flushed" {
	local began
	sipdam attach edge0
	sipdam deny add 203.0.113.1
	feed million 20 1000000
	began=${EPOCHREALTIME/./}
	(cd "$room" && sipdam deny import million)
	echo "# imported in $(((${EPOCHREALTIME/./} - began) / 1000)) ms" >&3
	((${EPOCHREALTIME/./} - began < 10000000))
	(($(listed deny) > 900000))
	(($(sipdam deny list | wc -l) == $(listed deny)))
	sipdam deny list --json | jq -e '.entries | length > 900000' >/dev/null
	sipdam deny flush million
	same "$(listed deny)" 1
}

@test "lists: what is in the old and in the new list is dropped throughout, what is in neither never" {
	config 'limits: {unknown: {invite: unlimited}, network: unlimited, pool: {invite: unlimited}}'
	attach
	feed one 20 5000
	feed two 60 7000
	for name in one two; do echo "$FLOOD_FIRST" >>"$room/$name"; done
	cp "$room/one" "$room/feed"
	(cd "$room" && sipdam deny import feed)
	FLOOD_RATE=20000
	sink
	flood_start --seconds 60
	start unlisted world "$root/build/lab/flood" --interface world0 --destination "$SINK" --destination-mac "$mac" \
		--source-base 198.19.0.1 --rate 2000 --seconds 60
	seen() { (($(reason_count denied) > 1000 && $(reason_count within_limits) > 100)); }
	wait_until 5 seen
	for ((i = 0; i < 100; i++)); do
		cp "$room/two" "$room/feed"
		(cd "$room" && sipdam deny import feed) >/dev/null
		cp "$room/one" "$room/feed"
		(cd "$room" && sipdam deny import feed) >/dev/null
	done
	finish flood
	finish unlisted
	# But for those that the sender's device had no room for, every packet is counted, and by its source alone.
	local in_both=$(jq .sent "$room/flood.out") in_neither=$(jq .sent "$room/unlisted.out") lost
	lost=$(ip -n "$world" -s -j link show world0 | jq '.[0].stats64.tx.dropped')
	all_counted() { (($(reason_count denied) + $(reason_count within_limits) + lost == in_both + in_neither)); }
	wait_until 5 all_counted
	echo "# 200 imports: $in_both packets of a source in both, $in_neither of one in neither, $lost without room" >&3
	(($(reason_count denied) <= in_both && $(reason_count within_limits) <= in_neither))
	(($(reason_count denied) > 2000 && $(reason_count within_limits) > 200))
}

@test "lists: an import killed at any instant leaves the old list or the new" {
	sipdam attach edge0
	feed old 20 1000
	feed new 60 200000
	cp "$room/old" "$room/feed"
	(cd "$room" && sipdam deny import feed)
	local old new
	old=$(listed deny)
	new=$(sort -u "$room/new" | wc -l)
	cp "$room/new" "$room/feed"
	for ((i = 1; i <= 20; i++)); do
		(cd "$room" && timeout -s KILL "0.0$((i * 4 % 10))$i" nsenter --net="/run/netns/$server" "$root/build/sipdam" deny import feed) || true
		[[ $(listed deny) == "$old" || $(listed deny) == "$new" ]]
		same "$(sipdam deny list | wc -l)" "$(listed deny)"
	done
	(cd "$room" && sipdam deny import feed)
	same "$(listed deny)" "$new"
}

# The longest time that a CPU was not to be had while a command ran and the kernel freed what it left behind, in
# microseconds: held_up COMMAND...
held_up() {
	start stall server "$root/build/lab/stall"
	sleep 0.2
	"$@" >"$room/held_up.out"
	sleep 1
	finish stall
	jq .longest_us "$room/stall.out"
}

# Pieces of lists and books that the kernel holds.
pieces() { bpftool -j map show | jq '[.[] | select(.name == "list" or .name == "book")] | length'; }

@test "lists: a list of a million that is freed holds no CPU up" {
	local held least=1000000 quiet took
	sipdam attach edge0
	feed million 20 1000000
	for ((i = 0; i < 5 && least > 5000; i++)); do # the host of a virtual machine may take a CPU away
		(cd "$room" && sipdam deny import million)
		held=$(pieces)
		quiet=$(held_up true)
		took=$(held_up sipdam deny flush million)
		(($(pieces) < held)) # so it was freed meanwhile
		echo "# a million freed: no CPU was away for more than $took us, and $quiet us without" >&3
		least=$((took < least ? took : least))
	done
	((least <= 5000))
}

@test "lists: deny add and deny import say where allow wins" {
	local one='1 prefix shares addresses with the allow list, and allow wins:'
	local long=2001:db8:aaaa:bbbb:cccc:dddd:eeee:fff0
	sipdam attach edge0
	sipdam allow add 192.0.2.0/24 2001:db8::1 "$long/126"
	run -0 sipdam deny add 192.0.2.7 198.51.100.1
	same "$output" "$one"$'\n  192.0.2.7  still let in: inside 192.0.2.0/24'
	run -0 sipdam deny add 203.0.113.1
	same "$output" ""
	run -0 sipdam allow add 203.0.113.1
	same "$output" ""
	run -0 sipdam deny add 2001:db8::/64 192.0.2.200/31
	same "$output" "2 prefixes share addresses with the allow list, and allow wins:
  192.0.2.200/31  still let in: inside 192.0.2.0/24
  2001:db8::/64   partly let in, such as 2001:db8::1"
	run -0 sipdam deny add "$long/127"
	same "$output" "$one
  $long/127
      still let in: inside $long/126"
	mkdir "$room/$(printf 'folder%.0s' {1..20})"
	cd "$room"/folder*
	printf '192.0.2.9\n198.18.0.9\n' >feed
	run -0 sipdam deny import "$PWD/feed"
	same "$output" "feed: 2 prefixes in the deny list
$one
  192.0.2.9  still let in: inside 192.0.2.0/24"
	printf '192.0.2.%s\n' {101..111} "7" >feed
	run -0 sipdam deny import feed
	same "${lines[0]}" "feed: 12 prefixes in the deny list"
	same "${lines[1]}" "12 prefixes share addresses with the allow list, and allow wins:"
	same "${lines[2]}" "  192.0.2.7    still let in: inside 192.0.2.0/24"
	same "${#lines[@]} ${lines[12]}" "13   and 2 more"
}

@test "lists: expired entries count no more" {
	sipdam attach edge0
	sipdam deny add 192.0.2.1
	sipdam deny add 192.0.2.2 --for 1s
	same "$(listed deny)" 2
	expired() { (($(listed deny) == 1)); }
	wait_until 5 expired
	same "$(sipdam deny list | wc -l)" 1
	# A feed without an entry in force gives its name up to the next; 24 may have one.
	for i in {1..24}; do
		echo "203.0.113.$i" >"$room/feed.$i"
		sipdam deny import "$room/feed.$i" --for "$((i == 7 ? 1 : 3600))s" >/dev/null
	done
	echo 203.0.113.99 >"$room/feed.99"
	expired() { sipdam deny import "$room/feed.99"; }
	wait_until 5 expired
	same "$(listed deny)" 25
	sipdam deny list | grep -q 'feed feed.99'
	run -1 sipdam deny import "$room/feed.7"
	[[ $output == *"24 feeds are imported already"* ]]
}
