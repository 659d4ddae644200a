# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A machine of the test's own for what is done to the tool: network and mount namespaces without a name, held
# by one process and gone with it, a bpffs at /sys/fs/bpf and a private /etc/sipdam, veth pairs e0-w0, e1-w1...
# between it and the world. Traffic that is measured is common.bash's.
# shellcheck shell=bash disable=SC2034,SC2154

machine_up() {
	bats_require_minimum_version 1.5.0
	((EUID == 0)) || { echo "these tests need root"; return 1; }
	root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	room=$BATS_TEST_TMPDIR
	cd "$room"
	chmod 0755 "$room" # for those without privileges
	children=()
	hold world --net
	hold machine --net --mount --propagation private
	inside sh -c 'mount -t sysfs sysfs /sys && mount -t bpf bpf /sys/fs/bpf && { [ ! -d /etc/sipdam ] || mount -t tmpfs tmpfs /etc/sipdam; }'
	inside ip link set lo up
	for i in 0 1; do
		add_pair "$i"
	done
}

# Ends what the test has started, and with the holders all that was set up.
machine_down() {
	local id
	exec 2>/dev/null # the shell would tell of each
	for id in "${children[@]}"; do
		kill -KILL "$id" || true
		wait "$id" || true
	done
}

# A process that holds namespaces: its id goes to the variable of this name. It ends by itself if the test is killed.
hold() {
	unshare "${@:2}" sleep 300 3>&- &
	children+=($!)
	printf -v "$1" %s $!
	until [[ $(readlink "/proc/$!/ns/net") != $(readlink /proc/self/ns/net) && $(<"/proc/$!/comm") == sleep ]]; do
		sleep 0.01
	done
}

inside() { nsenter --target "$machine" --net --mount --wdns="$PWD" -- "$@"; }
# The same in the background, by the id in $!: the program's own, since nsenter becomes it.
start_inside() {
	(exec nsenter --target "$machine" --net --mount --wdns="$PWD" -- "$@" 3>&-) &
	children+=($!)
}
in_world() { nsenter --target "$world" --net -- "$@"; }
sipdam() { inside "$root/build/sipdam" "$@"; }

# A veth pair eN-wN without an address: packets come as frames, and nothing is sent that the test did not send.
add_pair() {
	inside ip link add "e$1" type veth peer name "w$1" netns "$world"
	inside sysctl -qw "net.ipv6.conf.e$1.disable_ipv6=1"
	in_world sysctl -qw "net.ipv6.conf.w$1.disable_ipv6=1"
	inside ip link set "e$1" up
	in_world ip link set "w$1" up
}

# --- traffic ---

# Requests at once to eN: send N COUNT [OPTION of lab/flood...]
send() {
	local mac
	mac=$(inside cat "/sys/class/net/e$1/address")
	in_world "$root/build/lab/flood" --interface "w$1" --destination 192.0.2.1 --destination-mac "$mac" \
		--source-base 198.18.0.1 --rate 0 --count "$2" "${@:3}" >/dev/null
}

# One number of `stats --json` of eN: stat N .reasons.denied
stat() { sipdam stats "e$1" --json | jq ".interfaces[0]$2"; }

# Waits until eN has counted this many: counted N .reasons.denied COUNT. Packets on a veth take a moment.
counted() {
	local tries=250
	until [[ $(stat "$1" "$2") == "$3" ]]; do
		((tries-- > 0)) || { echo "e$1 $2: $(stat "$1" "$2"), not $3"; return 1; }
		sleep 0.02
	done
}

# Whether a program is on an interface, or on any: has_xdp [NAME]
has_xdp() { inside ip link show ${1:+"$1"} 2>/dev/null | grep -q xdp; }

seen() { stat "$1" '.packets | .passed + .dropped + .would_drop'; }

# --- what a command does ---

# A command that must be refused: refused CODE PATTERN COMMAND... One line on stderr that matches the pattern,
# nothing on stdout, this exit code.
refused() {
	local code=$1 pattern=$2 got=0
	shift 2
	"$@" >"$room/refused.out" 2>"$room/refused.err" || got=$?
	if [[ $got == "$code" && ! -s $room/refused.out && $(wc -l <"$room/refused.err") == 1 &&
		$(<"$room/refused.err") =~ $pattern ]]; then
		return 0
	fi
	echo "$*: exit $got, expected $code; expected one line with: $pattern"
	sed 's/^/  stdout: /' "$room/refused.out"
	sed 's/^/  stderr: /' "$room/refused.err"
	return 1
}

# All that an operator could tell a running filter by: policy, lists, counters, program, pins.
fingerprint() {
	sipdam get --json
	for list in allow deny; do
		sipdam "$list" list --json
	done
	sipdam stats --json
	sipdam status --json | jq -c 'del(.over_limit)' # whose times are told by a clock
	inside bpftool map dump pinned /sys/fs/bpf/sipdam/programs
	inside ls /sys/fs/bpf /sys/fs/bpf/sipdam
	inside ip -d link show 2>/dev/null | grep -o 'prog/xdp id [0-9]*'
}

# A filter on e0 that has something to lose: settings, lists and counters.
run_filter() {
	sipdam attach e0
	sipdam set limits.unknown.invite.rate=7
	sipdam deny add 203.0.113.0/24
	sipdam allow add 192.0.2.10
	send 0 60
	counted 0 .reasons.source_rate 10
	fingerprint >"$room/before"
}

untouched() {
	fingerprint >"$room/after"
	diff "$room/before" "$room/after"
}

# What the kernel holds for the filter that runs: "map 17" or "prog 18", one a line.
objects() {
	local pin kind filter
	for pin in $(inside ls /sys/fs/bpf/sipdam); do
		kind=map
		[[ $pin != entry_* && $pin != egress ]] || kind=prog
		echo "$kind $(inside bpftool -j "$kind" show pinned "/sys/fs/bpf/sipdam/$pin" | jq .id)"
	done
	filter=$(filter_program)
	echo "prog $filter"
	bpftool -j prog show id "$filter" | jq -r '.map_ids[] | "map \(.)"'
}

# The id of the filter in force: the one entry of the array that entry programs jump through.
filter_program() {
	local bytes
	bytes=$(inside bpftool -j map dump pinned /sys/fs/bpf/sipdam/programs | jq -r '.[0].value | reverse | map(.[2:]) | add')
	echo $((16#$bytes))
}

# Waits until the kernel has freed these, a moment after the last one who held them: freed map|prog ID
freed() {
	local tries=250
	while bpftool "$1" show id "$2" >/dev/null 2>&1; do
		((tries-- > 0)) || { bpftool "$1" show id "$2"; return 1; }
		sleep 0.02
	done
}

# Nothing on an interface, nothing in the bpffs, and of the objects listed in a file none is left.
nothing_left() {
	local kind id
	[[ $(inside ls /sys/fs/bpf) == "$(printf '%s\n' maps.debug progs.debug)" ]] || { inside ls -R /sys/fs/bpf; return 1; }
	if inside ip link show 2>/dev/null | grep xdp; then
		return 1
	fi
	[[ $# == 0 ]] || while read -r kind id; do
		freed "$kind" "$id" || return
	done <"$1"
}
