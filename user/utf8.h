/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Names that come from the kernel and from file systems may hold any byte; JSON and metrics hold UTF-8 alone,
 * or who reads them refuses the whole. Pure.
 */
#ifndef UTF8_H
#define UTF8_H

#include <jansson.h>
#include <stddef.h>

/* Room for a clean text of so many bytes, with its terminating NUL. */
#define UTF8_ROOM(bytes) (4 * (bytes) + 1)

/* Copies a text, with \xNN in the place of each byte that belongs to no character; cut where it has no room.
 * A text that is UTF-8 stays as it is, whatever backslashes it has. */
void utf8_clean(const char *text, char *clean, size_t room);

/* A clean text as a JSON string. New reference; NULL when out of memory. */
json_t *utf8_json(const char *text);

#endif
