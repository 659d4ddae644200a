#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bats file_tags=unmeasured
# What must be refused: in one line that says what to do, by the right exit code, and with the running filter,
# its policy, lists and counters as they were.

load lib

setup() { machine_up; }
teardown() { machine_down; }

# A configuration that must be refused wherever a file is taken: bad_config PATTERN FILE
bad_config() {
	refused 2 "$1" sipdam config check "$2"
	refused 2 "$1" sipdam config show --config "$2"
	refused 2 "$1" sipdam reload --config "$2"
	refused 2 "$1" sipdam attach e0 e1 --config "$2"
}

# The same, written out: bad_yaml PATTERN LINE...
bad_yaml() {
	printf '%s\n' "${@:2}" >bad.yaml
	bad_config "$1" bad.yaml
}

@test "badinput: nobody may attach, and is told what is missing" {
	nobody() { inside setpriv --reuid 65534 --regid 65534 --clear-groups "$root/build/sipdam" "$@"; }
	refused 1 'attach: .*CAP_BPF.*root' nobody attach e0
	nothing_left
	run_filter
	refused 1 'attach: .*CAP_BPF.*root' nobody attach e1
	refused 1 'detach: .*CAP_BPF.*root' nobody detach --all
	refused 1 'stats: .*no permission.*root' nobody stats
	refused 1 'get: .*no permission.*root' nobody get
	refused 1 'deny: .*no permission.*root' nobody deny list
	refused 1 'deny: .*no permission.*root' nobody deny add 192.0.2.1
	refused 1 'set: .*no permission.*root' nobody set mode=monitor
	refused 1 'reload: .*no permission.*root' nobody reload
	untouched
	printf '\324\303\262\241\2\0\4\0\0\0\0\0\0\0\0\0\0\0\4\0\1\0\0\0' >none.pcap
	refused 1 'replay: .*CAP_BPF.*root' nobody replay none.pcap
}

@test "badinput: root without a capability is told which" {
	without() { inside setpriv --bounding-set "-sys_admin,-$1" "$root/build/sipdam" "${@:2}"; }
	for capability in bpf net_admin perfmon; do
		refused 1 "attach: .*CAP_${capability^^}.*root" without "$capability" attach e0
		nothing_left
	done
	without net_raw attach e0 # the near miss: those three are enough
	without net_raw detach --all
	nothing_left
}

@test "badinput: an interface that is not there" {
	refused 1 'attach: ghost0: no such interface.*ip link' sipdam attach ghost0
	refused 1 'attach: ghost0: no such interface' sipdam attach e0 ghost0
	nothing_left
	run_filter
	refused 1 'attach: ghost0: no such interface' sipdam attach e1 ghost0
	refused 1 'detach: ghost0: no such interface' sipdam detach ghost0
	refused 1 'detach: e1: .*not attached' sipdam detach e1
	refused 1 'stats: e1: .*not attached.*sipdam status' sipdam stats e1
	refused 1 'stats: ghost0: ' sipdam stats ghost0
	untouched
}

@test "badinput: lo has no native XDP: auto falls back and says so, native refuses" {
	refused 1 'lo: its driver has no XDP.*--mode generic' sipdam attach lo --mode native
	nothing_left
	run -0 sipdam attach lo
	[[ $output == "lo: attached, generic"*"no native XDP"* ]]
	run -0 sipdam attach lo --mode generic
	[[ $output == "lo: replaced in place, generic" ]]
	refused 1 'lo: attached already, generic.*detach lo' sipdam attach lo --mode native
	[ "$(sipdam status --json | jq -r '.interfaces[0].mode')" = generic ]
}

@test "badinput: an attach that fails half way leaves the policy in force" {
	run_filter
	echo 'mode: monitor' >monitor.yaml
	refused 1 'lo: its driver has no XDP' sipdam attach e1 lo --mode native --config monitor.yaml
	untouched
}

