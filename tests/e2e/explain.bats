#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bats file_tags=unmeasured
# `explain` and `top` of a running filter: what they say, in text and JSON, to root and to others. That an
# explanation is what the program then does is tests/prog/explain_test.c's.

# shellcheck disable=SC2154
load lib

setup() { machine_up; }
teardown() { machine_down; }

LOUD=198.18.0.1

# One answer of explain: told ADDRESS FILTER
told() { sipdam explain "$1" --json | jq -c "$2"; }

# Members of a group that owns the pins, who may read all but the keys of the tables.
as_member() {
	inside chgrp -R 65534 /sys/fs/bpf/sipdam
	inside setpriv --reuid 65534 --regid 65534 --clear-groups "$root/build/sipdam" "$@"
}

@test "explain: the verdict comes first, and is what then happens" {
	sipdam attach e0
	[ "$(told "$LOUD" .verdict)" = '{"INVITE":{"verdict":"pass","reason":"within_limits"},"REGISTER":{"verdict":"pass","reason":"within_limits"}}' ]
	sipdam set limits.unknown.invite.rate=0.01 limits.unknown.invite.burst=20
	send 0 30
	counted 0 .reasons.source_rate 10
	[ "$(told "$LOUD" .verdict.INVITE)" = '{"verdict":"drop","reason":"source_rate"}' ]
	[ "$(told "$LOUD" '.buckets[] | select(.class == "invite") | [.rate, .burst, .level, .next_in > 90 and .next_in <= 100]')" = '[0.01,20,0,true]' ]
	[ "$(told "$LOUD" '.pools[] | select(.class == "invite") | .rate == 200 and .burst == 400')" = true ]
	[ "$(told "$LOUD" '[.tier, .reason, .source, .network.prefix, .lists, .ban, .mode, .confirm_passed, .protected_addresses, .tables_read]')" = '["unknown","in no list, not banned","198.18.0.1","198.18.0.0/24",[],null,"enforce",false,0,true]' ]
	sipdam explain "$LOUD" >text
	head -3 text
	grep -qx "An INVITE from there would be dropped now: source_rate" text
	grep -Eqx '  its bucket of 20 is empty, next in 1m[0-9]+s' text
	grep -qx "A REGISTER from there would pass now: within_limits" text
	[ "$(awk 'length > 80' text)" = "" ]
	# Asking takes nothing, and what was said comes true.
	send 0 1
	counted 0 .reasons.source_rate 11
	sipdam set mode=monitor
	sipdam explain "$LOUD" | grep -qx 'An INVITE from there would pass now, since mode is monitor; else dropped: source_rate'
	[ "$(told "$LOUD" '[.mode, .verdict.INVITE]')" = '["monitor",{"verdict":"pass","reason":"source_rate","would_drop":true}]' ]
}

@test "explain: lists, whose they are and until when; bans" {
	printf '198.18.0.0/15\n' >"$room/feed.txt"
	sipdam attach e0
	sipdam deny import "$room/feed.txt" --for 2d
	[ "$(told "$LOUD" '[.tier, .verdict.REGISTER.reason, (.lists[] | [.list, .prefix, .origins, .expires_in > 172000])]')" = '["denied","denied",["deny","198.18.0.0/15",["feed feed.txt"],true]]' ]
	sipdam explain "$LOUD" | grep -Eqx 'Lists       deny 198.18.0.0/15: feed feed.txt, for (2d|1d23h) more'
	sipdam allow add "$LOUD"
	[ "$(told "$LOUD" '[.tier, .verdict.INVITE.reason, (.lists | map(.list))]')" = '["allowed","allowed",["allow","deny"]]' ]
	[ "$(told 198.18.0.2 .tier)" = '"denied"' ]
	sipdam ban add 203.0.113.7 2001:db8::1 --for 10m
	[ "$(told 203.0.113.7 '[.tier, .verdict.INVITE.reason, .ban.cause, .ban.times, .ban.dropped, .ban.expires_in > 590, ((.ban.until - .ban.since) | . >= 600 and . <= 601)]')" = '["banned","banned","manual",1,0,true,true]' ]
	[ "$(told 2001:db8::ffff '[.tier, .source, .network.prefix]')" = '["banned","2001:db8::/64","2001:db8::/48"]' ]
	[ "$(told 2001:db8:0:1::1 .tier)" = '"unknown"' ]
	sipdam explain 203.0.113.7 | grep -Eqx 'Ban         since .* until .* \(.*\)'
	sipdam set ban.enabled=false
	[ "$(told 203.0.113.7 '[.tier, .verdict.INVITE.reason, .ban.times]')" = '["unknown","within_limits",1]' ]
}

@test "explain: who may not read the tables is told so, and what is certain" {
	sipdam attach e0
	sipdam ban add "$LOUD" --for 10m
	as_member explain "$LOUD" | grep -qx "An INVITE from there would be dropped now: banned"
	as_member explain 192.0.2.9 >text
	grep -qx '?: root alone may read the levels of sources and networks.' text
	as_member explain 192.0.2.9 --json >json
	[ "$(jq -c '[.verdict.INVITE, .tables_read, .buckets[0].level, .pools[0].level]' json)" = '[{"verdict":null,"reason":null},false,null,400]' ]
}

@test "explain: what is no address" {
	refused 1 'nothing is attached' sipdam explain 192.0.2.1
	sipdam attach e0
	refused 2 'an ADDRESS is missing' sipdam explain
	for text in "" 192.0.2 192.0.2.1/32 192.0.2.256 2001:db8:: :: host.example "192.0.2.1 "; do
		[[ $text == *:* ]] || refused 2 'is not an address such as' sipdam explain "$text"
	done
	refused 2 'one ADDRESS at a time' sipdam explain 192.0.2.1 192.0.2.2
	[ "$(told ::ffff:192.0.2.1 .address)" = '"192.0.2.1"' ]
}

@test "top: the loudest of those over their limits, and of the banned" {
	sipdam attach e0
	[ "$(sipdam top --json)" = '{"sources":[]}' ]
	[ "$(sipdam top)" = "No source is over its limits, and no ban has dropped anything." ]
	send 0 850
	counted 0 .reasons.source_rate 800
	[ "$(sipdam top --json | jq -c '.sources[] | [.address, .reason, .class, .refused >= 784, .per_second > 0, (now - .last_seen) < 60]')" = '["198.18.0.1","source_rate","invite",true,true,true]' ]
	sipdam ban add "$LOUD" --for 10m
	send 0 5000
	counted 0 .reasons.banned 5000
	[ "$(sipdam top -n 1 --json | jq -c '.sources[] | [.address, .reason, .class, .refused, .last_seen]')" = '["198.18.0.1","banned",null,5000,null]' ]
	[ "$(sipdam top --json | jq '.sources | length')" = 2 ]
	sipdam top >text
	[ "$(wc -l <text)" = 3 ]
	[ "$(awk 'length > 80' text)" = "" ]
	for n in 0 -1 x 1x "" 99999999; do
		refused 2 'not a number from 1 to' sipdam top -n "$n"
	done
	refused 2 'unexpected argument' sipdam top e0
	as_member top | grep -q banned
}
