/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See over_limit.h. */
#include "over_limit.h"

#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "render.h"

#define SECOND 1000000000ULL

/* Asked about by name; of more than so many at once most are a flood's. */
#define NAMED_MAX 5

#define FLOOD_TIMES    10 /* its limit: what sends more is no trunk that a limit was a little low for */
#define STEADY_SECONDS 30
/* An office comes back after an outage: it opens its connections, all at once, and is done in half a minute. */
#define OPENING_SECONDS 3
#define OPENING_CLASSES (1u << SIPDAM_CLASS_TCP_SYN | 1u << SIPDAM_CLASS_TLS_HELLO | 1u << SIPDAM_CLASS_WS_UPGRADE)

#define TALKING_CLASSES (1u << SIPDAM_CLASS_RESPONSE | 1u << SIPDAM_CLASS_DIALOG)

/* ---- gathering ---- */

static struct over_limit *find(struct over_limits *limits, const struct sipdam_prefix *source)
{
	for (size_t i = 0; i < limits->count; i++)
		if (!memcmp(&limits->source[i].source, source, sizeof(*source)))
			return &limits->source[i];
	return NULL;
}

static struct sipdam_prefix source_of(const struct sipdam_refused *noted)
{
	struct sipdam_prefix prefix = {.bits = noted->bits};

	memcpy(prefix.address, &noted->high, sizeof(noted->high));
	memcpy(prefix.address + sizeof(noted->high), &noted->low, sizeof(noted->low));
	return prefix;
}

void over_limits_add(struct over_limits *limits, const struct sipdam_refused *noted)
{
	struct sipdam_prefix prefix = source_of(noted);
	struct over_limit *source = find(limits, &prefix);

	if (!noted->last || limits->now > noted->last + SIPDAM_REFUSED_EPISODE)
		return;
	if (!source && limits->count == SIPDAM_REFUSED_SLOTS)
		return;
	if (!source) {
		source = &limits->source[limits->count++];
		*source = (struct over_limit){.source = prefix, .first = noted->first};
	}
	/* Of the larger part; before anything is added. */
	if (noted->packets > source->refused)
		source->class = noted->class;
	source->classes |= noted->classes;
	source->refused += noted->packets;
	source->first = noted->first < source->first ? noted->first : source->first;
	source->last = noted->last > source->last ? noted->last : source->last;
}

static int compare(const void *a, const void *b)
{
	const struct over_limit *one = a, *other = b;

	return (one->refused < other->refused) - (one->refused > other->refused);
}

void over_limits_sort(struct over_limits *limits)
{
	qsort(limits->source, limits->count, sizeof(*limits->source), compare);
}

/* ---- judging ---- */

static const struct sipdam_limit *limit_of(const struct over_limit *source,
					   const struct sipdam_policy *policy)
{
	return &policy->limits[SIPDAM_TIER_UNKNOWN][source->class & (SIPDAM_CLASSES_MAX - 1)];
}

static __u64 seconds_of(const struct over_limit *source)
{
	return source->last > source->first ? (source->last - source->first + SECOND / 2) / SECOND : 0;
}

__u64 over_limit_rate(const struct over_limit *source, const struct sipdam_policy *policy)
{
	__u64 seconds = seconds_of(source);

	return source->refused / (seconds ? seconds : 1) + limit_of(source, policy)->rate / SIPDAM_RATE_UNIT;
}

bool over_limit_may_be_yours(const struct over_limit *source, const struct sipdam_policy *policy)
{
	__u32 classes = source->classes & ~(1u << SIPDAM_CLASS_MALFORMED);
	__u64 limit = limit_of(source, policy)->rate / SIPDAM_RATE_UNIT;
	__u64 steady = classes & ~OPENING_CLASSES ? STEADY_SECONDS : OPENING_SECONDS;

	if (classes & TALKING_CLASSES || classes & (classes - 1))
		return true;
	return classes && seconds_of(source) >= steady &&
	       over_limit_rate(source, policy) < limit * FLOOD_TIMES;
}

/* ---- saying ---- */