@test "badinput: configuration: files that cannot be read" {
	run_filter
	mkdir folder
	mkfifo pipe
	head -c $((16 * 1024 * 1024 + 1)) /dev/zero | tr '\0' '#' >huge.yaml
	head -c $((16 * 1024 * 1024)) huge.yaml >large.yaml
	bad_config 'missing.yaml: No such file' missing.yaml
	bad_config 'folder is not a regular file' folder
	bad_config 'pipe is not a regular file' pipe
	bad_config 'huge.yaml has more than 16 MiB' huge.yaml
	bad_config '/dev/zero is not a regular file' /dev/zero
	untouched
	sipdam config check large.yaml # the near miss
	echo 'mode: enforce' >secret.yaml
	chmod 0 secret.yaml
	refused 2 'cannot read .*secret.yaml: Permission denied' inside setpriv --bounding-set -dac_override,-dac_read_search \
		"$root/build/sipdam" config check secret.yaml
}

@test "badinput: configuration: files that are no YAML" {
	run_filter
	head -c 100000 "$root/build/sipdam" >binary.yaml
	bad_config 'binary.yaml:1:[0-9]+: not UTF-8' binary.yaml
	printf 'mode: \0\0' >nul.yaml
	bad_config 'nul.yaml:1:[0-9]+: ' nul.yaml
	bad_yaml 'bad.yaml:3:[0-9]+: ports.udp: not valid YAML' 'ports:' '  udp: [5060' '}'
	bad_yaml 'bad.yaml:2:[0-9]+: .*not valid YAML' 'mode: enforce' $'\tports: {}'
	bad_yaml 'bad.yaml:2:[0-9]+: .*anchors' 'limits:' '  network: &a {rate: 1}'
	bad_yaml 'bad.yaml:2:1: .*second YAML document' 'mode: enforce' '---' 'mode: monitor'
	untouched
}

@test "badinput: configuration: half-written files" {
	run_filter
	sipdam config show >whole.yaml
	size=$(stat_size whole.yaml)
	for ((cut = 3; cut < size; cut += size / 25)); do
		head -c "$cut" whole.yaml >half.yaml
		if sipdam config check half.yaml >/dev/null 2>&1; then
			continue # ends between two keys, and so is whole
		fi
		refused 2 'half.yaml:[0-9]+:[0-9]+: ' sipdam reload --config half.yaml
		halves=$((${halves:-0} + 1))
	done
	[ "$halves" -ge 5 ]
	untouched
}
stat_size() { wc -c <"$1"; }

@test "badinput: configuration: unknown keys are named with file, line and what was meant" {
	run_filter
	bad_yaml 'bad.yaml:2:1: modus: unknown key, did you mean mode' '# a comment' 'modus: enforce'
	bad_yaml 'bad.yaml:3:5: limits.unknown.invte: unknown key, did you mean limits.unknown.invite' \
		'limits:' '  unknown:' '    invte: {rate: 5}'
	bad_yaml 'bad.yaml:1:23: .*limits.network.bust: unknown key, did you mean limits.network.burst' \
		'limits: {network: {   bust: 5}}'
	bad_yaml 'bad.yaml:1:1: xyzzy: unknown key, .sipdam config show' 'xyzzy: 1'
	bad_yaml 'bad.yaml:1:1: limits.network.rate: .*nest' 'limits.network.rate: 1'
	bad_yaml 'bad.yaml:3:1: mode: .*twice' 'mode: enforce' 'sources: 1024' 'mode: monitor'
	bad_yaml 'bad.yaml:3:[0-9]+: limits.pool.invite.rate: .*twice' 'limits:' '  pool:' '    invite: {rate: 1, rate: 2}'
	untouched
}

@test "badinput: configuration: wrong types" {
	run_filter
	bad_yaml 'bad.yaml:1:7: mode: "7" given, expected enforce or monitor' 'mode: 7'
	bad_yaml 'bad.yaml:1:7: mode: a list given' 'mode: [enforce]'
	bad_yaml 'bad.yaml:1:9: limits: "5" given, expected a mapping' 'limits: 5'
	bad_yaml 'bad.yaml:1:14: ports.udp: "5060" given, expected' 'ports: {udp: 5060}'
	bad_yaml 'bad.yaml:2:12: limits.network: a list given' 'limits:' '  network: [1, 2]'
	bad_yaml 'bad.yaml:1:27: limits.network.rate: "fast" given' 'limits: {network: { rate: fast}}'
	bad_yaml 'bad.yaml:1:[0-9]+: mode: nothing given' 'mode:'
	bad_yaml 'bad.yaml:1:1: a list given' '- mode'
	untouched
}

