#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A real platform behind the filter: Kamailio, 200 callers, their phones and a callee. Under attack every call of a
# listed caller succeeds as if there were none; and with nobody listed and no attack not one packet is dropped of
# what real phones, offices and clients send. `make platform` prints the whole table of attacks.

# shellcheck disable=SC2034,SC2154
load common
load platform

setup() {
	lab_up
	platform_up
}
teardown() { lab_down; }

# --- attack ---

report() {
	echo "calls $(successful calls) of $(column calls TotalCallCreated), registrations $(successful phones) of" \
		"$(column phones TotalCallCreated), sent again $(sent_again), setup $(delay caller 50) ms," \
		"99 of 100 within $(delay caller 99) ms"
}

# All calls and registrations of a scene, and at most one request in a hundred sent again.
all_served() {
	local calls phones
	report
	calls=$(column calls TotalCallCreated) phones=$(column phones TotalCallCreated)
	if ((calls > 0 && phones > 0 && $(successful calls) == calls && $(successful phones) == phones)) &&
		(($(sent_again) * 100 <= 2 * (calls + phones))); then
		return 0
	fi
	why calls phones
	return 1
}

# Scenes without and with an attack in turn, in the same seconds of a machine that others may use: one pair of three
# must show no difference. as_without_attack FLOOD-OPTION...
as_without_attack() {
	local attempt
	for attempt in 1 2 3; do
		if pair_is_equal "$@"; then
			return 0
		fi
	done
	return 1
}

pair_is_equal() {
	local call register
	scene 5
	all_served && same "$(refused_listed)" 0 || return 1
	call=$(delay caller 99) register=$(delay register 99)
	scene 5 --rate 100000 "$@"
	all_served && is_a_flood && same "$(refused_listed)" 0 || return 1
	if (($(delay caller 99) > call + 10 || $(delay register 99) > register + 10)); then
		echo "99 of 100 calls within $(delay caller 99) ms, without an attack $call ms;" \
			"registrations $(delay register 99) ms and $register ms"
		return 1
	fi
}

# What the machine could send of it; without the filter the server takes its share. A relay breaks at 2,000.
is_a_flood() {
	cat "$room/flood.out"
	(($(flood_result rate) > ${1:-30000}))
}

@test "platform: without the filter 100,000 INVITE a second from 65,536 sources end the calls" {
	scene 4 --rate 100000 --method INVITE --sources 65536 --stride 2
	echo "# $(report)" >&3
	is_a_flood 10000
	(($(successful calls) * 2 < $(column calls TotalCallCreated)))
}

@test "platform: 100,000 INVITE a second from 65,536 sources: listed callers notice nothing" {
	attach_listed
	as_without_attack --method INVITE --sources 65536 --stride 2
	refused_some INVITE
}

@test "platform: 100,000 REGISTER a second from 100 sources: listed callers notice nothing" {
	attach_listed
	as_without_attack --method REGISTER --sources 100 --stride 256
	refused_some REGISTER
}

refused_some() { (($(stat "methods.$1.dropped") > 100000)); }

# --- harm ---

nothing_dropped() {
	sipdam stats edge0 --json | jq -c '.interfaces[0] | .packets, .reasons'
	same "$(stat packets.dropped)" 0
	same "$(stat packets.would_drop)" 0
}

# A capture, of what arrives and what leaves, that is judged again: begin with whole_capture.
whole_capture() {
	start capture server timeout 60 tcpdump -i edge0 -n -Z root -s 0 -B 16384 --immediate-mode -U \
		-w whole.pcap udp
	wait_until 5 says capture 'listening on'
}

# The same verdict by `replay`, of so many packets at least.
replays_whole() {
	finish capture
	sipdam replay --json --local "$SERVER" "$room/whole.pcap" >"$room/replay.json"
	jq -c . "$room/replay.json"
	same "$(jq .dropped "$room/replay.json")" 0
	same "$(jq .reasons.truncated "$room/replay.json")" 0
	same "$(jq .passed "$room/replay.json")" "$(jq .packets "$room/replay.json")"
	(($(jq .packets "$room/replay.json") >= $1))
}

@test "platform: nobody listed, no attack: not one packet of calls and registrations is dropped" {
	attach_unlisted
	whole_capture
	scene 5
	all_served
	nothing_dropped
	# INVITE, 180, 200, ACK, BYE, 200 of each call from both sides; two REGISTER and two answers
	replays_whole $((12 * $(successful calls) + 4 * $(successful phones)))
}

