#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bats file_tags=unmeasured
# Bans on a wire: by hand and by drops, at once and to their end, on open connections too, through everything
# that may happen to the filter meanwhile; and what the tool says.

# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
load lib

setup() { machine_up; }
teardown() { machine_down; }

LOUD=198.18.0.1

bans() { sipdam ban list --json | jq -c "$1"; }

# A stream of one source in the background, until stream_end
stream_start() {
	send 0 1000000 --rate 2000 --seconds 60 &
	children+=($!)
	stream=$!
	until (($(stat 0 .reasons.within_limits) > 0)); do
		sleep 0.02
	done
}

stream_end() {
	pkill -P "$stream" || true
	kill "$stream" 2>/dev/null || true
	wait "$stream" 2>/dev/null || true
}

# Waits until a condition of jq holds of the reasons' counters: until_stat '.banned > 5'
until_stat() {
	local tries=250
	until sipdam stats e0 --json | jq -e ".interfaces[0].reasons | $1" >/dev/null; do
		((tries-- > 0)) || { echo "waited in vain for $1"; sipdam stats; return 1; }
		sleep 0.02
	done
}

unlimited() {
	sipdam set limits.unknown.invite=unlimited limits.network=unlimited limits.pool.invite=unlimited
}

@test "ban: under flood it takes effect at once, and del ends it" {
	sipdam attach e0
	unlimited
	stream_start
	sipdam ban add "$LOUD" --for 10m
	passed=$(stat 0 .reasons.within_limits)
	until_stat '.banned > 500'
	# What was on its way when the command returned, and no more.
	(($(stat 0 .reasons.within_limits) <= passed + 2)) || { echo "$passed, then $(stat 0 .reasons.within_limits)"; false; }
	[ "$(bans '.bans[0] | [.address, .prefix, .times, .cause]')" = '["198.18.0.1",32,1,"manual"]' ]
	[ "$(bans '.bans[0] | .expires_in > 590 and .expires_in <= 600 and .dropped > 500')" = true ]
	sipdam ban del "$LOUD"
	dropped=$(stat 0 .reasons.banned)
	until_stat ".within_limits > $passed + 500"
	(($(stat 0 .reasons.banned) <= dropped + 2))
	[ "$(bans .)" = '{"bans":[]}' ]
	stream_end
}

@test "ban: it ends by itself, under traffic" {
	sipdam attach e0
	unlimited
	stream_start
	begin=${EPOCHREALTIME/./}
	sipdam ban add "$LOUD" --for 1s
	until_stat '.banned > 0'
	passed=$(stat 0 .reasons.within_limits)
	until_stat ".within_limits > $passed + 20"
	took=$((${EPOCHREALTIME/./} - begin))
	((took > 1000000 && took < 4000000)) || { echo "$took us"; false; }
	banned=$(stat 0 .reasons.banned)
	((banned > 500 && banned < 4000)) || { echo "$banned were dropped"; false; }
	[ "$(bans .)" = '{"bans":[]}' ]
	[ "$(sipdam status --json | jq -c .bans)" = '{"enabled":true,"banned":0,"refused":0}' ]
	stream_end
}

@test "ban: an open TCP connection gets nothing more through" {
	for end in inside in_world; do
		"$end" ip link set lo up
	done
	inside ip address add 192.0.2.1/24 dev e0
	in_world ip address add 192.0.2.2/24 dev w0
	sipdam attach e0
	(cd "$room" && exec nsenter --target "$machine" --net --mount -- sipp -sn uas -t t1 -i 192.0.2.1 -p 5060 \
		-nostdin -timeout 60s >uas.out 2>&1 3>&-) &
	children+=($!)
	until [[ $(inside ss -Hltn 'sport = :5060') ]]; do sleep 0.05; done
	# A client on a connection of its own: an OPTIONS at each line that it is told to send.
	cat >client <<-'END'
		exec 5<>/dev/tcp/192.0.2.1/5060 || exit 1
		echo connected
		while read -r number; do
			printf 'INVITE sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.2:5060;branch=z9hG4bK%s\r\nFrom: <sip:b@c>;tag=%s\r\nTo: <sip:a@d>\r\nCall-ID: %s@e\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n' "$number" "$number" "$number" >&5
			if read -r -t 2 answer <&5; then echo "${answer%$'\r'}"; else echo silence; fi
		done
	END
	coproc CLIENT { nsenter --target "$world" --net -- bash "$PWD/client" 2>client.err 3>&-; }
	children+=("$CLIENT_PID")
	read -r -t 5 line <&"${CLIENT[0]}"
	[ "$line" = connected ]
	echo 1 >&"${CLIENT[1]}"
	read -r -t 5 line <&"${CLIENT[0]}"
	[[ $line == "SIP/2.0 "* ]]
	sipdam ban add 192.0.2.2
	passed=$(stat 0 .packets.passed) sip=$(stat 0 .reasons.within_limits)
	echo 2 >&"${CLIENT[1]}"
	until_stat '.banned > 1' # sent again by TCP, and dropped again
	[ "$(stat 0 .reasons.within_limits)" = "$sip" ]
	sipdam ban del 192.0.2.2
	until_stat ".within_limits > $sip" # and TCP gets it through at last
}

