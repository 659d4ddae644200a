/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sources that a command names by its operands, as the running filter's source_key has them, and the
 * lists that may have more to say of them than the command: what `ban` and `trust` begin with.
 */
#ifndef TARGETS_H
#define TARGETS_H

#include <stdbool.h>
#include <stddef.h>

#include "action.h"
#include "address.h"
#include "book.h"
#include "problem.h"
#include "sipdam/policy.h"

struct targets {
	struct sipdam_policy policy; /* in force */
	const char *const *text;     /* as given */
	struct sipdam_prefix given[ACTION_OPERANDS_MAX], source[ACTION_OPERANDS_MAX];
	size_t count;
	struct book allowed, denied; /* empty until targets_read_lists, or where they cannot be read */
};

/* What a command does to one source, and which list does it to a prefix; for refusals. */
struct targets_words {
	const char *what;    /* "a ban" */
	const char *instead; /* "drop a prefix with `sipdam deny add" */
	const char *more;    /* behind the prefix: " --for 1h" */
};

/*
 * Reads the policy in force and all operands, addresses or the very prefixes that count as one source, before
 * anything is done. 0 or -errno with a problem. End with targets_free.
 */
int targets_read(struct targets *targets, const struct action_arguments *arguments,
		 const struct targets_words *words, struct problem *problem);
void targets_read_lists(struct targets *targets);
void targets_free(struct targets *targets);

/* Is the source one of those named, or is none? */
bool targets_have(const struct targets *targets, const struct sipdam_prefix *source);

/* A named source as one reads it, with its prefix length. */
const char *targets_source(const struct targets *targets, size_t number, char text[ADDRESS_PREFIX_TEXT]);

#endif