@test "badinput: configuration: impossible values" {
	run_filter
	bad_yaml 'bad.yaml:1:10: sources: "3" given, expected a power of two' 'sources: 3'
	bad_yaml 'bad.yaml:1:[0-9]+: sources: ' 'sources: 100000000000000000000'
	bad_yaml 'limits.network.rate: "-5" given' 'limits: {network: {rate: -5}}'
	bad_yaml 'limits.network.rate: "1e99" given' 'limits: {network: {rate: 1e99}}'
	bad_yaml 'limits.network.burst: 0 .*at least 3' 'limits: {network: {burst: 0}}'
	bad_yaml 'ports.udp: "65536" given, expected a port' 'ports: {udp: [65536]}'
	bad_yaml 'ports.udp: "0" given, expected a port' 'ports: {udp: [0]}'
	bad_yaml 'source_key.ipv4: "33" given' 'source_key: {ipv4: 33}'
	bad_yaml 'trust.ttl: "5 years" given' 'trust: {ttl: 5 years}'
	untouched
}

@test "badinput: configuration: a burst shorter than rate x 10 ms, and the least burst" {
	run_filter
	bad_yaml 'bad.yaml:3:33: limits.unknown.invite.burst: 9 .*at least 10' 'limits:' '  unknown:' \
		'    invite: {rate: 1000, burst: 9}'
	refused 2 'limits.unknown.invite.burst: .*at least 10' sipdam set limits.unknown.invite.rate=1000 \
		limits.unknown.invite.burst=9
	untouched
	sipdam set limits.unknown.invite.rate=1000 limits.unknown.invite.burst=10
}

@test "badinput: configuration: 17 ports" {
	run_filter
	ports() { seq -s, "$1" "$2"; }
	bad_yaml 'bad.yaml:1:[0-9]+: ports.udp: .*at most 16' "ports: {udp: [$(ports 5060 5076)]}"
	refused 2 'ports.tcp: .*at most 16' sipdam set "ports.tcp=$(ports 5060 5076)"
	untouched
	sipdam set "ports.udp=$(ports 5060 5075)"
}

@test "badinput: configuration: lists and their files" {
	run_filter
	printf '192.0.2.1\n# a comment\n\n192.0.2.300\n' >bad.txt
	mkdir folder
	bad_yaml 'bad.yaml:1:8: deny: .*bad.txt:4: not a prefix' 'deny: [bad.txt]'
	bad_yaml 'bad.yaml:1:8: deny: .*folder' 'deny: [folder]'
	bad_yaml 'bad.yaml:2:5: allow: "missing.txt" is neither a prefix' 'allow:' '  - missing.txt'
	bad_yaml 'bad.yaml:1:[0-9]+: addresses: "bad.txt" given' 'addresses: [bad.txt]'
	bad_yaml 'bad.yaml:1:[0-9]+: allow: "192.0.2.0/33"' 'allow: [192.0.2.0/33]'
	refused 2 'deny: .*bad.txt:4: not a prefix' sipdam set "deny=$PWD/bad.txt"
	untouched
}

@test "badinput: set and get refuse as a whole" {
	run_filter
	refused 2 'set: .*KEY=VALUE.*sipdam get' sipdam set
	refused 2 'set: "mode" given, expected KEY=VALUE' sipdam set mode
	refused 2 'set: mode: nothing given' sipdam set mode=
	refused 2 'set: "=monitor" given, expected KEY=VALUE' sipdam set =monitor
	refused 2 'set: foo: unknown key' sipdam set foo=1
	refused 2 'set: limits.unknown.invte: unknown key, did you mean limits.unknown.invite' sipdam set limits.unknown.invte=1
	refused 2 'set: limits.pool.invite.rate: "x" given' sipdam set mode=monitor limits.pool.invite.rate=x
	refused 2 'set: sources: .*reload' sipdam set sources=2048
	refused 2 'set: allow: ' sipdam set mode=monitor allow=nonsense
	refused 2 'get: foo: no such key' sipdam get foo
	refused 2 'get: limits.unkown: no such key' sipdam get limits.unkown
	refused 2 'get: one key' sipdam get mode sources
	refused 2 'reload: .*without a configuration file.*--config' sipdam reload
	untouched
}

