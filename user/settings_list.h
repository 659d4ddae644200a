/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Entries of allow, deny and addresses. Private to settings*.c. */
#ifndef SETTINGS_LIST_H
#define SETTINGS_LIST_H

#include "settings_fields.h"

/*
 * Appends what one entry stands for: a prefix, or every line of a file where the field takes files.
 * base: the file whose directory a relative name belongs to, NULL for the working directory.
 * 0, -EINVAL with a problem (without key and position), or -ENOMEM.
 */
int settings_list_add(struct prefix_set *set, const struct field *field, const char *base, const char *text,
		      struct problem *problem);

#endif
