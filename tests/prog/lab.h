/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The real program, one packet at a time, at a time that is handed in. What is expected of every packet is
 * its verdict, reason, class, method and status, and of the counters that those of the packet went up by
 * it and all others stayed: a ledger of expected counters is kept and compared as a whole.
 */
#ifndef PROG_LAB_H
#define PROG_LAB_H

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "address.h"
#include "bans.h"
#include "filter.h"
#include "known.h"
#include "prog/packet.h"

/* A row names what it is about and leaves the rest at zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define TICK   64ULL /* nanoseconds */
#define SECOND 1000000000ULL

/* Lines of the source table: the least there may be. */
#define LAB_SOURCES 1024
#define LAB_START   (1000 * SECOND)

struct expect {
	__u8 verdict, reason, class, method;
	__u16 status;
};

#define EXPECT(verdict, reason, class, method)                                                               \
	{                                                                                                    \
		SIPDAM_VERDICT_##verdict, SIPDAM_REASON_##reason, SIPDAM_CLASS_##class,                      \
			SIPDAM_METHOD_##method, 0                                                            \
	}
#define PASSES(reason, class, method)     EXPECT(PASS, reason, class, method)
#define DROPS(reason, class, method)      EXPECT(DROP, reason, class, method)
#define WOULD_DROP(reason, class, method) EXPECT(WOULD_DROP, reason, class, method)
#define NOT_OURS                          PASSES(NOT_SIP, NONE, NONE)
#define REFUSED                           DROPS(MALFORMED, MALFORMED, NONE)
#define AN_INVITE                         PASSES(WITHIN_LIMITS, INVITE, INVITE)
#define ANSWERS(status)                                                                                      \
	{                                                                                                    \
		SIPDAM_VERDICT_PASS, SIPDAM_REASON_WITHIN_LIMITS, SIPDAM_CLASS_RESPONSE,                     \
			SIPDAM_METHOD_RESPONSE, status                                                       \
	}

struct row {
	const char *name;
	struct recipe packet;
	const char *policy; /* YAML over the defaults; NULL: the defaults */
	struct expect expect;
	__u32 wire_length; /* of a packet that the capture cut short; 0: whole */
	__u32 interface;   /* whose counters */
};

/* Counters of all interfaces and table events, summed over CPUs. */
struct ledger {
	struct sipdam_counters slot[SIPDAM_INTERFACES_MAX];
	__u64 event[SIPDAM_TABLE_EVENTS];
	struct sipdam_tls_meter hellos;
};

struct table {
	void *memory;
	size_t bytes;
};
#define LAB_TABLES 8
#define LAB_SPENT  6

struct lab {
	struct filter *filter;
	struct sipdam_trial *trial;
	struct table table[LAB_TABLES];
	struct bans bans;
	struct known known;
	char *policy;                  /* in force, as it was given */
	struct sipdam_policy in_force; /* as the program reads it */
	__u32 changes;                 /* of policy and tables, for the program */
	__u64 now;                     /* nanoseconds */
	struct ledger expected;
	struct frame frame;
	int failures;
	bool reason_seen[SIPDAM_REASONS_MAX], class_seen[SIPDAM_CLASSES_MAX], method_seen[SIPDAM_METHODS_MAX];
};

static inline const char *reason_label(int reason)
{
	static const char *const labels[SIPDAM_REASONS_MAX] = {[0] = "none",
#define X(name, number, label, verdict, sentence) [number] = label,
							       SIPDAM_REASONS(X)
#undef X
	};

	return labels[reason & (SIPDAM_REASONS_MAX - 1)];
}

static inline const char *class_label(int class)
{
	static const char *const labels[SIPDAM_CLASSES_MAX] = {[0] = "none",
#define X(name, number, label, network) [number] = label,
							       SIPDAM_CLASSES(X)
#undef X
	};

	return labels[class & (SIPDAM_CLASSES_MAX - 1)];
}

static inline const char *method_label(int method)
{
	static const char *const labels[SIPDAM_METHODS_MAX] = {[0] = "none",
#define X(name, number, label, class) [number] = label,
							       SIPDAM_METHODS(X)
#undef X
	};

	return labels[method & (SIPDAM_METHODS_MAX - 1)];
}

