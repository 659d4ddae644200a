/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `sipdam doctor tls`: what a TLS server accepts and shows. doctor_tls_probe.c asks it, by OpenSSL; what came
 * of it is judged and rendered by doctor_tls.c, which is pure.
 */
#ifndef DOCTOR_TLS_H
#define DOCTOR_TLS_H

#include <stdbool.h>

#include "doctor.h"
#include "problem.h"

#define DOCTOR_TLS_PORT "5061"

enum tls_answer {
	TLS_UNTESTED, /* this client's library cannot offer it, or there was no time */
	TLS_ACCEPTED,
	TLS_REFUSED,
	TLS_SILENT, /* no answer in time */
};

/* From the oldest to the newest. */
enum tls_version { TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3, TLS_VERSIONS };

#define TLS_CIPHERS_MAX 64
#define TLS_GROUPS_MAX  8
#define TLS_NAMES_MAX   16

struct tls_offer {
	enum tls_answer answer;
	size_t ciphers;
	char cipher[TLS_CIPHERS_MAX][40]; /* accepted, in the order of the server's choice; of the versions
					   * before the newest two that are accepted the first alone */
	bool cut;                         /* there may be more: the search ended for want of time */
};

struct tls_certificate {
	bool seen;
	char subject[256], issuer[256];
	size_t names;
	char name[TLS_NAMES_MAX][128]; /* subject alternative names: DNS, IP, URI */
	bool matches;                  /* the name or address that was asked for */
	bool self_signed, not_yet;
	char key[24]; /* "RSA", "EC" */
	int bits;
	char signature[48];
	char expires[24]; /* 2026-12-31 */
	long days;        /* until then; negative: expired */
	char verify[96];  /* why the system's store does not trust it; "" where it does */
};

struct tls_target {
	char host[256]; /* a name or an address without brackets */
	char port[8];
	char name[256];  /* that is asked for, and looked for in the certificate: `--name`, else host */
	bool by_address; /* name is an address: not sent */
};

struct tls_report {
	struct tls_target target;
	char library[48]; /* "OpenSSL 3.0.19" */
	struct tls_offer version[TLS_VERSIONS];
	size_t groups;
	char group[TLS_GROUPS_MAX][24];
	bool asks_certificate;
	bool lacks_rc4, lacks_3des; /* this client's library cannot offer these */
	struct tls_certificate certificate;
};

/*
 * Reads NAME, NAME:PORT, ADDRESS, ADDRESS:PORT, [IPV6], [IPV6]:PORT or IPV6. name may be NULL. -EINVAL with a
 * problem.
 */
int tls_parse_target(const char *text, const char *name, struct tls_target *target, struct problem *problem);

/*
 * Asks the server: some thirty connections, one after the other, each of its steps for `patience`
 * milliseconds at most, and for 30 s in all. -errno with a problem where no TLS could be spoken at all.
 */
int tls_probe(struct tls_report *report, int patience, struct problem *problem);

void tls_judge(const struct tls_report *report, struct doctor *doctor);

/* Is there anything to change for TLS 1.3 alone? */
bool tls_wants_advice(const struct tls_report *report);

/* Both with what tls_judge has found. */
void tls_print(const struct tls_report *report, const struct doctor *doctor, FILE *out);
json_t *tls_json(const struct tls_report *report, const struct doctor *doctor);

const char *tls_version_name(enum tls_version version); /* "1.3" */

#endif
