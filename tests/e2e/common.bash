# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What tests with measured traffic share: a server and a world, two network namespaces joined by a veth pair,
# with the filter on the server's end, and programs in them that end with the test. The filter's state is in a
# bpffs of the test's own: `ip netns exec` would hide the host's, so commands enter by nsenter. All is named
# after the test's process; what a killed run has left is removed before the next test.
# shellcheck shell=bash disable=SC2034,SC2154

SERVER=192.0.2.1 SINK=192.0.2.2 ROUTER=192.0.2.254 CALLER=198.51.100.10 STRANGER=198.51.100.20
SERVER6=2001:db8::1 SINK6=2001:db8::2 ROUTER6=2001:db8::fe CALLER6=2001:db8:1::10 STRANGER6=2001:db8:1::20
FLOOD=198.18.0.0/15 FLOOD_FIRST=198.18.0.1 FLOOD6=2001:db8:8000::/33 FLOOD6_FIRST=2001:db8:8000::1
FLOOD_SECONDS=2 FLOOD_RATE=100000
VETH_QUEUES=() # options of the pair

# --- programs ---

in_server() { nsenter --net="/run/netns/$server" "$@"; }
in_world() { nsenter --net="/run/netns/$world" "$@"; }
sipdam() { in_server "$root/build/sipdam" "$@"; }

# Starts a program of a namespace: start NAME server|world PROGRAM... Its output goes to $room/NAME.out and
# .err, its id to ${pid[NAME]}.
start() {
	local name=$1 namespace=${!2}
	shift 2
	(cd "$room" && exec nsenter --net="/run/netns/$namespace" "$@") >"$room/$name.out" 2>"$room/$name.err" 3>&- &
	pid[$name]=$!
}

# Waits for the end of a program that ends by itself; its exit status is the answer.
wait_for() {
	local id=${pid[$1]} status=0
	unset "pid[$1]"
	wait "$id" || status=$?
	((status == 0)) || { echo "$1: exit $status"; tail -n 20 "$room/$1.out" "$room/$1.err"; }
	return $status
}

# Ends a program and waits for its last words.
finish() {
	kill -"${2:-TERM}" "${pid[$1]}"
	if [[ ${2:-TERM} == KILL ]]; then
		wait "${pid[$1]}" || unset "pid[$1]"
	else
		wait_for "$1"
	fi
}

# Asks every 20 ms until a command succeeds: wait_until SECONDS COMMAND...
wait_until() {
	local end=$((SECONDS + $1 + 1))
	shift
	until "$@"; do
		((SECONDS < end)) || { echo "waited in vain for: $*"; return 1; }
		sleep 0.02
	done
}

says() { grep -qs -- "$2" "$room/$1.out" "$room/$1.err"; }

# --- the network ---

make_network() {
	ip netns add "$server"
	ip netns add "$world"
	for namespace in "$server" "$world"; do
		ip -n "$namespace" link set lo up
	done
	ip link add edge0 netns "$server" "${VETH_QUEUES[@]}" type veth peer name world0 netns "$world" "${VETH_QUEUES[@]}"
	ip -n "$server" address add "$SERVER/24" dev edge0
	ip -n "$server" address add "$SINK/24" dev edge0
	ip -n "$server" address add "$SERVER6/64" dev edge0 nodad
	ip -n "$server" address add "$SINK6/64" dev edge0 nodad
	ip -n "$world" address add "$ROUTER/24" dev world0
	ip -n "$world" address add "$ROUTER6/64" dev world0 nodad
	ip -n "$world" address add "$CALLER/32" dev world0
	ip -n "$world" address add "$STRANGER/32" dev world0
	ip -n "$world" address add "$CALLER6/128" dev world0 nodad
	ip -n "$world" address add "$STRANGER6/128" dev world0 nodad
	ip -n "$server" link set edge0 up
	ip -n "$world" link set world0 up
	ip -n "$server" route add default via "$ROUTER"
	ip -n "$server" route add default via "$ROUTER6"
	mac=$(mac_of "$server" edge0)
	# The first neighbour solicitation on a new link may go unanswered for a second.
	ip -n "$server" neighbour add "$ROUTER6" lladdr "$(mac_of "$world" world0)" dev edge0
	ip -n "$world" neighbour add "$SERVER6" lladdr "$mac" dev world0
}

