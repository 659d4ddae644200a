/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See span.h. */
#include <stdio.h>

#include "span.h"

void span_format_left(__u64 nanoseconds, char *text, size_t size)
{
	static const struct {
		const char *unit;
		__u64 seconds;
	} units[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};
	__u64 left = (nanoseconds + 999999999) / 1000000000;
	size_t i = 0;

	while (i < 3 && left < units[i].seconds)
		i++;
	if (i < 3 && left % units[i].seconds >= units[i + 1].seconds)
		snprintf(text, size, "%llu%s%llu%s", left / units[i].seconds, units[i].unit,
			 left % units[i].seconds / units[i + 1].seconds, units[i + 1].unit);
	else
		snprintf(text, size, "%llu%s", left / units[i].seconds, units[i].unit);
}

time_t span_wall_time(__u64 monotonic, __u64 now)
{
	return time(NULL) - (time_t)((now - monotonic) / 1000000000);
}
