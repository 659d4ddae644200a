#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bats file_tags=unmeasured
# The filter's life: attached, replaced, killed half way, deleted under its feet, detached; and what is left.

load lib

setup() { machine_up; }
teardown() { machine_down; }

# What an operator sees of policy, lists and counters, whichever program it is that runs.
seen_state() {
	sipdam get --json
	sipdam allow list --json
	sipdam deny list --json
	sipdam stats --json
}

# One INVITE a source that nobody has seen before passes, the 51st of one source does not: works N SOURCE
works() {
	local passed dropped
	passed=$(stat "$1" .reasons.within_limits)
	dropped=$(stat "$1" .reasons.source_rate)
	send "$1" 60 --source-base "$2"
	local tries=250
	until (($(stat "$1" '.reasons | .within_limits + .source_rate') == passed + dropped + 60)); do
		((tries-- > 0)) || { sipdam stats; return 1; }
		sleep 0.02
	done
	passed=$(($(stat "$1" .reasons.within_limits) - passed))
	((passed >= 50 && passed <= 55)) || { echo "$passed of 60 passed"; return 1; }
}

@test "life: attach and detach leave nothing behind" {
	for mode in native generic auto; do
		sipdam attach e0 --mode "$mode"
		works 0 198.18.0.1
		sipdam set mode=monitor
		sipdam deny add 203.0.113.0/24
		objects >objects
		[ "$(grep -c . objects)" -ge 15 ]
		sipdam detach e0
		nothing_left objects
		sipdam attach e0 e1
		objects >objects
		sipdam detach --all
		nothing_left objects
	done
}

@test "life: two interfaces have one policy and one table of sources" {
	sipdam attach e0 e1
	sipdam set limits.unknown.invite.rate=0.001 limits.unknown.invite.burst=50
	send 0 30
	counted 0 .reasons.within_limits 30
	send 1 30
	counted 1 .reasons.source_rate 10
	[ "$(stat 1 .reasons.within_limits)" = 20 ]
	send 0 30
	counted 0 .reasons.source_rate 30
	sipdam deny add 198.18.0.0/15
	send 0 5
	send 1 5
	counted 0 .reasons.denied 5
	counted 1 .reasons.denied 5
}

@test "life: detach of one interface leaves the other" {
	sipdam attach e0 e1
	sipdam deny add 198.18.0.0/15
	sipdam detach e0
	[ "$(sipdam status --json | jq -c '[.interfaces[].name]')" = '["e1"]' ]
	run ! has_xdp e0
	send 1 5
	counted 1 .reasons.denied 5
	sipdam attach e0 # the list is still there
	send 0 5
	counted 0 .reasons.denied 5
	[ "$(stat 1 .reasons.denied)" = 5 ]
}

@test "life: attach again replaces the program and keeps counters, lists and settings" {
	run_filter
	seen_state >before
	program=$(filter_program)
	run -0 sipdam attach e0
	[ "$output" = "e0: replaced in place, native" ]
	seen_state | diff before -
	[ "$(filter_program)" != "$program" ]
	freed prog "$program"
	run -0 sipdam attach e0 e1
	[[ $output == "e0: replaced in place, native"*"e1: attached, native" ]]
	[ "$(sipdam get limits.unknown.invite.rate)" = 7 ]
	works 1 198.18.7.1
}

@test "life: attach again under fire: no packet goes unfiltered" {
	sipdam attach e0
	sipdam deny add 198.18.0.0/15
	send 0 30000 --rate 20000 &
	sender=$!
	for ((i = 0; i < 4; i++)); do
		sipdam attach e0
	done
	wait "$sender"
	counted 0 .reasons.denied 30000
	[ "$(stat 0 .packets.passed)" = 0 ]
}

