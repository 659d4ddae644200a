/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A network interface as the filter meets it: driver, native XDP, MTU, offloads, queues, other programs. Read
 * by system calls that need no privilege, but for whose program it is; judged without looking at anything.
 */
#ifndef DOCTOR_DEVICE_H
#define DOCTOR_DEVICE_H

#include <stdbool.h>

#include "doctor.h"
#include "doctor_host.h"
#include "interface.h"

/* What the kernel says of a driver's XDP, since Linux 6.3 (NETDEV_XDP_ACT_* of linux/netdev.h). */
#define DOCTOR_XDP_BASIC 0x01
#define DOCTOR_XDP_RX_SG 0x20 /* packets over several buffers */

enum doctor_program {
	DOCTOR_PROGRAM_NONE,
	DOCTOR_PROGRAM_OURS,
	DOCTOR_PROGRAM_DEAD, /* ours, without a filter behind it */
	DOCTOR_PROGRAM_FOREIGN,
	DOCTOR_PROGRAM_UNSEEN, /* there is one, and whose it is could not be seen */
};

struct doctor_device {
	char name[IF_NAMESIZE];
	char driver[32]; /* "" if it has none to name */
	bool up;
	int mtu;
	int queues, queues_max; /* that receive; 0 if the driver does not say */
	int ring, ring_max;     /* packets in a queue; 0 likewise */
	int lro, gro_hw;        /* on, off, or DOCTOR_UNKNOWN */
	bool xdp_known;
	unsigned long long xdp; /* DOCTOR_XDP_*, where known */
	enum doctor_program program;
	unsigned int program_id;
	enum interface_mode mode; /* of ours */
	bool learns;              /* what the server sends there is read */
};

/* Reads what can be read. attached: the filter's state names this interface. */
void doctor_device_read(const char *name, bool attached, struct doctor_device *device);

/* cpus: how many this host has. one_way: the filter sees requests come in and nothing leave. */
void doctor_device_judge(const struct doctor_device *device, int cpus, struct doctor *doctor);

/* Whether the server's answers leave where requests come in. */
void doctor_route_judge(const struct doctor_device *device, enum doctor_route route, const char *other,
			bool one_way, struct doctor *doctor);

#endif
