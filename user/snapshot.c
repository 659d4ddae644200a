/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads the counters and gauges of the running filter through read-only pins. Nothing is kept open
 * between two readings, so a reader outlives attach, detach and upgrade. Not for what it looks like:
 * that is render.c.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "bans.h"
#include "book.h"
#include "cleanup.h"
#include "egress.h"
#include "filter.h"
#include "interface.h"
#include "known.h"
#include "live.h"
#include "pins.h"
#include "slots.h"
#include "snapshot.h"
#include "table.h"

static int read_failed(struct problem *problem, const char *map, int error)
{
	return problem_set(problem, error, "read %s of the running filter: %s", map, strerror(-error));
}

/* Sums one entry of a per-CPU map over all CPUs. words: size of the value in 64-bit words. */
static int sum_cpus(int map, __u32 key, __u64 *sum, size_t words)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ __u64 *values = NULL;

	if (cpus < 0)
		return cpus;
	values = calloc((size_t)cpus * words, sizeof(*values));
	if (!values)
		return -ENOMEM;
	if (bpf_map_lookup_elem(map, &key, values))
		return -errno;
	memset(sum, 0, words * sizeof(*sum));
	for (size_t i = 0; i < (size_t)cpus * words; i++)
		sum[i % words] += values[i];
	return 0;
}

/*
 * "none" where our program is not on the interface. Without the privilege to look programs up, one that
 * holds an interface of ours is taken for ours.
 */
static const char *attached_mode(__u32 ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	_cleanup_close_ int program = -1;

	if (bpf_xdp_query((int)ifindex, 0, &query) || query.attach_mode == XDP_ATTACHED_NONE)
		return interface_mode_name(INTERFACE_MODE_NONE);
	program = bpf_prog_get_fd_by_id(query.prog_id);
	if (program >= 0)
		return interface_mode_name(interface_mode(ifindex));
	return interface_mode_name(query.attach_mode == XDP_ATTACHED_SKB ? INTERFACE_MODE_GENERIC
									 : INTERFACE_MODE_NATIVE);
}

/* Where a slot stands that has no counters to show: its device is not here. */
static void note_absent(struct snapshot *snapshot, const struct sipdam_interfaces *known, __u32 slot)
{
	if (slots_state(known, slot) == SLOT_ELSEWHERE)
		snapshot->elsewhere++;
	else
		memcpy(snapshot->gone_name[snapshot->gone++], known->name[slot], IF_NAMESIZE);
}

static int read_interfaces(struct snapshot *snapshot, struct problem *problem)
{
	struct sipdam_interfaces known;
	struct sipdam_carried before;
	_cleanup_close_ int counters = -1, carried = -1;
	int error = slots_read(&known, problem);

	if (error)
		return error;
	counters = pins_open("counters", true, problem);
	carried = counters < 0 ? counters : pins_open("carried", true, problem);
	if (carried < 0)
		return carried;
	for (__u32 slot = 0; slot < SIPDAM_INTERFACES_MAX; slot++) {
		struct snapshot_interface *interface = &snapshot->interface[snapshot->interfaces];

		if (!known.ifindex[slot])
			continue;
		if (slots_state(&known, slot) != SLOT_PRESENT ||
		    !if_indextoname(known.ifindex[slot], interface->name)) {
			note_absent(snapshot, &known, slot);
			continue;
		}
		interface->ifindex = known.ifindex[slot];
		snprintf(interface->mode, sizeof(interface->mode), "%s", attached_mode(interface->ifindex));
		interface->learns = egress_is_attached(interface->ifindex);
		error = sum_cpus(counters, slot, (__u64 *)&interface->counters,
				 sizeof(interface->counters) / sizeof(__u64));
		if (error)
			return read_failed(problem, "counters", error);
		if (bpf_map_lookup_elem(carried, &slot, &before))
			return read_failed(problem, "carried", -errno);
		for (size_t i = 0; i < SIPDAM_COUNT_WORDS; i++)
			((__u64 *)&interface->counters)[i] += before.word[i];
		snapshot->interfaces++;
	}
	return 0;
}

static int read_table_events(struct snapshot *snapshot, struct problem *problem)
{
	_cleanup_close_ int events = pins_open("table_events", true, problem);
	int error;

	if (events < 0)
		return events;
	for (__u32 event = 0; event < SIPDAM_TABLE_EVENTS; event++) {
		error = sum_cpus(events, event, &snapshot->table_events[event], 1);
		if (error)
			return read_failed(problem, "table_events", error);
	}
	return 0;
}

static int read_tls(struct snapshot *snapshot, struct problem *problem)
{
	_cleanup_close_ int meter = pins_open("tls_meter", true, problem);
	int error = meter;

	if (meter >= 0) {
		error = sum_cpus(meter, 0, (__u64 *)&snapshot->tls, sizeof(snapshot->tls) / sizeof(__u64));
		if (error)
			read_failed(problem, "tls_meter", error);
	}
	return error;
}

/* Lines that tell how full the table of sources is: a hash spreads them evenly, so the first are a fair sample. */
#define FILL_LINES 4096

/* A reload that changes its size takes the table away for a moment: then this is unknown. */
static void read_fill(struct snapshot *snapshot)
{
	__u32 lines = snapshot->meta.sources < FILL_LINES ? (__u32)snapshot->meta.sources : FILL_LINES;
	_cleanup_close_ int sources = pins_open("sources", true, NULL);
	_cleanup_free_ struct sipdam_line *line =
		sources < 0 ? NULL : table_copy(sources, lines, sizeof(*line));

	snapshot->source_fill = -1;
	if (line)
		snapshot->source_fill = (double)table_live(line, lines, snapshot->now >> SIPDAM_TICK_SHIFT,
							   snapshot->policy.horizon) /
					(lines * SIPDAM_WAYS);
}