@test "life: attach with another configuration over a running one" {
	printf '%s\n' 'deny: [198.51.100.0/24]' 'sources: 2048' >one.yaml
	printf '%s\n' 'deny: [203.0.113.0/24]' 'sources: 2048' 'limits: {pool: {invite: {rate: 55}}}' >two.yaml
	sipdam attach e0 --config one.yaml
	sipdam set mode=monitor
	sipdam deny add 192.0.2.1
	send 0 5
	counted 0 .reasons.within_limits 5
	sipdam attach e0 e1 --config two.yaml
	[ "$(sipdam get mode)" = enforce ]
	[ "$(sipdam get limits.pool.invite.rate)" = 55 ]
	[ "$(sipdam deny list --json | jq -c '[.entries[] | [.prefix] + .origins] | sort')" = \
		'[["192.0.2.1","manual"],["203.0.113.0/24","config"]]' ]
	[ "$(sipdam status --json | jq -r .config)" = "$PWD/two.yaml" ]
	[ "$(stat 0 .reasons.within_limits)" = 5 ]
}

@test "life: --monitor counts what would be dropped and drops nothing" {
	run -0 sipdam attach e0 --monitor
	[[ $output == *"monitor mode: nothing is dropped"*"set mode=enforce"* ]]
	sipdam deny add 198.18.0.0/15
	send 0 5
	counted 0 .packets.would_drop 5
	[ "$(stat 0 .packets.dropped)" = 0 ]
	sipdam set mode=enforce
	send 0 5
	counted 0 .packets.dropped 5
}

@test "life: all interfaces are attached or none" {
	refused 1 'ghost0: no such interface' sipdam attach e0 ghost0
	nothing_left
	refused 1 'lo: its driver has no XDP' sipdam attach e0 lo --mode native
	nothing_left
	sipdam attach e0
	seen_state >before
	refused 1 'lo: its driver has no XDP' sipdam attach e1 lo --mode native
	seen_state | diff before -
	run ! has_xdp e1
}

@test "life: sources changed and reload: the table is new, the interfaces filter on" {
	printf '%s\n' 'sources: 2048' 'deny: [198.18.0.0/15]' >sipdam.yaml
	sipdam attach e0 e1 --config sipdam.yaml
	lines() { inside bpftool -j map show pinned /sys/fs/bpf/sipdam/sources | jq .max_entries; }
	[ "$(lines)" = 2048 ]
	objects | sort >before
	send 0 20000 --rate 20000 &
	sender=$!
	sed -i 's/2048/8192/' sipdam.yaml
	run -0 sipdam reload
	[ "$output" = "$PWD/sipdam.yaml: in force" ]
	[ "$(lines)" = 8192 ]
	[ "$(sipdam status --json | jq .sources)" = 8192 ]
	wait "$sender"
	counted 0 .reasons.denied 20000
	[ "$(stat 0 .packets.passed)" = 0 ]
	echo 'sources: 1024' >sipdam.yaml # a list that is not named any more is empty
	sipdam set verify.enabled=true
	run -0 sipdam reload
	[ "${lines[1]}" = "1 setting made by \`sipdam set\` went back to the file's" ]
	works 0 198.18.0.1
	works 1 198.18.9.1
	# How full it is, and whose place others took: five times as many sources as it has room for.
	[ "$(sipdam status --json | jq -c '[.sources_in_use < 0.1, .displaced.sources]')" = '[true,0]' ]
	sipdam set limits.unknown.invite.rate=0.1
	send 0 40000 --source-base 11.0.0.0/8 --random 7
	counted 0 '.packets | .passed + .dropped' 60060
	[ "$(sipdam status --json | jq -c '[.sources_in_use > 0.9, .displaced.sources > 10000, .displaced.sources < 40000]')" = '[true,true,true]' ]
	sipdam status | grep -q '^Tables      1024 lines of sources, 9[0-9]\.[0-9] % in use$\|^Tables      1024 lines of sources, 100\.0 % in use$'
	sipdam status | grep -q "^            live entries replaced: $(sipdam status --json | jq .displaced.sources) sources, "
	sipdam detach --all
	nothing_left before
}

