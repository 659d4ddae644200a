/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The host as the filter meets it: kernel, memory, settings of its TCP, what listens, what else protects.
 * Read from files below a root, which is "" for this host and a folder in tests; judged without looking at
 * anything.
 */
#ifndef DOCTOR_HOST_H
#define DOCTOR_HOST_H

#include <stdbool.h>

#include "doctor.h"
#include "sipdam/policy.h"

#define DOCTOR_UNKNOWN (-1LL)

struct doctor_host {
	char release[64];    /* of the kernel, "" if it could not be read */
	char machine[32];    /* "x86_64" */
	const char *missing; /* a capability that attaching needs and this process lacks, or NULL */
	char bpffs[160];     /* where it should be mounted */
	int bpffs_state;     /* 0 mounted, -ENOENT not, -EROFS read-only, -EIO unknown */
	bool attached;       /* the filter runs on an interface of this host */
	long long sources;   /* lines of its table, by the settings */

	/* DOCTOR_UNKNOWN where it could not be read */
	long long jit, jit_harden;
	long long memory; /* available, bytes */
	long long syncookies, syn_backlog, somaxconn;

	bool listeners_known;
	bool listens[SIPDAM_PORT_KINDS]; /* somebody does on a port of this kind */
	bool fail2ban, pike;
};

/* What the files say; the other fields stay as they are. policy: whose ports are looked for. */
void doctor_host_read(const char *root, const struct sipdam_policy *policy, struct doctor_host *host);

/* Findings of what was read. */
void doctor_host_judge(const struct doctor_host *host, const struct sipdam_policy *policy,
		       struct doctor *doctor);

enum doctor_route {
	DOCTOR_ROUTE_UNKNOWN,
	DOCTOR_ROUTE_HERE, /* a default route leaves by this interface */
	DOCTOR_ROUTE_ELSEWHERE,
	DOCTOR_ROUTE_NONE, /* there is no default route */
};

/*
 * By which way answers to the world leave. other: an interface of a default route, where that is not this
 * one.
 */
enum doctor_route doctor_route_read(const char *root, const char *interface, char other[IF_NAMESIZE]);

/* The first interface that a default route leaves by: -ENOENT where there is none. */
int doctor_route_default(const char *root, char interface[IF_NAMESIZE]);

#endif