/* Seconds since 1970, of a time of the other clock. */
static json_int_t wall_clock(const struct over_limits *limits, __u64 time)
{
	return (json_int_t)(limits->wall - (double)(__s64)(limits->now - time) / SECOND);
}

json_t *over_limits_json(const struct over_limits *limits, const struct sipdam_policy *policy)
{
	json_t *array = json_array();
	char text[ADDRESS_PREFIX_TEXT];

	for (size_t i = 0; array && i < limits->count; i++) {
		const struct over_limit *source = &limits->source[i];

		address_format_prefix(&source->source, text);
		json_array_append_new(array,
				      json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:b}", "address", text,
						"class", render_class((int)source->class), "refused",
						(json_int_t)source->refused, "per_second",
						(json_int_t)over_limit_rate(source, policy), "first_seen",
						wall_clock(limits, source->first), "last_seen",
						wall_clock(limits, source->last), "maybe_yours",
						over_limit_may_be_yours(source, policy)));
	}
	return array;
}

static const char *plural_of(__u32 class)
{
	static const char *const names[SIPDAM_CLASSES_MAX] = {
		[SIPDAM_CLASS_INVITE] = "INVITEs",        [SIPDAM_CLASS_REGISTER] = "REGISTERs",
		[SIPDAM_CLASS_OPTIONS] = "OPTIONS",       [SIPDAM_CLASS_DIALOG] = "ACKs, BYEs and CANCELs",
		[SIPDAM_CLASS_OTHER] = "other requests",  [SIPDAM_CLASS_RESPONSE] = "responses",
		[SIPDAM_CLASS_KEEPALIVE] = "keepalives",  [SIPDAM_CLASS_MALFORMED] = "malformed packets",
		[SIPDAM_CLASS_FRAGMENT] = "fragments",    [SIPDAM_CLASS_TCP_SYN] = "new connections",
		[SIPDAM_CLASS_TCP_DATA] = "TCP segments", [SIPDAM_CLASS_TLS_HELLO] = "TLS handshakes",
		[SIPDAM_CLASS_WS_UPGRADE] = "WebSocket upgrades",
	};
	const char *name = names[class & (SIPDAM_CLASSES_MAX - 1)];

	return name ? name : "packets";
}

/* "40s", "5m", "3h" */
static const char *text_seconds(__u64 seconds, char text[16])
{
	if (seconds < 120)
		snprintf(text, 16, "%us", (unsigned int)seconds);
	else if (seconds < 7200)
		snprintf(text, 16, "%um", (unsigned int)(seconds / 60));
	else
		snprintf(text, 16, "%uh", (unsigned int)(seconds / 3600 % 100000));
	return text;
}

static void print_source(const struct over_limit *source, const struct sipdam_policy *policy, __u64 now,
			 FILE *out)
{
	char text[ADDRESS_PREFIX_TEXT], lasted[16], ago[16], count[RENDER_COUNT];
	__u64 seconds = seconds_of(source), since = now > source->last ? (now - source->last) / SECOND : 0;

	address_format_prefix(&source->source, text);
	fprintf(out, "\n%s is over its limit: %s %s a second,\n", text,
		render_count(over_limit_rate(source, policy), count), plural_of(source->class));
	fprintf(out, "%s packets refused in %s, the last %s ago.\n", render_count(source->refused, count),
		text_seconds(seconds ? seconds : 1, lasted), text_seconds(since, ago));
	fprintf(out, "If it is yours (a trunk, a proxy, an office): sipdam allow add %s\n", text);
}

void over_limits_print(const struct over_limits *limits, const struct sipdam_policy *policy, FILE *out)
{
	size_t named = 0;

	for (size_t i = 0; i < limits->count && named < NAMED_MAX; i++) {
		if (!over_limit_may_be_yours(&limits->source[i], policy))
			continue;
		print_source(&limits->source[i], policy, limits->now, out);
		named++;
	}
	if (limits->count > named)
		fprintf(out, "\nSources over their limits%s: %zu; `sipdam top` names the loudest.\n",
			named ? " besides" : "", limits->count - named);
}
