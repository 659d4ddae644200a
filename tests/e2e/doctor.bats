#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bats file_tags=unmeasured
# What `sipdam doctor` says of a host and an interface, and that the commands it prints mend it.

# shellcheck disable=SC2154
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
	# What it says of memory is what the kernel holds, within a tenth.
	# shellcheck disable=SC2016
	inside sh -c 'for pin in /sys/fs/bpf/sipdam/*; do bpftool -j map show pinned "$pin" 2>/dev/null; done' |
		jq -s 'map(.bytes_memlock // 0) | add / 1048576' >held
	said=$(jq -r '.findings[] | select(.topic == "memory") | .text' report | grep -o '[0-9]* MiB' | head -1)
	awk -v said="${said% MiB}" '{ print said, "MiB of", $1; exit !(said > $1 * 0.9 && said < $1 * 1.1) }' held
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

# --- doctor tls ---

# A certificate and its key: certify NAME ISSUER|self DAYS-AGO|now TEMPLATE-LINE...
certify() {
	local name=$1 issuer=$2 begin=$3
	certtool --generate-privkey --key-type ecdsa --curve secp256r1 --outfile "$name.key" 2>/dev/null
	{
		printf '%s\n' "${@:4}" 'signing_key' "activation_date = \"$(date -d "$begin" '+%F %T')\"" \
			"expiration_date = \"$(date -d "$begin + 100 days" '+%F %T')\""
	} >"$name.template"
	if [[ $issuer == self ]]; then
		certtool --generate-self-signed --load-privkey "$name.key" --template "$name.template" --outfile "$name.pem"
	else
		certtool --generate-certificate --load-privkey "$name.key" --template "$name.template" \
			--load-ca-certificate "$issuer.pem" --load-ca-privkey "$issuer.key" --outfile "$name.pem"
	fi 2>certtool.err || { cat certtool.err; return 1; }
}

# A TLS server of the test's own on 127.0.0.1 or ::1: serve PORT PROGRAM... Its id goes to $served.
serve() {
	local port=$1 tries=250
	shift
	start_inside "$@" <"$room/quiet" >"$room/server.$port" 2>&1
	served=$!
	until [[ -n $(inside ss -Hltn "sport = :$port") ]]; do
		((tries-- > 0)) || { cat "$room/server.$port"; return 1; }
		sleep 0.02
	done
}
openssl_server() { serve "$1" openssl s_server -accept "${at:-127.0.0.1}:$1" -key "$2.key" -cert "$2.pem" -quiet "${@:3}"; }

# Standard input that stays open and silent.
quiet() { mkfifo quiet; exec 4<>quiet; }

tls_report() { report "$1" tls "${@:2}"; }

@test "doctor: tls: what servers of OpenSSL and GnuTLS accept, and with which certificate" {
	quiet
	certify ca self now 'cn = "test authority"' 'ca' 'cert_signing_key'
	certify good ca now 'cn = "sip.example.com"' 'dns_name = "sip.example.com"' 'ip_address = "127.0.0.1"' \
		'uri = "sip:example.com"'
	certify own self now 'cn = "sip.example.com"'
	export SSL_CERT_FILE=$PWD/ca.pem
	openssl_server 5061 good -tls1_3
	tls_report 0 127.0.0.1
	jq -e '.versions == {"1.0": "refused", "1.1": "refused", "1.2": "refused", "1.3": "accepted"}' report
	jq -e '.ciphers["1.3"] | sort == ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]' report
	jq -e '.groups | index("X25519") != null and index("P-256") != null' report
	jq -e '.certificate | .matches and .trusted and (.self_signed | not) and .days >= 99 and .bits == 256 and
		(.names | sort) == ["127.0.0.1", "sip.example.com", "sip:example.com"]' report
	jq -e '.warnings == 0 and .advice == []' report
	tls_report 0 localhost --name sip.example.com
	tls_report 0 localhost:5061 --name example.com # as a SIP URI
	tls_report 1 localhost
	[ "$(level name)" = fault ]
	# TLS 1.2 alone, with ciphers that are asked for one by one, at an address of IPv6, signed by itself
	at='[::1]' openssl_server 5062 own -no_tls1_3 \
		-cipher 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-CHACHA20-POLY1305'
	tls_report 0 '[::1]:5062' --name sip.example.com
	jq -e '.versions["1.2"] == "accepted" and .versions["1.3"] == "refused"' report
	jq -e '.ciphers["1.2"] | sort == ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-SHA",
		"ECDHE-ECDSA-CHACHA20-POLY1305"]' report
	jq -e '.certificate | .self_signed and (.trusted | not)' report
	[ "$(level chain) $(level "tls 1.3") $(jq '.advice | length' report)" = "warning warning 5" ]
	serve 5063 gnutls-serv --port 5063 --x509keyfile good.key --x509certfile good.pem --echo \
		--priority 'NORMAL:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.2:+VERS-TLS1.3:%COMPAT'
	tls_report 1 127.0.0.1:5063
	jq -e '.versions == {"1.0": "refused", "1.1": "accepted", "1.2": "accepted", "1.3": "accepted"}' report
	[ "$(level "tls 1.1") $(level name)" = "fault ok" ]
	exec 4>&-
}

