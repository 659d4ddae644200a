/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One value between text and its place in the policy. Private to settings*.c. */
#ifndef SETTINGS_VALUE_H
#define SETTINGS_VALUE_H

#include "settings_fields.h"

#define EXPECTED_TEXT 160

/* Digits only, no sign, no leading zero. 0, -EINVAL, or -ERANGE beyond most. */
int settings_parse_whole(const char *text, __u64 most, __u64 *value);

/* Packets a second to millionths of them, exactly. 0, -EINVAL or -ERANGE. */
int settings_parse_rate(const char *text, __u64 *millionths);
void settings_format_rate(__u64 millionths, char *text, size_t size);

/*
 * Puts a scalar into the policy. quoted: a number in quotes is text, and refused. Not for ports and
 * lists. 0 or -EINVAL with the policy untouched.
 */
int settings_parse_scalar(struct sipdam_policy *policy, const struct field *field, const char *text,
			  bool quoted);

/* Appends one port. 0, -EINVAL, or -EFBIG when the kind is full. */
int settings_parse_port(struct sipdam_ports *ports, const char *text);

/* The word "unlimited" for a whole limit. */
void settings_make_unlimited(struct sipdam_limit *limit);

/* What a field takes, for messages. The text given lets it name the nearest value that would do. */
void settings_expected(const struct field *field, const char *given, char *text, size_t size);

#endif
