#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The exporter, as a real Prometheus sees it: its numbers are those of `stats --json`, and neither its life
# nor its death changes what the filter does.

# shellcheck disable=SC2016,SC2034,SC2154
load common

readonly LISTEN=127.0.0.1:9469

setup() { lab_up; }
teardown() { lab_down; }

serve_start() {
	start serve server "$root/build/sipdam" serve
	wait_until 5 says serve "serving http://$LISTEN/metrics"
}

metrics() { in_server curl -sf --max-time 5 "http://$LISTEN/metrics"; }

# A quiet network: not even a neighbour's question is counted.
silence() { ip -n "$world" link set world0 down; }

prometheus_start() {
	cat >"$room/prometheus.yml" <<-END
		global: {scrape_interval: 1s, scrape_timeout: 1s}
		scrape_configs: [{job_name: sipdam, static_configs: [{targets: ["$LISTEN"]}]}]
	END
	start prometheus server timeout 90 prometheus --config.file="$room/prometheus.yml" \
		--storage.tsdb.path="$room/tsdb" --web.listen-address=127.0.0.1:9090 --log.level=error
	wait_until 20 prometheus_has_scraped
}

# The result of a query: ask EXPRESSION
ask() {
	in_server curl -sf --max-time 5 -G http://127.0.0.1:9090/api/v1/query --data-urlencode "query=$1" |
		jq -c .data.result
}

prometheus_has_scraped() { [[ $(ask sipdam_up | jq -r '.[0].value[1]') == 1 ]]; }

# Is its last sample later than this time of `date +%s.%N`?
scraped_since() {
	ask 'timestamp(sipdam_up)' | jq -e --argjson at "$1" '(.[0].value[1] // "0" | tonumber) > $at' >/dev/null
}

# Both of them as lines of a name and a number, sorted.
numbers_of_stats() {
	sipdam stats --json | jq -r '.interfaces[] | .name as $on
		| (.packets | to_entries[] | "\($on) packets \(.key) \(.value)"),
		  (.bytes | to_entries[] | "\($on) bytes \(.key) \(.value)"),
		  (.reasons | to_entries[] | "\($on) reason \(.key) \(.value)"),
		  (.methods | to_entries[] | "\($on) method \(.key) \(.value.passed) \(.value.dropped)")' | sort
}

# Samples on standard input, [{"metric": {LABEL: TEXT...}, "value": N}...], as the same lines. What would have
# been dropped has passed.
numbers_of_samples() {
	jq -r '
		def verdict: {pass: "passed", drop: "dropped", would_drop: "would_drop"}[.verdict];
		def rows(name): map(select(.metric.__name__ == name) | .metric + {value});
		def total(of): map(select(of) | .value) | add // 0;
		def sums(name; word; key): rows(name) | group_by([.interface, key])[]
			| "\(.[0].interface) \(word) \(.[0] | key) \(total(true))";
		sums("sipdam_packets_total"; "packets"; verdict),
		sums("sipdam_bytes_total"; "bytes"; verdict),
		sums("sipdam_packets_total"; "reason"; .reason),
		(rows("sipdam_messages_total") | group_by([.interface, .method])[]
			| "\(.[0].interface) method \(.[0].method) " +
			  "\(total(.verdict != "drop")) \(total(.verdict == "drop"))")' | sort
}

# The text format as such samples.
samples_of_text() {
	sed -n 's/^\([a-z_]*\){\(.*\)} \([0-9]*\)$/__name__="\1",\2 \3/p' | jq -R '
		(split(" ") | {labels: .[0], value: (.[1] | tonumber)})
		| {metric: [.labels | scan("([a-z_]+)=\"([^\"]*)\"") | {(.[0]): .[1]}] | add, value}' | jq -s .
}

@test "metrics: all rows are there at 0 before any packet, and promtool is silent" {
	silence
	attach
	serve_start
	metrics >"$room/metrics"
	run -0 promtool check metrics <"$room/metrics"
	[[ -z $output ]]
	numbers_of_stats >"$room/stats"
	samples_of_text <"$room/metrics" | numbers_of_samples | diff "$room/stats" -
	grep -c . "$room/stats"
	[[ $(grep -Evc ' 0( 0)?$' "$room/stats") == 0 ]]
	# Every reason in each verdict that it can have, every method in each transport and verdict.
	[[ $(grep -c '^sipdam_packets_total{.*} 0$' "$room/metrics") == $(rows_of_reasons) ]]
	[[ $(grep -c '^sipdam_messages_total{.*} 0$' "$room/metrics") == $((2 * 3 * $(rows_of_methods))) ]]
}