@test "ban: drops within a time ban, and each time for longer" {
	printf '%s\n' 'limits: {unknown: {invite: {rate: 0.001, burst: 50}}}' \
		'ban: {drops: 10, within: 1m, for: 2s, max: 1h}' >sipdam.yaml
	sipdam attach e0 --config sipdam.yaml
	send 0 100
	counted 0 .reasons.banned 40
	[ "$(stat 0 .reasons.source_rate)" = 10 ]
	[ "$(bans '.bans[0] | [.address, .times, .cause, .dropped]')" = '["198.18.0.1",1,"drops",40]' ]
	until [ "$(bans .)" = '{"bans":[]}' ]; do sleep 0.05; done
	send 0 15
	counted 0 .reasons.banned 45
	[ "$(bans '.bans[0] | [.times, .dropped]')" = '[2,5]' ]
	send 0 5 --source-base 198.18.0.2 # nobody else
	counted 0 .reasons.within_limits 55
}

@test "ban: replay bans by drops too, to the packet" {
	sipdam attach e0 --monitor
	start_inside tcpdump -i e0 -Q in -n -Z root -B 16384 --immediate-mode -U -w flood.pcap udp >tcpdump.out 2>&1
	capture=$!
	until grep -q 'listening on' tcpdump.out; do sleep 0.02; done
	send 0 100 --rate 1000
	send 0 20 --rate 1000 --source-base 198.18.0.2
	sleep 0.5 # a capture may miss some; what it has counts
	kill "$capture"
	wait "$capture" || true
	loud=$(tcpdump -n -r flood.pcap "src $LOUD" 2>/dev/null | wc -l)
	other=$(tcpdump -n -r flood.pcap "src not $LOUD" 2>/dev/null | wc -l)
	((loud > 60 && other > 0)) || { cat tcpdump.out; false; }
	printf '%s\n' 'limits: {unknown: {invite: {rate: 0.001, burst: 50}}}' 'ban: {drops: 10, within: 1m}' >sipdam.yaml
	sipdam replay --json --config sipdam.yaml flood.pcap >report
	[ "$(jq -c '.reasons | [.within_limits, .source_rate, .banned]' report)" = "[$((50 + other)),10,$((loud - 60))]" ]
	[ "$(bans .)" = '{"bans":[]}' ]
}

@test "ban: survives set, reload and attach, and detach ends all" {
	printf '%s\n' 'mode: enforce' >sipdam.yaml
	sipdam attach e0 --config sipdam.yaml
	sipdam ban add "$LOUD" 2001:db8:1:2::3
	bans '[.bans[] | [.address, .prefix, .since]]' >before
	[ "$(jq -c 'map(.[0:2])' before)" = '[["198.18.0.1",32],["2001:db8:1:2::",64]]' ]
	sipdam set limits.unknown.invite.rate=7
	sipdam reload
	sipdam attach e0
	sipdam attach e0 --config sipdam.yaml
	bans '[.bans[] | [.address, .prefix, .since]]' >after
	jq -c 'map(.[0:2])' after | diff <(jq -c 'map(.[0:2])' before) -
	send 0 5
	counted 0 .reasons.banned 5
	# Ended by the policy, and by another idea of what a source is.
	sipdam set ban.enabled=false
	send 0 5
	counted 0 .reasons.within_limits 5
	sipdam set ban.enabled=true source_key.ipv4=24
	[ "$(bans '[.bans[].address]')" = '["2001:db8:1:2::"]' ]
	send 0 5
	counted 0 .reasons.within_limits 10
	sipdam detach e0
	sipdam attach e0
	[ "$(bans .)" = '{"bans":[]}' ]
}

