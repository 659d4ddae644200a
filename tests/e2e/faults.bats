#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What happens to a filter that nobody meant to harm: devices that come and go, processes that are killed, files
# half written, memory that is short. Each test prints what it measured.

load lib

setup() { machine_up; }
teardown() {
	machine_down
	[[ -z ${group:-} ]] || rmdir "$group" 2>/dev/null || true # of a test that has failed
}

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
	run ! has_xdp e0
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
	run ! has_xdp e0
	[ "$(metric sipdam_up)" = 1 ]
	[ "$(wc -l <serve.err)" = 2 ]
	run -0 sipdam status
	[[ $output == "e0 "*"gone: deleted"*"sipdam attach"* || $output == "e0 "*"gone: deleted"* ]]
}

@test "faults: an interface down and up again keeps the filter" {
	sipdam attach e0
	sipdam deny add 198.18.0.0/15
	send 0 100
	inside ip link set e0 down
	inside ip link set e0 up
	in_world ip link set w0 down
	in_world ip link set w0 up
	[ "$(mode_of e0)" = native ]
	send 0 100
	counted 0 .reasons.denied 200
	[ "$(stat 0 .packets.passed)" = 0 ]
}

@test "faults: an interface renamed keeps the filter, and names follow" {
	sipdam attach e0
	sipdam deny add 198.18.0.0/15
	serve
	inside ip link set e0 down
	inside ip link set e0 name wan0
	inside ip link set wan0 up
	[ "$(mode_of wan0)" = native ]
	in_world "$root/build/lab/flood" --interface w0 --destination 192.0.2.1 \
		--destination-mac "$(inside cat /sys/class/net/wan0/address)" --source-base 198.18.0.1 --count 50 --rate 0 >/dev/null
	wait_until 1 eval '[ "$(sipdam stats wan0 --json | jq ".interfaces[0].reasons.denied")" = 50 ]'
	refused 1 'stats: e0: ' sipdam stats e0
	metric 'sipdam_interface_attached{interface="wan0",mode="native"}'
	# Another one of the old name is another one; one of the new name is the one that is missed.
	inside ip link add e0 type veth peer name f0
	inside ip link set e0 up
	inside ip link del wan0
	inside ip link add wan0 type veth peer name w0 netns "$world"
	wait_until 1 is_native wan0
	run ! has_xdp e0
}

in_other() { nsenter --target "$other" --net -- "$@"; }
# A denied flood to e0 in the other namespace, by its address: knock COUNT
knock() {
	in_world "$root/build/lab/flood" --interface w0 --destination 192.0.2.1 --destination-mac "$mac" \
		--source-base 198.18.0.1 --count "$1" --rate 0 >/dev/null
}

@test "faults: an interface moved to another network namespace takes the filter along" {
	sipdam attach e0
	sipdam deny add 198.18.0.0/15
	mac=$(inside cat /sys/class/net/e0/address)
	hold other --net
	inside ip link set e0 netns "$other"
	in_other ip link set e0 up
	in_other ip link show e0 | grep -q xdp
	[ "$(sipdam status --json | jq -c '[.gone, .gone_interfaces, .interfaces]')" = '[1,["e0"],[]]' ]
	knock 50
	in_other ip link set e0 netns "$machine"
	inside ip link set e0 up
	[ "$(mode_of e0)" = native ]
	counted 0 .reasons.denied 50
	[ "$(stat 0 .packets.passed)" = 0 ]
	# Where its state ends, what is away lets everything pass.
	inside ip link set e0 netns "$other"
	in_other ip link set e0 up
	sipdam detach --all
	nsenter --target "$other" --net -- timeout 10 tcpdump -n -i e0 -c 5 -Z root udp port 5060 >passed 2>tcpdump.err 3>&- &
	children+=($!)
	wait_until 5 grep -q 'listening on' tcpdump.err
	knock 50
	wait "${children[-1]}"
	[ "$(grep -c . passed)" = 5 ]
	in_other ip link set e0 xdp off
}

