#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bats file_tags=unmeasured
# Who may do what: attach with three capabilities and nothing else; read with none, as a member of the group;
# and one line for everybody else. Tried as such users.

load lib

OPERATOR=4701 READER=4702 STRANGER=4703 GROUP=4700

setup() {
	machine_up
	# A group of the test's own, in this mount namespace alone.
	{ grep -v '^sipdam:' /etc/group; echo "sipdam:x:$GROUP:"; } >group
	inside mount --bind "$PWD/group" /etc/group
}
teardown() { machine_down; }

# As a user who is not root: as USER GROUPS CAPABILITIES COMMAND...; capabilities as setpriv wants them, - for none.
as() {
	local groups=(--clear-groups) capabilities=(--inh-caps=-all --ambient-caps=-all --bounding-set=-all)
	[[ $2 == - ]] || groups=(--groups "$2")
	[[ $3 == - ]] || capabilities=(--inh-caps="-all,$3" --ambient-caps="-all,$3" --bounding-set="-all,$3")
	inside setpriv --reuid "$1" --regid "$1" "${groups[@]}" "${capabilities[@]}" --no-new-privs "${@:4}"
}
operator() { as $OPERATOR - +bpf,+net_admin,+perfmon "$root/build/sipdam" "$@"; }
reader() { as $READER $GROUP - "$root/build/sipdam" "$@"; }
stranger() { as $STRANGER - - "$root/build/sipdam" "$@"; }

# What needs no privilege of a member of the group.
reading=("status" "status --json" "stats" "stats e0" "stats --json" "get" "get --json" "get limits.pool" "allow list" "deny list"
	"deny list --json" "ban list" "ban list --json")
writing=("set mode=monitor" "reload" "confirm" "deny add 192.0.2.1" "allow del 192.0.2.1" "allow flush" "ban add 192.0.2.1"
	"ban del 192.0.2.1" "trust add 192.0.2.1" "trust import -")

@test "privilege: three capabilities attach, tune, read and detach, and no two of them do" {
	operator attach e0
	operator deny add 198.18.0.0/15
	send 0 20
	counted 0 .reasons.denied 20
	operator set limits.pool.invite.rate=77
	[ "$(operator get limits.pool.invite.rate)" = 77 ]
	operator stats e0 --json | jq -e '.interfaces[0] | .mode == "native" and .reasons.denied == 20'
	[ "$(operator attach e0 e1)" = "$(printf '%s\n' 'e0: replaced in place, native' 'e1: attached, native')" ]
	send 1 20
	counted 1 .reasons.denied 20
	operator detach e0 e1
	nothing_left
	refused 1 'attach: .*lacks CAP_PERFMON' as $OPERATOR - +bpf,+net_admin "$root/build/sipdam" attach e0
	refused 1 'attach: .*lacks CAP_NET_ADMIN' as $OPERATOR - +bpf,+perfmon "$root/build/sipdam" attach e0
	refused 1 'attach: .*lacks CAP_BPF' as $OPERATOR - +net_admin,+perfmon "$root/build/sipdam" attach e0
	nothing_left
}

@test "privilege: what three capabilities have attached, the daemon attaches again with them" {
	operator attach e0
	(exec nsenter --target "$machine" --net --mount --wdns="$PWD" -- setpriv --reuid $OPERATOR --regid $OPERATOR \
		--clear-groups --inh-caps=-all,+bpf,+net_admin,+perfmon --ambient-caps=-all,+bpf,+net_admin,+perfmon \
		"$root/build/sipdam" serve 2>serve.err 3>&-) &
	children+=($!)
	tries=250
	until grep -qs 'serving http' serve.err; do
		((tries-- > 0))
		sleep 0.02
	done
	inside ip link del e0
	add_pair 0
	tries=100
	until inside ip link show e0 | grep -q xdp; do
		((tries-- > 0)) || { cat serve.err; false; }
		sleep 0.01
	done
	[ "$(wc -l <serve.err)" = 2 ]
}

