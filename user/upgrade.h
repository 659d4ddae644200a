/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From the state of an older version to that of this one, while the old filter runs: what is taken over as it
 * is, what is read and written anew, and what begins from nothing, by name. The new state is made in the
 * second directory of pins.h; who loads the program is filter.h's.
 */
#ifndef UPGRADE_H
#define UPGRADE_H

#include <stdbool.h>

#include "book.h"
#include "problem.h"
#include "settings.h"
#include "sipdam/state.h"

#define UPGRADE_MAPS 32

struct bpf_object;

struct upgrade {
	struct sipdam_meta before; /* what every version can read of it */
	struct settings settings;  /* that go on */
	bool file_again;           /* they are those of the file, so lists are as the file has them */
	struct book list[SIPDAM_LISTS];
	int map[UPGRADE_MAPS]; /* of the old state, by place in the table of upgrade.c; -1: none */
	bool counts_apart;     /* what was counted cannot go on in the same map */
	char anew[512];        /* what begins from nothing, with commas; "" for nothing */
};

/* Ends what an upgrade that was killed had begun: finishes it if its filter runs and was this version's, else
 * removes it. */
int upgrade_mend(struct problem *problem);

/* Reads the older state that pins_check found. 0 or -errno with a problem. Free with upgrade_free. */
int upgrade_read(struct upgrade *upgrade, const struct sipdam_meta *before, struct problem *problem);
void upgrade_free(struct upgrade *upgrade);

/* The keys of its tables, or -ENOENT where they cannot be taken over. */
int upgrade_secret(struct upgrade *upgrade, struct sipdam_secret *secret);

/* Before the program is loaded: maps that mean the same in both versions are the same maps, and the array of
 * entry programs is. */
int upgrade_take_maps(struct upgrade *upgrade, struct bpf_object *object, struct problem *problem);

/* After it has been loaded: lists and interfaces. The policy is live_commit's. */
int upgrade_fill(struct upgrade *upgrade, struct problem *problem);

/* Pins the filter in the second directory, by which upgrade_mend knows whether it came to run. */
int upgrade_mark(int program, struct problem *problem);

/* Once the new filter is behind the entry programs: the counts, then the new state's directory in the place
 * of the old one's. */
int upgrade_publish(const struct upgrade *upgrade, struct problem *problem);

#endif
