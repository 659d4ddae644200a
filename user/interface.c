/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * See interface.h. libxdp attaches: with a dispatcher where the kernel has one, else alone. An entry
 * program that is attached alone is known by its pin, which needs no right to look others' programs up.
 */
#include "interface.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "cleanup.h"
#include "egress.h"
#include "filter.h"
#include "pins.h"
#include "slots.h"
#include "sipdam/state.h"

#define ENTRY_PROGRAM "sipdam_entry"

const char *interface_mode_name(enum interface_mode mode)
{
	switch (mode) {
	case INTERFACE_MODE_AUTO:
		return "auto";
	case INTERFACE_MODE_NATIVE:
		return "native";
	case INTERFACE_MODE_GENERIC:
		return "generic";
	case INTERFACE_MODE_NONE:
		break;
	}
	return "none";
}

static enum interface_mode mode_of(enum xdp_attach_mode mode)
{
	return mode == XDP_MODE_SKB ? INTERFACE_MODE_GENERIC : INTERFACE_MODE_NATIVE;
}

/* Ours among the programs of an interface, NULL if there is none. It belongs to the multiprog. */
static struct xdp_program *find_entry(struct xdp_multiprog *programs)
{
	struct xdp_program *program = NULL;

	if (libxdp_get_error(programs))
		return NULL;
	/* Attached alone, without a dispatcher, a program is the main one. */
	program = xdp_multiprog__main_prog(programs);
	if (program && !libxdp_get_error(program) && !strcmp(xdp_program__name(program), ENTRY_PROGRAM))
		return program;
	program = NULL;
	while ((program = xdp_multiprog__next_prog(program, programs)))
		if (!strcmp(xdp_program__name(program), ENTRY_PROGRAM))
			return program;
	return NULL;
}

/* Pin of the entry program of an interface: by it we know our own without the right to look up others'. */
static int entry_path(char *path, size_t size, unsigned int ifindex)
{
	char name[32];

	snprintf(name, sizeof(name), "entry_%u", ifindex);
	return pins_path(path, size, name);
}

static __u32 program_id(int fd)
{
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &length) ? 0 : info.id;
}

/*
 * Our entry program's descriptor if it is attached to the interface directly, without a dispatcher, and
 * how; else -ENOENT.
 */
static int open_direct(unsigned int ifindex, enum interface_mode *mode)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	char path[300];
	_cleanup_close_ int fd = entry_path(path, sizeof(path), ifindex) ? -1 : bpf_obj_get(path);

	if (fd < 0 || bpf_xdp_query(ifindex, 0, &query) || !query.prog_id || query.prog_id != program_id(fd))
		return -ENOENT;
	*mode = query.attach_mode == XDP_ATTACHED_SKB ? INTERFACE_MODE_GENERIC : INTERFACE_MODE_NATIVE;
	return take_fd(&fd);
}

static __u32 map_id(int fd)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &length) ? 0 : info.id;
}

/*
 * Does this entry program jump through the array that is pinned now, and is a filter in it? One whose pins
 * are gone (another bpffs since) jumps into nothing for ever, one whose attach was killed until the next; both
 * let everything pass.
 */
static bool is_alive(int program)
{
	struct problem ignored;
	_cleanup_close_ int array = pins_open(FILTER_ARRAY_PIN, true, &ignored);
	__u32 maps[4] = {};
	struct bpf_prog_info info = {.nr_map_ids = 4, .map_ids = (unsigned long)maps};
	__u32 length = sizeof(info), zero = 0, filter, id;

	if (array < 0 || bpf_map_lookup_elem(array, &zero, &filter) ||
	    bpf_obj_get_info_by_fd(program, &info, &length))
		return false;
	id = map_id(array);
	for (__u32 i = 0; i < info.nr_map_ids && i < 4; i++)
		if (id && maps[i] == id)
			return true;
	return false;
}

enum interface_entry interface_entry(unsigned int ifindex, enum interface_mode *mode)
{
	enum interface_entry found = INTERFACE_ENTRY_NONE;
	_cleanup_close_ int direct = open_direct(ifindex, mode);
	struct xdp_multiprog *programs;
	struct xdp_program *entry;

	if (direct >= 0)
		return is_alive(direct) ? INTERFACE_ENTRY_ALIVE : INTERFACE_ENTRY_DEAD;
	filter_silence_libraries();
	programs = xdp_multiprog__get_from_ifindex(ifindex);
	entry = find_entry(programs);
	if (entry) {
		found = is_alive(xdp_program__fd(entry)) ? INTERFACE_ENTRY_ALIVE : INTERFACE_ENTRY_DEAD;
		*mode = mode_of(xdp_multiprog__attach_mode(programs));
	}
	if (!libxdp_get_error(programs))
		xdp_multiprog__close(programs);
	return found;
}

