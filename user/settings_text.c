/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See settings_text.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "settings_text.h"
#include "settings_yaml.h"

/* Parts of the policy that are no keys and outlive a change of it. */
static const struct {
	const char *name;
	size_t offset, size; /* of a __u64 or a __u32 in struct sipdam_policy */
} states[] = {
#define STATE(name, member) {name, offsetof(struct sipdam_policy, member), sizeof(((struct sipdam_policy *)0)->member)}
	STATE("deadline", deadline),
	STATE("horizon", horizon),
	/* Which book of each list is in force. */
	STATE("allow", index[SIPDAM_LIST_ALLOW].half),
	STATE("deny", index[SIPDAM_LIST_DENY].half),
	STATE("addresses", index[SIPDAM_LIST_ADDRESSES].half),
#undef STATE
};
#define STATES (sizeof(states) / sizeof(states[0]))

struct writer {
	char *text;
	size_t size, used;
};

static void write_line(struct writer *writer, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void write_line(struct writer *writer, const char *format, ...)
{
	size_t room = writer->used < writer->size ? writer->size - writer->used : 0;
	va_list arguments;

	va_start(arguments, format);
	writer->used += (size_t)vsnprintf(writer->text + (room ? writer->used : 0), room, format, arguments);
	va_end(arguments);
}

static bool is_list(const struct field *field)
{
	return field->kind == FIELD_PREFIXES || field->kind == FIELD_LIST;
}

static __u64 state_of(const struct sipdam_policy *policy, size_t i)
{
	const char *place = (const char *)policy + states[i].offset;

	return states[i].size == sizeof(__u32) ? *(const __u32 *)place : *(const __u64 *)place;
}

static void set_state(struct sipdam_policy *policy, size_t i, __u64 value)
{
	char *place = (char *)policy + states[i].offset;

	if (states[i].size == sizeof(__u32))
		*(__u32 *)place = (__u32)value;
	else
		*(__u64 *)place = value;
}

int settings_text_write(const struct sipdam_policy *policy, char *text, size_t size)
{
	struct writer writer = {text, size, 0};
	struct settings settings = {.policy = *policy};
	char value[SETTINGS_VALUE];

	for (size_t i = 0; i < settings_field_count(); i++) {
		const char *origin = settings_field_origin(&settings, i), *key = settings_field_name(i);

		if (is_list(settings_field(i))) {
			write_line(&writer, "%s %s\n", origin, key);
			continue;
		}
		settings_field_format(&settings, i, value, sizeof(value));
		write_line(&writer, "%s %s=%s\n", origin, key, value);
	}
	for (size_t i = 0; i < STATES; i++)
		write_line(&writer, "state %s=%llu\n", states[i].name,
			   (unsigned long long)state_of(policy, i));
	return writer.used < size ? 0 : -E2BIG;
}

/* Number of an origin's word, or -ENOENT. */
static int origin_named(const char *word)
{
	static const char *const words[] = {
		[SIPDAM_ORIGIN_DEFAULT] = "default",
		[SIPDAM_ORIGIN_FILE] = "file",
		[SIPDAM_ORIGIN_SET] = "set",
	};

	for (int i = 0; i < (int)(sizeof(words) / sizeof(words[0])); i++)
		if (!strcmp(word, words[i]))
			return i;
	return -ENOENT;
}

static int read_state(struct settings *settings, const char *name, const char *value)
{
	for (size_t i = 0; i < STATES; i++) {
		if (strcmp(name, states[i].name))
			continue;
		set_state(&settings->policy, i, strtoull(value, NULL, 10));
		return 0;
	}
	return -ENOENT;
}

/* value: NULL for lists, of which only the origin is told. */
static int read_key(struct settings *settings, int origin, const char *key, const char *value)
{
	struct yaml_source source = {.text = value, .length = value ? strlen(value) : 0, .path = key};
	struct settings draft = *settings;
	struct problem refused;
	int field = settings_field_find(key);
	int error = field < 0 || origin < 0 || is_list(settings_field((size_t)field)) != !value ? -EINVAL : 0;

	if (!error && value)
		error = settings_yaml_apply(&draft, &source, &refused);
	if (error)
		return error;
	draft.policy.origin[field] = (__u8)origin;
	*settings = draft;
	return 0;
}

/* line: changed on the way. */
static int read_line(struct settings *settings, char *line)
{
	char *key = strchr(line, ' '), *value;

	if (!key)
		return -EINVAL;
	*key++ = '\0';
	value = strchr(key, '=');
	if (value)
		*value++ = '\0';
	if (!strcmp(line, "state"))
		return value ? read_state(settings, key, value) : -EINVAL;
	return read_key(settings, origin_named(line), key, value);
}

static void note_rest(struct settings_text_rest *rest, const char *line)
{
	const char *key = strchr(line, ' ');

	if (!rest->keys++)
		snprintf(rest->first, sizeof(rest->first), "%.*s", (int)strcspn(key ? key + 1 : line, "="),
			 key ? key + 1 : line);
}

int settings_text_read(struct settings *settings, const char *text, struct settings_text_rest *rest,
		       struct problem *problem)
{
	struct settings draft = *settings;
	char line[SETTINGS_VALUE + 128], copy[sizeof(line)];
	__u64 horizon;
	int error;

	*rest = (struct settings_text_rest){0};
	for (size_t length; *text; text += length + (text[length] != 0)) {
		length = strcspn(text, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)length, text);
		memcpy(copy, line, sizeof(copy));
		error = read_line(&draft, line);
		if (error == -ENOMEM)
			return error;
		if (error)
			note_rest(rest, copy);
	}
	horizon = draft.policy.horizon;
	error = settings_finish(&draft, problem);
	if (error)
		return error;
	/* Words in the tables may have been written by deeper buckets than there are now. */
	if (draft.policy.horizon < horizon)
		draft.policy.horizon = horizon;
	*settings = draft;
	return 0;
}
