/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The configuration: defaults, YAML, dotted keys, all from one table of fields (settings_fields.c), checked
 * as a whole and turned into the policy that the program reads. No map is touched here.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stddef.h>
#include <stdio.h>

#include "address.h"
#include "problem.h"
#include "sipdam/policy.h"

#define SETTINGS_PATH  "/etc/sipdam/sipdam.yaml"
#define SETTINGS_VALUE 4096 /* room for any field's value as text */

struct settings {
	struct sipdam_policy policy;           /* configured values; derived ones after settings_finish */
	struct prefix_set lists[SIPDAM_LISTS]; /* allow, deny, addresses as configured */
	bool list_given[SIPDAM_LISTS];         /* a file or `set` named this list in this change */
	__u64 confirm; /* nanoseconds from being put in force to a new deadline; 0: none is set */
};

/* The built-in defaults of the design, derived values included. Cannot fail. */
void settings_default(struct settings *settings);
void settings_free(struct settings *settings);
/* Deep copy over a zeroed or freed target. 0 or -ENOMEM. */
int settings_copy(struct settings *to, const struct settings *from);

/*
 * Applies a YAML file over what is there; fields it names get origin FILE. Everything or nothing: on
 * failure settings is untouched and the problem reads "FILE:LINE:COLUMN: KEY: what was expected".
 * -EINVAL for content, -errno of opening, -EFBIG beyond 16 MiB. Ends with settings_finish.
 * File names inside allow and deny are relative to the file's own directory.
 */
int settings_load(struct settings *settings, const char *path, struct problem *problem);

/*
 * Applies one "dotted.key=value" (value: YAML flow: 20, unlimited, {rate: 5, burst: 10}, [5060, 5062],
 * 5060,5062 for lists); origin SET. All or nothing. Not finished: several may follow, then call
 * settings_finish. Refuses `sources` (needs a reload). -EINVAL with a problem.
 */
int settings_assign(struct settings *settings, const char *assignment, struct problem *problem);

/*
 * Checks what spans fields (a burst shorter than rate x 10 ms, a bucket that takes more than 3 days to
 * fill, verify.min > verify.max, a port under two kinds of one transport...) and derives intervals,
 * depths, hints, masks, the horizon. 0 or -EINVAL with a problem that names the key.
 */
int settings_finish(struct settings *settings, struct problem *problem);

/* The table of fields, in the order of the design. A limit is two fields (….rate, ….burst). */
size_t settings_field_count(void);
const char *settings_field_name(size_t field); /* dotted key */
const char *settings_field_help(size_t field); /* one sentence: meaning and unit */
const char *settings_field_type(size_t field); /* "duration", "rate", "ports", ... */
/* Index of the field with exactly this dotted key, or -ENOENT. */
int settings_field_find(const char *key);
/* The value as it may be written in YAML or given to `set`. Truncated only beyond size. */
void settings_field_format(const struct settings *settings, size_t field, char *text, size_t size);
/* "default", "file" or "set". */
const char *settings_field_origin(const struct settings *settings, size_t field);

/* The effective whole as YAML that settings_load takes back, each line with its origin as a comment. */
void settings_print_yaml(const struct settings *settings, FILE *out);

/* "200ms", "32s", "1h" (ns us ms s m h d, fractions allowed) to nanoseconds. 0 or -EINVAL. */
int settings_parse_duration(const char *text, __u64 *nanoseconds);
/* The shortest exact form: 90s is 90s, 3600s is 1h. */
void settings_format_duration(__u64 nanoseconds, char *text, size_t size);

#endif