enum interface_mode interface_mode(unsigned int ifindex)
{
	enum interface_mode mode = INTERFACE_MODE_NONE;

	return interface_entry(ifindex, &mode) == INTERFACE_ENTRY_ALIVE ? mode : INTERFACE_MODE_NONE;
}

/* The array it jumps through is the pinned one. */
static int set_array_pin(struct bpf_object *object)
{
	struct bpf_map *array = bpf_object__find_map_by_name(object, FILTER_ARRAY_PIN);
	char path[300];
	int error = array ? pins_path(path, sizeof(path), FILTER_ARRAY_PIN) : -ENOENT;

	return error ? error : bpf_map__set_pin_path(array, path);
}

/* A new entry program, not loaded, that jumps through the pinned array. NULL with errno set. */
static struct bpf_object *open_object(void)
{
	LIBBPF_OPTS(bpf_object_open_opts, open, .object_name = ENTRY_PROGRAM);
	size_t size;
	const void *bytes = filter_entry_object(&size);
	struct bpf_object *object = bpf_object__open_mem(bytes, size, &open);
	int error = object ? set_array_pin(object) : 0;

	if (!error)
		return object;
	bpf_object__close(object);
	errno = -error;
	return NULL;
}

/* The same as libxdp's; NULL with errno set. */
static struct xdp_program *open_entry(void)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, opts, .prog_name = ENTRY_PROGRAM);
	struct xdp_program *program;

	opts.obj = open_object();
	if (!opts.obj)
		return NULL;
	program = xdp_program__create(&opts);
	if (libxdp_get_error(program)) {
		bpf_object__close(opts.obj);
		return NULL;
	}
	/* libxdp does not see it from the section's name; without it a dispatcher refuses an MTU of 9,000. */
	xdp_program__set_xdp_frags_support(program, true);
	return program;
}

static int pin_entry(unsigned int ifindex, int program)
{
	char path[300];
	int error = entry_path(path, sizeof(path), ifindex);

	if (error)
		return error;
	unlink(path);
	return bpf_obj_pin(program, path);
}

static void unpin_entry(unsigned int ifindex)
{
	char path[300];

	if (!entry_path(path, sizeof(path), ifindex))
		unlink(path);
}

/* Entry programs of devices whose slot has gone to this one. */
static void unpin_replaced(const struct sipdam_interfaces *before)
{
	struct sipdam_interfaces now;

	if (slots_read(&now, NULL))
		return;
	for (__u32 slot = 0; slot < SIPDAM_INTERFACES_MAX; slot++)
		if (before->ifindex[slot] && before->ifindex[slot] != now.ifindex[slot])
			unpin_entry(before->ifindex[slot]);
}

/* Beside others where the kernel can, else alone: libxdp knows. */
static int attach_beside(unsigned int ifindex, enum interface_mode mode)
{
	enum xdp_attach_mode as = mode == INTERFACE_MODE_GENERIC ? XDP_MODE_SKB : XDP_MODE_NATIVE;
	struct xdp_program *program = open_entry();
	int error;

	if (!program)
		return -errno;
	error = xdp_program__attach(program, ifindex, as, 0);
	if (!error) {
		error = pin_entry(ifindex, xdp_program__fd(program));
		if (error)
			xdp_program__detach(program, ifindex, as, 0);
	}
	xdp_program__close(program);
	return error;
}

static int attach_alone(unsigned int ifindex, enum interface_mode mode)
{
	__u32 flags = mode == INTERFACE_MODE_GENERIC ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
	struct bpf_object *object = open_object();
	int error = object ? bpf_object__load(object) : -errno;

	/* Pinned first: killed between the two, it would be taken for somebody else's program. */
	if (!error) {
		int program = bpf_program__fd(bpf_object__find_program_by_name(object, ENTRY_PROGRAM));

		error = pin_entry(ifindex, program);
		if (!error)
			error = bpf_xdp_attach(ifindex, program, flags | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
		if (error)
			unpin_entry(ifindex);
	}
	bpf_object__close(object);
	return error;
}

/*
 * Newer kernels (6.13, and 6.12 from some release on) refuse a program that jumps behind a dispatcher which
 * does not say that it may change packets, as those before libxdp 1.5.5 do not: there it is alone.
 */
static int attach_in(unsigned int ifindex, enum interface_mode mode)
{
	int error = attach_beside(ifindex, mode);

	return error == -EINVAL ? attach_alone(ifindex, mode) : error;
}

static int problem_of_attach(const char *interface, int error, struct problem *problem)
{
	if (error == -EBUSY || error == -EEXIST)
		return problem_set(
			problem, error,
			"%s: another XDP program is attached that cannot share the interface; it was "
			"left alone: see `ip link show %s`, remove it and attach again",
			interface, interface);
	if (error == -EOPNOTSUPP)
		return problem_set(problem, error, "%s: its driver has no XDP: use --mode generic, or auto",
				   interface);
	if (error == -ERANGE)
		return problem_set(
			problem, error,
			"%s: its MTU or its peer's is too large for its driver with XDP, or for another "
			"XDP program on it: lower the MTU, or use --mode generic",
			interface);
	return problem_set(problem, error, "%s: attaching failed: %s", interface, strerror(-error));
}

static int find_interface(const char *interface, unsigned int *ifindex, struct problem *problem)
{
	*ifindex = if_nametoindex(interface);
	if (!*ifindex)
		return problem_set(problem, -ENODEV, "%s: no such interface: `ip link` lists those there are",
				   interface);
	return 0;
}

/* Frames without an Ethernet header (tun, ppp, WireGuard) would all be read wrongly, and pass. */
static bool has_ethernet(const char *interface)
{
	struct ifreq request = {};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request))
		return true; /* attaching will say what is wrong */
	return request.ifr_hwaddr.sa_family == ARPHRD_ETHER ||
	       request.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK;
}

