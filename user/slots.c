/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See slots.h. One record in a map of one entry, written whole. */
#include "slots.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "pins.h"

_Static_assert(SIPDAM_INTERFACE_NAME == IF_NAMESIZE, "names as the kernel has them");

int slots_read(struct sipdam_interfaces *known, struct problem *problem)
{
	_cleanup_close_ int fd = pins_open("interfaces", true, problem);
	struct bpf_map_info info = {};
	__u32 zero = 0, size = sizeof(info);

	if (fd < 0)
		return fd;
	memset(known, 0, sizeof(*known)); /* of an older layout there may be less */
	if (!bpf_obj_get_info_by_fd(fd, &info, &size) && info.value_size > sizeof(*known))
		return problem_set(problem, -EPROTO, "the list of interfaces is of a later version");
	if (bpf_map_lookup_elem(fd, &zero, known))
		return problem_set(problem, -errno, "read interfaces of the running filter: %s",
				   strerror(errno));
	return 0;
}

int slots_write(const struct sipdam_interfaces *known, struct problem *problem)
{
	_cleanup_close_ int fd = pins_open("interfaces", false, problem);
	__u32 zero = 0;

	if (fd < 0)
		return fd;
	if (bpf_map_update_elem(fd, &zero, known, BPF_ANY))
		return problem_set(problem, -errno, "writing the list of interfaces: %s", strerror(errno));
	return 0;
}

/* Of the namespace of this process, never used again for another one until a reboot; 0: not known. */
static __u64 own_netns(void)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	__u64 cookie = 0;
	socklen_t size = sizeof(cookie);

	return fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) ? 0 : cookie;
}

static enum slot_state state_in(const struct sipdam_interfaces *known, __u32 slot, __u64 netns)
{
	char name[IF_NAMESIZE];

	if (!known->ifindex[slot])
		return SLOT_FREE;
	if (known->netns[slot] != netns)
		return SLOT_ELSEWHERE;
	return if_indextoname(known->ifindex[slot], name) ? SLOT_PRESENT : SLOT_GONE;
}

enum slot_state slots_state(const struct sipdam_interfaces *known, __u32 slot)
{
	return state_in(known, slot, own_netns());
}

static __u32 find_in(const struct sipdam_interfaces *known, unsigned int ifindex, __u64 netns)
{
	__u32 slot = 0;

	while (slot < SIPDAM_INTERFACES_MAX &&
	       (known->ifindex[slot] != ifindex || known->netns[slot] != netns))
		slot++;
	return slot;
}

__u32 slots_find(const struct sipdam_interfaces *known, unsigned int ifindex)
{
	return find_in(known, ifindex, own_netns());
}

/* The first slot in a state, of this name if one is given; SIPDAM_INTERFACES_MAX: none. */
static __u32 first(const struct sipdam_interfaces *known, enum slot_state state, const char *name,
		   __u64 netns)
{
	__u32 slot = 0;

	while (slot < SIPDAM_INTERFACES_MAX &&
	       (state_in(known, slot, netns) != state || (name && strcmp(known->name[slot], name))))
		slot++;
	return slot;
}

/* Devices that are gone are forgotten when the room is needed; those elsewhere, which may be, last. */
static __u32 first_to_use(const struct sipdam_interfaces *known, __u64 netns)
{
	static const enum slot_state order[] = {SLOT_FREE, SLOT_GONE, SLOT_ELSEWHERE};
	__u32 slot = SIPDAM_INTERFACES_MAX;

	for (size_t i = 0; slot == SIPDAM_INTERFACES_MAX && i < sizeof(order) / sizeof(*order); i++)
		slot = first(known, order[i], NULL, netns);
	return slot;
}

static int clear_counters(__u32 slot, struct problem *problem)
{
	static const struct sipdam_carried nothing;
	_cleanup_close_ int counters = pins_open("counters", false, problem);
	_cleanup_close_ int carried = counters < 0 ? counters : pins_open("carried", false, problem);
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ void *zeros = cpus > 0 ? calloc(cpus, sizeof(struct sipdam_counters)) : NULL;

	if (carried < 0)
		return carried;
	if (!zeros)
		return problem_set(problem, -ENOMEM, "clearing counters: out of memory");
	if (bpf_map_update_elem(counters, &slot, zeros, BPF_ANY) ||
	    bpf_map_update_elem(carried, &slot, &nothing, BPF_ANY))
		return problem_set(problem, -errno, "clearing counters: %s", strerror(errno));
	return 0;
}