@test "ban: what is said, and what is refused" {
	refused 1 'nothing is attached' sipdam ban list
	refused 1 'nothing is attached' sipdam ban add 192.0.2.1
	sipdam attach e0
	[ "$(sipdam ban list)" = "" ]
	[ "$(sipdam ban add 192.0.2.1)" = "192.0.2.1 is banned for 5m" ]
	[ "$(sipdam ban add 2001:db8:1:2:3::4 --for 90s)" = "2001:db8:1:2::/64 is banned for 90s" ]
	sipdam set source_key.ipv6=128
	[ "$(sipdam ban add 2001:db8:1:2:3::4)" = "2001:db8:1:2:3::4 is banned for 5m" ]
	sipdam set source_key.ipv6=64 # which ends all that were of another
	[ "$(bans '[.bans[].address]')" = '["192.0.2.1"]' ]
	sipdam ban add 2001:db8:1:2:3::4
	sipdam allow add 198.51.100.0/24
	sipdam deny add 203.0.113.1
	[[ "$(sipdam ban add 198.51.100.7)" == "198.51.100.7 is banned for 5m"$'\n'"198.51.100.7 is in the allow list, and allow wins"* ]]
	[[ "$(sipdam ban add 203.0.113.1)" == *"203.0.113.1 is in the deny list: it is dropped already"* ]]
	sipdam set ban.enabled=false
	[[ "$(sipdam ban add 192.0.2.9)" == *"bans are switched off"*"ban.enabled=true"* ]]
	sipdam set ban.enabled=true
	run -0 sipdam ban list
	[[ ${lines[0]} == source*left*since*times*cause*dropped ]]
	[[ ${lines[1]} =~ ^192\.0\.2\.1\ +(5m|4m59s|4m58s)\ .*\ 1\ manual\ +0$ ]]
	for line in "${lines[@]}"; do
		((${#line} <= 80))
	done
	bans '[.bans[].address]' >before
	refused 1 '192.0.2.2 is not banned: .*ban list' sipdam ban del 192.0.2.2
	refused 1 '192.0.2.2 is not banned' sipdam ban del 192.0.2.1 192.0.2.2
	refused 2 'source, which is a /32 .*`sipdam deny add 192.0.2.0/24 --for 1h`' sipdam ban add 192.0.2.0/24
	refused 2 'a /64 .*deny add 2001:db8::/48' sipdam ban add 2001:db8::/48
	refused 2 'a /64 ' sipdam ban add 192.0.2.3 2001:db8::1/128
	refused 2 '300.0.0.1 is not an address' sipdam ban add 192.0.2.3 300.0.0.1
	refused 2 'a duration such as' sipdam ban add 192.0.2.3 --for soon
	refused 2 'a duration such as' sipdam ban add 192.0.2.3 --for 0s
	refused 2 'at most 365d' sipdam ban add 192.0.2.3 --for 366d
	refused 2 'add, del or list is expected' sipdam ban
	refused 2 'flush: add, del or list is expected' sipdam ban flush
	refused 2 'an ADDRESS is missing' sipdam ban add
	refused 2 '--for belongs to add' sipdam ban del 192.0.2.1 --for 1m
	[ "$(sipdam ban list --json 192.0.2.1 192.0.2.2 | jq -c '[.bans[].address]')" = '["192.0.2.1"]' ]
	refused 2 'soon is not an address' sipdam ban list soon
	bans '[.bans[].address]' | diff before -
	sipdam ban del 192.0.2.1/32 2001:db8:1:2::/64
}

@test "ban: status and metrics count them" {
	sipdam attach e0
	sipdam ban add "$LOUD" 192.0.2.1 2001:db8::1
	[ "$(sipdam status --json | jq -c .bans)" = '{"enabled":true,"banned":3,"refused":0}' ]
	[[ "$(sipdam status)" == *$'\nBans        3 sources; none is banned for drops (ban.drops is 0)\n'* ]]
	start_inside "$root/build/sipdam" serve --listen 127.0.0.1:9469
	until inside curl -sf http://127.0.0.1:9469/metrics >metrics; do sleep 0.05; done
	grep -qx 'sipdam_banned_sources 3' metrics
	grep -qx 'sipdam_bans_refused_total 0' metrics
	sipdam set ban.enabled=false
	[[ "$(sipdam status)" == *"Bans        3 sources; switched off"* ]]
}

@test "ban: commands killed at any instant corrupt nothing" {
	sipdam attach e0
	for ((i = 1; i <= 60; i++)); do
		start_inside "$root/build/sipdam" ban add 198.18.{1..40}."$i" --for 1h >/dev/null
		victim=$!
		sleep "0.0$((RANDOM % 20 / 10))$((RANDOM % 10))"
		kill -KILL "$victim" 2>/dev/null || true
		wait "$victim" 2>/dev/null || true
	done
	sipdam ban add "$LOUD"
	bans '[.bans[].address]' >listed
	jq -e 'length > 0 and (unique | length) == length' listed
	jq -e 'all(test("^198\\.18\\.[0-9]+\\.[0-9]+$"))' listed
	# What is listed is dropped, and what is not passes.
	send 0 5
	counted 0 .reasons.banned 5
	send 0 5 --source-base 198.18.200.1
	counted 0 .reasons.within_limits 5
	sipdam ban del "$LOUD"
	send 0 5
	counted 0 .reasons.within_limits 10
}
