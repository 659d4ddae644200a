/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Addresses and prefixes between text and the form of the program's lists (IPv4 as ::ffff:a.b.c.d).
 * Pure.
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "sipdam/state.h"

#define ADDRESS_TEXT        46 /* INET6_ADDRSTRLEN */
#define ADDRESS_PREFIX_TEXT 50 /* an address, a slash and three digits */

/*
 * Reads "192.0.2.1", "192.0.2.0/24", "2001:db8::1" or "2001:db8::/32". Host bits beyond the prefix are
 * cleared. No white space around it. Returns 0 or -EINVAL with the result untouched. IPv4-mapped IPv6
 * text is the IPv4 address.
 */
int address_parse_prefix(const char *text, struct sipdam_prefix *prefix);

/* As above, but refuses a slash: one address. */
int address_parse(const char *text, __u8 address[16]);

/* Writes the address (IPv4 dotted where it is one) with its terminating NUL. */
void address_format(const __u8 address[16], char text[ADDRESS_TEXT]);

/* As above with /length; without it for a single address. */
void address_format_prefix(const struct sipdam_prefix *prefix, char text[ADDRESS_PREFIX_TEXT]);

bool address_is_ipv4(const __u8 address[16]);

/* A growing set of prefixes, in the order they were added. */
struct prefix_set {
	struct sipdam_prefix *prefix;
	size_t count;
	size_t room;
};

/* Returns 0 or -ENOMEM. */
int prefix_set_add(struct prefix_set *set, const struct sipdam_prefix *prefix);
void prefix_set_free(struct prefix_set *set);

/*
 * Reads a feed: one prefix a line, '#' or ';' starts a comment, blank lines and CR are skipped, white space
 * around a prefix too, and a byte order mark at the beginning. Appends to the set; on failure it holds what
 * it held. Returns 0, -EINVAL with *line set to the number of the first bad line (from 1; 0: not a regular
 * file), -EFBIG when the set would hold more than limit, or the -errno of reading.
 */
int prefix_set_read(struct prefix_set *set, const char *path, size_t limit, size_t *line);

/* The same to the end of what is open, which a pipe may be. -ENODATA: nothing came at all, not even a blank
 * line, as from a download that failed. */
int prefix_set_read_stream(struct prefix_set *set, FILE *file, size_t limit, size_t *line);

#endif
