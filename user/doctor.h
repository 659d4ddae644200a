/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What `sipdam doctor` finds: a list of findings and how it looks as text and as JSON. What is looked at is
 * doctor_host's, doctor_device's and doctor_tls's. Pure.
 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include <jansson.h>
#include <net/if.h>
#include <stdio.h>

#define DOCTOR_FINDINGS_MAX 256 /* a dozen of the host, a dozen of each of 16 interfaces */

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_WARNING, /* works, but worse than it could */
	DOCTOR_FAULT,   /* does not work, or does not protect */
	DOCTOR_UNSEEN,  /* could not be looked at */
};
#define DOCTOR_LEVELS 4

struct doctor_finding {
	enum doctor_level level;
	const char *topic;           /* one word, a literal */
	char interface[IF_NAMESIZE]; /* "": of the host */
	char text[320];              /* one line */
	char fix[160];               /* a command, "" where there is nothing to do */
};

struct doctor {
	size_t count;
	struct doctor_finding finding[DOCTOR_FINDINGS_MAX];
};

/*
 * Adds a finding; beyond the list's end it is lost. interface: NULL for one of the host. fix: a command, or
 * NULL;
 * "%s" in it is the interface's name.
 */
void doctor_add(struct doctor *doctor, enum doctor_level level, const char *topic, const char *interface,
		const char *fix, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* How many findings of a level there are. */
size_t doctor_count(const struct doctor *doctor, enum doctor_level level);

const char *doctor_level_name(enum doctor_level level);

/* A finding a line, its command below, in 80 columns, and a last line that counts. */
void doctor_print(const struct doctor *doctor, FILE *out);

/* {"faults": N, "warnings": N, "unseen": N, "findings": [...]}, NULL without memory. */
json_t *doctor_json(const struct doctor *doctor);

/*
 * Prints text in lines of 80 columns at most, broken at blanks; the first begins where the cursor is, at
 * column `indent`, the others are indented that far. A word that is too long stays whole.
 */
void doctor_wrap(const char *text, int indent, FILE *out);

#endif