mac_of() { ip -n "$1" -j link show "$2" | jq -r '.[0].address'; }

# Removes what a process of this number has set up: its programs, namespaces and bpffs.
sweep() {
	local namespace=sipdam-e2e-$1 name id
	for name in "$namespace-server" "$namespace-world"; do
		[[ -e /run/netns/$name ]] || continue
		for id in $(ip netns pids "$name"); do
			kill -KILL "$id" || true
		done
		ip netns del "$name"
	done
	if mountpoint -q "/run/$namespace/bpffs"; then
		umount "/run/$namespace/bpffs"
	fi
	rm -rf "/run/${namespace:?}"
}

# What tests that were killed have left.
sweep_dead() {
	local left
	for left in /run/sipdam-e2e-*; do
		# A process that nobody waited for has a folder but no program any more.
		[[ $left =~ -([0-9]+)$ && ! -e /proc/${BASH_REMATCH[1]}/exe ]] || continue
		sweep "${BASH_REMATCH[1]}"
	done
}

lab_up() {
	root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	room=$BATS_TEST_TMPDIR
	server=sipdam-e2e-$$-server world=sipdam-e2e-$$-world
	declare -gA pid=()
	bats_require_minimum_version 1.5.0
	((EUID == 0)) || { echo "these tests need root"; return 1; }
	sweep_dead
	mkdir "/run/sipdam-e2e-$$" "/run/sipdam-e2e-$$/bpffs"
	export SIPDAM_BPFFS=/run/sipdam-e2e-$$/bpffs LIBXDP_BPFFS=/run/sipdam-e2e-$$/bpffs
	mount -t bpf bpf "$SIPDAM_BPFFS"
	make_network
	config ''
}

# Also after a failure. The shell would tell of each program that it kills.
lab_down() {
	local id
	{
		for id in "${pid[@]}"; do
			kill -KILL "$id" || true
			wait "$id" || true
		done
	} 2>/dev/null
	sweep $$
}

# --- the filter ---

# Writes $room/sipdam.yaml: what is given, else built-in.
config() { printf '%s\n' "mode: enforce" "$@" >"$room/sipdam.yaml"; }

attach() {
	sipdam attach edge0 --mode native --config "$room/sipdam.yaml" "$@"
	sipdam allow add "$CALLER" "$CALLER6"
}

# One number of `stats --json`: stat reasons.source_rate
stat() { sipdam stats edge0 --json | jq ".interfaces[0].$1"; }

# Packets that the filter has seen of strangers and judged by limits, and so of the flood.
flood_seen() { stat 'reasons | .within_limits + .source_rate + .network_rate + .pool_rate + .unverified + .fragment'; }

# --- the flood, and what reaches its server ---

# A server of the lab in the flood's way: sink [OPTION...]; the options may name another address or port.
sink() {
	start sink server "$root/build/lab/responder" --listen "$SINK" --count "$FLOOD" --count "$FLOOD6" \
		--seconds 60 "$@"
	wait_until 5 has_udp "${sink_port:-5060}"
}

has_udp() { [[ -n $(in_server ss -Hlun "sport = :$1") ]]; }

sink_is_idle() {
	in_server ss -Hlun "sport = :${sink_port:-5060}" | awk '{ waiting += $2 } END { exit waiting > 0 }'
}

sink_end() {
	wait_until 5 sink_is_idle
	finish sink
}

# How many packets of a prefix reached the server, those that its queue lost included.
reached() { jq --arg prefix "${1:-$FLOOD}" '.from_prefix[$prefix] + .overflowed' "$room/sink.out"; }

