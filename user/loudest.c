/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See loudest.h. */
#include "loudest.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "live.h"
#include "pins.h"

#define SECOND 1000000000ULL

/* A slot as all CPUs have it. Read until it is twice the same source: a packet may be writing it. */
static int read_slot(int map, __u32 slot, int cpus, struct sipdam_refused *noted)
{
	size_t size = (size_t)cpus * sizeof(*noted);
	_cleanup_free_ struct sipdam_refused *again = malloc(size);
	bool same = false;

	if (!again)
		return -ENOMEM;
	if (bpf_map_lookup_elem(map, &slot, noted))
		return -errno;
	for (int attempt = 0; !same && attempt < 10; attempt++) {
		if (bpf_map_lookup_elem(map, &slot, again))
			return -errno;
		same = true;
		for (int cpu = 0; cpu < cpus; cpu++)
			same = same && noted[cpu].high == again[cpu].high &&
			       noted[cpu].low == again[cpu].low && noted[cpu].first == again[cpu].first;
		memcpy(noted, again, size);
	}
	return 0;
}

static int read_map(struct over_limits *limits, int map)
{
	int cpus = libbpf_num_possible_cpus(), error = 0;
	_cleanup_free_ struct sipdam_refused *noted = NULL;

	if (cpus < 0)
		return cpus;
	noted = calloc((size_t)cpus, sizeof(*noted));
	if (!noted)
		return -ENOMEM;
	for (__u32 slot = 0; !error && slot < SIPDAM_REFUSED_SLOTS; slot++) {
		error = read_slot(map, slot, cpus, noted);
		for (int cpu = 0; !error && cpu < cpus; cpu++)
			over_limits_add(limits, &noted[cpu]);
	}
	return error;
}

/* What has been allowed meanwhile needs no asking. Who may not read the list is told of all. */
static void leave_out_allowed(struct over_limits *limits)
{
	struct book allowed = {};
	struct problem ignored;
	size_t kept = 0;

	if (live_list_read(SIPDAM_LIST_ALLOW, &allowed, &ignored))
		return;
	for (size_t i = 0; i < limits->count; i++)
		if (!book_holds(&allowed, &limits->source[i].source, limits->now))
			limits->source[kept++] = limits->source[i];
	limits->count = kept;
	book_free(&allowed);
}

/* Nanoseconds since the epoch of a clock. */
static __u64 read_clock(clockid_t id)
{
	struct timespec clock;

	clock_gettime(id, &clock);
	return (__u64)clock.tv_sec * SECOND + (__u64)clock.tv_nsec;
}

int loudest_read(struct over_limits *limits, struct problem *problem)
{
	_cleanup_close_ int map = pins_open("refused", true, problem);
	int error;

	if (map < 0)
		return map;
	limits->count = 0;
	limits->now = read_clock(CLOCK_MONOTONIC);
	limits->wall = (double)read_clock(CLOCK_REALTIME) / SECOND;
	error = read_map(limits, map);
	if (error)
		return problem_set(problem, error, "read refused of the running filter: %s",
				   strerror(-error));
	if (limits->count)
		leave_out_allowed(limits);
	over_limits_sort(limits);
	return 0;
}
