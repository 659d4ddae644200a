#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What is learned of a real server's packets: Kamailio with digest authentication, and sipp on the other side of
# the wire as its phones, its callers and one who guesses passwords. The program at tc egress comes and goes with
# the filter and leaves others alone.

# shellcheck disable=SC2034,SC2154
load common
load platform

setup() {
	lab_up
	platform_up
}
teardown() { lab_down; }

PHONE=10.4.0.1

# Registrations from one address: registrations COUNT A-SECOND [OPTION...]
registrations() {
	printf 'SEQUENTIAL\n%s;\n' "$PHONE" >"$room/phone.csv"
	play phone world timeout --signal=KILL 20 sipp "$SERVER:5060" -sf "$scenarios/register.xml" -i "$PHONE" \
		-inf phone.csv -r "$2" -m "$1" -max_socket 1000 -nostdin -timeout 15s -timeout_error "${@:3}"
	wait_for phone
}

known() { sipdam trust list --json | jq -c "$1"; }

kamailio_end() { platform_end 2>"$room/scene.err"; }

# All that arrives and leaves: capture_begin [server|world], where what the filter drops is seen too
capture_begin() {
	local device=edge0
	[[ ${1:-server} == server ]] || device=world0
	start capture "${1:-server}" timeout 60 tcpdump -i "$device" -n -Z root -s 0 -B 16384 --immediate-mode -U -w whole.pcap udp
	wait_until 5 says capture 'listening on'
}

@test "learn: who registers is trusted, who is called and who calls is a peer; so is it by replay" {
	attach_unlisted
	capture_begin
	kamailio_start
	callee_start
	registrations 1 1
	same "$(known '.trusted | map([.address, .prefix, .cause, .devices])')" "[[\"$PHONE\",32,\"registration\",1]]"
	same "$(known '.trusted[0].expires_in | . > 580 and . <= 600')" true
	same "$(stat reasons.trusted)" 0
	registrations 1 1
	same "$(stat reasons.trusted)" 2
	clients calls caller 5060 10 1
	wait_for calls
	same "$(known '.peers | map(select(.address == "10.2.0.1") | .cause)')" '["request"]'
	same "$(known '.peers | map(select(.address == "10.1.1.1") | [.cause, .expires_in <= 32])')" '[["call",true]]'
	sipdam explain 10.1.1.1 | grep -qx '            the server answered its call, which is over'
	(($(stat reasons.peer) > 0 && $(stat reasons.egress) > 20))
	sipdam explain "$PHONE" | tee "$room/explain"
	grep -q '^Tier        trusted' "$room/explain"
	grep -q '^            it registered; 1 device behind it' "$room/explain"
	same "$(sipdam status --json | jq -c '.learning | [.enabled, .sent > 20, .one_way, .refused]')" '[true,true,false,0]'
	finish capture
	sipdam replay --json --packets --local "$SERVER" "$room/whole.pcap" >"$room/replay"
	tail -n 1 "$room/replay"
	same "$(tail -n 1 "$room/replay" | jq -c '[.reasons | .trusted, .peer, .egress]')" \
		"[$(stat reasons.trusted),$(stat reasons.peer),$(stat reasons.egress)]"
	head -n -1 "$room/replay" | grep -m 1 -F '"method":"response","status":401,"class":null,"verdict":"pass","reason":"egress","direction":"egress"}'
	kamailio_end
}

@test "learn: a guesser of passwords is banned, and an office of 50 phones that registers at once never" {
	attach_unlisted
	capture_begin world
	kamailio_start
	registrations 50 50 -t un
	registrations 50 50 -t un
	same "$(known '.trusted | map(.address)')" "[\"$PHONE\"]"
	(($(known '.trusted[0].devices') > 20))
	same "$(sipdam ban list --json | jq -c .bans)" '[]'
	# Five guesses a second, none of them just four seconds after the first: a capture's clock is another.
	start guesser world timeout 10 sipp "$SERVER:5060" -sf "$scenarios/guess.xml" -i "$STRANGER" -p 5070 -r 10 -rp 2050 -m 40 \
		-nostdin -timeout 9s
	wait_until 8 is_banned
	same "$(sipdam ban list --json | jq -c '.bans | map([.address, .cause, .times])')" "[[\"$STRANGER\",\"failures\",1]]"
	wait_until 3 drops_some
	sipdam explain "$STRANGER" | grep -A 1 'for what the server refused it$' | grep -q '^            number 1 in a row;'
	finish guesser || true
	finish capture
	sipdam replay --json --local "$SERVER" "$room/whole.pcap" >"$room/replay"
	cat "$room/replay"
	same "$(jq -c '[.reasons | .trusted, .banned, .egress]' "$room/replay")" \
		"[$(stat reasons.trusted),$(stat reasons.banned),$(stat reasons.egress)]"
	kamailio_end
}

