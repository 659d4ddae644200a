/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Settings as text: one value, or the effective whole as YAML that loads back. Values of fields only:
 * what is derived from them is not configuration.
 */
#include <string.h>

#include "settings_value.h"

#define ORIGIN_COLUMN 60 /* where "# default" begins, so that it ends within 80 */

/* A colon at either end means something to YAML; elsewhere an address is a plain word. */
static void format_entry(const struct sipdam_prefix *prefix, char *text, size_t size)
{
	char plain[ADDRESS_PREFIX_TEXT];
	bool quote;

	address_format_prefix(prefix, plain);
	quote = plain[0] == ':' || plain[strlen(plain) - 1] == ':';
	snprintf(text, size, "%s%s%s", quote ? "\"" : "", plain, quote ? "\"" : "");
}

static size_t entry_count(const struct settings *settings, const struct field *field)
{
	const struct sipdam_ports *ports;

	if (field->kind != FIELD_PORTS)
		return settings->lists[field->offset].count;
	ports = field_at(&settings->policy, field);
	return ports->count;
}

static void format_nth(const struct settings *settings, const struct field *field, size_t entry, char *text,
		       size_t size)
{
	const struct sipdam_ports *ports;

	if (field->kind != FIELD_PORTS) {
		format_entry(&settings->lists[field->offset].prefix[entry], text, size);
		return;
	}
	ports = field_at(&settings->policy, field);
	snprintf(text, size, "%u", ports->port[entry]);
}

static void format_list(const struct settings *settings, const struct field *field, char *text, size_t size)
{
	size_t count = entry_count(settings, field), used;

	used = (size_t)snprintf(text, size, "[");
	for (size_t i = 0; i < count && used < size; i++) {
		char entry[ADDRESS_PREFIX_TEXT + 2];

		format_nth(settings, field, i, entry, sizeof(entry));
		used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", entry);
	}
	if (used < size)
		snprintf(text + used, size - used, "]");
}

static void format_choice(const struct field_choice *choice, __u32 value, char *text, size_t size)
{
	while (choice->word && choice->value != value)
		choice++;
	if (choice->word)
		snprintf(text, size, "%s", choice->word);
	else
		snprintf(text, size, "%u", value);
}

static void format_limit(const struct sipdam_limit *limit, enum field_kind kind, char *text, size_t size)
{
	if (limit->unlimited && (kind == FIELD_RATE || limit->burst == SIPDAM_NO_BURST))
		snprintf(text, size, "unlimited");
	else if (kind == FIELD_RATE)
		settings_format_rate(limit->rate, text, size);
	else
		snprintf(text, size, "%u", limit->burst);
}

void settings_field_format(const struct settings *settings, size_t number, char *text, size_t size)
{
	const struct field *field = settings_field(number);
	const void *place = field_at(&settings->policy, field);

	switch (field->kind) {
	case FIELD_CHOICE:
		format_choice(field->choices, *(const __u32 *)place, text, size);
		return;
	case FIELD_BOOLEAN:
		snprintf(text, size, "%s", *(const __u32 *)place ? "true" : "false");
		return;
	case FIELD_COUNT:
		snprintf(text, size, "%u", *(const __u32 *)place);
		return;
	case FIELD_SOURCES:
	case FIELD_BYTES:
		snprintf(text, size, "%llu", (unsigned long long)*(const __u64 *)place);
		return;
	case FIELD_DURATION:
		settings_format_duration(*(const __u64 *)place, text, size);
		return;
	case FIELD_RATE:
	case FIELD_BURST:
		format_limit(place, field->kind, text, size);
		return;
	case FIELD_PORTS:
	case FIELD_PREFIXES:
	case FIELD_LIST:
		format_list(settings, field, text, size);
		return;
	}
}

/* A range of fields that have the same first parts, and how many of those parts are behind us. */
struct group {
	size_t begin, end;
	size_t skip; /* characters of the key that name the group, its dot included */
	int depth;
};

struct printer {
	const struct settings *settings;
	FILE *out;
};

