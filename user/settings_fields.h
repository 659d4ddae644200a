/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of fields behind settings.h: every key that the operator can write, what it may hold and
 * where it lives. Private to settings*.c; everybody else uses the accessors of settings.h.
 */
#ifndef SETTINGS_FIELDS_H
#define SETTINGS_FIELDS_H

#include "settings.h"

enum field_kind {
	FIELD_CHOICE,   /* one of some words; __u32 */
	FIELD_BOOLEAN,  /* __u32 */
	FIELD_COUNT,    /* __u32 */
	FIELD_SOURCES,  /* __u64, a power of two */
	FIELD_BYTES,    /* __u64 */
	FIELD_DURATION, /* __u64, nanoseconds */
	FIELD_RATE,     /* of the struct sipdam_limit at offset; its burst is the next field */
	FIELD_BURST,    /* of the struct sipdam_limit at offset */
	FIELD_PORTS,    /* struct sipdam_ports */
	FIELD_PREFIXES, /* settings.lists[offset]: prefixes */
	FIELD_LIST,     /* settings.lists[offset]: prefixes and names of files */
};

struct field_choice {
	const char *word;
	__u32 value;
};

struct field {
	const char *key; /* dotted */
	enum field_kind kind;
	size_t offset;                      /* in struct sipdam_policy; for lists the enum sipdam_list */
	__u64 least, most;                  /* of the value, in its unit; of lists and ports, entries */
	const struct field_choice *choices; /* ends with a NULL word */
	const char *help;
};

const struct field *settings_field(size_t field);

/* Index of the first field at or below a dotted path, or -ENOENT. */
int settings_path_find(const char *path);

/*
 * The known name below the group that is nearest to the unknown word: its length and where it begins,
 * or 0 where none is near. group: dotted path, "" for the top.
 */
size_t settings_path_nearest(const char *group, const char *word, const char **name);

/* Where a field's value lies in a policy; not for lists. */
static inline void *field_place(struct sipdam_policy *policy, const struct field *field)
{
	return (char *)policy + field->offset;
}

static inline const void *field_at(const struct sipdam_policy *policy, const struct field *field)
{
	return (const char *)policy + field->offset;
}

#endif
