/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Watches the network interfaces for `sipdam serve`: one that the filter was attached to, deleted and made
 * again, is attached again; one that was renamed is remembered by its new name. Nothing else is changed.
 */
#ifndef WATCH_H
#define WATCH_H

#include <stdbool.h>

#include "problem.h"
#include "sipdam/state.h"

struct watch {
	int netlink; /* readable when an interface has changed */
	bool able;   /* has what attaching takes; if not, nothing is done */
	struct watch_slot {
		__u32 deleted;	       /* index of its device when that was deleted, 0: not seen */
		__u32 failed;	       /* index of a device that could not be attached, 0: none */
		unsigned int failures; /* of that one */
		__u64 retry;	       /* CLOCK_MONOTONIC milliseconds */
	} slot[SIPDAM_INTERFACES_MAX];
	__u64 next; /* CLOCK_MONOTONIC milliseconds at which to look again, 0: when told */
};

/* One line about what was done, or could not be. */
typedef void watch_report(const char *line);

/* 0 or -errno with a problem. Without privileges it opens all the same: *problem says what is missing. */
int watch_open(struct watch *watch, struct problem *problem);
void watch_close(struct watch *watch);

/* When netlink is readable, when watch_timeout has passed, and once to begin with. Never waits. */
void watch_run(struct watch *watch, watch_report *report);

/* Milliseconds until watch_run wants to be called; -1: not before netlink is readable. */
int watch_timeout(const struct watch *watch);

#endif