@test "badinput: allow and deny refuse as a whole" {
	run_filter
	for list in allow deny; do
		refused 2 "$list: .*add, del, list, import or flush" sipdam "$list"
		refused 2 "$list: purge: .*add, del, list" sipdam "$list" purge
		refused 2 "$list: add: a PREFIX is missing" sipdam "$list" add
		refused 2 "$list: nonsense is not an address or prefix such as" sipdam "$list" add 192.0.2.77 nonsense
		refused 2 "$list: 192.0.2.0/33 is not" sipdam "$list" add 192.0.2.0/33
		refused 2 "$list: 192.0.2.1/ is not" sipdam "$list" add 192.0.2.1/
		refused 2 "$list: ::1/129 is not" sipdam "$list" add ::1/129
		refused 2 "$list: --for: \"5\" is not a duration such as" sipdam "$list" add 192.0.2.1 --for 5
		refused 2 "$list: --for: \"0s\"" sipdam "$list" add 192.0.2.1 --for 0s
		refused 1 "$list: 198.51.100.1 is not in the $list list.*sipdam $list list" sipdam "$list" del 198.51.100.1
		refused 1 "$list: drop.txt: no feed of this name" sipdam "$list" flush drop.txt
	done
	refused 1 "deny: 198.51.100.1 is not in the deny list" sipdam deny del 203.0.113.0/24 198.51.100.1
	refused 1 "deny: 203.0.113.0/25 is not in the deny list" sipdam deny del 203.0.113.0/25
	untouched
}

@test "badinput: --json is refused where there is nothing to read" {
	run_filter
	for command in "allow add 192.0.2.1" "deny del 203.0.113.0/24" "deny import -" "allow flush" "ban add 192.0.2.1" \
		"ban del 192.0.2.1" "trust add 192.0.2.1" "trust del 192.0.2.1" "trust import -"; do
		# shellcheck disable=SC2086
		refused 2 "^sipdam ${command%% *}: [a-z]*: --json belongs to list; see --help" sipdam $command --json <<<192.0.2.1
	done
	untouched
	for command in allow deny ban trust; do
		sipdam "$command" --json list | jq -e type
	done
}

@test "badinput: host bits of a prefix are dropped, and del takes it by any address in it" {
	sipdam attach e0
	sipdam deny add 198.51.100.7/24 2001:db8::1/32
	[ "$(sipdam deny list --json | jq -c '[.. | .prefix? // empty] | sort')" = '["198.51.100.0/24","2001:db8::/32"]' ]
	sipdam deny del 198.51.100.99/24
	[ "$(sipdam deny list --json | jq -c '[.. | .prefix? // empty]')" = '["2001:db8::/32"]' ]
}

@test "badinput: import of a bad file leaves the old feed" {
	run_filter
	mkdir folder
	mkfifo pipe
	printf '# two\n198.51.100.1\n2001:db8:f::/48\r\n' >feed.txt
	sipdam deny import feed.txt
	fingerprint >before
	mv feed.txt good.txt
	refused 1 'deny: reading feed.txt: No such file' sipdam deny import feed.txt
	printf '198.51.100.2\nnonsense\n' >feed.txt
	refused 2 'deny: feed.txt:2: not an address or prefix.*unchanged' sipdam deny import feed.txt
	head -c 100000 "$root/build/sipdam" >feed.txt
	refused 2 'deny: feed.txt:1: not an address or prefix.*unchanged' sipdam deny import feed.txt
	seq -f '10.%.0f' 1 1000001 | awk -F. '{ printf "10.%d.%d.%d\n", $2 / 65536, $2 / 256 % 256, $2 % 256 }' >feed.txt
	refused 1 'deny: feed.txt: more than 1000000 prefixes.*unchanged' sipdam deny import feed.txt
	refused 1 'deny: reading folder: Is a directory' sipdam deny import folder
	refused 2 'deny: pipe is not a regular file' sipdam deny import pipe
	refused 2 'deny: import: a FILE is missing' sipdam deny import
	refused 2 'deny: import: "good.txt" is too much' sipdam deny import feed.txt good.txt
	untouched
}

