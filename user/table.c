/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See table.h. */
#include "table.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "address.h"
#include "book.h"
#include "cleanup.h"
#include "pins.h"

void *table_map(int fd, size_t bytes)
{
	void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return mapped == MAP_FAILED ? NULL : mapped;
}

/* By one system call: the kernel maps none that is open for reading alone. */
void *table_copy(int fd, __u32 entries, size_t size)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	_cleanup_free_ __u32 *keys = calloc(entries, sizeof(*keys));
	_cleanup_free_ void *values = calloc(entries, size);
	__u32 next, count = entries;

	if (!keys || !values) {
		errno = ENOMEM;
		return NULL;
	}
	if (bpf_map_lookup_batch(fd, NULL, &next, keys, values, &count, &opts) && errno != ENOENT)
		return NULL;
	return take_pointer(&values);
}

__u32 table_source_bits(const struct sipdam_policy *policy, const __u8 address[16])
{
	return address_is_ipv4(address) ? 96 + policy->source_prefix[SIPDAM_FAMILY_IPV4]
					: policy->source_prefix[SIPDAM_FAMILY_IPV6];
}

void table_open_gate(struct sipdam_ban_gate *gate, __u64 end)
{
	__u64 latest = table_word(&gate->latest);

	while (latest < end && !table_exchange(&gate->latest, latest, end))
		latest = table_word(&gate->latest);
}

/* ---- whole tables ---- */

static size_t lines_bytes(const struct table_shape *shape)
{
	return shape->line_count * sizeof(struct sipdam_line);
}

static size_t records_bytes(const struct table_shape *shape)
{
	return (size_t)shape->line_count * SIPDAM_WAYS * shape->record_bytes;
}

int table_of_maps(struct source_table *table, const struct table_shape *shape, int lines, int records,
		  int gate, int secrets)
{
	struct source_table opened = {.shape = shape, .line_count = shape->line_count, .mapped = true};
	__u32 zero = 0;

	if (bpf_map_lookup_elem(secrets, &zero, &opened.secret))
		return -errno;
	opened.line = table_map(lines, lines_bytes(shape));
	opened.record.any = opened.line ? table_map(records, records_bytes(shape)) : NULL;
	opened.gate = opened.record.any ? table_map(gate, sizeof(*opened.gate)) : NULL;
	if (!opened.gate) {
		int error = -errno;

		table_close(&opened);
		return error;
	}
	*table = opened;
	return 0;
}

/* With no word in force the gate alone, and nothing of the rest is asked for. */
static int copy_tables(struct source_table *table, const struct table_shape *shape, int lines, int records,
		       int gate)
{
	struct source_table copied = {.shape = shape,
				      .line_count = shape->line_count,
				      .gate = table_copy(gate, 1, sizeof(*copied.gate))};
	bool any = copied.gate && copied.gate->latest > book_now(), failed = !copied.gate;

	if (any)
		failed = !(copied.line = table_copy(lines, shape->line_count, sizeof(*copied.line)));
	if (any && !failed && records >= 0)
		failed = !(copied.record.any =
				   table_copy(records, shape->line_count * SIPDAM_WAYS, shape->record_bytes));
	if (failed) {
		int error = -errno;

		table_close(&copied);
		return error;
	}
	*table = copied;
	return 0;
}

static int problem_of_tables(int error, const struct table_shape *shape, struct problem *problem)
{
	return problem_set(problem, error, "reading the %s of the running filter: %s", shape->what,
			   strerror(-error));
}

int table_open(struct source_table *table, const struct table_shape *shape, struct problem *problem)
{
	_cleanup_close_ int lines = pins_open(shape->lines, false, problem);
	_cleanup_close_ int records = lines < 0 ? -1 : pins_open(shape->records, false, problem);
	_cleanup_close_ int gate = records < 0 ? -1 : pins_open(shape->gate, false, problem);
	_cleanup_close_ int secrets = gate < 0 ? -1 : pins_open("secrets", true, problem);
	int error;

	if (secrets < 0)
		return lines < 0 ? lines : records < 0 ? records : gate < 0 ? gate : secrets;
	error = table_of_maps(table, shape, lines, records, gate, secrets);
	return error ? problem_of_tables(error, shape, problem) : 0;
}

int table_read(struct source_table *table, const struct table_shape *shape, bool records,
	       struct problem *problem)
{
	_cleanup_close_ int lines = pins_open(shape->lines, true, problem);
	_cleanup_close_ int gate = lines < 0 ? -1 : pins_open(shape->gate, true, problem);
	_cleanup_close_ int more = gate < 0 || !records ? -1 : pins_open(shape->records, true, problem);
	int error;

	if (gate < 0 || (records && more < 0))
		return lines < 0 ? lines : gate < 0 ? gate : more;
	error = copy_tables(table, shape, lines, more, gate);
	return error ? problem_of_tables(error, shape, problem) : 0;
}

void table_close(struct source_table *table)
{
	if (!table->mapped) {
		free(table->line);
		free(table->record.any);
		free(table->gate);
	} else {
		if (table->line)
			munmap(table->line, lines_bytes(table->shape));
		if (table->record.any)
			munmap(table->record.any, records_bytes(table->shape));
		if (table->gate)
			munmap(table->gate, sizeof(*table->gate));
	}
	memset(table, 0, sizeof(*table));
}

size_t table_places(const struct source_table *table, __u64 now)
{
	return table->line && table_word(&table->gate->latest) > now ? table->line_count * SIPDAM_WAYS : 0;
}
