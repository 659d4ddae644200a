/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See top.h. */
#include "top.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "render.h"
#include "span.h"

#define SECOND 1000000000ULL

/* Longer ones, of IPv6 alone, have a line of their own. */
#define SOURCE_COLUMNS 24

/* ---- gathering ---- */

static struct top_row limited_row(const struct over_limit *source, const struct sipdam_policy *policy)
{
	return (struct top_row){
		.source = source->source,
		.reason = SIPDAM_REASON_SOURCE_RATE,
		.class = source->class,
		.refused = source->refused,
		.per_second = over_limit_rate(source, policy),
		.last = source->last,
	};
}

static struct top_row banned_row(const struct ban_entry *entry, __u64 now)
{
	__u64 seconds = now > entry->ban.since ? (now - entry->ban.since) / SECOND : 0;

	return (struct top_row){
		.source = entry->source,
		.reason = SIPDAM_REASON_BANNED,
		.refused = entry->ban.dropped,
		.per_second = entry->ban.dropped / (seconds ? seconds : 1),
	};
}

static int compare(const void *left, const void *right)
{
	const struct top_row *a = left, *b = right;

	if (a->refused != b->refused)
		return a->refused < b->refused ? 1 : -1;
	return memcmp(a->source.address, b->source.address, sizeof(a->source.address));
}

int top_make(struct top *top, const struct over_limits *limits, const struct ban_entries *bans,
	     const struct sipdam_policy *policy)
{
	struct top made = {.now = limits->now, .wall = limits->wall};

	made.row = calloc(limits->count + bans->count + 1, sizeof(*made.row));
	if (!made.row)
		return -ENOMEM;
	for (size_t i = 0; i < limits->count; i++)
		made.row[made.count++] = limited_row(&limits->source[i], policy);
	for (size_t i = 0; i < bans->count; i++)
		if (bans->entry[i].ban.dropped)
			made.row[made.count++] = banned_row(&bans->entry[i], made.now);
	qsort(made.row, made.count, sizeof(*made.row), compare);
	*top = made;
	return 0;
}

void top_free(struct top *top)
{
	free(top->row);
	memset(top, 0, sizeof(*top));
}

/* ---- saying ---- */

static json_t *row_json(const struct top *top, const struct top_row *row)
{
	char text[ADDRESS_PREFIX_TEXT];
	double last = top->wall - (double)(__s64)(top->now - row->last) / SECOND;

	address_format_prefix(&row->source, text);
	return json_pack("{s:s, s:s, s:s?, s:I, s:I, s:o}", "address", text, "reason",
			 render_reason(row->reason), "class", render_class((int)row->class), "refused",
			 (json_int_t)row->refused, "per_second", (json_int_t)row->per_second, "last_seen",
			 row->last ? json_integer((json_int_t)last) : json_null());
}

json_t *top_json(const struct top *top, size_t most)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < top->count && i < most; i++)
		json_array_append_new(array, row_json(top, &top->row[i]));
	return json_pack("{s:o}", "sources", array);
}

static void print_row(const struct top *top, const struct top_row *row, FILE *out)
{
	char text[ADDRESS_PREFIX_TEXT], refused[RENDER_COUNT], rate[RENDER_COUNT], ago[32] = "-";
	const char *class = render_class((int)row->class);

	address_format_prefix(&row->source, text);
	if (row->last)
		span_format_left(top->now > row->last ? top->now - row->last : 0, ago, sizeof(ago));
	if (strlen(text) > SOURCE_COLUMNS)
		fprintf(out, "%s\n%*s", text, SOURCE_COLUMNS, "");
	else
		fprintf(out, "%-*s", SOURCE_COLUMNS, text);
	fprintf(out, " %-11s %-9s %13s %10s %7s\n", render_reason(row->reason), class ? class : "-",
		render_count(row->refused, refused), render_count(row->per_second, rate), ago);
}

void top_print(const struct top *top, size_t most, FILE *out)
{
	if (!top->count) {
		fprintf(out, "No source is over its limits, and no ban has dropped anything.\n");
		return;
	}
	fprintf(out, "%-*s %-11s %-9s %13s %10s %7s\n", SOURCE_COLUMNS, "source", "reason", "class",
		"refused about", "a second", "last");
	for (size_t i = 0; i < top->count && i < most; i++)
		print_row(top, &top->row[i], out);
	if (top->count > most)
		fprintf(out, "and %zu more: -n %zu shows them\n", top->count - most, top->count);
}
