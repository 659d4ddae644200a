/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which interfaces the running filter knows: each has a slot of the counters, by the index of its device,
 * and is remembered by name, so that a device that was deleted and made again goes on where it was. What
 * is attached to a device is interface.h's.
 */
#ifndef SLOTS_H
#define SLOTS_H

#include <stdbool.h>

#include "problem.h"
#include "sipdam/state.h"

enum slot_state {
	SLOT_FREE,
	SLOT_PRESENT,
	SLOT_GONE,	/* its device is not in this network namespace any more */
	SLOT_ELSEWHERE, /* of another network namespace, about which nothing is known here */
};

/* After pins_check has found this layout. 0 or -errno with a problem. */
int slots_read(struct sipdam_interfaces *known, struct problem *problem);
/* Under pins_lock. */
int slots_write(const struct sipdam_interfaces *known, struct problem *problem);

enum slot_state slots_state(const struct sipdam_interfaces *known, __u32 slot);

/* The slot of a device of this network namespace, SIPDAM_INTERFACES_MAX if it has none. */
__u32 slots_find(const struct sipdam_interfaces *known, unsigned int ifindex);

/*
 * Gives a device a slot, under pins_lock: its own, or that of a device of this name that is gone, whose
 * counters go on, or another, cleared. wanted: see struct sipdam_interfaces. *before is what was known, to
 * be written back if nothing comes of it. -ENOSPC with a problem when all are in use.
 */
int slots_take(unsigned int ifindex, const char *name, __u8 wanted, struct sipdam_interfaces *before,
	       struct problem *problem);

/* The clsact queueing discipline of this device was made by us, and goes with our program. 0 or -errno. */
int slots_note_qdisc(unsigned int ifindex, bool made);
bool slots_made_qdisc(unsigned int ifindex);

/* Takes its slot away from a device, under pins_lock; none: nothing to do. */
int slots_release(unsigned int ifindex);

/* After an upgrade from a version that wrote down indexes alone: devices that are here are taken for those. */
void slots_complete(struct sipdam_interfaces *known);

/* Is a device of this name known that is gone? */
bool slots_remembers(const char *name);

/* Forgets it, under pins_lock; *ifindex is what it had. -ENOENT: none is known. */
int slots_forget(const char *name, unsigned int *ifindex);

#endif