int interface_check(const char *interface, struct problem *problem)
{
	unsigned int ifindex;
	int error = find_interface(interface, &ifindex, problem);

	if (error)
		return error;
	if (!has_ethernet(interface))
		return problem_set(
			problem, -EOPNOTSUPP,
			"%s: its packets have no Ethernet header, so nothing would be filtered: attach "
			"to the network card below it",
			interface);
	return 0;
}

static int detach_direct(unsigned int ifindex, int program, enum interface_mode mode)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = program);

	return bpf_xdp_detach(
		ifindex, mode == INTERFACE_MODE_GENERIC ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE, &opts);
}

static int detach_from_dispatcher(unsigned int ifindex)
{
	struct xdp_multiprog *programs = xdp_multiprog__get_from_ifindex(ifindex);
	struct xdp_program *entry = find_entry(programs);
	int error = entry ? xdp_program__detach(entry, ifindex, xdp_multiprog__attach_mode(programs), 0)
			  : -ENOENT;

	if (!libxdp_get_error(programs))
		xdp_multiprog__close(programs);
	return error;
}

/* Takes ours off, alive or dead. */
static int detach_entry(unsigned int ifindex)
{
	enum interface_mode mode = INTERFACE_MODE_NONE;
	_cleanup_close_ int direct = -1;

	filter_silence_libraries();
	direct = open_direct(ifindex, &mode);
	return direct >= 0 ? detach_direct(ifindex, direct, mode) : detach_from_dispatcher(ifindex);
}

int interface_detach(const char *interface, struct problem *problem)
{
	unsigned int ifindex;
	int error = find_interface(interface, &ifindex, problem);

	if (error && !slots_forget(interface, &ifindex)) {
		unpin_entry(ifindex);
		return 0;
	}
	if (error)
		return error;
	/* The filter first: one that stays, or is killed on the way, must not be without what is learned. */
	error = detach_entry(ifindex);
	if (error == -ENOENT)
		problem_set(problem, error, "%s: sipdam is not attached there", interface);
	else if (error)
		return problem_set(problem, error, "%s: detaching failed: %s", interface, strerror(-error));
	egress_detach(ifindex);
	unpin_entry(ifindex);
	slots_release(ifindex);
	return error;
}

/* Errors of a native attach that generic mode would meet too. */
static bool is_final(int error)
{
	return error == -EBUSY || error == -EEXIST || error == -EPERM || error == -ENODEV || error == -ENOMEM;
}

int interface_attach(const char *interface, enum interface_mode *mode, bool *fresh, struct problem *problem)
{
	enum interface_mode found = INTERFACE_MODE_NONE, tried = *mode == INTERFACE_MODE_GENERIC
									 ? INTERFACE_MODE_GENERIC
									 : INTERFACE_MODE_NATIVE;
	struct sipdam_interfaces before;
	enum interface_entry entry;
	unsigned int ifindex;
	int error = find_interface(interface, &ifindex, problem);

	if (error)
		return error;
	error = slots_take(ifindex, interface, *mode, &before, problem);
	if (error)
		return error;
	entry = interface_entry(ifindex, &found);
	if (entry == INTERFACE_ENTRY_ALIVE) {
		*mode = found;
		*fresh = false;
		return 0;
	}
	if (entry == INTERFACE_ENTRY_DEAD)
		detach_entry(ifindex);
	error = attach_in(ifindex, tried);
	if (error && !is_final(error) && *mode == INTERFACE_MODE_AUTO) {
		tried = INTERFACE_MODE_GENERIC;
		error = attach_in(ifindex, tried);
	}
	if (error) {
		slots_write(&before, NULL);
		return problem_of_attach(interface, error, problem);
	}
	unpin_replaced(&before);
	*mode = tried;
	*fresh = true;
	return 0;
}
