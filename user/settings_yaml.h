/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* YAML text applied to settings. Private to settings*.c. */
#ifndef SETTINGS_YAML_H
#define SETTINGS_YAML_H

#include "settings_fields.h"

struct yaml_source {
	const char *text;
	size_t length;
	const char
		*file; /* name for messages, base of file names in lists; NULL for a value given to `set` */
	const char *path; /* where the value belongs: a dotted key or group, "" for a whole file */
};

/*
 * Applies the text to a draft: on failure the draft is half changed and is thrown away by the caller.
 * Lists named in the text become new sets with list_given set; the draft's others are left alone, so
 * they may be borrowed. A file's whole is also checked (settings_check), with the position of the key in
 * the message. 0, -EINVAL with a problem, or -ENOMEM.
 */
int settings_yaml_apply(struct settings *draft, const struct yaml_source *source, struct problem *problem);

#endif
