/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See targets.h. */
#include "targets.h"

#include <errno.h>
#include <string.h>

#include "bans.h"
#include "live.h"

static int read_one(struct targets *targets, size_t number, const struct targets_words *words,
		    struct problem *problem)
{
	struct sipdam_prefix *given = &targets->given[number], *source = &targets->source[number];
	const char *text = targets->text[number];
	char prefix[ADDRESS_PREFIX_TEXT];
	bool exact;

	if (address_parse_prefix(text, given))
		return problem_set(problem, -EINVAL, "%s is not an address such as 192.0.2.1 or 2001:db8::1",
				   text);
	*source = bans_source(&targets->policy, given, &exact);
	if (exact || !strchr(text, '/'))
		return 0;
	address_format_prefix(given, prefix);
	return problem_set(problem, -EINVAL, "%s: %s is of one source, which is a /%u (source_key): %s %s%s`",
			   text, words->what,
			   address_is_ipv4(given->address) ? source->bits - 96 : source->bits, words->instead,
			   prefix, words->more);
}

int targets_read(struct targets *targets, const struct action_arguments *arguments,
		 const struct targets_words *words, struct problem *problem)
{
	int error = live_policy(&targets->policy, problem);

	targets->text = arguments->operand;
	targets->count = arguments->operands;
	for (size_t i = 0; !error && i < targets->count; i++)
		error = read_one(targets, i, words, problem);
	return error;
}

void targets_read_lists(struct targets *targets)
{
	live_list_read(SIPDAM_LIST_ALLOW, &targets->allowed, NULL);
	live_list_read(SIPDAM_LIST_DENY, &targets->denied, NULL);
}

void targets_free(struct targets *targets)
{
	book_free(&targets->allowed);
	book_free(&targets->denied);
}

bool targets_have(const struct targets *targets, const struct sipdam_prefix *source)
{
	bool have = !targets->count;

	for (size_t i = 0; !have && i < targets->count; i++)
		have = !memcmp(&targets->source[i], source, sizeof(*source));
	return have;
}

const char *targets_source(const struct targets *targets, size_t number, char text[ADDRESS_PREFIX_TEXT])
{
	address_format_prefix(&targets->source[number], text);
	return text;
}