@test "privilege: a member of the group reads everything and changes nothing" {
	sipdam attach e0
	sipdam deny add 198.18.0.0/15
	sipdam allow add 203.0.113.9
	sipdam ban add 203.0.113.77
	sipdam set limits.pool.invite.rate=77
	printf '10.0.0.1\n' >feed.txt
	sipdam deny import feed.txt
	sipdam attach e1
	send 0 20
	counted 0 .reasons.denied 20
	[ -z "$(inside find /sys/fs/bpf/sipdam ! -group sipdam)" ]
	[ "$(inside stat -c %a /sys/fs/bpf/sipdam)" = 2750 ]
	[ "$(inside stat -c %a /sys/fs/bpf/sipdam/secrets)" = 600 ]
	[ -z "$(inside find /sys/fs/bpf/sipdam -type f -perm /0027)" ]
	for command in "${reading[@]}"; do
		# shellcheck disable=SC2086
		run -0 --separate-stderr reader $command
		[ -n "$output" ]
		[ -z "$stderr" ]
	done
	[ "$(reader stats --json)" = "$(sipdam stats --json)" ]
	[ "$(reader status --json)" = "$(sipdam status --json)" ]
	sipdam status --json >before
	for command in "${writing[@]}" "attach e0" "detach e0"; do
		# shellcheck disable=SC2086
		refused 1 "${command%% *}: .*(no permission|lacks).*root" reader $command
	done
	sipdam status --json | diff before -
	[ "$(sipdam get mode)" = enforce ]
}

@test "privilege: the exporter as a member of the group" {
	sipdam attach e0
	(exec nsenter --target "$machine" --net --mount --wdns="$PWD" -- setpriv --reuid $READER --regid $READER \
		--groups $GROUP --inh-caps=-all --ambient-caps=-all --bounding-set=-all --no-new-privs \
		"$root/build/sipdam" serve 2>serve.err 3>&-) &
	children+=($!)
	tries=250
	until grep -qs 'serving http' serve.err; do
		((tries-- > 0))
		sleep 0.02
	done
	metrics() { inside curl -sf --max-time 5 http://127.0.0.1:9469/metrics; }
	metrics | grep -q '^sipdam_up 1'
	metrics | grep -q '^sipdam_reattach_enabled 0'
	metrics | grep -q '^sipdam_interface_attached{interface="e0",mode="native"} 1'
	# As after a reboot: an empty file system for the state, and no program.
	inside ip link set e0 xdp off
	inside umount /sys/fs/bpf
	inside mount -t bpf bpf /sys/fs/bpf
	metrics | grep -q '^sipdam_up 0'
	sipdam attach e0
	metrics | grep -q '^sipdam_up 1'
	grep -q 'nothing is attached' serve.err
	grep -q 'can be read again' serve.err
	send 0 20
	counted 0 .reasons.within_limits 20
}

@test "privilege: a user outside the group is refused in one line" {
	sipdam attach e0
	for command in "${reading[@]}"; do
		# shellcheck disable=SC2086
		refused 1 "^sipdam ${command%% *}: .*no permission: run it as root or as a member of the group" stranger $command
	done
	# Membership would not do for these.
	for command in "${writing[@]}"; do
		# shellcheck disable=SC2086
		refused 1 "^sipdam ${command%% *}: [^:]*: no permission to change the filter: run it as root$" stranger $command
	done
	refused 1 'attach: .*lacks CAP_BPF' stranger attach e0
	# No group of this name: the owner's, and root alone.
	sipdam detach e0
	grep -v '^sipdam:' group >without
	cat without >group
	sipdam attach e0
	refused 1 'status: .*no permission' reader status
	[ "$(inside stat -c '%a %g' /sys/fs/bpf/sipdam)" = "750 0" ]
	inside chgrp -R $GROUP /sys/fs/bpf/sipdam
	reader status
}

@test "privilege: where systemd has mounted the BPF file system, the group needs the way through it" {
	inside chmod 0700 /sys/fs/bpf
	sipdam attach e0
	refused 1 'status: .*no permission' reader status
	inside chgrp sipdam /sys/fs/bpf
	inside chmod g+x /sys/fs/bpf # what sipdam.service does
	reader status
	refused 1 'status: .*no permission' stranger status
}

@test "privilege: the systemd units are well formed" {
	command -v systemd-analyze >/dev/null || skip "no systemd-analyze"
	for unit in sipdam.service sipdam-attach@.service; do
		sed -e "s|/usr/local/sbin/sipdam|$root/build/sipdam|g" -e '/^Documentation=/d' "$root/scripts/$unit" \
			>"${unit/@/@e0}"
	done
	run -0 systemd-analyze verify ./sipdam.service ./sipdam-attach@e0.service
	[ -z "$output" ]
}