/* ---- policy ---- */

static inline void lab_settings(struct settings *settings, const char *yaml)
{
	char path[] = "/tmp/sipdam-prog-XXXXXX";
	struct problem problem = {""};
	int fd = mkstemp(path);
	int error;

	assert_true(fd >= 0);
	assert_true(dprintf(fd, "sources: %d\n%s\n", LAB_SOURCES, yaml) > 0);
	close(fd);
	settings_default(settings);
	error = settings_load(settings, path, &problem);
	unlink(path);
	if (error)
		fail_msg("policy \"%s\": %s", yaml, problem.text);
}

/* Puts a policy in force; the tables stay as they are. */
static inline void lab_policy(struct lab *lab, const char *yaml)
{
	struct problem problem = {""};
	struct settings settings;
	__u32 zero = 0;

	if (lab->policy && !strcmp(lab->policy, yaml))
		return;
	lab_settings(&settings, yaml);
	if (filter_trial_configure(lab->filter, &settings, &problem))
		fail_msg("policy \"%s\": %s", yaml, problem.text);
	settings_free(&settings);
	free(lab->policy);
	lab->policy = strdup(yaml);
	lab->changes++;
	assert_int_equal(bpf_map_lookup_elem(filter_map(lab->filter, "policy"), &zero, &lab->in_force), 0);
}

/* ---- life ---- */

/* A map of lines that a test reads and clears. */
static inline void map_table(struct lab *lab, struct table *table, const char *name)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	int fd = filter_map(lab->filter, name);

	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	table->bytes = (size_t)info.max_entries * info.value_size;
	table->memory = mmap(NULL, table->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(table->memory != MAP_FAILED);
}

/* The tables of a filter that has just been opened. */
static inline void lab_map_tables(struct lab *lab)
{
	static const char *const tables[LAB_TABLES] = {"sources", "networks", "pools", "fragments",
						       "stamps",  "verified", "spent", "copies"};

	for (int i = 0; i < LAB_TABLES; i++)
		map_table(lab, &lab->table[i], tables[i]);
	assert_int_equal(bans_map(&lab->bans, filter_map(lab->filter, "bans"),
				  filter_map(lab->filter, "ban_records"), filter_map(lab->filter, "ban_gate"),
				  filter_map(lab->filter, "secrets")),
			 0);
	assert_int_equal(known_map(&lab->known, filter_map(lab->filter, "known"),
				   filter_map(lab->filter, "known_records"),
				   filter_map(lab->filter, "known_gate"), filter_map(lab->filter, "secrets")),
			 0);
}

/* Where there never was a ban there is none to forget: clearing their tables takes longer than a row. */
static inline void lab_pardon(struct lab *lab)
{
	if (!lab->bans.table.gate->latest)
		return;
	memset(lab->bans.table.line, 0, SIPDAM_BAN_LINES * sizeof(*lab->bans.table.line));
	memset(lab->bans.table.record.ban, 0, SIPDAM_BAN_LINES * SIPDAM_WAYS * sizeof(*lab->bans.table.record.ban));
	memset(lab->bans.table.gate, 0, sizeof(*lab->bans.table.gate));
}

/* The same of known sources. */
static inline void lab_disown(struct lab *lab)
{
	if (!lab->known.table.gate->latest)
		return;
	memset(lab->known.table.line, 0, SIPDAM_KNOWN_LINES * sizeof(*lab->known.table.line));
	memset(lab->known.table.record.known, 0, SIPDAM_KNOWN_LINES * SIPDAM_WAYS * sizeof(*lab->known.table.record.known));
	memset(lab->known.table.gate, 0, sizeof(*lab->known.table.gate));
}

/* Forgets every bucket, fragment, ban and known source. Counters stay. */
static inline void lab_forget(struct lab *lab)
{
	lab->changes++;
	lab_pardon(lab);
	lab_disown(lab);
	for (int i = 0; i < LAB_TABLES; i++)
		memset(lab->table[i].memory, 0, lab->table[i].bytes);
}

