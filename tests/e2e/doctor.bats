#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bats file_tags=unmeasured
# What `sipdam doctor` says of a host and an interface, and that the commands it prints mend it.

load lib

setup() { machine_up; }
teardown() { machine_down; }

# Findings of the last report that are not ok: level, topic and command.
findings() { jq -r '.findings[] | select(.level != "ok") | [.level, .topic, .fix // "-"] | join(" ")' "$room/report"; }

# A report as JSON, with this exit status: report STATUS [ARGUMENT...]
report() {
	local status=0
	sipdam doctor --json "${@:2}" >"$room/report" 2>"$room/report.err" || status=$?
	jq -c . "$room/report"
	[[ $status == "$1" && ! -s $room/report.err ]] || { echo "exit $status"; cat "$room/report.err"; return 1; }
}

level() { jq -r --arg topic "$1" '.findings[] | select(.topic == $topic) | .level' "$room/report"; }
command_for() { jq -r --arg topic "$1" '.findings[] | select(.topic == $topic) | .fix' "$room/report"; }

@test "doctor: what is at fault is named with the command that mends it" {
	inside sysctl -qw net.ipv4.tcp_syncookies=0 net.core.somaxconn=128
	inside ip link set e0 down
	inside mount -o remount,ro /sys/fs/bpf
	report 1 e0
	for topic in syncookies backlog link bpffs; do
		inside sh -c "$(command_for $topic)"
	done
	[ "$(inside cat /proc/sys/net/ipv4/tcp_syncookies)" = 1 ]
	[ "$(findings | grep -c fault)" = 2 ]
	report 0 e0
	for topic in syncookies backlog bpffs kernel privileges memory mtu; do
		[ "$(level $topic)" = ok ] || { echo "$topic"; false; }
	done
	[ -z "$(level link)" ]
	[ "$(level driver)" = warning ] # a veth
	[ "$(jq '.faults' report)" = 0 ]
	inside umount /sys/fs/bpf
	report 1 e0
	[ "$(command_for bpffs)" = "mount -t bpf bpf /sys/fs/bpf" ]
}

@test "doctor: the filter where it is, another XDP program where that is" {
	sipdam attach e0 --mode native
	report 0
	[ "$(jq -r '.findings[] | select(.topic == "filter") | .interface + " " + .text' report)" = "e0 attached, native" ]
	cat >foreign.c <<-END
		#define SEC(name) __attribute__((section(name), used))
		SEC("xdp") int foreign(void *ctx) { return 2; }
		char _license[] SEC("license") = "GPL";
	END
	"$(compgen -c | grep -E '^clang(-[0-9]+)?$' | sort | head -1)" -O2 -g -target bpf -c foreign.c -o foreign.o
	inside ip link set e1 xdpdrv obj foreign.o sec xdp
	report 0 e0 e1
	[ "$(level conflict)" = warning ]
	inside sh -c "$(command_for conflict)"
	report 0 e1
	[ -z "$(level conflict)" ]
	# The state is gone, and the program is left: everything passes.
	inside umount /sys/fs/bpf
	inside mount -t bpf bpf /sys/fs/bpf
	report 1 e0
	[ "$(level filter)" = fault ]
}

@test "doctor: without privileges it says what it could not see" {
	report=$(inside setpriv --reuid 4703 --regid 4703 --clear-groups --inh-caps=-all --ambient-caps=-all \
		--bounding-set=-all --no-new-privs "$root/build/sipdam" doctor e0 2>err)
	[ ! -s err ]
	grep -q '^ok *kernel' <<<"$report"
	grep -q '^warning *privileges *this process lacks CAP_BPF' <<<"$report"
	[[ $(tail -n 1 <<<"$report") =~ ^0\ faults,\ [0-9]+\ warnings ]]
	# No line is longer than a screen is wide.
	[ -z "$(grep -E '.{81}' <<<"$report")" ]
}

@test "doctor: what it is not told right is refused in one line" {
	refused 1 'doctor: nope: no such interface' sipdam doctor nope
	refused 2 'doctor: .*--frob' sipdam doctor --frob
}