void slots_complete(struct sipdam_interfaces *known)
{
	__u64 netns = own_netns();
	char name[IF_NAMESIZE];

	for (__u32 slot = 0; slot < SIPDAM_INTERFACES_MAX; slot++) {
		if (!known->ifindex[slot] || known->netns[slot] ||
		    !if_indextoname(known->ifindex[slot], name))
			continue;
		known->netns[slot] = netns;
		memcpy(known->name[slot], name, sizeof(name));
	}
}

int slots_take(unsigned int ifindex, const char *name, __u8 wanted, struct sipdam_interfaces *before,
	       struct problem *problem)
{
	struct sipdam_interfaces known;
	__u64 netns = own_netns();
	__u32 slot;
	int error = slots_read(&known, problem);

	if (error)
		return error;
	*before = known;
	slot = find_in(&known, ifindex, netns);
	if (slot == SIPDAM_INTERFACES_MAX)
		slot = first(&known, SLOT_GONE, name, netns);
	if (slot == SIPDAM_INTERFACES_MAX) {
		slot = first_to_use(&known, netns);
		if (slot == SIPDAM_INTERFACES_MAX)
			return problem_set(problem, -ENOSPC, "at most %d interfaces can be attached",
					   SIPDAM_INTERFACES_MAX);
		error = clear_counters(slot, problem);
		if (error)
			return error;
	}
	/* Attached already, auto asks for nothing new. */
	if (known.ifindex[slot] != ifindex || wanted)
		known.wanted[slot] = wanted;
	if (known.ifindex[slot] != ifindex)
		known.made_qdisc[slot] = 0;
	known.ifindex[slot] = ifindex;
	known.netns[slot] = netns;
	memset(known.name[slot], 0, sizeof(known.name[slot]));
	snprintf(known.name[slot], sizeof(known.name[slot]), "%s", name);
	return slots_write(&known, problem);
}

static int clear_slot(struct sipdam_interfaces *known, __u32 slot)
{
	known->ifindex[slot] = 0;
	known->netns[slot] = 0;
	known->wanted[slot] = 0;
	known->made_qdisc[slot] = 0;
	memset(known->name[slot], 0, sizeof(known->name[slot]));
	return slots_write(known, NULL);
}

int slots_note_qdisc(unsigned int ifindex, bool made)
{
	struct sipdam_interfaces known;
	int error = slots_read(&known, NULL);
	__u32 slot = error ? SIPDAM_INTERFACES_MAX : slots_find(&known, ifindex);

	if (slot == SIPDAM_INTERFACES_MAX)
		return error ? error : -ENOENT;
	known.made_qdisc[slot] = made;
	return slots_write(&known, NULL);
}

bool slots_made_qdisc(unsigned int ifindex)
{
	struct sipdam_interfaces known;
	__u32 slot = slots_read(&known, NULL) ? SIPDAM_INTERFACES_MAX : slots_find(&known, ifindex);

	return slot < SIPDAM_INTERFACES_MAX && known.made_qdisc[slot];
}

int slots_release(unsigned int ifindex)
{
	struct sipdam_interfaces known;
	int error = slots_read(&known, NULL);
	__u32 slot = error ? SIPDAM_INTERFACES_MAX : slots_find(&known, ifindex);

	return slot == SIPDAM_INTERFACES_MAX ? error : clear_slot(&known, slot);
}

bool slots_remembers(const char *name)
{
	struct sipdam_interfaces known;

	return !slots_read(&known, NULL) &&
	       first(&known, SLOT_GONE, name, own_netns()) != SIPDAM_INTERFACES_MAX;
}

int slots_forget(const char *name, unsigned int *ifindex)
{
	struct sipdam_interfaces known;
	int error = slots_read(&known, NULL);
	__u32 slot = error ? SIPDAM_INTERFACES_MAX : first(&known, SLOT_GONE, name, own_netns());

	if (error || slot == SIPDAM_INTERFACES_MAX)
		return error ? error : -ENOENT;
	*ifindex = known.ifindex[slot];
	return clear_slot(&known, slot);
}