static inline int lab_open(void **state)
{
	struct lab *lab = calloc(1, sizeof(*lab));
	struct problem problem = {""};
	struct settings settings;

	lab_settings(&settings, "");
	if (filter_open_trial(&lab->filter, &settings, &problem))
		fail_msg("%s", problem.text);
	settings_free(&settings);
	lab->trial = filter_trial(lab->filter);
	lab_map_tables(lab);
	*state = lab;
	return 0;
}

/* The same for what a program keeps by CPU. */
static inline int lab_open_on_one_cpu(void **state)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
	return lab_open(state);
}

static inline int lab_close(void **state)
{
	struct lab *lab = *state;

	for (int i = 0; i < LAB_TABLES; i++)
		munmap(lab->table[i].memory, lab->table[i].bytes);
	bans_close(&lab->bans);
	known_close(&lab->known);
	filter_free(lab->filter);
	free(lab->policy);
	free(lab);
	return 0;
}

/* Before each test: nothing is remembered, the default policy, always the same time. */
static inline int lab_clean(void **state)
{
	struct lab *lab = *state;

	lab_forget(lab);
	lab_policy(lab, "");
	lab->now = LAB_START;
	lab->failures = 0;
	return 0;
}

#define lab_test(function) cmocka_unit_test_setup(function, lab_clean)

/* ---- bans ---- */

/* What counts as one source with this address. */
static inline struct sipdam_prefix lab_source(struct lab *lab, const char *address)
{
	struct sipdam_prefix given;
	bool exact;

	assert_int_equal(address_parse_prefix(address, &given), 0);
	return bans_source(&lab->in_force, &given, &exact);
}

/* A ban as `sipdam ban add` makes it. */
static inline int lab_ban(struct lab *lab, const char *address, __u64 lasting)
{
	struct sipdam_prefix source = lab_source(lab, address);

	lab->changes++;
	return bans_add(&lab->bans, &source, lab->now, lasting, lab->in_force.ban_max);
}

/* ---- known sources ---- */

/* A source is trusted, or a peer, from now on; port: of a device behind it, or 0. */
static inline int lab_know(struct lab *lab, const char *address, bool trusted, __u16 port, __u64 lasting)
{
	struct known_grant grant = {.source = lab_source(lab, address),
				    .trusted = trusted,
				    .cause = SIPDAM_KNOWN_MANUAL,
				    .port = port,
				    .lasting = lasting,
				    .ttl = lab->in_force.trust_ttl};

	lab->changes++;
	return known_add(&lab->known, &grant, lab->now);
}

/* ---- counters ---- */

static inline void sum_words(__u64 *to, const __u64 *from, size_t words)
{
	for (size_t i = 0; i < words; i++)
		to[i] += from[i];
}

/* Adds up what every CPU has of each of a map's first entries. One call: tests ask after every packet. */
static inline void read_all_summed(int fd, __u32 entries, void *to, size_t bytes)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	int cpus = libbpf_num_possible_cpus();
	__u64 *values = calloc((size_t)entries * cpus, bytes);
	__u32 keys[SIPDAM_INTERFACES_MAX + SIPDAM_TABLE_EVENTS], next, count = entries;
	int error = bpf_map_lookup_batch(fd, NULL, &next, keys, values, &count, &opts);

	assert_true(!error || error == -ENOENT); /* that was the last entry */
	assert_int_equal(count, entries);
	memset(to, 0, entries * bytes);
	for (__u32 i = 0; i < entries * cpus; i++)
		sum_words((__u64 *)to + i / cpus * (bytes / 8), values + i * (bytes / 8), bytes / 8);
	free(values);
}

static inline void ledger_read(struct lab *lab, struct ledger *ledger)
{
	read_all_summed(filter_map(lab->filter, "counters"), SIPDAM_INTERFACES_MAX, ledger->slot,
			sizeof(*ledger->slot));
	read_all_summed(filter_map(lab->filter, "table_events"), SIPDAM_TABLE_EVENTS, ledger->event,
			sizeof(*ledger->event));
	read_all_summed(filter_map(lab->filter, "tls_meter"), 1, &ledger->hellos, sizeof(ledger->hellos));
	/* Which refused sources share a record is the secret's choice: refused_test asks for itself. */
	ledger->event[SIPDAM_TABLE_REFUSED_DISPLACED] = 0;
}