is_banned() { [[ $(sipdam ban list --json | jq '.bans | length') == 1 ]]; }
drops_some() { (($(stat reasons.banned) > 0)); }

@test "learn: over TCP, from segments that the kernel has yet to cut" {
	config 'ports: {udp: [5060], tcp: [5060]}'
	sipdam attach edge0 --config "$room/sipdam.yaml"
	start registrar server sipp -sf "$scenarios/registrar.xml" -t t1 -i "$SERVER" -p 5060 -nostdin -timeout 60s
	wait_until 5 has_listener 5060
	registrations 3 5 -t t1
	same "$(known '.trusted | map([.address, .cause])')" "[[\"$PHONE\",\"registration\"]]"
	same "$(known '.trusted[0].expires_in | . > 280 and . <= 300')" true
}

@test "learn: no answers seen, and nothing learned where trust.learn is off" {
	attach_unlisted
	FLOOD_SECONDS=5 flood --count 150 --sources 150 --destination "$SERVER"
	wait_until 5 one_way
	sipdam status | grep -q 'answers never seen here'
	sipdam set trust.learn=false
	kamailio_start
	registrations 1 1
	same "$(known .)" '{"trusted":[],"peers":[]}'
	same "$(sipdam status --json | jq -c '.learning | [.enabled, .one_way]')" '[false,false]'
	kamailio_end
}

one_way() { [[ $(sipdam status --json | jq .learning.one_way) == true ]]; }

# --- beside others ---

qdiscs() { in_server tc qdisc show dev edge0 | grep -c clsact || true; }
filters() { in_server tc filter show dev edge0 egress | grep -c "$1" || true; }
other_filter() { in_server tc filter add dev edge0 "$1" protocol all prio 5 u32 match u32 0 0 flowid 1:1; }

@test "learn: replaced in place, and gone after detach with the queueing discipline that it had made" {
	attach_unlisted
	same "$(sipdam status --json | jq -c .learning.interfaces)" '["edge0"]'
	same "$(qdiscs) $(filters 'pref 60 bpf .*handle 0x5060 sipdam_egress')" "1 1"
	sipdam attach edge0
	same "$(qdiscs) $(filters sipdam_egress)" "1 1"
	sipdam detach edge0
	same "$(qdiscs)" 0
	# Made by another in the place of ours, it stays.
	sipdam attach edge0
	in_server tc qdisc del dev edge0 clsact
	in_server tc qdisc add dev edge0 clsact
	sipdam attach edge0
	same "$(qdiscs) $(filters sipdam_egress)" "1 1"
	sipdam detach edge0
	same "$(qdiscs) $(filters .)" "1 0"
	in_server tc qdisc del dev edge0 clsact
	# Made by another, it stays.
	in_server tc qdisc add dev edge0 clsact
	sipdam attach edge0
	same "$(filters sipdam_egress)" 1
	sipdam detach --all
	same "$(qdiscs) $(filters .)" "1 0"
}

@test "learn: filters of others stay, at either end; without clsact the filter works and says what is missing" {
	in_server tc qdisc add dev edge0 clsact
	other_filter egress 2>/dev/null || skip "this kernel has no u32 filters"
	in_server tc qdisc del dev edge0 clsact
	attach_unlisted
	other_filter ingress
	sipdam detach edge0
	same "$(qdiscs)" 1
	sipdam attach edge0
	in_server tc filter del dev edge0 ingress
	other_filter egress
	sipdam attach edge0
	sipdam detach edge0
	same "$(filters 'pref 5 u32 .*fh 800::800') $(filters sipdam)" "1 0"
	in_server tc qdisc del dev edge0 clsact
	in_server tc qdisc add dev edge0 ingress
	run -0 --separate-stderr sipdam attach edge0
	[[ $stderr == "sipdam attach: edge0: nothing is learned of what the server sends there: "*'`clsact` is needed'* ]]
	same "$(sipdam status --json | jq -c .learning.interfaces)" '[]'
	sipdam status | grep -q 'edge0: what the server sends is not read there'
	in_server tc qdisc del dev edge0 ingress
	sipdam attach edge0
	same "$(filters sipdam_egress)" 1
}