@test "badinput: import replaces the entries of its feed and no others" {
	sipdam attach e0
	sipdam deny add 192.0.2.1 192.0.2.2
	printf '192.0.2.2\n192.0.2.3\n' >one.txt
	printf '192.0.2.3\n192.0.2.4\n' >two.txt
	sipdam deny import one.txt
	sipdam deny import two.txt
	printf '192.0.2.5\n' >one.txt
	sipdam deny import one.txt
	prefixes() { sipdam deny list --json | jq -r '[.. | .prefix? // empty] | sort | join(" ")'; }
	[ "$(prefixes)" = "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5" ]
	[ "$(sipdam deny list --json | jq -c '[.. | select(.prefix? == "192.0.2.2" or .prefix? == "192.0.2.3") | .origins] | sort')" = \
		'[["feed two.txt"],["manual"]]' ]
	sipdam deny flush two.txt
	[ "$(prefixes)" = "192.0.2.1 192.0.2.2 192.0.2.5" ]
	sipdam deny flush
	[ "$(prefixes)" = "" ]
}

@test "badinput: import from standard input: a feed like others, which nothing empties by mistake" {
	sipdam attach e0
	sipdam deny add 192.0.2.1
	prefixes() { sipdam deny list --json | jq -r '[.. | .prefix? // empty] | sort | join(" ")'; }
	run -0 sipdam deny import - < <(printf '192.0.2.2\n# why\n192.0.2.3\n')
	[ "$output" = "standard input: 2 prefixes in the deny list" ]
	run -0 sipdam deny import - <<<192.0.2.4
	[ "$output" = "standard input: 1 prefix in the deny list" ]
	[ "$(prefixes)" = "192.0.2.1 192.0.2.4" ]
	sipdam deny list | grep -qE '^192\.0\.2\.4 +feed -$'
	fingerprint >"$room/before"
	refused 1 '^sipdam deny: standard input is empty: .*unchanged.*`sipdam deny flush -`' sipdam deny import - </dev/null
	refused 2 'deny: standard input:2: not an address or prefix.*unchanged' sipdam deny import - < <(printf '192.0.2.5\n<html>\n')
	refused 1 'deny: reading standard input: Is a directory' sipdam deny import - </
	refused 1 'deny: reading standard input: Bad file descriptor' sipdam deny import - <&-
	refused 2 'import: "feed.txt" is too much' sipdam deny import - feed.txt </dev/null
	untouched
	sipdam deny import - <<<'# none today'
	[ "$(prefixes)" = "192.0.2.1" ]
	sipdam allow import - --for 1h <<<192.0.2.6
	sipdam allow list | grep -qE '^192\.0\.2\.6 +feed -, for (1h|59m)'
	sipdam allow flush -
	[ -z "$(sipdam allow list)" ]
}

@test "badinput: an import that waits for its pipe holds nobody up" {
	sipdam attach e0
	mkfifo slow
	exec 7<>slow
	start_inside sh -c 'exec 7>&-; exec "$0" deny import - <slow' "$root/build/sipdam"
	echo 192.0.2.1 >&7
	reads() { [[ $(<"/proc/${children[-1]}/comm") == sipdam && $(<"/proc/${children[-1]}/wchan") == *pipe* ]]; }
	until reads; do sleep 0.02; done
	inside timeout 10 "$root/build/sipdam" deny add 192.0.2.2
	[ "$(sipdam deny list --json | jq -r '[.. | .prefix? // empty] | join(" ")')" = 192.0.2.2 ]
	exec 7>&-
	wait "${children[-1]}"
	[ "$(sipdam deny list --json | jq -r '[.. | .prefix? // empty] | join(" ")')" = "192.0.2.1 192.0.2.2" ]
}