static inline void count_up(struct sipdam_count *count, __u32 bytes)
{
	count->packets++;
	count->bytes += bytes;
}

/* What a packet adds to the counters. */
static inline void ledger_expect(struct ledger *ledger, __u32 interface, const struct expect *expect,
				 bool tcp, __u32 bytes)
{
	struct sipdam_counters *slot = &ledger->slot[interface];

	count_up(&slot->reason[expect->verdict == SIPDAM_VERDICT_WOULD_DROP][expect->reason], bytes);
	if (expect->class)
		count_up(&slot->class[expect->verdict][expect->class], bytes);
	if (expect->method)
		count_up(&slot->method[tcp][expect->verdict][expect->method], bytes);
}

static inline int count_differs(const char *name, const char *kind, const char *label,
				const struct sipdam_count *want, const struct sipdam_count *got)
{
	if (!memcmp(want, got, sizeof(*want)))
		return 0;
	print_error("%s: counter of %s %s: expected %llu packets %llu bytes, got %llu, %llu\n", name, kind,
		    label ? label : "without a name", want->packets, want->bytes, got->packets, got->bytes);
	return 1;
}

/* Says which counters of a slot differ. Returns how many. */
static inline int slot_differs(const char *name, const struct sipdam_counters *want,
			       const struct sipdam_counters *got)
{
	int differ = 0;

	for (int i = 0; i < 2 * SIPDAM_REASONS_MAX; i++)
		differ += count_differs(name, "reason", reason_label(i), &want->reason[0][i],
					&got->reason[0][i]);
	for (int i = 0; i < SIPDAM_TRANSPORTS * SIPDAM_VERDICTS * SIPDAM_METHODS_MAX; i++)
		differ += count_differs(name, "method", method_label(i), &want->method[0][0][i],
					&got->method[0][0][i]);
	for (int i = 0; i < SIPDAM_VERDICTS * SIPDAM_CLASSES_MAX; i++)
		differ +=
			count_differs(name, "class", class_label(i), &want->class[0][i], &got -> class[0][i]);
	return differ;
}

/* Compares all counters with the expected ones, which then become what was found: one message a fault. */
static inline void lab_compare(struct lab *lab, const char *name)
{
	struct ledger found;

	ledger_read(lab, &found);
	for (int slot = 0; slot < SIPDAM_INTERFACES_MAX; slot++)
		lab->failures += slot_differs(name, &lab->expected.slot[slot], &found.slot[slot]);
	for (int event = 0; event < SIPDAM_TABLE_EVENTS; event++) {
		if (lab->expected.event[event] == found.event[event])
			continue;
		print_error("%s: table event %d: expected %llu, got %llu\n", name, event,
			    lab->expected.event[event], found.event[event]);
		lab->failures++;
	}
	if (memcmp(&lab->expected.hellos, &found.hellos, sizeof(found.hellos))) {
		print_error("%s: the meter of TLS versions is not as expected\n", name);
		lab->failures++;
	}
	lab->expected = found;
}

/* ---- packets ---- */

static inline void lab_mark_seen(struct lab *lab, const struct expect *expect)
{
	lab->reason_seen[expect->reason] = true;
	lab->class_seen[expect->class] = true;
	lab->method_seen[expect->method] = true;
}

static inline bool report_is(const struct sipdam_trial *report, const struct expect *expect)
{
	return report->reason == expect->reason && report->class == expect->class &&
	       report->method == expect->method && report->status == expect->status &&
	       report->dropped == (expect->verdict == SIPDAM_VERDICT_DROP);
}

static inline void check_report(struct lab *lab, const char *name, const struct expect *expect)
{
	const struct sipdam_trial *got = lab->trial;

	if (report_is(got, expect))
		return;
	print_error("%s: expected %s: %s, class %s, method %s, status %u; got %s: %s, class %s, method %s, "
		    "status %u\n",
		    name, expect->verdict == SIPDAM_VERDICT_DROP ? "drop" : "pass",
		    reason_label(expect->reason), class_label(expect->class), method_label(expect->method),
		    expect->status, got->dropped ? "drop" : "pass", reason_label(got->reason),
		    class_label(got->class), method_label(got->method), got->status);
	lab->failures++;
}

