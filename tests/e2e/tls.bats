#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bats file_tags=unmeasured
# The gate of tls.min_version on a wire, with a real server and real clients: a client of an older version has an
# error at once and not silence, one of TLS 1.3 notices nothing, and the meters say who it was.

# shellcheck disable=SC2016,SC2034,SC2154
load lib

setup() { machine_up; }
teardown() { machine_down; }

SERVER=192.0.2.1 BEHIND=203.0.113.1

make_addresses() {
	inside ip address add "$SERVER/24" dev e0
	in_world ip address add 192.0.2.100/24 dev w0
	in_world ip route add default via "$SERVER"
}

# A host behind this one, which forwards to it: its namespace is $behind's.
make_host_behind() {
	hold behind --net
	inside ip link add r0 type veth peer name b0 netns "$behind"
	inside ip address add 203.0.113.254/24 dev r0
	inside ip link set r0 up
	inside sysctl -qw net.ipv4.ip_forward=1
	in_behind ip address add "$BEHIND/24" dev b0
	in_behind ip link set b0 up
	in_behind ip route add default via 203.0.113.254
}

in_behind() { nsenter --target "$behind" --net -- "$@"; }

# Sends every line back the other way round: serve COMMAND..., which goes where it is to run.
serve() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=sip.example.org -days 2 \
		-keyout key.pem -out certificate.pem 2>/dev/null
	"$@" openssl s_server -accept 5061 -cert certificate.pem -key key.pem -rev >server.out 2>&1 3>&- &
	children+=($!)
	until grep -q ACCEPT server.out; do
		sleep 0.02
	done
}

# One conversation: talk ADDRESS OPTION... Its words are in client.out; the answer is openssl's exit status.
talk() {
	printf 'hello\nCLOSE\n' | in_world timeout 10 openssl s_client -connect "$1:5061" -quiet "${@:2}" \
		>client.out 2>client.err
}

# It talks, and what it says comes back.
talks() { talk "$@" && grep -qx olleh client.out; }

# Fails with an error of the connection or of TLS, and within a second: fails_at_once PATTERN ADDRESS OPTION...
fails_at_once() {
	local begin status=0
	begin=$(date +%s%N)
	talk "${@:2}" || status=$?
	cat client.err
	((status != 0 && status != 124 && $(date +%s%N) - begin < 1000000000))
	grep -q "$1" client.err
}

# Versions of a meter that are not 0: meter offered|chosen
meter() { sipdam status --json | jq -c ".tls.$1 | with_entries(select(.value > 0))"; }

@test "tls: a server on this host: at 1.3 an older client has an error at once, and the others talk" {
	make_addresses
	serve inside
	sipdam attach e0 --mode native
	talks "$SERVER" -tls1_2
	talks "$SERVER" -tls1_3
	[ "$(meter offered)" = '{"1.2":1,"1.3":1}' ]
	[ "$(meter chosen)" = '{"1.2":1,"1.3":1}' ]
	sipdam set tls.min_version=1.3
	fails_at_once 'errno=104' "$SERVER" -tls1_2
	talks "$SERVER" -tls1_3
	talks "$SERVER"
	(($(stat 0 .reasons.tls_version) >= 1))
	[ "$(meter chosen)" = '{"1.2":1,"1.3":3}' ]
	[ "$(sipdam status --json | jq -c '[.tls.min_version, .tls.offered["1.3"], .tls.offered["1.2"] > 1]')" = '["1.3",3,true]' ]
	sipdam status | grep -q '^TLS         clients may offer 1.3 alone'
	sipdam set tls.min_version=1.3 mode=monitor
	talks "$SERVER" -tls1_2
	[ "$(meter chosen)" = '{"1.2":2,"1.3":3}' ]
	sipdam set tls.min_version=1.2 mode=enforce
	talks "$SERVER" -tls1_2
	sipdam set tls.min_version=none
	talks "$SERVER" -tls1_2
	# The server had no hello that it refused: those connections ended before.
	! grep -i 'error' server.out
}

@test "tls: a server behind this host refuses what the gate lets it see" {
	make_addresses
	make_host_behind
	serve in_behind
	sipdam attach e0 --mode native
	talks "$BEHIND" -tls1_2
	sipdam set tls.min_version=1.3
	fails_at_once 'handshake failure' "$BEHIND" -tls1_2
	talks "$BEHIND" -tls1_3
	[ "$(stat 0 .reasons.tls_version)" = 1 ]
	grep -i 'unsupported protocol\|version too low' server.out
}