@test "faults: frames of 9,000 bytes are judged, also when the MTU is raised later" {
	inside ip link set e0 mtu 9000
	in_world ip link set w0 mtu 9000
	run -0 sipdam attach e0 e1 --mode native
	sipdam set limits.unknown.invite.rate=0.001 limits.unknown.invite.burst=50
	send 0 60 --size 8900
	counted 0 .reasons.source_rate 10
	[ "$(stat 0 .reasons.within_limits)" = 50 ]
	[ "$(stat 0 .reasons.malformed)" = 0 ]
	send 0 60 --size 8900 --source-base 198.18.0.9 --method REGISTER
	counted 0 .methods.REGISTER.passed 60
	sipdam deny add 198.18.0.0/15
	inside ip link set e1 mtu 9000
	in_world ip link set w1 mtu 9000
	send 1 20 --size 8900
	counted 1 .reasons.denied 20
	run inside ip link set e0 mtu 70000
	[ "$status" != 0 ]
	measured "MTU 70,000: ${output##*$'\n'}"
	[ "$(mode_of e0)" = native ]
	send 0 20 --size 8900
	counted 0 .reasons.denied 20
}

# --- files and pins ---

@test "faults: pins removed by hand: the filter goes and says so, attach begins anew" {
	sipdam attach e0
	sipdam deny add 198.18.0.0/15
	serve
	send 0 20
	counted 0 .reasons.denied 20
	inside sh -c 'rm -r /sys/fs/bpf/sipdam'
	refused 1 'status: nothing is attached' sipdam status
	[ "$(metric sipdam_up)" = 0 ]
	run -0 sipdam attach e0
	[ "$output" = "e0: attached, native" ]
	sipdam deny add 198.18.0.0/15
	send 0 20
	counted 0 .reasons.denied 20
	[ "$(metric sipdam_up)" = 1 ]
	sipdam detach e0
	nothing_left
}

@test "faults: one pin removed by hand: no command makes it worse, and the filter goes on" {
	echo 'sources: 1024' >sipdam.yaml
	local pin denied=0
	for pin in policy active lists counters interfaces secrets pools; do
		sipdam attach e0 --config sipdam.yaml
		sipdam deny add 198.18.0.0/15
		send 0 10
		counted 0 .reasons.denied 10
		inside rm "/sys/fs/bpf/sipdam/$pin"
		refused 1 "attach: .*$pin.*" sipdam attach e0
		has_xdp e0
		mac=$(inside cat /sys/class/net/e0/address)
		passed=$(inside cat /proc/net/snmp | awk '$1 == "Ip:" { n = $4 } END { print n }')
		knock 50
		sleep 0.05
		[ "$(inside cat /proc/net/snmp | awk '$1 == "Ip:" { n = $4 } END { print n }')" = "$passed" ]
		sipdam detach --all
		nothing_left
	done
}

@test "faults: a configuration half written is refused, or read whole" {
	printf '%s\n' 'sources: 1024' 'deny: [198.18.0.0/15]' >sipdam.yaml
	sipdam attach e0 --config sipdam.yaml
	local turn refusals=0 taken=0 status
	# In two parts, of which the first is a valid file without the deny list.
	(while :; do
		{ echo 'mode: enforce'; sleep 0.01; echo 'sources: 1024'; sleep 0.01; echo 'deny: [198.18.0.0/15]'; } >sipdam.yaml
		sleep "0.0$((RANDOM % 90 + 10))"
	done 3>&-) &
	local writer=$!
	children+=("$writer")
	start_flood 1000
	for ((turn = 0; turn < 20; turn++)); do
		status=0
		sipdam reload >reload.out 2>reload.err || status=$?
		case $status in
		0) taken=$((taken + 1)) ;;
		2)
			refusals=$((refusals + 1))
			[ "$(wc -l <reload.err)" = 1 ]
			;;
		*) cat reload.err && false ;;
		esac
		[ "$(sipdam deny list --json | jq -r '.entries[].prefix')" = 198.18.0.0/15 ]
	done
	kill "$writer"
	end_flood
	measured "reload while the file is rewritten: $taken read whole, $refusals refused"
	((taken + refusals == 20 && taken > 0))
}

# A flood of a denied source at e0, and its end: not one packet of it has passed.
start_flood() {
	local mac
	mac=$(inside cat /sys/class/net/e0/address)
	(exec nsenter --target "$world" --net -- "$root/build/lab/flood" --interface w0 --destination 192.0.2.1 \
		--destination-mac "$mac" --source-base 198.18.0.1 --rate "$1" --seconds 600 >flood.out 3>&-) &
	flood=$!
	children+=("$flood")
}
end_flood() {
	kill -TERM "$flood"
	wait "$flood"
	counted 0 .reasons.denied "$(jq .sent flood.out)"
	[ "$(stat 0 .packets.passed)" = 0 ]
	measured "$(jq .sent flood.out) packets of a denied source, none passed"
}