static void print_line(const struct printer *printer, const struct group *group, const char *value,
		       size_t origin)
{
	const char *name = settings_field_name(group->begin) + group->skip;
	int used = fprintf(printer->out, "%*s%.*s:%s%s", group->depth * 2, "", (int)strcspn(name, "."), name,
			   value[0] ? " " : "", value);

	fprintf(printer->out, "%*s# %s\n", used < ORIGIN_COLUMN ? ORIGIN_COLUMN - used : 1, "",
		settings_field_origin(printer->settings, origin));
}

static void print_block(const struct printer *printer, const struct group *group)
{
	const struct field *field = settings_field(group->begin);
	size_t count = entry_count(printer->settings, field);

	print_line(printer, group, "", group->begin);
	for (size_t i = 0; i < count; i++) {
		char entry[ADDRESS_PREFIX_TEXT + 2];

		format_nth(printer->settings, field, i, entry, sizeof(entry));
		fprintf(printer->out, "%*s- %s\n", group->depth * 2 + 2, "", entry);
	}
}

/* A list too long for its line goes below it, an entry a line. */
static void print_field(const struct printer *printer, const struct group *group)
{
	const char *name = settings_field_name(group->begin) + group->skip;
	char value[SETTINGS_VALUE];

	settings_field_format(printer->settings, group->begin, value, sizeof(value));
	if (value[0] == '[' && group->depth * 2 + strlen(name) + strlen(value) + 3 > ORIGIN_COLUMN)
		print_block(printer, group);
	else
		print_line(printer, group, value, group->begin);
}

/* Whether one line can speak for all: a limit, or a tier without limits, whose fields share an origin. */
static bool group_value(const struct printer *printer, const struct group *group, char *text, size_t size)
{
	const struct sipdam_policy *policy = &printer->settings->policy;
	char rate[32], burst[32];
	bool unlimited = true;

	for (size_t i = group->begin; i < group->end; i++) {
		const struct field *field = settings_field(i);
		const struct sipdam_limit *limit = field_at(policy, field);

		if ((field->kind != FIELD_RATE && field->kind != FIELD_BURST) ||
		    policy->origin[i] != policy->origin[group->begin])
			return false;
		unlimited = unlimited && limit->unlimited;
	}
	if (unlimited) {
		snprintf(text, size, "unlimited");
		return true;
	}
	if (group->end - group->begin != 2)
		return false;
	settings_field_format(printer->settings, group->begin, rate, sizeof(rate));
	settings_field_format(printer->settings, group->begin + 1, burst, sizeof(burst));
	snprintf(text, size, "{rate: %s, burst: %s}", rate, burst);
	return true;
}

/* Fields that have the same next part: after it comes a dot or the end of the key. */
static size_t group_end(const struct group *group, size_t part)
{
	const char *key = settings_field_name(group->begin);
	size_t end = group->begin + 1;

	while (end < group->end && !strncmp(settings_field_name(end), key, group->skip + part) &&
	       strchr(".", settings_field_name(end)[group->skip + part]))
		end++;
	return end;
}

/* Recursion is as deep as the longest key has parts. */
static void print_group(const struct printer *printer, const struct group *group)
{
	struct group child = {.begin = group->begin, .skip = group->skip, .depth = group->depth};

	for (; child.begin < group->end; child.begin = child.end) {
		const char *name = settings_field_name(child.begin) + child.skip;
		size_t part = strcspn(name, ".");
		char value[96];

		child.end = group->end;
		child.end = group_end(&child, part);
		if (!name[part]) {
			print_field(printer, &child);
		} else if (child.depth && group_value(printer, &child, value, sizeof(value))) {
			print_line(printer, &child, value, child.begin);
		} else {
			struct group below = {child.begin, child.end, child.skip + part + 1, child.depth + 1};

			fprintf(printer->out, "%*s%.*s:\n", child.depth * 2, "", (int)part, name);
			print_group(printer, &below);
		}
	}
}

void settings_print_yaml(const struct settings *settings, FILE *out)
{
	struct printer printer = {settings, out};
	struct group whole = {.end = settings_field_count()};

	print_group(&printer, &whole);
}
