/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The directory of our own in the bpffs: whether it is there, whose layout it has, one writer at a
 * time, and the maps in it by name.
 */
#ifndef PINS_H
#define PINS_H

#include <stdbool.h>
#include <stddef.h>

#include "problem.h"
#include "sipdam/state.h"

/* "/sys/fs/bpf/sipdam", or below $SIPDAM_BPFFS where that is set (private namespaces). */
const char *pins_directory(void);

/*
 * Whether the bpffs is mounted (-ENODEV with the command that mounts it), the directory exists (-ENOENT:
 * nothing is attached) and holds this layout (-EPROTO: made by another version; how to go on). Reads
 * meta into *meta if not NULL.
 */
int pins_check(struct sipdam_meta *meta, struct problem *problem);

/* Creates the directory if need be (0750) and takes the writers' lock; blocks while another command
 * changes something. Returns a descriptor whose closing gives the lock up, or -errno with a problem. */
int pins_lock(bool create, struct problem *problem);

/* The same where the directory exists, without waiting: -EAGAIN while another command changes something. */
int pins_try_lock(void);

/* Opens the pinned map of this name; read_only needs only the group's read permission.
 * Returns a descriptor or -errno with a problem. */
int pins_open(const char *map, bool read_only, struct problem *problem);

/* Path of a pin below the directory. Returns 0 or -ENAMETOOLONG. */
int pins_path(char *path, size_t size, const char *name);

/* Removes every pin, for a beginning from nothing under the lock. Returns 0 or -errno. */
int pins_clear(struct problem *problem);

/* Removes every pin and the directory. Returns 0 or -errno. */
int pins_remove(struct problem *problem);

#endif
