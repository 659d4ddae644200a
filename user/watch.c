/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * See watch.h. What the kernel tells is only the sign to look: what is compared is what the filter remembers
 * with the devices there are, so nothing is missed when messages are lost.
 */
#include "watch.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "egress.h"
#include "filter.h"
#include "interface.h"
#include "pins.h"
#include "slots.h"

#define LOCKED_RETRY_MS	 20u	/* while another command changes something */
#define FAILED_RETRY_MS	 1000u	/* after the first failure; doubles up to the last */
#define FAILED_RETRY_MAX 64000u

static __u64 now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * 1000 + (__u64)now.tv_nsec / 1000000;
}

static int open_netlink(void)
{
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	_cleanup_close_ int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)))
		return -errno;
	return take_fd(&fd);
}

int watch_open(struct watch *watch, struct problem *problem)
{
	const char *missing = filter_missing_capability();
	int fd = open_netlink();

	if (fd < 0)
		return problem_set(problem, fd, "watch the network interfaces: %s", strerror(-fd));
	*watch = (struct watch){.netlink = fd, .able = !missing};
	if (missing)
		problem_set(problem, 0,
			    "an interface that is deleted and made again is not attached by this process, "
			    "which lacks %s; all else works",
			    missing);
	return 0;
}

void watch_close(struct watch *watch)
{
	close(watch->netlink);
}

/* ---- what has happened ---- */

static void note_deleted(struct watch *watch, const struct sipdam_interfaces *known, __u32 ifindex)
{
	for (__u32 slot = 0; slot < SIPDAM_INTERFACES_MAX; slot++)
		if (known->ifindex[slot] == ifindex)
			watch->slot[slot].deleted = ifindex;
}

/* Reads what the kernel has told so far. known: NULL while nothing is attached. */
static void drain(struct watch *watch, const struct sipdam_interfaces *known)
{
	union {
		struct nlmsghdr header;
		char bytes[16384];
	} buffer;
	ssize_t length;

	while ((length = recv(watch->netlink, &buffer, sizeof(buffer), 0)) > 0 || errno == ENOBUFS) {
		int left = length > 0 ? (int)length : 0;

		for (struct nlmsghdr *message = &buffer.header; NLMSG_OK(message, (unsigned int)left);
		     message = NLMSG_NEXT(message, left)) {
			const struct ifinfomsg *link = NLMSG_DATA(message);

			if (known && message->nlmsg_type == RTM_DELLINK &&
			    message->nlmsg_len >= NLMSG_LENGTH(sizeof(*link)))
				note_deleted(watch, known, link->ifi_index);
		}
	}
}

/* ---- what to do about it ---- */

static bool has_entry(unsigned int ifindex)
{
	enum interface_mode mode;

	return interface_entry(ifindex, &mode) != INTERFACE_ENTRY_NONE;
}

/* The new device that a slot's name stands for now and that should have the filter; 0: none. */
static unsigned int made_again(const struct watch *watch, const struct sipdam_interfaces *known, __u32 slot)
{
	enum slot_state state = slots_state(known, slot);
	unsigned int device;
	__u32 other;

	if (state != SLOT_PRESENT && state != SLOT_GONE)
		return 0;
	device = if_nametoindex(known->name[slot]);
	if (!device)
		return 0;
	other = slots_find(known, device);
	if (other == slot) /* under the same index: told from a program taken off by hand */
		return watch->slot[slot].deleted == device && !has_entry(device) ? device : 0;
	if (other < SIPDAM_INTERFACES_MAX)
		return 0;
	/* Renamed, it has its filter still, and the new device of its old name is another. */
	return state == SLOT_PRESENT && has_entry(known->ifindex[slot]) ? 0 : device;
}

/* Has the device of a slot another name now? An index can have been given to a new device. */
static bool is_renamed(const struct sipdam_interfaces *known, __u32 slot, char name[IF_NAMESIZE])
{
	return slots_state(known, slot) == SLOT_PRESENT && if_indextoname(known->ifindex[slot], name) &&
	       strcmp(name, known->name[slot]) && has_entry(known->ifindex[slot]);
}

static bool is_due(const struct watch_slot *slot, unsigned int device, __u64 now)
{
	return slot->failed != device || slot->retry <= now;
}

