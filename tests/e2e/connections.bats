#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bats file_tags=unmeasured
# Connections of real TCP: counted as they open and end, capped, and shown; and what is left of them when the
# filter is replaced.

# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2154
load lib

setup() {
	machine_up
	inside ip addr add 192.0.2.1/24 dev e0
	in_world ip addr add 192.0.2.2/24 dev w0
	mkfifo told
	exec 7<>told
}
teardown() { machine_down; }

# A client that opens and closes as it is told: open N, say N, close N, reset N
client() {
	(exec nsenter --target "$world" --net -- python3 -u -c '
import socket, struct, sys
lines = {}
for order in sys.stdin:
    what, number = order.split()
    if what == "open":
        try:
            lines[number] = socket.create_connection(("192.0.2.1", 5060), timeout=0.9)
            print("open")
        except OSError:
            print("refused")
        continue
    line = lines[number]
    if what == "say":
        line.sendall(b"\r\n\r\n")
    elif what == "invite":
        line.sendall(b"INVITE sip:a@192.0.2.1 SIP/2.0\r\nContent-Length: 0\r\n\r\n")
    else:
        if what == "reset":
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line.close()
    print("done")
' <told >answers 3>&-) &
	children+=($!)
}

server() {
	start_inside python3 -u -c '
import selectors, socket
listener = socket.create_server(("192.0.2.1", 5060), backlog=64)
selector = selectors.DefaultSelector()
selector.register(listener, selectors.EVENT_READ)
print("listens")
while True:
    for key, _ in selector.select():
        if key.fileobj is listener:
            selector.register(listener.accept()[0], selectors.EVENT_READ)
            continue
        try:
            data = key.fileobj.recv(4096)
        except OSError:
            data = b""
        if data:
            key.fileobj.sendall(b"\r\n")
        else:
            selector.unregister(key.fileobj)
            key.fileobj.close()
' >server.out
	until grep -q listens server.out; do sleep 0.02; done
}

# Gives an order and waits for its answer: tell open 1
tell() {
	local before tries=250
	before=$(wc -l <answers)
	echo "$*" >&7
	until (($(wc -l <answers) > before)); do
		((tries-- > 0)) || return 1
		sleep 0.02
	done
	tail -1 answers
}

# Waits until status says so of port 5060: connections '[open, silent]'
connections() {
	local tries=100
	until [[ $(sipdam status --json | jq -c '.connections.ports[] | select(.port == 5060) | [.open, .silent]') == "$1" ]]; do
		((tries-- > 0)) || { sipdam status --json | jq -c .connections; return 1; }
		sleep 0.02
	done
}

@test "connections: a cap on those of one source, given back by either side's end" {
	server
	sipdam attach e0
	sipdam set connections.per_source=2
	client
	until [[ -e answers ]]; do sleep 0.02; done
	[ "$(tell open 1)" = open ]
	[ "$(tell open 2)" = open ]
	connections '[2,2]'
	[ "$(tell open 3)" = refused ]
	(($(stat 0 .reasons.source_rate) > 0))
	sipdam explain 192.0.2.2 >said
	grep -qx 'Connections 2 open, of 2 at most' said
	grep -qx ' *a new one would be dropped now: source_rate' said
	[ "$(sipdam explain 192.0.2.2 --json | jq -c .connections)" = '{"open":2,"most":2}' ]
	sipdam status >>said
	[ -z "$(awk 'length > 80' said)" ]
	[ "$(tell say 1)" = "done" ]
	connections '[2,1]'
	[ "$(tell close 1)" = "done" ]
	connections '[1,1]'
	[ "$(tell open 3)" = open ]
	[ "$(tell open 4)" = refused ]
	[ "$(tell reset 2)" = "done" ]
	connections '[1,1]'
	[ "$(tell open 4)" = open ]
	[ "$(sipdam status --json | jq -c '.connections | [.opened, .ended_silent, .uncounted, .displaced_sources]')" = '[4,1,0,0]' ]
	[[ "$(sipdam status)" == *"Connections 2 open; tcp 5060: 2, silent 2"*"4 were opened, 1 ended that never carried a byte"* ]]
	# Another program takes the filter's place: what is open stays counted.
	sipdam attach e0
	connections '[2,2]'
	[ "$(tell open 5)" = refused ]
	sipdam set connections.per_source=0
	[ "$(tell open 5)" = open ]
	start_inside "$root/build/sipdam" serve --listen 127.0.0.1:9469
	until inside curl -sf http://127.0.0.1:9469/metrics >metrics; do sleep 0.05; done
	grep -qx 'sipdam_connections_open{transport="tcp",port="5060"} 3' metrics
	grep -qx 'sipdam_connections_silent{transport="tls",port="5061"} 0' metrics
	grep -qx 'sipdam_connections_ended_silent_total 1' metrics
}

# A new policy sees what the kernel does now: cookies 0|1
cookies() {
	inside sysctl -qw "net.ipv4.tcp_syncookies=$1"
	sipdam set limits.pool.tcp_syn.rate=0
	[ "$(sipdam status --json | jq .connections.syn_cookies)" = "$2" ]
}

@test "connections: SYNs beyond the pool are the kernel's where it has cookies and listens" {
	server
	sipdam attach e0
	client
	until [[ -e answers ]]; do sleep 0.02; done
	cookies 0 false
	[ "$(tell open 1)" = refused ]
	refused=$(stat 0 .reasons.pool_rate)
	((refused > 0))
	cookies 1 true
	[ "$(tell open 1)" = open ]
	[ "$(stat 0 .reasons.pool_rate)" = "$refused" ]
	# A port of ours on which this host does not listen: whoever does may have no cookies.
	in_world timeout 0.3 bash -c 'exec 5<>/dev/tcp/192.0.2.1/5061' || true
	(($(stat 0 .reasons.pool_rate) > refused))
	sipdam set connections.syn_cookies=off
	[ "$(tell open 2)" = refused ]
}

# One segment with an INVITE in it, of no connection
forged() {
	in_world python3 -c '
import socket, struct, sys
mac = bytes.fromhex(sys.argv[1].replace(":", ""))
text = b"INVITE sip:a@192.0.2.1 SIP/2.0\r\nContent-Length: 0\r\n\r\n"
tcp = struct.pack("!HHIIBBHHH", 40000, 5060, 1, 1, 0x50, 0x18, 512, 0, 0)
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40 + len(text), 0, 0, 64, 6, 0, bytes([192, 0, 2, 9]), bytes([192, 0, 2, 1]))
line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
line.bind(("w0", 0))
line.send(mac + bytes(6) + b"\x08\x00" + ip + tcp + text)
' "$(inside cat /sys/class/net/e0/address)"
}

@test "connections: while strangers must send twice a forged segment is none, and a connection older than the filter is one" {
	server
	client
	until [[ -e answers ]]; do sleep 0.02; done
	[ "$(tell open 1)" = open ]
	sipdam attach e0
	sipdam set limits.pool.invite='{rate: 0.1, burst: 1}'
	send 0 20 --sources 20
	counted 0 .reasons.unverified 19
	forged
	counted 0 .reasons.unverified 20
	# It comes again, later than verify.min: here the kernel knows that it is none.
	sleep 0.3
	forged
	counted 0 .reasons.unverified 21
	refused=$(stat 0 .reasons.pool_rate)
	[ "$(tell invite 1)" = "done" ]
	until (($(stat 0 .reasons.pool_rate) > refused)); do sleep 0.02; done
	[ "$(stat 0 .reasons.unverified)" = 21 ]
}
