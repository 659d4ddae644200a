# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A real SIP platform on common.bash's two namespaces: Debian's Kamailio as a stateful relay and registrar behind
# the filter, and on the other side of the wire sipp as its callers (200 addresses in 20 networks, 50 calls a
# second in all), its phones (the same addresses, 20 registrations a second) and its callee.
#
# Where there are two CPUs the flood and the kernel's work for it have the first, Kamailio and sipp the second, and
# the pair a queue for each CPU, as network cards have: the sender stands for other machines, and must not take the
# server's time by other ways than its packets.
# shellcheck shell=bash disable=SC2034,SC2154

CALLEE=10.2.0.1 OFFICE=10.3.0.1 PHONES_FIRST=10.4.0.1
VETH_QUEUES=(numtxqueues 2 numrxqueues 2)
CALL_RATE=50 REGISTER_RATE=20
GRACE=4 # seconds that a scene waits for its last calls

# --- what is set up ---

# Addresses of the world that programs may send from, without one line each: 10.0.0.0/8 is local there.
platform_up() {
	scenarios=$root/tests/e2e/platform
	ip -n "$world" route add local 10.0.0.0/8 dev lo
	addresses >"$room/addresses.csv"
	flood_cpu=() platform_cpu=()
	if (($(nproc) > 1)); then
		flood_cpu=(taskset -c 0) platform_cpu=(taskset -c 1)
		queue_for_cpu 0
		queue_for_cpu 1
	fi
}

# What this CPU sends goes by the queue of the same number, whose packets it then brings itself.
queue_for_cpu() {
	ip netns exec "$world" sh -c "echo $((1 << $1)) >/sys/class/net/world0/queues/tx-$1/xps_cpus"
}

# The injection file of sipp: 200 addresses, ten in each of 20 networks, one network after the other.
addresses() {
	local network host
	echo SEQUENTIAL
	for host in {1..10}; do
		for network in {1..20}; do
			echo "10.1.$network.$host;"
		done
	done
}

# Starts a program of the platform, served before what else the machine does: play NAME server|world PROGRAM...
play() {
	local name=$1 where=$2
	shift 2
	start "$name" "$where" nice -n -10 "${platform_cpu[@]}" "$@"
}

kamailio_start() {
	play kamailio server setsid kamailio -DD -E -m 64 -M 8 -f "$scenarios/kamailio.cfg" -w "$room"
	wait_until 10 has_udp 5060
}

callee_start() {
	play callee world sipp -sf "$scenarios/callee.xml" -i "$CALLEE" -p 5060 -nostdin -timeout 120s \
		-default_behaviors "bye,pingreply" # it takes an INVITE that the relay sends again for unexpected
	wait_until 5 world_has_udp "$CALLEE:5060"
}

world_has_udp() { [[ -n $(in_world ss -Hlun "src = $1") ]]; }

# Calls of sipp go on when a message comes that they do not wait for, as phones do: where 180 and 200 come at once,
# two processes of the relay may send the later one first. What such a message was is kept, and every message in one
# line, for `why`.
patient=()
be_patient() {
	patient=(-default_behaviors "bye,pingreply" -trace_err -error_file "$1.errors" -trace_shortmsg
		-shortmessage_file "$1.messages")
}

# sipp with a scenario, one call an address in turn: clients NAME SCENARIO PORT RATE SECONDS [OPTION...]. Ended
# from outside: its own timeout would wait for calls under way.
clients() {
	local name=$1 scenario=$2 port=$3 rate=$4 seconds=$5
	shift 5
	be_patient "$name"
	play "$name" world timeout --signal=KILL $((seconds + GRACE)) sipp "$SERVER:5060" -sf "$scenarios/$scenario.xml" -inf "$room/addresses.csv" -t ui \
		-i 10.1.1.1 -p "$port" -r "$rate" -m $((rate * seconds)) -l 10000 -max_socket 1000 -nostdin \
		-trace_stat -stf "$name.csv" -fd 1 -trace_rtt -rtt_freq 1 "${patient[@]}" "$@"
}

# --- a scene ---