@test "badinput: names that are not UTF-8 leave JSON whole" {
	name=$'e\xff'
	inside ip link set e0 down
	inside ip link set e0 name "$name"
	inside ip link set "$name" up
	echo 'mode: enforce' >"$name.yaml"
	echo 192.0.2.1 >"$name"
	sipdam attach "$name" --config "$PWD/$name.yaml"
	sipdam deny import "$name"
	[ "$(sipdam stats "$name" --json | jq -r '.interfaces[].name')" = 'e\xff' ]
	[ "$(sipdam status --json | jq -r '.interfaces[].name, .learning.interfaces[]')" = $'e\\xff\ne\\xff' ]
	[[ "$(sipdam status --json | jq -r .config)" == *'/e\xff.yaml' ]]
	[ "$(sipdam config check "$name.yaml" --json | jq -r .file)" = 'e\xff.yaml' ]
	[ "$(sipdam deny list --json | jq -c '.entries[].origins')" = '["feed e\\xff"]' ]
	[ "$(sipdam explain 192.0.2.1 --json | jq -c '[.. | .origins? // empty][0]')" = '["feed e\\xff"]' ]
	sipdam doctor --json "$name" | jq -e 'any(.findings[]; .interface == "e\\xff")'
	inside ip link del "$name"
	[ "$(sipdam status --json | jq -r '.gone_interfaces[]')" = 'e\xff' ]
}

@test "badinput: --for: an entry stops denying when its time is over" {
	sipdam attach e0
	sipdam deny add 198.18.0.0/15 --for 1s
	sipdam deny add 198.51.100.0/24 --for 1h
	send 0 5
	counted 0 .reasons.denied 5
	tries=60
	until send 0 1 && (($(stat 0 .reasons.within_limits) > 0)); do
		((tries-- > 0))
		sleep 0.1
	done
	[ "$(sipdam deny list --json | jq -r '[.. | .prefix? // empty] | join(" ")')" = 198.51.100.0/24 ]
	denied=$(stat 0 .reasons.denied)
	send 0 5
	counted 0 .reasons.within_limits $(($(seen 0) - denied))
	[ "$(stat 0 .reasons.denied)" = "$denied" ]
}

@test "badinput: no bpffs is mounted" {
	inside umount /sys/fs/bpf
	refused 1 'attach: no BPF file system at /sys/fs/bpf.*mount -t bpf bpf /sys/fs/bpf' sipdam attach e0
	for command in "detach --all" status stats get "set mode=monitor" reload "deny list" "deny add 192.0.2.1"; do
		# shellcheck disable=SC2086
		refused 1 "${command%% *}: no BPF file system at /sys/fs/bpf.*mount -t bpf" sipdam $command
	done
	run ! has_xdp
	inside mount -t bpf bpf /sys/fs/bpf
	sipdam attach e0
}

@test "badinput: the bpffs is mounted read-only" {
	inside mount -o remount,ro /sys/fs/bpf
	refused 1 'attach: /sys/fs/bpf/sipdam: Read-only file system' sipdam attach e0
	run ! has_xdp
	inside mount -o remount,rw /sys/fs/bpf
	run_filter
	inside mount -o remount,ro /sys/fs/bpf
	refused 1 'set: /sys/fs/bpf/sipdam: Read-only file system: .*`mount -o remount,rw /sys/fs/bpf`' sipdam set mode=monitor
	refused 1 'Read-only' sipdam attach e1
	refused 1 'Read-only' sipdam detach --all
	inside mount -o remount,rw /sys/fs/bpf
	untouched
	sipdam detach --all
	nothing_left
}

# A record that names a layout and no version: stale_meta VALUE-BYTES LAYOUT
stale_meta() {
	inside mkdir -p /sys/fs/bpf/sipdam
	inside bpftool map create /sys/fs/bpf/sipdam/meta type array key 4 value "$1" entries 1 name meta
	# shellcheck disable=SC2046
	inside bpftool map update pinned /sys/fs/bpf/sipdam/meta key 0 0 0 0 value "$2" $(yes 0 | head -n $(($1 - 1)))
	inside bpftool map create /sys/fs/bpf/sipdam/policy type array key 4 value 64 entries 1 name policy
}

