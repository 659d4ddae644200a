#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bats file_tags=unmeasured
# Trusted sources on a wire: while strangers have exhausted everything that they share, to the end of the trust,
# through everything that may happen to the filter meanwhile; what the tool says, and what it imports.

# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
load lib

setup() { machine_up; }
teardown() { machine_down; }

CUSTOMER=198.18.0.1 STRANGER=198.18.0.2

trusted() { sipdam trust list --json | jq -c "$1"; }

nothing_for_strangers() {
	sipdam set limits.network.rate=1 limits.network.burst=1 limits.pool.invite.rate=1 limits.pool.invite.burst=1
}

@test "trust: strangers have exhausted their pool, and a customer calls on" {
	sipdam attach e0
	nothing_for_strangers
	send 0 20 --source-base "$STRANGER"
	sipdam trust add "$CUSTOMER" --for 10m
	send 0 20
	counted 0 .reasons.trusted 20
	send 0 20 --source-base "$STRANGER"
	[ "$(stat 0 .reasons.trusted)" = 20 ]
	(($(stat 0 '.reasons | .network_rate + .pool_rate') >= 30))
	[ "$(trusted '.trusted[0] | [.address, .prefix, .cause, .devices]')" = '["198.18.0.1",32,"manual",1]' ]
	[ "$(trusted '.trusted[0] | .expires_in > 590 and .expires_in <= 600')" = true ]
	sipdam trust del "$CUSTOMER"
	[ "$(trusted .)" = '{"trusted":[],"peers":[]}' ]
	send 0 20
	[ "$(stat 0 .reasons.trusted)" = 20 ]
}

@test "trust: it ends by itself" {
	sipdam attach e0
	sipdam trust add "$CUSTOMER" --for 1s
	send 0 5
	counted 0 .reasons.trusted 5
	until [ "$(trusted .trusted)" = '[]' ]; do sleep 0.05; done
	send 0 5
	counted 0 .reasons.within_limits 5
	[ "$(stat 0 .reasons.trusted)" = 5 ]
}

@test "trust: drops never ban a customer, and a ban by hand beats trust" {
	sipdam attach e0
	sipdam set ban.drops=2 limits.trusted.invite.rate=0 limits.trusted.invite.burst=1
	sipdam trust add "$CUSTOMER"
	send 0 20
	counted 0 .reasons.source_rate 20
	[ "$(sipdam ban list --json)" = '{"bans":[]}' ]
	sipdam ban add "$CUSTOMER"
	[[ "$(sipdam trust add "$CUSTOMER")" == *"198.18.0.1 is banned, and a ban wins: \`sipdam ban del 198.18.0.1\` ends it"* ]]
	send 0 5
	counted 0 .reasons.banned 5
}

@test "trust: survives set, reload and attach, and detach ends all" {
	printf '%s\n' 'mode: enforce' >sipdam.yaml
	sipdam attach e0 --config sipdam.yaml
	sipdam trust add "$CUSTOMER" 2001:db8:1:2::3
	sipdam set limits.unknown.invite.rate=7
	sipdam reload
	sipdam attach e0
	sipdam attach e0 --config sipdam.yaml
	[ "$(trusted '[.trusted[] | [.address, .prefix]]')" = '[["198.18.0.1",32],["2001:db8:1:2::",64]]' ]
	send 0 5
	counted 0 .reasons.trusted 5
	sipdam set source_key.ipv4=24
	[ "$(trusted '[.trusted[].address]')" = '["2001:db8:1:2::"]' ]
	send 0 5
	counted 0 .reasons.within_limits 5
	sipdam detach e0
	sipdam attach e0
	[ "$(trusted .)" = '{"trusted":[],"peers":[]}' ]
}

