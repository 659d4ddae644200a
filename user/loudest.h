/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads the running filter's record of refused sources; what to make of it is over_limit.h's. */
#ifndef LOUDEST_H
#define LOUDEST_H

#include "over_limit.h"
#include "problem.h"

/* All sources lately refused that the allow list does not hold by now, the most refused first. 0 or -errno
 * with a problem. */
int loudest_read(struct over_limits *limits, struct problem *problem);

#endif