rows_of_reasons() {
	sed -n 's/^\tX([A-Z_]*, [0-9]*, "[a-z_]*", \([A-Z]*\),.*/\1/p' "$root/include/sipdam/reason.h" |
		awk '{ rows += $1 == "DROP" ? 2 : 1 } END { print rows }'
}

rows_of_methods() { sipdam stats --json | jq '.interfaces[0].methods | length'; }

@test "metrics: a real Prometheus scrapes through floods, and its numbers are those of stats" {
	config "limits: {unknown: {invite: {rate: 1000, burst: 500}, register: {rate: 100, burst: 100}}}"
	attach
	callee
	sink
	serve_start
	prometheus_start
	calls_start 3
	flood --sources 100
	sipdam set mode=monitor
	FLOOD_RATE=20000 FLOOD_SECONDS=1
	flood --method REGISTER,OPTIONS
	calls_all_succeed
	silence
	wait_until 10 scraped_since "$(date +%s.%N)"
	numbers_of_stats >"$room/stats"
	ask '{__name__=~"sipdam_.*_total"}' | jq 'map(.value |= (.[1] | tonumber))' | numbers_of_samples |
		diff "$room/stats" -
	metrics | samples_of_text | numbers_of_samples | diff "$room/stats" -
	grep -E 'INVITE|REGISTER|source_rate|would_drop' "$room/stats"
	(($(stat methods.INVITE.dropped) > 10000 && $(stat packets.would_drop) > 10000))
	# It saw the flood under way: a sample that is neither the beginning nor the end.
	ask 'sipdam_packets_total{verdict="drop"}[1m]' | jq -e 'any(.[]; [.values[][1]] | unique | length > 2)'
}

@test "metrics: serve killed in a flood changes nothing of the filter, and comes back" {
	config "limits: {unknown: {invite: {rate: 1000, burst: 500}}, network: unlimited, pool: {invite: unlimited}}"
	attach
	sink
	serve_start
	flood_start
	wait_until 5 drops_are_exported
	finish serve KILL
	run metrics
	((status != 0))
	wait_for flood
	sink_end
	admitted "$(reached)" 500 1000
	same "$(reached)" "$(stat reasons.within_limits)"
	serve_start
	silence
	numbers_of_stats >"$room/stats"
	metrics | samples_of_text | numbers_of_samples | diff "$room/stats" -
	finish serve
}

drops_are_exported() { metrics | grep -q '^sipdam_packets_total{.*reason="source_rate".*} [1-9]'; }

@test "metrics: serve outlives detach and a new attach" {
	attach
	serve_start
	sipdam detach edge0
	metrics | grep -qx 'sipdam_up 0'
	metrics | promtool check metrics
	attach
	metrics | grep -qx 'sipdam_up 1'
	metrics | grep -q '^sipdam_packets_total{interface="edge0"'
	finish serve
}

# Connections with a request that is never finished: hold COUNT
hold() {
	start holder server bash -c 'for ((i = 0; i < $2; i++)); do
			exec {held}<>"/dev/tcp/${1%:*}/${1#*:}" && printf "GET /metrics HTTP/1.1\r\nHost:" >&"$held"
		done
		echo "holds $i"
		sleep 60' hold "$LISTEN" "$1"
	wait_until 10 says holder "holds $1"
}

@test "metrics: connections that are held open hold no scrape up" {
	local began took
	serve_start
	hold 64
	began=${EPOCHREALTIME/./}
	metrics | grep -qx 'sipdam_up 0'
	took=$((${EPOCHREALTIME/./} - began))
	finish holder KILL
	hold 400
	metrics >"$room/metrics"
	(($(in_server ss -Htn state established "sport = :${LISTEN#*:}" | wc -l) <= 32))
	echo "# a scrape beside 64 half-sent requests took $((took / 1000)) ms" >&3
	((took < 1000000))
	finish serve
}

@test "metrics: a port in use is one line and exit 1" {
	attach
	serve_start
	run -1 --separate-stderr sipdam serve
	[[ -z $output ]]
	same "${#stderr_lines[@]}" 1
	[[ $stderr == *"$LISTEN"* && $stderr == *"in use"* && $stderr == *--listen* ]]
	echo "$stderr"
	metrics | grep -qx 'sipdam_up 1'
}
