/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See utf8.h. */
#include "utf8.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/* Bytes of a character by its first; 0: none begins with that one (RFC 3629, section 4). */
static size_t length_of(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* The second byte tells what is longer than it need be, a surrogate, or beyond the last character. */
static bool goes_on(unsigned char first, unsigned char second)
{
	unsigned char least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
	unsigned char most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;

	return second >= least && second <= most;
}

/* Bytes of the character that a text begins with, up to its NUL; 0: it begins with none. */
static size_t character(const unsigned char *text)
{
	size_t length = length_of(text[0]);

	if (length > 1 && !goes_on(text[0], text[1]))
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

void utf8_clean(const char *text, char *clean, size_t room)
{
	const unsigned char *from = (const unsigned char *)text;
	size_t used = 0;

	while (*from) {
		size_t length = character(from), needed = length ? length : strlen("\\xNN");

		if (used + needed >= room)
			break;
		if (length)
			memcpy(clean + used, from, length);
		else
			snprintf(clean + used, room - used, "\\x%02x", *from);
		used += needed;
		from += length ? length : 1;
	}
	clean[used] = '\0';
}

json_t *utf8_json(const char *text)
{
	size_t room = UTF8_ROOM(strlen(text));
	_cleanup_free_ char *clean = malloc(room);

	if (!clean)
		return NULL;
	utf8_clean(text, clean, room);
	return json_string(clean);
}
