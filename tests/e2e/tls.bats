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

make_certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=sip.example.org -days 2 \
		-keyout key.pem -out certificate.pem 2>/dev/null
}

# Sends every line back the other way round: serve COMMAND..., which goes where it is to run.
serve() {
	make_certificate
	"$@" openssl s_server -accept 5061 -cert certificate.pem -key key.pem -rev >server.out 2>&1 3>&- &
	children+=($!)
	until grep -q ACCEPT server.out; do
		sleep 0.02
	done
}

# The same of one line to a client, and to many at once, which openssl's does not.
serve_many() {
	make_certificate
	start_inside python3 -u -c '
import socketserver, ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("certificate.pem", "key.pem")
class Client(socketserver.StreamRequestHandler):
    def setup(self):
        self.request = context.wrap_socket(self.request, server_side=True)
        super().setup()
    def handle(self):
        self.wfile.write(self.rfile.readline().strip()[::-1] + b"\n")
        try:
            self.request.unwrap()
        except OSError:
            pass
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 64
server = Server(("192.0.2.1", 5061), Client)
print("listens")
server.serve_forever()
' >server.out 2>server.err
	until grep -q listens server.out; do sleep 0.02; done
}

# One conversation: talk ADDRESS OPTION... Its words are in client.out; the answer is openssl's exit status.
talk() {
	printf 'hello\nCLOSE\n' | in_world timeout 10 openssl s_client -connect "$1:5061" -quiet "${@:2}" \
		>client.out 2>client.err
}

# It talks, and what it says comes back.
talks() { talk "$@" && grep -qx olleh client.out; }

# Nanoseconds by which an error comes that is told at once, on a machine that has others to serve too. Silence
# would last for the ten seconds of the clients.
AT_ONCE=5000000000

# Fails with an error of the connection or of TLS that is told at once: fails_at_once PATTERN ADDRESS OPTION...
fails_at_once() {
	local begin status=0
	begin=$(date +%s%N)
	talk "${@:2}" || status=$?
	cat client.err
	((status != 0 && status != 124 && $(date +%s%N) - begin < AT_ONCE))
	grep -q "$1" client.err
}

# A client whose hello the gate does not see: what is left of it after so many bytes comes in another segment.
# Prints the version that was agreed on, or what its TLS says: in_pieces ADDRESS MOST BYTES
in_pieces() {
	in_world timeout 10 python3 - "$@" <<-'EOF'
		import socket, ssl, sys
		address, most, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
		context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
		context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
		context.maximum_version = getattr(ssl.TLSVersion, "TLSv1_" + most)
		wire = socket.create_connection((address, 5061))
		wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		arrived, leaves = ssl.MemoryBIO(), ssl.MemoryBIO()
		client = context.wrap_bio(arrived, leaves)
		done = False
		while not done:
		    try:
		        client.do_handshake()
		        done = True
		    except ssl.SSLWantReadError:
		        pass
		    except ssl.SSLError as error:
		        wire.sendall(leaves.read())
		        wire.shutdown(socket.SHUT_WR)
		        while wire.recv(4096):
		            pass
		        sys.exit(str(error.reason))
		    flight = leaves.read()
		    wire.sendall(flight[:first])
		    wire.sendall(flight[first:])
		    if not done:
		        arrived.write(wire.recv(65536))
		print(client.version())
	EOF
}

# Begins a handshake a second, so many, and hangs up on the server's answer: leaves ADDRESS COUNT
leaves() {
	in_world "$root/build/lab/tls_caller" --to "$SERVER" --from "$1" --hello --hold 200 --rate 1 --seconds "$2"
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

# Its server takes TLS 1.2: check_pieces ADDRESS, at a gate of 1.3
check_pieces() {
	local begin refused
	refused=$(stat 0 .reasons.tls_version)
	[ "$(in_pieces "$1" 3 3)" = TLSv1.3 ]
	begin=$(date +%s%N)
	if in_pieces "$1" 2 3 2>client.err; then
		false
	fi
	(($(date +%s%N) - begin < AT_ONCE))
	cat client.err
	grep -q 'UNSUPPORTED_PROTOCOL\|WRONG_VERSION' client.err
	[ "$(stat 0 .reasons.tls_version)" = $((refused + 1)) ]
	until grep -q 'alert protocol version' server.out; do
		sleep 0.02
	done
}

@test "tls: a hello in pieces: the server's answer is what is refused, and both ends know at once" {
	make_addresses
	make_host_behind
	serve inside
	sipdam attach e0 --mode native
	[ "$(in_pieces "$SERVER" 2 3)" = TLSv1.2 ]
	sipdam set tls.min_version=1.3
	check_pieces "$SERVER"
	[ "$(meter chosen)" = '{"1.2":1,"1.3":1}' ]
	sipdam set tls.min_version=1.2
	[ "$(in_pieces "$SERVER" 2 3)" = TLSv1.2 ]
	sipdam set tls.min_version=1.3 mode=monitor
	[ "$(in_pieces "$SERVER" 2 3)" = TLSv1.2 ]
	[ "$(meter chosen)" = '{"1.2":3,"1.3":1}' ]
	[ "$(sipdam stats --json | jq '.interfaces[0].packets.would_drop')" = 1 ]
	# A server behind this host, whose segments are finished when they come by.
	sipdam set mode=enforce
	: >server.out
	serve in_behind
	check_pieces "$BEHIND"
}

@test "tls: who leaves one handshake after the other is banned; who finishes his, and an office that does, are not" {
	local leaver=192.0.2.101 office=192.0.2.102 phone=192.0.2.100 i pids
	make_addresses
	in_world ip address add "$leaver/24" dev w0
	in_world ip address add "$office/24" dev w0
	serve_many
	sipdam attach e0 --mode native
	sipdam set ban.failures=4
	leaves "$leaver" 7 >leaver.out 3>&- &
	pids=($!)
	leaves "$office" 7 >office.out 3>&- &
	pids+=($!)
	children+=("${pids[@]}")
	# One phone of the office leaves every handshake; the others finish theirs.
	for ((i = 0; i < 7; i++)); do
		talks "$SERVER" -bind "$office"
		talks "$SERVER" -bind "$phone"
		sleep 1
	done
	wait "${pids[@]}"
	cat leaver.out office.out
	sipdam ban list
	jq -e '.succeeded == 7' office.out
	[ "$(sipdam ban list --json | jq -c "[.bans[] | [.address, .cause]]")" = "[[\"$leaver\",\"handshakes\"]]" ]
	sipdam explain "$leaver" | grep -q 'for handshakes of TLS that it left unfinished'
	if in_world timeout 2 openssl s_client -connect "$SERVER:5061" -bind "$leaver" </dev/null; then
		false
	fi
	talks "$SERVER" -bind "$office"
	talks "$SERVER" -bind "$phone"
	(($(stat 0 .reasons.banned) > 0))
}