@test "faults: set again and again under flood" {
	local sets=${SIPDAM_SETS:-50} begin i
	printf '%s\n' 'sources: 1024' 'deny: [198.18.0.0/15]' >sipdam.yaml
	sipdam attach e0 --config sipdam.yaml
	start_flood 5000
	begin=$(now_ms)
	for ((i = 1; i <= sets; i++)); do
		sipdam set "limits.pool.invite={rate: $i, burst: $((i + 100))}"
	done
	measured "$sets set in $((($(now_ms) - begin) / 1000)) s: $((sets * 60000 / ($(now_ms) - begin))) a minute (SIPDAM_SETS=1000 for more)"
	[ "$(sipdam get limits.pool.invite.rate)" = "$sets" ]
	end_flood
}

# --- processes ---

# What must hold whichever instant a command was killed at.
whole() {
	inside sh -c '"$0" status --json && "$0" get --json && "$0" deny list --json' "$root/build/sipdam" >seen.json
	jq -se '
		def origin(of): [.[2].entries[] | select(.origins | index(of)) | .prefix] | sort;
		def pair(key): .[1]["limits.pool." + key + ".burst"].value - .[1]["limits.pool." + key + ".rate"].value == 100;
		(.[0].interfaces | any(.name == "e0" and .mode == "native")) and pair("invite") and pair("options")
		and origin("config") == ["198.18.0.0/15", {"11": "203.0.113.1", "22": "203.0.113.2"}
			[.[1]["limits.pool.options.rate"].value | tostring]]
		and (origin("feed feed.txt") | length == 0 or (length == 50 and (map(split(".")[1]) | unique | length == 1)))
		and .[0].lists.deny == (.[2].entries | length)' seen.json >/dev/null || { jq -c . seen.json; return 1; }
}

# The n-th of the commands that are killed, to $victim.
choose() {
	local n=$(($1 / 10))
	case $(($1 % 10)) in
	0) victim=(set "limits.pool.invite={rate: $n, burst: $((n + 100))}") ;;
	1)
		cp -p "$((n % 2)).yaml" next.yaml
		mv next.yaml sipdam.yaml
		victim=(reload)
		;;
	2) victim=(deny add "192.0.2.$((n % 8))") ;;
	3) victim=(deny del "192.0.2.$(((n + 3) % 8))") ;;
	4)
		seq -f "10.$((n % 2)).0.%.0f" 50 >feed.txt
		victim=(deny import feed.txt)
		;;
	5) victim=(allow add "2001:db8::$((n % 8))") ;;
	6) victim=(attach e0) ;;
	7) ((n % 2)) && victim=(detach e1) || victim=(attach e1) ;;
	8) victim=(serve --listen 127.0.0.1:0) ;;
	9) victim=(replay none.pcap) ;;
	esac
}

@test "faults: kill -9 of any command at random instants leaves nothing half" {
	local instants=${SIPDAM_INSTANTS:-60} i begin killed=0 took
	printf 'sources: 1024\ndeny: [198.18.0.0/15, 203.0.113.%d]\nlimits: {pool: {invite: {rate: 200, burst: 300}, options: {rate: %d, burst: %d}}}\n' \
		1 11 111 >0.yaml
	sed 's/113\.1\]/113.2]/; s/rate: 11, burst: 111/rate: 22, burst: 122/' 0.yaml >1.yaml
	printf '\324\303\262\241\2\0\4\0\0\0\0\0\0\0\0\0\0\0\4\0\1\0\0\0' >none.pcap
	cp -p 0.yaml sipdam.yaml
	sipdam attach e0 --config sipdam.yaml
	start_flood 2000
	RANDOM=${SIPDAM_SEED:-5060} begin=$(now_ms)
	for ((i = 0; i < instants; i++)); do
		choose "$i"
		# By how long each takes here, or so: some are done before they are hit.
		case ${victim[0]} in attach | replay) took=250000 ;; serve | detach) took=30000 ;; *) took=70000 ;; esac
		killed=$((killed + $(inside "$root/build/lab/strike" $(((RANDOM * 32768 + RANDOM) % took)) \
			"$root/build/sipdam" "${victim[@]}" 2>/dev/null | grep -c killed || true)))
		whole || { echo "instant $i: ${victim[*]}"; false; }
		if ((i % 10 == 9)); then
			sipdam set "limits.pool.register.rate=$((i + 1))"
			[ "$(sipdam get limits.pool.register.rate)" = $((i + 1)) ]
		fi
	done
	measured "$instants instants, $killed hit a command that ran, in $((($(now_ms) - begin) / 1000)) s (SIPDAM_INSTANTS=1000 for more, SIPDAM_SEED=N for others)"
	((killed > instants / 3))
	end_flood
	sipdam attach e0 e1
	sipdam reload
	objects >objects
	sipdam detach --all
	nothing_left objects
}

