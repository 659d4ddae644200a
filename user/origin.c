/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See origin.h. */
#include "origin.h"

#include <stdio.h>
#include <string.h>

#include "utf8.h"

json_t *origin_label(const struct sipdam_meta *meta, int number)
{
	char text[sizeof("feed ") + sizeof(meta->feeds[0])];
	const char *name;

	if (number < 2)
		return json_string(number ? "manual" : "config");
	name = strchr(meta->feeds[number - 2], ':');
	snprintf(text, sizeof(text), "feed %s", name ? name + 1 : "?");
	return utf8_json(text);
}
