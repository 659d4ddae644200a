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

struct bpf_map;
struct bpf_object;

/* "/sys/fs/bpf/sipdam", or below $SIPDAM_BPFFS where that is set (private namespaces). */
const char *pins_directory(void);

/*
 * Whether the bpffs is mounted (-ENODEV with the command that mounts it), the directory exists (-ENOENT:
 * nothing is attached) and holds this layout (-EPROTO: made by another version, which is named; how to go
 * on). Reads meta into *meta if not NULL; of another layout what every version can read, of what is not
 * sipdam's nothing.
 */
int pins_check(struct sipdam_meta *meta, struct problem *problem);

/* Whether the caller may change what is pinned: -EACCES where not, and nothing is read. */
int pins_check_change(struct problem *problem);

/* After -EPROTO: is it the state of an older version, which `attach` can take over? */
bool pins_is_older(const struct sipdam_meta *meta);

/* Creates the directory if need be (0750) and takes the writers' lock; blocks while another command
 * changes something. Returns a descriptor whose closing gives the lock up, or -errno with a problem. */
int pins_lock(bool create, struct problem *problem);

/* The same where the directory exists, without waiting: -EAGAIN while another command changes something. */
int pins_try_lock(void);

/* Opens the pinned map of this name; read_only needs only the group's read permission.
 * Returns a descriptor or -errno with a problem. */
int pins_open(const char *map, bool read_only, struct problem *problem);

/*
 * Under which name a program's map is pinned; NULL: it is not. Those that the program reads without a look-up
 * are variables of its own to the compiler, in a section ".data.NAME".
 */
const char *pins_name(const struct bpf_map *map);

/* The map of a program that is pinned under this name, or NULL. */
struct bpf_map *pins_find_map(const struct bpf_object *object, const char *name);

/* Path of a pin below the directory. Returns 0 or -ENAMETOOLONG. */
int pins_path(char *path, size_t size, const char *name);

/* Removes every pin, for a beginning from nothing under the lock. Returns 0 or -errno. */
int pins_clear(struct problem *problem);

/*
 * A second directory, in which an upgrade makes the new state beside the old one, as the first one's owner
 * and with its lock. From begin to publish or abandon all functions here go there. Under pins_lock.
 */
int pins_stage_begin(struct problem *problem);

/* Path of a pin in the directory that is not in force: what an upgrade that died, or the last one, has left.
 */
int pins_stage_path(char *path, size_t size, const char *name);

/* Puts the second directory in the first one's place in one step, and removes what was there before. */
int pins_stage_publish(struct problem *problem);

/* Removes the second directory, if there is one. */
void pins_stage_abandon(void);

/* Removes every pin and the directory. Returns 0 or -errno. */
int pins_remove(struct problem *problem);

#endif