# Callers and phones for so many seconds while a flood may go on: scene SECONDS [FLOOD-OPTION...]. Everything
# begins afresh, so that no scene pays for another. Calls that have not ended GRACE seconds after the last one was
# placed count as lost.
scene() {
	local seconds=$1 name
	shift
	rm -f "$room"/*_rtt.csv "$room"/{calls,phones}.{errors,messages}
	counts_before=$(scene_counts)
	kamailio_start
	callee_start
	if (($#)); then
		FLOOD_SECONDS=$((seconds + GRACE + 5)) # ended before
		start flood world nice -n -15 "${flood_cpu[@]}" "$root/build/lab/flood" --interface world0 \
			--destination "$SERVER" --destination-mac "$mac" --source-base "$FLOOD_FIRST" \
			--seconds "$FLOOD_SECONDS" --count 1000000000 "$@"
		sleep 0.5 # the bursts of the limits are spent
	fi
	clients calls caller 5060 "$CALL_RATE" "$seconds"
	clients phones register 5070 "$REGISTER_RATE" "$seconds"
	{
		for name in calls phones; do
			wait_for "$name" >"$room/$name.end" || true # lost calls are an answer too
		done
		if [[ -n ${pid[flood]:-} ]]; then
			finish flood
		fi
		platform_end
	} 2>"$room/scene.err" # the shell would tell of each that was killed
}

# Nothing of a scene may answer into the next one: Kamailio with its workers, and the callee.
platform_end() {
	kill -KILL -- "-${pid[kamailio]}"
	wait "${pid[kamailio]}" || true
	unset "pid[kamailio]"
	if [[ -n ${pid[callee]:-} ]]; then
		finish callee KILL
	fi
	wait_until 5 world_is_quiet
}

world_is_quiet() { [[ -z $(in_server ss -Hlun) && -z $(in_world ss -Hlun) ]]; }

# --- what became of it ---

# A count of a namespace's UDP since it was made: udp server|world NAME
udp() {
	in_"$1" cat /proc/net/snmp | awk -v name="$2" '$1 != "Udp:" { next }
		!at { for (at = 1; $at != name; at++); next } { print $at }'
}

# What the world's programs sent, what of it the filter took for a listed source's, and what found no room: in the
# world's queues, the server's sockets, its queues, the world's sockets.
scene_counts() {
	echo "$(udp world OutDatagrams) $(filter_allowed) $(udp world SndbufErrors) $(udp server RcvbufErrors)" \
		"$(udp server SndbufErrors) $(udp world RcvbufErrors)"
}

filter_allowed() { sipdam stats edge0 --json 2>/dev/null | jq '.interfaces[0].reasons.allowed' | grep '[0-9]' || echo 0; }

# The same of the last scene alone.
scene_counted() {
	echo "$counts_before $(scene_counts)" |
		awk '{ for (i = 1; i <= NF / 2; i++) printf "%d ", $(i + NF / 2) - $i }'
}

# Packets of a scene's callers, phones and callee, all listed, that the filter has not let through.
refused_listed() { scene_counted | awk '{ print $1 - $2 }'; }

# Where packets of the last scene were lost; and of calls that did not succeed what sipp has to say, and all messages
# of the first one: why NAME...
why() {
	local name
	scene_counted | awk '{ printf "lost for want of room: %d in the queues of the world, %d in sockets of the server," \
		" %d in its queues, %d in sockets of the world\n", $3, $4, $5, $6 }'
	for name in "$@"; do
		(($(successful "$name") != $(column "$name" TotalCallCreated))) || continue
		echo "$name: $(successful "$name") of $(column "$name" TotalCallCreated)"
		[[ ! -e $room/$name.errors ]] || head -n 12 "$room/$name.errors"
		first_lost "$room/$name.messages"
	done
}

# The messages of the first call that has not succeeded, out of sipp's list: all calls end with 200 to their second
# request.
first_lost() {
	awk -F'\t' '{ lines[$5] = lines[$5] $0 "\n" } $4 == "S" && !seen[$5]++ { order[++calls] = $5 }
		$4 == "R" && $6 ~ /^CSeq:2 / && $7 ~ /^SIP\/2.0 200/ { ended[$5] = 1 }
		END { for (i = 1; i <= calls; i++) if (!(order[i] in ended)) { printf "%s", lines[order[i]]; exit } }' "$1"
}

# The last value of a column of sipp's statistics: column NAME COLUMN
column() {
	awk -F';' -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i; next }
		NF > 1 { last = $at } END { print last + 0 }' "$room/$1.csv"
}

successful() { column "$1" 'SuccessfulCall(C)'; }

# Requests sent again, of the calls and the registrations of a scene: two of each that wait for an answer.
sent_again() { echo $(($(column calls 'Retransmissions(C)') + $(column phones 'Retransmissions(C)'))); }

# A percentile of the times from request to answer that sipp wrote down, in whole milliseconds; 99999 where nobody
# was answered: delay caller|register PERCENT
delay() {
	cat "$room/$1"_*_rtt.csv 2>/dev/null | awk -F';' '$2 ~ /^[0-9.]+$/ { print $2 }' | sort -n |
		awk -v percent="$2" '{ value[NR] = $1 }
			END { at = int(NR * percent / 100 + 0.999999); print NR ? value[at ? at : 1] : 99999 }'
}

# The filter, with the built-in limits: callers and callee in the allow list, or nobody.
attach_listed() {
	config "allow: [$CALLEE$(printf ', 10.1.%d.0/24' {1..20})]" "verify: {enabled: false}"
	sipdam attach edge0 --mode native --config "$room/sipdam.yaml" >"$room/attach.out"
}

attach_unlisted() {
	config ''
	sipdam attach edge0 --mode native --config "$room/sipdam.yaml" >"$room/attach.out"
}