@test "trust: contacts of registrars, an office behind one address" {
	sipdam attach e0
	cat >kamailio <<-'END'
		Domain:: location table=512 records=2 max_slot=1
		        AOR:: 1001
		                Contact:: sip:1001@10.0.0.5:5060 Q=
		                        Received:: sip:198.18.0.1:40001
		                        Socket:: udp:198.51.100.1:5060
		        AOR:: 1002
		                Contact:: sip:1002@10.0.0.6:5060 Q=
		                        Received:: sip:198.18.0.1:40002
		        AOR:: 1003
		                Contact:: sip:1003@phone.example.org Q=
	END
	run -0 sipdam trust import kamailio --for 2h
	[ "$output" = "1 source is trusted for 2h, of 2 contacts"$'\n'"1 without an address was skipped" ]
	[ "$(trusted '.trusted | map([.address, .devices, .cause])')" = '[["198.18.0.1",2,"import"]]' ]
	run -0 sipdam trust import - < <(printf '  Contact:  1/sip:1@192.0.2.61:5060  5d Avail 1.2\n  Contact:  2/sip:2@[2001:db8::62]  5d Avail 1.2\n')
	[ "$output" = "2 sources are trusted for 1h, of 2 contacts" ]
	[ "$(trusted '[.trusted[].address]')" = '["192.0.2.61","198.18.0.1","2001:db8::"]' ] ||
		[ "$(trusted '[.trusted[].address] | sort')" = '["192.0.2.61","198.18.0.1","2001:db8::"]' ]
	# Two devices may send twice what one may.
	sipdam set limits.trusted.invite.rate=1 limits.trusted.invite.burst=10 limits.unknown.invite.rate=1 \
		limits.unknown.invite.burst=7
	send 0 40
	counted 0 .reasons.source_rate 23
	[ "$(stat 0 .reasons.trusted)" = 17 ]
	echo 'mode: enforce' >sipdam.yaml
	refused 2 'no address in it: expected what .kamctl ul show' sipdam trust import sipdam.yaml
	refused 1 'No such file' sipdam trust import nowhere
}

@test "trust: what is said, and what is refused" {
	refused 1 'nothing is attached' sipdam trust list
	refused 1 'nothing is attached' sipdam trust add 192.0.2.1
	sipdam attach e0
	[ "$(sipdam trust list)" = "" ]
	[ "$(sipdam trust add 192.0.2.1)" = "192.0.2.1 is trusted for 1h" ]
	[ "$(sipdam trust add 2001:db8:1:2:3::4 --for 90s)" = "2001:db8:1:2::/64 is trusted for 90s" ]
	sipdam allow add 198.51.100.0/24
	sipdam deny add 203.0.113.1
	[[ "$(sipdam trust add 198.51.100.7)" == *"198.51.100.7 is in the allow list: it is let in as that"* ]]
	[[ "$(sipdam trust add 203.0.113.1)" == *"203.0.113.1 is in the deny list, and deny wins"* ]]
	run -0 sipdam trust list
	[[ ${lines[0]} == source*tier*left*since*cause*devices ]]
	[[ ${lines[1]} =~ ^192\.0\.2\.1\ +trusted\ +(1h|59m59s|59m58s)\ .*\ manual\ +1$ ]] ||
		[[ $output == *$'\n192.0.2.1 '*' trusted '*' manual '* ]]
	for line in "${lines[@]}"; do
		((${#line} <= 80))
	done
	refused 1 '192.0.2.2 is not trusted: .*trust list' sipdam trust del 192.0.2.1 192.0.2.2
	refused 2 'source, which is a /32 .*`sipdam allow add 192.0.2.0/24`' sipdam trust add 192.0.2.0/24
	refused 2 '300.0.0.1 is not an address' sipdam trust add 192.0.2.3 300.0.0.1
	refused 2 'a duration such as' sipdam trust add 192.0.2.3 --for 0s
	refused 2 'at most 365d' sipdam trust add 192.0.2.3 --for 366d
	refused 2 'add, del, list or import is expected' sipdam trust
	refused 2 'a FILE is missing' sipdam trust import
	refused 2 'an ADDRESS is missing' sipdam trust add
	refused 2 '--for belongs to add and import' sipdam trust del 192.0.2.1 --for 1m
	[ "$(sipdam trust list --json 192.0.2.1 192.0.2.2 | jq -c '[.trusted[].address]')" = '["192.0.2.1"]' ]
}

@test "trust: status and metrics count them" {
	sipdam attach e0
	sipdam trust add "$CUSTOMER" 192.0.2.1 2001:db8::1
	[ "$(sipdam status --json | jq -c .trust)" = '{"trusted":3,"peers":0}' ]
	[[ "$(sipdam status)" == *$'\nTrust       3 sources, 0 peers\n'* ]]
	start_inside "$root/build/sipdam" serve --listen 127.0.0.1:9469
	until inside curl -sf http://127.0.0.1:9469/metrics >metrics; do sleep 0.05; done
	grep -qx 'sipdam_trusted_sources 3' metrics
	grep -qx 'sipdam_peer_sources 0' metrics
}
