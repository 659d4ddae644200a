/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Addresses of registered phones, from what a registrar prints of them: Kamailio's `kamctl ul show` (text and
 * JSON) and `kamcmd ul.dump`, Asterisk's `pjsip show contacts`, `database show registrar/contact` and
 * `sip show peers`, or plain text with an address a line. Pure.
 */
#ifndef CONTACTS_H
#define CONTACTS_H

#include <stddef.h>
#include <stdio.h>

#include "address.h"

/* More than any registrar holds on one machine. */
#define CONTACTS_MAX 1000000

struct contact {
	__u8 address[16];
	__u16 port; /* host byte order; 0: not told */
};

struct contacts {
	struct contact *contact;
	size_t count, room;
	size_t skipped; /* contacts, or lines of plain text, that name no address */
};

/*
 * Reads to the end of the file and appends. Where the registrar has seen another address than the phone says
 * of itself (Received, received=, alias=), it is that one. 0, -ENOMEM, -EFBIG for more than CONTACTS_MAX, or the
 * -errno of reading.
 */
int contacts_read(struct contacts *contacts, FILE *file);
void contacts_free(struct contacts *contacts);

#endif