@test "doctor: tls: old versions, certificates that are over, clients that need one" {
	quiet
	certify over self '300 days ago' 'cn = "sip.example.com"' 'dns_name = "sip.example.com"'
	certify soon self '90 days ago' 'cn = "sip.example.com"' 'dns_name = "*.example.com"'
	openssl_server 5061 over -no_tls1_3 -cipher 'ALL:@SECLEVEL=0'
	tls_report 1 127.0.0.1 --name sip.example.com
	jq -e '.versions == {"1.0": "accepted", "1.1": "accepted", "1.2": "accepted", "1.3": "refused"}' report
	jq -e '.certificate | .matches and .days == -200' report
	[ "$(level "tls 1.0") $(level "tls 1.1") $(level expiry) $(level name)" = "fault fault fault ok" ]
	jq -e '.findings[] | select(.level == "fault" and .topic == "ciphers") | .text | test("AECDH|ADH")' report
	openssl_server 5062 soon -Verify 1
	tls_report 0 127.0.0.1:5062 --name sip.example.com
	jq -e '.asks_certificate and .versions["1.2"] == "accepted" and .versions["1.3"] == "accepted"' report
	[ "$(level expiry)" = warning ]
	run -0 sipdam doctor tls 127.0.0.1:5062 --name sip.example.com
	[ -z "$(grep -E '.{81}' <<<"$output")" ]
	grep -q '^ *method = TLSv1.3+$' <<<"$output"
	exec 4>&-
}

@test "doctor: tls: where no TLS is, one line says so" {
	quiet
	certify own self now 'cn = "sip.example.com"'
	refused 1 'doctor: 127.0.0.1 port 5061: no connection: Connection refused' sipdam doctor tls 127.0.0.1
	refused 1 'doctor: nosuch.invalid: no such host' sipdam doctor tls nosuch.invalid
	sipdam attach e0
	serve 9469 "$root/build/sipdam" serve
	refused 1 'doctor: 127.0.0.1 port 9469: connected, but (what answers there is not TLS|every version)' \
		sipdam doctor tls 127.0.0.1:9469
	openssl_server 5061 own
	kill -STOP "$served" # the kernel still connects
	refused 1 'doctor: 127.0.0.1 port 5061: connected, but no answer to TLS within 0.1 s' \
		sipdam doctor tls 127.0.0.1 --timeout 100ms
	# Nobody there at all: the neighbour does not answer, or packets are lost.
	inside ip address add 192.0.2.1/24 dev e0
	refused 1 'doctor: 192.0.2.99 port 5061: no connection within 0.1 s' sipdam doctor tls 192.0.2.99 --timeout 100ms
	refused 2 'doctor: "127.0.0.1:0" is not ADDRESS or ADDRESS:PORT' sipdam doctor tls 127.0.0.1:0
	refused 2 'doctor: tls: give one ADDRESS' sipdam doctor tls
	refused 2 'doctor: --name and --timeout are for' sipdam doctor e0 --name sip.example.com
	refused 2 'doctor: --timeout takes a time' sipdam doctor tls 127.0.0.1 --timeout 1ms
	exec 4>&-
}

@test "doctor: tls: a filter in between that wants TLS 1.3 shows, and its limits do not mislead" {
	quiet
	certify own self now 'cn = "sip.example.com"'
	inside ip address add 192.0.2.1/24 dev e0
	in_world ip address add 192.0.2.2/24 dev w0
	at=192.0.2.1 openssl_server 5061 own
	asked() { in_world "$root/build/sipdam" doctor tls 192.0.2.1 --name sip.example.com --json >report; }
	asked
	jq -e '.versions["1.2"] == "accepted" and .versions["1.3"] == "accepted"' report
	sipdam attach e0
	sipdam set tls.min_version=1.3
	asked
	jq -c '.versions, .ciphers' report
	jq -e '.versions == {"1.0": "refused", "1.1": "refused", "1.2": "refused", "1.3": "accepted"}' report
	jq -e '(.ciphers["1.3"] | length == 3) and (.groups | length >= 4)' report
	(($(stat 0 .reasons.tls_version) >= 3))
	exec 4>&-
}

# What doctor prints for a server, put into its files: advised SERVER
advised() {
	jq -r --arg server "$1" '.advice[] | select(.server | startswith($server)) | .lines[]' report
}

@test "doctor: tls: Kamailio accepts TLS 1.3 alone with what it is advised" {
	quiet
	certify own self now 'cn = "sip.example.com"'
	printf '[server:default]\nmethod = TLSv1.2+\nprivate_key = %s/own.key\ncertificate = %s/own.pem\n' "$PWD" "$PWD" >tls.cfg
	cat >kamailio.cfg <<-END
		debug=0
		log_stderror=yes
		children=1
		tcp_children=1
		dns=no
		rev_dns=no
		auto_aliases=no
		enable_tls=yes
		listen=tls:127.0.0.1:5061
		loadmodule "tls.so"
		loadmodule "sl.so"
		modparam("tls", "config", "$PWD/tls.cfg")
		request_route { sl_send_reply("200", "OK"); }
	END
	kamailio() { serve 5061 setsid env "$@" kamailio -DD -E -m 32 -M 4 -f "$PWD/kamailio.cfg" -w "$PWD"; }
	kamailio LANG=C
	tls_report 0 127.0.0.1 --name sip.example.com
	jq -e '.versions == {"1.0": "refused", "1.1": "refused", "1.2": "accepted", "1.3": "accepted"}' report
	kill -KILL -- "-$served"
	# Debian 12 has version 5.6, whose words end with TLS 1.2; later ones have that of the first advice.
	advised FreeSWITCH >tls13.cnf
	sed -i "s/^method = .*/$(advised 'Kamailio 5.6' | grep method)/" tls.cfg
	until [[ -z $(inside ss -Hltn 'sport = :5061') ]]; do sleep 0.02; done
	kamailio OPENSSL_CONF="$PWD/tls13.cnf"
	tls_report 0 127.0.0.1 --name sip.example.com
	jq -e '.versions == {"1.0": "refused", "1.1": "refused", "1.2": "refused", "1.3": "accepted"}' report
	kill -KILL -- "-$served"
	exec 4>&-
}