# --- memory and clocks ---

# A control group with this much memory, to $group: memory_group BYTES
memory_group() {
	local name=sipdam-e2e-$$
	if [[ -w /sys/fs/cgroup/memory/memory.limit_in_bytes || -d /sys/fs/cgroup/memory ]]; then
		group=/sys/fs/cgroup/memory/$name
		mkdir "$group" && echo "$1" >"$group/memory.limit_in_bytes"
	else
		group=/sys/fs/cgroup/$name
		mkdir "$group" && [[ -e $group/memory.max ]] && echo "$1" >"$group/memory.max"
	fi
}
limited() { bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" nsenter --target "$machine" --net --mount --wdns="$PWD" -- "$root/build/sipdam" "$@"; }

@test "faults: memory runs out: a clear refusal, and what ran goes on" {
	memory_group $((48 * 1024 * 1024)) || { rmdir "${group:?}" 2>/dev/null || true; skip "no control group for memory here"; }
	echo 'sources: 1048576' >large.yaml
	refused 1 'attach: loading the filter: .*not enough memory.*smaller .sources' limited attach e0 --config large.yaml
	nothing_left
	printf '%s\n' 'sources: 1024' 'deny: [198.18.0.0/15]' >sipdam.yaml
	sipdam attach e0 --config sipdam.yaml
	start_flood 1000
	inside bpftool -j map show pinned /sys/fs/bpf/sipdam/sources | jq .id >before
	refused 1 'reload: loading the filter: .*not enough memory.*smaller .sources' limited reload --config large.yaml
	inside bpftool -j map show pinned /sys/fs/bpf/sipdam/sources | jq .id | diff before -
	[ "$(sipdam status --json | jq .sources)" = 1024 ]
	limited set limits.pool.invite.rate=77 # the near miss
	[ "$(sipdam get limits.pool.invite.rate)" = 77 ]
	end_flood
	sipdam detach --all
	nothing_left
	rmdir "$group"
}

@test "faults: a wall clock that is years off changes no expiry" {
	cat >years.c <<-'END'
		#define _GNU_SOURCE
		#include <stdlib.h>
		#include <sys/syscall.h>
		#include <time.h>
		#include <unistd.h>
		static long shift(void) { return atol(getenv("YEARS")) * 31557600; }
		int clock_gettime(clockid_t id, struct timespec *now)
		{
			int error = syscall(SYS_clock_gettime, id, now);
			if (id == CLOCK_REALTIME)
				now->tv_sec += shift();
			return error;
		}
		time_t time(time_t *at)
		{
			struct timespec now;
			clock_gettime(CLOCK_REALTIME, &now);
			if (at)
				*at = now.tv_sec;
			return now.tv_sec;
		}
	END
	gcc -shared -fPIC -o years.so years.c
	years() { inside env "YEARS=$1" LD_PRELOAD="$PWD/years.so" "$root/build/sipdam" "${@:2}"; }
	sipdam attach e0
	local at left
	for at in -20 0 20; do
		sipdam deny flush
		years "$at" deny add 198.18.0.0/15 --for 1h
		for left in "$(years -20 deny list --json)" "$(years 20 deny list --json)"; do
			jq -e '.entries | length == 1 and (.[0].expires_in | . > 3500 and . <= 3600)' <<<"$left"
		done
		send 0 10
	done
	counted 0 .reasons.denied 30
	# What decides when something ends does not ask the wall clock, in the kernel nor here.
	run grep -slE 'CLOCK_REALTIME|[^a-z_]time\(NULL\)|gettimeofday' "$root"/user/{bans,book,cmd_lists,lists,live}.c
	[ -z "$output" ]
	run ! grep -rE 'ktime_get_(tai|real)' "$root/bpf"
}