static bool is_anything_to_do(const struct watch *watch, const struct sipdam_interfaces *known)
{
	char name[IF_NAMESIZE];

	for (__u32 slot = 0; slot < SIPDAM_INTERFACES_MAX; slot++)
		if (is_renamed(known, slot, name) || made_again(watch, known, slot))
			return true;
	return false;
}

/* A device made again under the index of the old one, and attached, is the one that counts from here. */
static void forget_deleted(struct watch *watch, const struct sipdam_interfaces *known)
{
	for (__u32 slot = 0; slot < SIPDAM_INTERFACES_MAX; slot++)
		if (watch->slot[slot].deleted &&
		    (watch->slot[slot].deleted != known->ifindex[slot] || has_entry(known->ifindex[slot])))
			watch->slot[slot].deleted = 0;
}

/* ---- doing it, under the lock ---- */

static void follow_names(struct sipdam_interfaces *known)
{
	bool changed = false;

	for (__u32 slot = 0; slot < SIPDAM_INTERFACES_MAX; slot++) {
		char name[IF_NAMESIZE] = "";

		if (!is_renamed(known, slot, name))
			continue;
		memcpy(known->name[slot], name, sizeof(name));
		changed = true;
	}
	if (changed)
		slots_write(known, NULL);
}

static void note_failure(struct watch_slot *slot, unsigned int device, __u64 now)
{
	unsigned int doublings = slot->failed == device ? slot->failures : 0;
	__u64 wait = doublings < 6 ? (__u64)FAILED_RETRY_MS << doublings : FAILED_RETRY_MAX;

	slot->failed = device;
	slot->failures = doublings + 1;
	slot->retry = now + wait;
}

/* Failures of one device are told once. */
static void attach_again(struct watch_slot *slot, const char *name, __u8 wanted, unsigned int device,
			 watch_report *report)
{
	enum interface_mode mode = wanted;
	struct problem problem = {0};
	char line[sizeof(problem.text) + 64];
	bool fresh;

	if (interface_check(name, &problem) || interface_attach(name, &mode, &fresh, &problem)) {
		if (slot->failed != device) {
			snprintf(line, sizeof(line), "made again, and not attached: %s", problem.text);
			report(line);
		}
		note_failure(slot, device, now_ms());
		return;
	}
	*slot = (struct watch_slot){};
	snprintf(line, sizeof(line), "%s: made again: attached, %s", name, interface_mode_name(mode));
	report(line);
	if (egress_attach(device, &problem))
		report(problem.text);
}

static void put_right(struct watch *watch, watch_report *report)
{
	struct sipdam_interfaces known;

	if (pins_check(NULL, NULL) || slots_read(&known, NULL))
		return;
	follow_names(&known);
	for (__u32 slot = 0; slot < SIPDAM_INTERFACES_MAX; slot++) {
		unsigned int device = made_again(watch, &known, slot);

		if (device && is_due(&watch->slot[slot], device, now_ms()))
			attach_again(&watch->slot[slot], known.name[slot], known.wanted[slot], device,
				     report);
	}
}

/* The earliest retry of what still has to be done. */
static __u64 next_retry(const struct watch *watch, const struct sipdam_interfaces *known)
{
	__u64 next = 0;

	for (__u32 slot = 0; slot < SIPDAM_INTERFACES_MAX; slot++) {
		const struct watch_slot *state = &watch->slot[slot];

		if (made_again(watch, known, slot) && (!next || state->retry < next))
			next = state->retry;
	}
	return next;
}

void watch_run(struct watch *watch, watch_report *report)
{
	struct sipdam_interfaces known;
	const bool attached = watch->able && !pins_check(NULL, NULL) && !slots_read(&known, NULL);
	_cleanup_close_ int lock = -1;

	drain(watch, attached ? &known : NULL);
	watch->next = 0;
	if (attached)
		forget_deleted(watch, &known);
	if (!attached || !is_anything_to_do(watch, &known))
		return;
	lock = pins_try_lock();
	if (lock < 0) {
		watch->next = now_ms() + LOCKED_RETRY_MS;
		return;
	}
	put_right(watch, report);
	if (!slots_read(&known, NULL))
		watch->next = next_retry(watch, &known);
}

int watch_timeout(const struct watch *watch)
{
	__u64 now = now_ms();

	if (!watch->next)
		return -1;
	return watch->next > now ? (int)(watch->next - now) : 0;
}