/* Whoever it is counted for, it is the packet's source and family that the report names. */
static inline void check_source(struct lab *lab, const char *name, const struct recipe *recipe)
{
	__u8 source[16] = {[10] = 0xff, [11] = 0xff};

	if (!lab->trial->family)
		return;
	if (recipe->family == 6)
		inet_pton(AF_INET6, recipe->source ? recipe->source : SOURCE6, source);
	else
		inet_pton(AF_INET, recipe->source ? recipe->source : SOURCE, source + 12);
	if (!memcmp(lab->trial->source, source, 16) && (lab->trial->family == 6) == (recipe->family == 6))
		return;
	print_error("%s: the report names another source or family\n", name);
	lab->failures++;
}

/* One row, after whatever came before it; the counters are compared later. */
static inline void lab_judge(struct lab *lab, const struct row *row)
{
	__u32 bytes;
	int error;

	lab_mark_seen(lab, &row->expect);
	frame_build(&lab->frame, &row->packet);
	*lab->trial = (struct sipdam_trial){.now = lab->now,
					    .wire_length = row->wire_length,
					    .interface = row->interface,
					    .changes = lab->changes};
	error = filter_trial_run(lab->filter, lab->frame.data, lab->frame.length);
	if (error)
		fail_msg("%s: running the program: %s", row->name, strerror(-error));
	check_report(lab, row->name, &row->expect);
	check_source(lab, row->name, &row->packet);
	bytes = row->wire_length > lab->frame.length ? row->wire_length : (__u32)lab->frame.length;
	ledger_expect(&lab->expected, row->interface, &row->expect,
		      recipe_protocol(&row->packet) == IPPROTO_TCP, bytes);
}

/* One row and its counters. Faults are printed and counted in lab->failures. */
static inline void lab_run(struct lab *lab, const struct row *row)
{
	lab_judge(lab, row);
	lab_compare(lab, row->name);
}

/* A row alone: its policy, and nothing remembered. */
static inline void lab_row(struct lab *lab, const struct row *row)
{
	lab_forget(lab);
	lab_policy(lab, row->policy ? row->policy : "");
	lab_run(lab, row);
}

static inline void lab_rows(struct lab *lab, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		lab_row(lab, &rows[i]);
	assert_int_equal(lab->failures, 0);
}

/* A packet in a sequence: what is expected of it is expected now. */
static inline void lab_send(struct lab *lab, const char *name, const struct recipe *recipe,
			    struct expect expect)
{
	struct row row = {.name = name, .packet = *recipe, .expect = expect};

	lab_run(lab, &row);
	if (lab->failures)
		fail_msg("%s: at %llu ns", name, (unsigned long long)lab->now);
}

/* The same packet many times: each verdict counts, and all counters at the end. */
static inline void lab_send_many(struct lab *lab, const char *name, int count, const struct recipe *recipe,
				 struct expect expect)
{
	struct row row = {.name = name, .packet = *recipe, .expect = expect};

	for (int i = 0; i < count && !lab->failures; i++)
		lab_judge(lab, &row);
	lab_compare(lab, name);
	if (lab->failures)
		fail_msg("%s: at %llu ns", name, (unsigned long long)lab->now);
}

/* For floods: a packet of which nothing is expected. Returns its reason; ends with lab_settle. */
static inline int lab_try(struct lab *lab, const struct recipe *recipe)
{
	frame_build(&lab->frame, recipe);
	*lab->trial = (struct sipdam_trial){.now = lab->now, .changes = lab->changes};
	assert_int_equal(filter_trial_run(lab->filter, lab->frame.data, lab->frame.length), 0);
	return lab->trial->reason;
}

/* Takes the counters as they are for expected. Returns how much a table event went up since. */
static inline __u64 lab_settle(struct lab *lab, enum sipdam_table_event event)
{
	__u64 before = lab->expected.event[event];

	ledger_read(lab, &lab->expected);
	return lab->expected.event[event] - before;
}

#endif