@test "life: an attach killed at any instant leaves nothing that the next command cannot mend" {
	begin=$(date +%s%N)
	sipdam attach e0
	took=$((($(date +%s%N) - begin) / 1000))
	sipdam detach e0
	RANDOM=5060 attached=0
	for ((i = 0; i < 20; i++)); do
		start_inside "$root/build/sipdam" attach e0 >/dev/null 2>&1
		victim=$!
		printf -v instant '0.%06d' $((took * (i * 100 + RANDOM % 100) / 1900))
		sleep "$instant"
		kill -KILL "$victim" 2>/dev/null || true
		wait "$victim" 2>/dev/null || true
		if [[ $(sipdam status --json 2>/dev/null | jq -r '.interfaces[0].mode') == native ]]; then
			attached=$((attached + 1))
			works 0 "198.18.$i.1"
		fi
		if ((i % 2)); then
			sipdam attach e0
			works 0 "198.18.$i.77"
		fi
		[[ ! -e objects ]] || rm objects
		sipdam detach --all
		nothing_left
	done
	echo "$attached of 20 were attached"
}

@test "life: commands at the same time corrupt nothing" {
	jobs=()
	for i in 1 2 3 4; do
		sipdam attach e0 e1 >"attach$i" 3>&- &
		jobs+=($!)
	done
	for job in "${jobs[@]}"; do
		wait "$job"
	done
	[ "$(cat attach? | grep -c '^e0: attached')" = 1 ]
	[ "$(cat attach? | grep -c '^e0: replaced in place')" = 3 ]
	jobs=()
	for i in 1 2 3 4 5 6 7 8; do
		sipdam deny add "192.0.2.$i" 3>&- &
		jobs+=($!)
		sipdam set "limits.pool.invite.rate=$((100 + i))" "limits.pool.invite.burst=$((200 + i))" 3>&- &
		jobs+=($!)
	done
	sipdam attach e0 3>&- &
	jobs+=($!)
	for job in "${jobs[@]}"; do
		wait "$job"
	done
	[ "$(sipdam deny list --json | jq '.entries | length')" = 8 ]
	[ "$(sipdam status --json | jq .lists.deny)" = 8 ]
	[ $(($(sipdam get limits.pool.invite.burst) - $(sipdam get limits.pool.invite.rate))) = 100 ]
	works 0 198.18.0.1
	works 1 198.18.1.1
	objects >objects
	sipdam detach e0 3>&- &
	job=$!
	sipdam detach e1
	wait "$job"
	nothing_left objects
}

@test "life: sixteen interfaces, and the seventeenth is refused" {
	names=(e0 e1)
	for ((i = 2; i < 17; i++)); do
		add_pair $i
		names+=("e$i")
	done
	refused 2 'at most 16 interfaces' sipdam attach "${names[@]}"
	sipdam attach "${names[@]:0:15}"
	sipdam attach e15
	seen_state >before
	refused 1 'at most 16 interfaces' sipdam attach e16
	seen_state | diff before -
	run ! has_xdp e16
	works 15 198.18.0.1
	inside ip link del e3
	sipdam attach e16 # in the place of the one that is gone
	works 16 198.18.16.1
	sipdam detach --all
	nothing_left
}

@test "life: an interface deleted while attached" {
	sipdam attach e0 e1
	sipdam deny add 198.18.0.0/15
	inside ip link del e0
	run -0 sipdam status
	[[ $output == "e0 "*"gone: deleted"* || $output == *$'\n'"e0 "*"gone: deleted"* ]]
	[ "$(sipdam status --json | jq -c '[.gone, [.interfaces[].name]]')" = '[1,["e1"]]' ]
	send 1 5
	counted 1 .reasons.denied 5
	add_pair 0 # made again: no program, until it is attached
	run ! has_xdp e0
	sipdam attach e0
	send 0 5
	counted 0 .reasons.denied 5
	inside ip link del e0
	inside ip link del e1
	[ "$(sipdam status --json | jq -c '.interfaces')" = '[]' ]
	objects >objects
	sipdam detach --all
	nothing_left objects
}

