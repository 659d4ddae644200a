/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Times as a person reads them. */
#ifndef SPAN_H
#define SPAN_H

#include <linux/types.h>
#include <stddef.h>
#include <time.h>

/* What is left, in seconds rounded up, by its two largest units: 6d23h, 59m59s. */
void span_format_left(__u64 nanoseconds, char *text, size_t size);

/* What the wall clock of now says of a time that has been, both CLOCK_MONOTONIC nanoseconds. */
time_t span_wall_time(__u64 monotonic, __u64 now);

#endif
