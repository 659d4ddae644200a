/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See origin.h. */
#include "origin.h"

#include <string.h>

json_t *origin_label(const struct sipdam_meta *meta, int number)
{
	const char *name;

	if (number < 2)
		return json_string(number ? "manual" : "config");
	name = strchr(meta->feeds[number - 2], ':');
	return json_sprintf("feed %s", name ? name + 1 : "?");
}