@test "badinput: pins that tell of no version of ours are refused with a reason, and detach --all clears them" {
	sipdam attach e0
	size=$(inside bpftool -j map show pinned /sys/fs/bpf/sipdam/meta | jq .bytes_value)
	sipdam detach e0
	for record in "8 1" "$((size + 8)) 1" "$size 200"; do
		# shellcheck disable=SC2086
		stale_meta $record
		for command in "attach e0" "detach e0" status stats get "set mode=monitor" "deny list" "deny add 192.0.2.1"; do
			# shellcheck disable=SC2086
			refused 1 "${command%% *}: .*not made by sipdam.*detach --all" sipdam $command
		done
		[ "$(inside ls /sys/fs/bpf/sipdam)" = "$(printf '%s\n' meta policy)" ]
		sipdam detach --all
		nothing_left
	done
	sipdam attach e0
}

@test "badinput: what a killed attach has left does not stop the next one" {
	inside mkdir /sys/fs/bpf/sipdam
	refused 1 'status: nothing is attached' sipdam status
	refused 1 'set: nothing is attached' sipdam set mode=monitor
	sipdam attach e0
	send 0 3
	counted 0 .reasons.within_limits 3
	sipdam detach --all
	nothing_left
	inside mkdir /sys/fs/bpf/sipdam
	sipdam detach --all
	nothing_left
	# Some of its maps, one of another shape, and no record yet.
	inside mkdir /sys/fs/bpf/sipdam
	inside bpftool map create /sys/fs/bpf/sipdam/sources type array key 4 value 64 entries 1024 name sources
	inside bpftool map create /sys/fs/bpf/sipdam/policy type array key 4 value 8 entries 2 name policy
	refused 1 'stats: ' sipdam stats
	sipdam attach e0
	send 0 3
	counted 0 .reasons.within_limits 3
	sipdam detach --all
	nothing_left
}

# An XDP program of somebody else, that libxdp's dispatcher knows nothing of.
foreign() {
	cat >foreign.c <<-END
		#define SEC(name) __attribute__((section(name), used))
		SEC("xdp") int foreign(void *ctx) { return 2; }
		char _license[] SEC("license") = "GPL";
	END
	"$(compgen -c | grep -E '^clang(-[0-9]+)?$' | sort | head -1)" -O2 -g -target bpf -c foreign.c -o foreign.o
	inside ip link set e1 "$1" obj foreign.o sec xdp
	foreign_id=$(foreign_now)
}
foreign_now() { inside ip -d link show e1 | grep -o 'prog/xdp id [0-9]* name foreign'; }

@test "badinput: a foreign XDP program is never replaced" {
	foreign xdpdrv
	for mode in auto native generic; do
		refused 1 'attach: e1: another XDP program.*left alone.*ip link show e1' sipdam attach e1 --mode "$mode"
		refused 1 'attach: e1: another XDP program' sipdam attach e0 e1 --mode "$mode"
		[ "$(foreign_now)" = "$foreign_id" ]
	done
	[ "$(inside ip link show | grep -c prog/xdp)" = 1 ]
	run ! inside ls /sys/fs/bpf/sipdam
	run_filter
	refused 1 'attach: e1: another XDP program' sipdam attach e1
	refused 1 'detach: e1: .*not attached' sipdam detach e1
	untouched
	sipdam detach --all
	[ "$(foreign_now)" = "$foreign_id" ]
}

@test "badinput: a foreign generic XDP program is never replaced" {
	foreign xdpgeneric
	refused 1 'attach: e1: another XDP program.*left alone' sipdam attach e1
	refused 1 'attach: e1: another XDP program.*left alone' sipdam attach e1 --mode generic
	[ "$(foreign_now)" = "$foreign_id" ]
}