# Starts the flood, served first on a busy machine: flood_start [OPTION...], at $FLOOD_RATE for $FLOOD_SECONDS
# unless told otherwise.
flood_start() {
	start flood world nice -n -15 "$root/build/lab/flood" --interface world0 --destination "$SINK" \
		--destination-mac "$mac" --source-base "$FLOOD_FIRST" --rate "$FLOOD_RATE" --seconds "$FLOOD_SECONDS" "$@"
}

flood() {
	flood_start "$@"
	wait_for flood
}

flood_result() { jq ".$1" "$room/flood.out"; }

# --- what passes the filter, by a capture behind it ---

# Captures what matches: capture_start EXPRESSION...
capture_start() {
	start capture server timeout 60 tcpdump -i edge0 -Q in -n -Z root -s 128 -B 16384 --immediate-mode -U \
		-w capture.pcap "$@"
	wait_until 5 says capture 'listening on'
}

# Their times of arrival as `date +%s.%N` would say them, and how many there are.
capture_times() { tcpdump -n -tt -r "$room/capture.pcap" 2>/dev/null | cut -d' ' -f1; }
captured() { capture_times | wc -l; }
captured_at_least() { (($(captured) >= $1)); }
captured_all() { [[ $(captured) == "$1" ]]; }

# Ends the capture once it has this many packets, which must be all.
capture_end() {
	wait_until 5 captured_all "$1" || { echo "captured $(captured), not $1"; return 1; }
	finish capture
	says capture '^0 packets dropped by kernel'
	captured_all "$1"
}

# --- calls ---

# A real SIP server: callee [OPTION...]
callee() {
	start callee server sipp -sn uas -i "${at:-$SERVER}" -p 5060 -nostdin -timeout 60s "$@"
	wait_until 5 has_listener 5060
}

has_listener() { [[ -n $(in_server ss -Hltun "sport = :$1") ]]; }

# Calls of a real client, 20 a second, of sipp's own scenario or another: calls_start SECONDS [OPTION...]
calls_start() {
	local seconds=$1
	shift
	start calls world sipp "${to:-$SERVER}:5060" -i "${from:-$CALLER}" -p 5060 -r 20 -m $((20 * seconds)) \
		-nostdin -timeout $((seconds + 15))s -timeout_error -trace_stat -stf calls.csv -fd 1 "$@"
}

calls_have_begun() { (($(stat reasons.allowed) > 0)); }

# The last value of a column of sipp's statistics: calls_number 'Retransmissions(C)'
calls_number() {
	awk -F';' -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i; next }
		NF > 1 { last = $at } END { print last + 0 }' \
		"$room/calls.csv" 2>/dev/null || echo 0
}

# Every call came to its end; a few messages sent again are not the filter's doing on a busy machine.
calls_all_succeed() {
	wait_for calls || return 1
	local created successful failed again
	created=$(calls_number TotalCallCreated)
	successful=$(calls_number 'SuccessfulCall(C)')
	failed=$(calls_number 'FailedCall(C)')
	again=$(calls_number 'Retransmissions(C)')
	echo "calls $created, successful $successful, failed $failed, sent again $again"
	((created > 0 && successful == created && failed == 0 && again <= created / 20))
}

# --- comparisons ---

same() { [[ $1 == "$2" ]] || { echo "$1 is not $2"; return 1; }; }

# Whether a count is what a bucket admits of the flood, within 1 %: admitted COUNT BURST RATE
admitted() {
	awk -v count="$1" -v burst="$2" -v rate="$3" -v seconds="$(flood_result seconds)" \
		-v least="$(flood_result least_seconds)" 'BEGIN {
			bound = burst + rate * seconds
			printf "reached %d of at most %.0f in %g s: %.2f %%\n", count, bound, seconds, 100 * count / bound
			exit !(count <= bound * 1.01 && count >= (burst + rate * least) * 0.99)
		}'
}
