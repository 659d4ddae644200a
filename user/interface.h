/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The entry program on network interfaces: attaching it beside others, finding it again, detaching it.
 * What it jumps to is filter.h's.
 */
#ifndef INTERFACE_H
#define INTERFACE_H

#include <stdbool.h>

#include "problem.h"

enum interface_mode { /* the first three stand in struct sipdam_interfaces, as asked for */
	INTERFACE_MODE_AUTO, /* native, generic where the driver refuses */
	INTERFACE_MODE_NATIVE,
	INTERFACE_MODE_GENERIC,
	INTERFACE_MODE_NONE, /* not attached */
};
const char *interface_mode_name(enum interface_mode mode);

/*
 * Attaches the entry program beside others. *mode: in what is wanted, out what came of it; attached
 * already: unchanged and 0, with *fresh false. After filter_prepare, under pins_lock.
 */
int interface_attach(const char *interface, enum interface_mode *mode, bool *fresh, struct problem *problem);

/* Detaches ours, leaves others; one that is gone is forgotten. -ENOENT with a problem if it is not attached
 * there. */
int interface_detach(const char *interface, struct problem *problem);

enum interface_entry {
	INTERFACE_ENTRY_NONE,
	INTERFACE_ENTRY_ALIVE, /* jumps to the filter whose state is pinned here */
	INTERFACE_ENTRY_DEAD,  /* its state is gone: it lets everything pass */
};

/* Is an entry program of ours on this interface? *mode is set if there is one. */
enum interface_entry interface_entry(unsigned int ifindex, enum interface_mode *mode);

/* How an entry program that is alive is attached, else NONE. */
enum interface_mode interface_mode(unsigned int ifindex);

/* 0, or -ENODEV with a problem. */
int interface_check(const char *interface, struct problem *problem);

#endif