@test "badinput: replay of what is no capture" {
	run_filter
	mkdir folder
	: >empty.pcap
	echo "not a capture, but a text of some length" >text.pcap
	printf '\324\303\262\241\2\0\4\0\0\0\0\0\0\0\0\0\0\0\4\0\223\0\0\0' >usb.pcap # link type 147
	printf '\324\303\262\241\2\0\4\0\0\0\0\0\0\0\0\0\0\0\4\0\1\0\0\0' >none.pcap
	{ cat none.pcap && printf '\0\0\0\0\0\0\0\0\100\0\0\0\100\0\0\0only a part of it'; } >cut.pcap
	head -c 11 none.pcap >header.pcap
	refused 1 'replay: cannot open missing.pcap: No such file' sipdam replay missing.pcap
	refused 1 'replay: cannot replay folder: it is a directory' sipdam replay folder
	refused 1 'replay: cannot replay empty.pcap: it is empty' sipdam replay empty.pcap
	refused 1 'replay: cannot replay text.pcap: not a pcap' sipdam replay text.pcap
	refused 1 'replay: .*header.pcap: ' sipdam replay header.pcap
	refused 1 'replay: .*usb.pcap: .*link type .*147.* is not read' sipdam replay usb.pcap
	refused 2 'replay: no capture given' sipdam replay
	refused 2 'replay: .*one capture at a time' sipdam replay none.pcap usb.pcap
	refused 2 'replay: --local nonsense: expected' sipdam replay --local nonsense none.pcap
	refused 2 'replay: .*missing.yaml: No such file' sipdam replay --config missing.yaml none.pcap
	[ "$(sipdam replay --json none.pcap | jq .packets)" = 0 ]
	status=0
	sipdam replay --json cut.pcap >cut.out 2>cut.err || status=$?
	[ "$status" = 1 ]
	[ "$(wc -l <cut.err)" = 1 ]
	grep -q 'replay: reading cut.pcap broke off after packet 0: truncated' cut.err
	untouched
}

@test "badinput: serve where it cannot listen" {
	for address in nonsense 127.0.0.1 127.0.0.1: :9469 127.0.0.1:65536 127.0.0.1:http localhost:9469 ::1:9469; do
		refused 2 'serve: --listen .*expected ADDRESS:PORT' sipdam serve --listen "$address"
	done
	refused 1 'serve: listen on 192.0.2.99:9469: .*one of this host' sipdam serve --listen 192.0.2.99:9469
	refused 2 'serve: .*--help' sipdam serve eth0
	start_inside "$root/build/sipdam" serve
	tries=100
	until [[ -n $(inside ss -Hltn 'sport = :9469') ]]; do
		((tries-- > 0))
		sleep 0.02
	done
	refused 1 'serve: listen on 127.0.0.1:9469: Address already in use.*--listen' sipdam serve
}

@test "badinput: before attach every command says how to start" {
	for command in status stats get "set mode=monitor" reload "deny list" "deny add 192.0.2.1" "allow flush" "detach e0"; do
		# shellcheck disable=SC2086
		refused 1 "^sipdam ${command%% *}: nothing is attached: start with .sipdam attach" sipdam $command
	done
	run -0 sipdam detach --all
	[ "$output" = "nothing is attached" ]
	nothing_left
}

@test "badinput: every command has help with examples; a wrong one is told what was meant" {
	commands=$("$root/build/sipdam" --help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p' | grep -v '^sipdam$')
	[ "$(wc -w <<<"$commands")" -ge 13 ]
	for command in $commands "config check" "config show"; do
		# shellcheck disable=SC2086
		run -0 --separate-stderr sipdam $command --help
		[[ $output == *[Ee]xample*"  sipdam $command"* ]] || { echo "$command: no examples: $output"; false; }
		[ -z "$stderr" ]
		[ "$(wc -L <<<"$output")" -le 80 ] || { echo "$command: wider than 80 columns: $output"; false; }
	done
	refused 2 'no command given; see sipdam --help' sipdam
	refused 2 'unknown command "atach", did you mean attach' sipdam atach
	refused 2 'unknown command "stat", did you mean stat(s|us)' sipdam stat
	refused 2 'unknown command "frobnicate"; see sipdam --help' sipdam frobnicate
	refused 2 "attach: unrecognized option '--nonsense'" sipdam attach --nonsense e0
	refused 2 'attach: --mode is auto, native or generic' sipdam attach --mode fast e0
	refused 2 'attach: no interface given' sipdam attach
	refused 2 'detach: name interfaces, or --all' sipdam detach
	refused 2 'detach: name interfaces, or --all' sipdam detach e0 --all
	refused 2 'status: .*--help' sipdam status e0
	refused 2 'config: .*check or show' sipdam config
	refused 2 'config: .*check or show' sipdam config print
	refused 2 'config check: .*--help' sipdam config check
	refused 2 'version: .*--help' sipdam version now
	nothing_left
}