@test "life: a program taken off by others is told, and attach puts it back" {
	sipdam attach e0
	inside ip link set e0 xdp off
	[ "$(sipdam status --json | jq -r '.interfaces[0].mode')" = none ]
	sipdam attach e0
	[ "$(sipdam status --json | jq -r '.interfaces[0].mode')" = native ]
	works 0 198.18.0.1
	inside ip link set e0 xdp off
	sipdam detach --all
	nothing_left
}

# Labels of a list in a header, as the JSON has them: labels FILE LIST
labels() {
	sed -n "/define $2(X)/,/^\$/s/^\tX([A-Z_]*, [0-9]*, \"\([A-Za-z_]*\)\".*/\1/p" "$root/include/sipdam/$1"
}

@test "life: what --json prints is JSON with the names that were promised" {
	run_filter
	sipdam deny add 192.0.2.1 --for 1h
	sipdam version --json | jq -e '.version | test("^[0-9]+\\.[0-9]+\\.[0-9]+$")'
	sipdam status --json | jq -e '.interfaces == [{"name": "e0", "mode": "native"}] and .mode == "enforce" and
		.lists == {"allow": 1, "deny": 2, "addresses": 0} and (.version | type) == "string"'
	sipdam stats --json | jq -e '.interfaces | length == 1 and (.[0] | .name == "e0" and .mode == "native" and
		(.packets | keys) == ["dropped", "passed", "would_drop"] and (.bytes | keys) == ["dropped", "passed", "would_drop"]
		and (keys == ["bytes", "methods", "mode", "name", "packets", "reasons"])
		and (.methods | all(keys == ["dropped", "passed"]))
		and .packets.dropped + .packets.passed == ([.reasons[]] | add)
		and .methods.INVITE.passed + .methods.INVITE.dropped == 60)'
	labels reason.h SIPDAM_REASONS >reasons
	labels message.h SIPDAM_METHODS >methods
	[ "$(wc -l <reasons)" -ge 18 ]
	[ "$(wc -l <methods)" = 16 ]
	sipdam stats --json | jq -r '.interfaces[0].reasons | keys_unsorted[]' | diff reasons -
	sipdam stats --json | jq -r '.interfaces[0].methods | keys_unsorted[]' | diff methods -
	sipdam get --json | jq -e '."limits.unknown.invite.rate" == {"value": 7, "origin": "set"} and
		."limits.unknown.invite.burst" == {"value": 50, "origin": "default"}'
	sipdam get limits.pool.invite --json | jq -e 'keys == ["limits.pool.invite.burst", "limits.pool.invite.rate"]'
	sipdam config show --json | jq -e '."limits.unknown.invite.rate" == {"value": 10, "origin": "default"}'
	sipdam allow list --json | jq -e '.list == "allow" and .entries == [{"prefix": "192.0.2.10", "origins": ["manual"], "expires_in": null}]'
	sipdam deny list --json | jq -e '.entries | length == 2 and
		any(.prefix == "192.0.2.1" and .expires_in > 3500 and .expires_in <= 3600)'
}

@test "life: make install and make uninstall" {
	make -s -C "$root" install DESTDIR="$room/stage" PREFIX=/usr >/dev/null
	(cd stage && find . -type f | sort) >files
	printf '%s\n' ./usr/sbin/sipdam ./usr/share/bash-completion/completions/sipdam ./usr/share/man/man8/sipdam.8 | diff - files
	[ "$(stage/usr/sbin/sipdam version)" = "$("$root/build/sipdam" version)" ]
	[ "$(stat_mode stage/usr/sbin/sipdam)" = 755 ]
	make -s -C "$root" uninstall DESTDIR="$room/stage" PREFIX=/usr
	[ -z "$(find stage -type f)" ]
}
stat_mode() { command stat -c %a "$1"; }
