/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Owner of the program: opens, loads, attaches, replaces and detaches it. Nothing else in user/
 * includes the skeleton. What is pinned is pins.h's, what runs on it is live.h's.
 */
#ifndef FILTER_H
#define FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "book.h"
#include "problem.h"
#include "settings.h"
#include "sipdam/state.h"

/* Pin of the array through which entry programs jump to the filter. */
#define FILTER_ARRAY_PIN "programs"

struct filter;
struct upgrade;

/*
 * Trial: the very program that filters, loaded with private maps and a clock that is handed in; nothing
 * live is touched and nothing is pinned. For replay and tests. settings must be finished.
 * 0 or -errno with a problem (EPERM: the missing capability is named). Free with filter_free.
 */
int filter_open_trial(struct filter **filter, const struct settings *settings, struct problem *problem);

/* As above, but with own_clock the program reads the kernel's clock as a live one does: for benchmarks. */
int filter_open_private(struct filter **filter, const struct settings *settings, bool own_clock,
			struct problem *problem);

/* The hand-in record, mapped into this process: write now and wire_length, run, read the rest. */
struct sipdam_trial *filter_trial(struct filter *filter);

/*
 * Runs one Ethernet frame through the program. length: 14 to 3,500 bytes present at data (the true
 * length on the wire goes into filter_trial()->wire_length). 0 or -errno.
 */
int filter_trial_run(struct filter *filter, const void *data, size_t length);

/* Descriptor of the trial's program, for benchmarks. */
int filter_program(struct filter *filter);

/* File descriptors of the trial's maps, for tests: by the map's name in bpf/maps.h, or -ENOENT. */
int filter_map(struct filter *filter, const char *name);
/* Replaces policy and lists of a trial by finished settings. */
int filter_trial_configure(struct filter *filter, const struct settings *settings, struct problem *problem);

/* Replaces one list of a trial by the entries of a book, of which none counts as expired yet. */
int filter_trial_list(struct filter *filter, int list, const struct book *book);

void filter_free(struct filter *filter);

/*
 * Live: makes the pinned state or takes over what is there, puts the settings in force and loads the
 * filter, which no packet comes to yet. Callers hold pins_lock(true). config: path of the file the settings
 * came from, "" for none. keep_policy: state that is there already keeps its policy, and settings only tell
 * the table's size. 0 or -errno with a problem; then what ran before still runs. Free with filter_free.
 */
int filter_prepare(struct filter **filter, const struct settings *settings, const char *config,
		   bool keep_policy, struct problem *problem);

/*
 * The same over a running filter of an older version, whose state upgrade_read has read: a new state is made
 * beside it, and put in its place by filter_take_over. upgrade must live until then.
 */
int filter_prepare_upgrade(struct filter **filter, struct upgrade *upgrade, const struct settings *settings,
			   const char *config, struct problem *problem);

/*
 * Puts the filter behind every entry program in one step: no packet passes unfiltered that was filtered
 * before. The first time only after an entry program has been attached: that says what kind of program the
 * kernel takes here. 0 or -errno with a problem; then what ran before still runs.
 */
int filter_take_over(struct filter *filter, struct problem *problem);

/* Both, where entry programs are attached already. */
int filter_install(const struct settings *settings, const char *config, bool keep_policy,
		   struct problem *problem);

/* 0, or -EPERM with a problem that names the missing capability. */
int filter_check_privilege(struct problem *problem);

/* The entry program as an object file in memory, for interface.c to attach. */
const void *filter_entry_object(size_t *size);

/* Lets the libraries' own messages go nowhere, unless SIPDAM_DEBUG is set. */
void filter_silence_libraries(void);

/* "CAP_BPF" or another capability that attaching needs and this process lacks; NULL if it has all. */
const char *filter_missing_capability(void);

#endif