/* Packets that a bucket of this arrival time admits at one instant. tat, now: ticks. */
static __u64 level(const struct sipdam_limit *limit, __u64 tat, __u64 now)
{
	__u64 ahead = tat > now ? tat - now : 0;

	if (!limit->interval)
		return UINT64_MAX;
	return ahead < limit->depth ? (limit->depth - ahead) / limit->interval : 0;
}

static __u64 verification_left(const struct sipdam_policy *policy, __u32 class, __u64 exhausted, __u64 now)
{
	__u64 until = exhausted + policy->verify_hold;

	return exhausted && policy->verify_enabled && !policy->pool[class].unlimited && until > now
		       ? until - now
		       : 0;
}

static int read_pools(struct snapshot *snapshot, struct problem *problem)
{
#define X(name, number, label, network) number,
	static const __u32 classes[] = {SIPDAM_CLASSES(X)};
#undef X
	_cleanup_close_ int pools = pins_open("pools", true, problem);
	struct timespec clock;

	if (pools < 0)
		return pools;
	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++) {
		const __u32 class = classes[i];
		struct sipdam_pool pool;
		__u64 now;

		if (bpf_map_lookup_elem(pools, &class, &pool))
			return read_failed(problem, "pools", -errno);
		clock_gettime(CLOCK_MONOTONIC, &clock);
		now = (__u64)clock.tv_sec * 1000000000 + (__u64)clock.tv_nsec;
		snapshot->pool_level[class] =
			level(&snapshot->policy.pool[class], pool.tat, now >> SIPDAM_TICK_SHIFT);
		snapshot->verify_left[class] =
			verification_left(&snapshot->policy, class, pool.exhausted, now);
	}
	return 0;
}

static int read_bans(struct snapshot *snapshot, struct problem *problem)
{
	struct bans bans;
	int error = bans_read(&bans, false, problem);

	if (error)
		return error;
	snapshot->banned = bans_count(&bans, book_now());
	bans_close(&bans);
	return 0;
}

static int read_known(struct snapshot *snapshot, struct problem *problem)
{
	struct known known;
	struct known_count count;
	int error = known_read(&known, false, problem);

	if (error)
		return error;
	count = known_count(&known, book_now());
	snapshot->trusted = count.trusted;
	snapshot->peers = count.peers;
	known_close(&known);
	return 0;
}

static int read_connections(struct snapshot *snapshot, struct problem *problem)
{
	_cleanup_close_ int table = pins_open("connections", true, problem), events = -1;
	_cleanup_free_ struct sipdam_line *line = NULL;
	int error = 0;

	if (table < 0)
		return table;
	events = pins_open("conn_events", true, problem);
	if (events < 0)
		return events;
	line = table_copy(table, SIPDAM_CONNECTION_LINES, sizeof(*line));
	if (!line)
		return read_failed(problem, "connections", -ENOMEM);
	connections_count(line, SIPDAM_CONNECTION_LINES, &snapshot->policy, book_now(), &snapshot->connections);
	for (__u32 event = 0; !error && event < SIPDAM_CONNECTION_EVENTS; event++)
		error = sum_cpus(events, event, &snapshot->connection_events[event], 1);
	return error ? read_failed(problem, "conn_events", error) : 0;
}

#define ONE_WAY_REQUESTS 100

/* Requests that went on, those of monitor mode included. */
static __u64 requests_of(const struct sipdam_counters *counters)
{
	__u64 requests = 0;

	for (int transport = 0; transport < SIPDAM_TRANSPORTS; transport++)
		for (int method = 1; method < SIPDAM_METHOD_RESPONSE; method++)
			requests += counters->method[transport][SIPDAM_VERDICT_PASS][method].packets +
				    counters->method[transport][SIPDAM_VERDICT_WOULD_DROP][method].packets;
	return requests;
}

bool snapshot_is_one_way(const struct snapshot *snapshot)
{
	__u64 requests = 0;
	bool learns = false;

	for (size_t i = 0; i < snapshot->interfaces; i++) {
		requests += requests_of(&snapshot->interface[i].counters);
		learns |= snapshot->interface[i].learns;
	}
	return learns && requests >= ONE_WAY_REQUESTS && !snapshot_sent(snapshot);
}

int snapshot_read(struct snapshot *snapshot, struct problem *problem)
{
	_cleanup_free_ struct snapshot *fresh = calloc(1, sizeof(*fresh));
	int error;

	if (!fresh)
		return problem_set(problem, -ENOMEM, "read the counters: out of memory");
	error = pins_check(&fresh->meta, problem);
	if (!error)
		error = live_policy(&fresh->policy, problem);
	fresh->now = book_now();
	for (int list = 0; !error && list < SIPDAM_LISTS; list++)
		error = live_list_count(&fresh->policy, list, &fresh->policy.list_entries[list], problem);
	if (!error)
		error = read_interfaces(fresh, problem);
	if (!error)
		error = read_table_events(fresh, problem);
	if (!error)
		error = read_tls(fresh, problem);
	if (!error) {
		read_fill(fresh);
		error = read_pools(fresh, problem);
	}
	if (!error)
		error = read_bans(fresh, problem);
	if (!error)
		error = read_known(fresh, problem);
	if (!error)
		error = read_connections(fresh, problem);
	if (!error)
		*snapshot = *fresh;
	return error;
}
