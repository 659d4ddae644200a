/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A policy as text that later versions read with their own table of fields, whatever became of the struct
 * until then: a line a key, "ORIGIN KEY=VALUE", and what is no key as "state NAME=NUMBER". Entries of lists
 * are not in it: those are in the lists.
 */
#ifndef SETTINGS_TEXT_H
#define SETTINGS_TEXT_H

#include "settings.h"
#include "sipdam/state.h"

/* What of a text another version's table had no use for. */
struct settings_text_rest {
	size_t keys;
	char first[64]; /* the first of them */
};

/* 0, or -E2BIG where size does not hold it. */
int settings_text_write(const struct sipdam_policy *policy, char *text, size_t size);

/*
 * Puts what the text says over settings. Keys that are no longer known, and values that are no longer taken,
 * are counted in *rest and stay as they were. Ends with settings_finish: 0 or -EINVAL with a problem.
 */
int settings_text_read(struct settings *settings, const char *text, struct settings_text_rest *rest,
		       struct problem *problem);

#endif