# Pings that arrive and are neither dropped nor taken for anything else: pinged OPTION...
pinged() {
	local before
	before=$(stat reasons.within_limits)
	in_world "$root/build/lab/pings" --to "$SERVER" "$@" | tee "$room/pings.out"
	wait_until 5 passed_since "$before"
	same "$(stat methods.OPTIONS.passed)" $((options += $(jq .options "$room/pings.out")))
	nothing_dropped
}

passed_since() { (($(stat reasons.within_limits) - $1 == $(jq .sent "$room/pings.out"))); }

@test "platform: NAT pings of every kind, of 200 phones and of an office of 50, all pass" {
	local options=0
	attach_unlisted
	kamailio_start
	pinged --from "$PHONES_FIRST" --sources 200 --rounds 12 --every 250
	pinged --from "$OFFICE" --phones 50 --rounds 3 --every 500
	# Nothing but what was asked for reached Kamailio as a request.
	same "$(stat 'methods | map(.passed) | add')" "$options"
	platform_end 2>"$room/scene.err"
}

@test "platform: an office of 50 phones behind one address registers at once: 100 REGISTERs, none dropped" {
	attach_unlisted
	whole_capture
	kamailio_start
	printf 'SEQUENTIAL\n%s;\n' "$OFFICE" >"$room/office.csv"
	play office world timeout --signal=KILL 20 sipp "$SERVER:5060" -sf "$scenarios/register.xml" -t un -i "$OFFICE" \
		-inf office.csv -r 50 -rp 10 -m 50 -max_socket 1000 -nostdin -trace_stat -stf office.csv.out -fd 1
	wait_for office
	same "$(stat methods.REGISTER.passed)" 100
	nothing_dropped
	platform_end 2>"$room/scene.err"
	replays_whole 200
}

@test "platform: sipsak registers and asks for options: none dropped" {
	attach_unlisted
	whole_capture
	kamailio_start
	in_world sipsak -vv -U -C "sip:phone@$CALLER:5080" -l 5080 -x 60 -u phone -a secret -s "sip:phone@$SERVER"
	in_world sipsak -vv -s "sip:phone@$SERVER"
	nothing_dropped
	platform_end 2>"$room/scene.err"
	replays_whole 6
}

# A phone without sound, whose modules lie where its package has put them.
phone_settings() {
	mkdir "$room/phone"
	cat >"$room/phone/config" <<-END
		sip_listen $CALLER:5060
		net_interface world0
		module_path $(dirname "$(dpkg -L baresip-core | grep '/account\.so$')")
		module account.so
		module menu.so
		module g711.so
		module aubridge.so
		audio_source aubridge,silence
		audio_player aubridge,silence
	END
	echo "<sip:phone@$SERVER>;auth_user=phone;auth_pass=secret;regint=60" >"$room/phone/accounts"
	: >"$room/phone/contacts"
}

@test "platform: a real phone registers, calls, hangs up and leaves: none dropped" {
	attach_unlisted
	whole_capture
	kamailio_start
	callee_start
	phone_settings
	play phone world baresip -4 -f "$room/phone" -e "d sip:1000@$SERVER" -t 2
	wait_for phone
	grep 'Call established' "$room/phone.out" "$room/phone.err"
	same "$(stat methods.INVITE.passed) $(stat methods.ACK.passed) $(stat methods.BYE.passed)" "1 1 1"
	same "$(stat methods.REGISTER.passed)" 4 # 401 and 200 to come, the same to leave
	nothing_dropped
	platform_end 2>"$room/scene.err"
	replays_whole 21
}

# --- a trunk ---

@test "platform: a carrier whose answers are refused is named by status, and the line it prints ends that" {
	local line before
	attach_unlisted
	sipdam set trust.learn=false # or it is a peer, and nothing is refused
	CALL_RATE=120 scene 7 # 360 answers a second from one address, of which 200 and a burst of 800 pass
	report
	(($(stat reasons.source_rate) > 100))
	same "$(stat packets.dropped)" "$(stat reasons.source_rate)"
	sipdam status | tee "$room/status"
	line=$(grep -o "sipdam allow add [0-9a-f:.]*\$" "$room/status")
	same "$line" "sipdam allow add $CALLEE"
	same "$(sipdam status --json | jq -r '.over_limit[] | "\(.address) \(.class) \(.maybe_yours)"')" \
		"$CALLEE response true"
	$line
	same "$(sipdam status --json | jq -c .over_limit)" "[]"
	before=$(stat packets.dropped)
	CALL_RATE=120 scene 4
	all_served
	same "$(stat packets.dropped)" "$before"
}
