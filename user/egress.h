/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The program that reads what the server sends, at tc egress of each interface: loaded over the filter's own
 * maps, attached by a handle and a priority of ours, replaced in place, taken off. Without it the filter
 * works as before and learns nobody. Owner of its skeleton, as filter.h is of the filter's.
 */
#ifndef EGRESS_H
#define EGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "problem.h"

struct egress;
struct filter;

/* By these our own is known among the filters of an interface; see `tc filter show dev eth0 egress`. */
#define EGRESS_HANDLE   0x5060
#define EGRESS_PRIORITY 60

/*
 * Loads it over the pinned maps of the filter that runs and puts it on every interface that the filter is on,
 * in the place of one that is there. Under pins_lock. 0, or -errno with a problem of the first that failed:
 * all others are done.
 */
int egress_install(struct problem *problem);

/* Puts the one that egress_install has loaded on an interface. */
int egress_attach(unsigned int ifindex, struct problem *problem);

/* Takes ours off an interface, and the queueing discipline if we made it and nobody else uses it. Before the
 * interface's slot is given up. */
void egress_detach(unsigned int ifindex);

/* Is one of ours on the interface? Needs no privilege. */
bool egress_is_attached(unsigned int ifindex);

/* Over the maps of a trial, with the trial's clock or the kernel's. Free with egress_free, before the filter.
 */
int egress_open_private(struct egress **egress, struct filter *filter, bool own_clock,
			struct problem *problem);

/* As filter_trial_run: the record handed in and out is the filter's. */
int egress_trial_run(struct egress *egress, const void *data, size_t length);

/* Descriptor of its program, for benchmarks. */
int egress_program(struct egress *egress);

void egress_free(struct egress *egress);

#endif
