/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See egress.h. The program is pinned, so that an interface made again gets the one that the others have. */
#include "egress.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "cleanup.h"
#include "filter.h" /* before the skeleton, which names its structs */
#include "egress.skel.h"
#include "pins.h"
#include "slots.h"

#define PROGRAM "sipdam_egress"
#define PIN     "egress"

struct egress {
	struct egress_bpf *skeleton;
};

/* ---- loading ---- */

/* Where the filter's maps are: pinned, or those of a trial. */
static int open_map(struct filter *trial, const char *name, struct problem *problem)
{
	int fd;

	if (!trial)
		return pins_open(name, false, problem);
	fd = filter_map(trial, name);
	fd = fd < 0 ? fd : dup(fd);
	return fd < 0 ? problem_set(problem, -ENOENT, "%s is missing", name) : fd;
}

/* Its room to work is its own; the trial's record is not pinned, and unused live. */
static bool is_shared(const struct bpf_map *map, const struct filter *trial)
{
	const char *name = pins_name(map);

	return name && strcmp(name, "egress_room") && (trial || strcmp(name, "trial"));
}

static int share_maps(struct bpf_object *object, struct filter *trial, struct problem *problem)
{
	struct bpf_map *map;

	bpf_object__for_each_map (map, object) {
		_cleanup_close_ int fd = -1;
		int error;

		if (!is_shared(map, trial))
			continue;
		fd = open_map(trial, pins_name(map), problem);
		error = fd < 0 ? fd : bpf_map__reuse_fd(map, fd);
		if (fd >= 0 && error)
			problem_set(problem, error, "%s: %s", pins_name(map), strerror(-error));
		if (error)
			return error;
	}
	return 0;
}

/* The keys of the tables and the sizes of those that go by what is fixed at load. */
static int read_fixed(struct egress_bpf *skeleton, struct filter *trial, struct problem *problem)
{
	_cleanup_close_ int secrets = open_map(trial, "secrets", problem);
	struct sipdam_secret secret;
	__u32 zero = 0;

	if (secrets < 0)
		return secrets;
	if (bpf_map_lookup_elem(secrets, &zero, &secret))
		return problem_set(problem, -errno, "reading the keys: %s", strerror(errno));
	memcpy((void *)&skeleton->rodata->secret, &secret, sizeof(secret));
	skeleton->rodata->source_mask = bpf_map__max_entries(skeleton->maps.sources) - 1;
	skeleton->rodata->network_mask = bpf_map__max_entries(skeleton->maps.networks) - 1;
	return 0;
}

/* trial: NULL for the filter that runs. */
static int load(struct egress *egress, struct filter *trial, bool own_clock, struct problem *problem)
{
	int error;

	filter_silence_libraries();
	egress->skeleton = egress_bpf__open();
	if (!egress->skeleton)
		return problem_set(problem, -errno, "opening its program: %s", strerror(errno));
	error = share_maps(egress->skeleton->obj, trial, problem);
	if (!error)
		error = read_fixed(egress->skeleton, trial, problem);
	if (error)
		return error;
	egress->skeleton->rodata->is_trial = trial && !own_clock;
	error = egress_bpf__load(egress->skeleton);
	return error ? problem_set(problem, error, "the kernel refused its program: %s", strerror(-error))
		     : 0;
}

static int open_over(struct egress **egress, struct filter *trial, bool own_clock, struct problem *problem)
{
	struct egress *opened = calloc(1, sizeof(*opened));
	int error = opened ? load(opened, trial, own_clock, problem) : -ENOMEM;

	if (error) {
		egress_free(opened);
		return opened ? error : problem_set(problem, error, "out of memory");
	}
	*egress = opened;
	return 0;
}

int egress_open_private(struct egress **egress, struct filter *filter, bool own_clock,
			struct problem *problem)
{
	struct problem why = {""};
	int error = open_over(egress, filter, own_clock, &why);

	return error ? problem_set(problem, error, "loading what reads the server's own packets: %s",
				   why.text)
		     : 0;
}

int egress_trial_run(struct egress *egress, const void *data, size_t length)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = length, .repeat = 1);

	return bpf_prog_test_run_opts(egress_program(egress), &opts);
}

int egress_program(struct egress *egress)
{
	return bpf_program__fd(egress->skeleton->progs.sipdam_egress);
}

void egress_free(struct egress *egress)
{
	if (egress)
		egress_bpf__destroy(egress->skeleton);
	free(egress);
}

/* ---- on interfaces ---- */

/* The library compares what is behind the last field with zeros: no copies. */
#define HOOK(hook, device)                                                                                   \
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)(device), .attach_point = BPF_TC_EGRESS)

/* The id of the program at our place; 0: none. */
static __u32 program_at(unsigned int ifindex)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = EGRESS_HANDLE, .priority = EGRESS_PRIORITY);
	HOOK(hook, ifindex);

	filter_silence_libraries();
	return bpf_tc_query(&hook, &opts) ? 0 : opts.prog_id;
}

/* Whoever may not look a program up by its number knows it by its place alone. */
static bool is_ours(__u32 id)
{
	_cleanup_close_ int fd = id ? bpf_prog_get_fd_by_id(id) : -1;
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info);

	if (!id || fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length))
		return id;
	return !strcmp(info.name, PROGRAM);
}

/* Has a program the map of this id? More than it has are never asked for. */
static bool has_map(int program, __u32 map)
{
	__u32 ids[64];
	struct bpf_prog_info info = {.map_ids = (__u64)(unsigned long)ids, .nr_map_ids = 64};
	__u32 length = sizeof(info);

	if (bpf_obj_get_info_by_fd(program, &info, &length))
		return false;
	for (__u32 i = 0; i < info.nr_map_ids && i < 64; i++)
		if (ids[i] == map)
			return true;
	return false;
}

/* Does the program of this id go by the policy of the filter that runs? In doubt it does. */
static bool is_of_this_filter(__u32 id)
{
	_cleanup_close_ int program = bpf_prog_get_fd_by_id(id);
	_cleanup_close_ int map = pins_open("policy", true, NULL);
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	if (program < 0 || map < 0 || bpf_obj_get_info_by_fd(map, &info, &length))
		return true;
	return has_map(program, info.id);
}

bool egress_is_attached(unsigned int ifindex)
{
	return is_ours(program_at(ifindex));
}

union reply {
	struct nlmsghdr header;
	char bytes[16384];
};

/* Asks the kernel for all it has of one kind. Returns a socket that the answer comes to, or -errno. */
static int ask(int type, unsigned int ifindex, __u32 parent)
{
	struct {
		struct nlmsghdr header;
		struct tcmsg what;
	} request = {
		.header = {.nlmsg_len = sizeof(request),
			   .nlmsg_type = (__u16)type,
			   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.what = {.tcm_family = AF_UNSPEC, .tcm_ifindex = (int)ifindex, .tcm_parent = parent},
	};
	static const struct timeval most = {.tv_sec = 1};
	_cleanup_close_ int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (netlink < 0 || setsockopt(netlink, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most)) ||
	    send(netlink, &request, sizeof(request), 0) != sizeof(request))
		return -errno;
	return take_fd(&netlink);
}

/*
 * Goes through an answer until `found` says so of a message. Returns 1 if it did, 0 if the answer ended
 * before, -1 if it broke off.
 */
static int search(int netlink, unsigned int ifindex, bool (*found)(const struct nlmsghdr *, unsigned int))
{
	union reply reply;
	ssize_t length;

	while (netlink >= 0 && (length = recv(netlink, &reply, sizeof(reply), 0)) > 0) {
		int left = (int)length;

		for (struct nlmsghdr *message = &reply.header; NLMSG_OK(message, (unsigned int)left);
		     message = NLMSG_NEXT(message, left)) {
			if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR)
				return message->nlmsg_type == NLMSG_DONE ? 0 : -1;
			if (found(message, ifindex))
				return 1;
		}
	}
	return -1;
}

static bool is_filter(const struct nlmsghdr *message, unsigned int ifindex)
{
	(void)ifindex;
	return message->nlmsg_type == RTM_NEWTFILTER;
}

/* Are there filters of anybody's at one end of the queueing discipline? When in doubt there are. */
static bool has_filters(unsigned int ifindex, __u32 parent)
{
	_cleanup_close_ int netlink = ask(RTM_GETTFILTER, ifindex, parent);

	return search(netlink, ifindex, is_filter) != 0;
}

static bool is_clsact(const struct nlmsghdr *message, unsigned int ifindex)
{
	const struct tcmsg *what = NLMSG_DATA(message);
	struct rtattr *attribute =
		(struct rtattr *)((char *)NLMSG_DATA(message) + NLMSG_ALIGN(sizeof(*what)));
	int left = (int)message->nlmsg_len - (int)NLMSG_SPACE(sizeof(*what));

	if (message->nlmsg_type != RTM_NEWQDISC || what->tcm_ifindex != (int)ifindex)
		return false;
	for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
		if (attribute->rta_type == TCA_KIND)
			return !strcmp(RTA_DATA(attribute), "clsact");
	return false;
}

/* Is what stands in the place of clsact that, and not "ingress", which would take our program for one of its
 * own? */
static bool has_clsact(unsigned int ifindex)
{
	_cleanup_close_ int netlink = ask(RTM_GETQDISC, ifindex, 0);

	return search(netlink, ifindex, is_clsact) == 1;
}

static void remove_qdisc(unsigned int ifindex)
{
	HOOK(hook, ifindex);

	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	if (!has_filters(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)) &&
	    !has_filters(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)))
		bpf_tc_hook_destroy(&hook);
}

void egress_detach(unsigned int ifindex)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = EGRESS_HANDLE, .priority = EGRESS_PRIORITY);
	HOOK(hook, ifindex);

	bool attached = egress_is_attached(ifindex);

	if (attached)
		bpf_tc_detach(&hook, &opts);
	/* One without our program may be another's, made in the place of ours. */
	if (attached && slots_made_qdisc(ifindex))
		remove_qdisc(ifindex);
}

static int attach(unsigned int ifindex, int program)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = EGRESS_HANDLE, .priority = EGRESS_PRIORITY,
		    .prog_fd = program, .flags = BPF_TC_F_REPLACE);
	HOOK(hook, ifindex);
	__u32 there = program_at(ifindex);
	int made, error;

	if (there && !is_ours(there))
		return -EBUSY;
	made = bpf_tc_hook_create(&hook);
	if (made && made != -EEXIST)
		return made;
	if (made && !has_clsact(ifindex))
		return -EEXIST;
	/* Ours has our program in it: one that was there before and has none is another's. */
	error = made && there ? 0 : slots_note_qdisc(ifindex, !made);
	if (!error)
		error = bpf_tc_attach(&hook, &opts);
	if (error && !made)
		remove_qdisc(ifindex);
	return error;
}

static int attach_program(unsigned int ifindex, int program, struct problem *problem)
{
	int error = attach(ifindex, program);
	char name[IF_NAMESIZE] = "?";

	if (!error)
		return 0;
	if_indextoname(ifindex, name);
	if (error == -EBUSY)
		return problem_set(
			problem, error,
			"%s: nothing is learned of what the server sends there: another filter has "
			"priority %d and handle 0x%x at tc egress",
			name, EGRESS_PRIORITY, EGRESS_HANDLE);
	if (error == -EEXIST)
		return problem_set(problem, error,
				   "%s: nothing is learned of what the server sends there: it has a queueing "
				   "discipline `ingress`, and `clsact` is needed: see `tc qdisc show dev %s`",
				   name, name);
	return problem_set(problem, error,
			   "%s: nothing is learned of what the server sends there: attaching at tc egress "
			   "failed: %s; all else works",
			   name, strerror(-error));
}

int egress_attach(unsigned int ifindex, struct problem *problem)
{
	char path[300];
	int error = pins_path(path, sizeof(path), PIN);
	_cleanup_close_ int program = error ? -1 : bpf_obj_get(path);

	/* One that could not be loaded was told of when it was to be. */
	return program < 0 ? 0 : attach_program(ifindex, program, problem);
}

static int pin(int program)
{
	char path[300];
	int error = pins_path(path, sizeof(path), PIN);

	if (!error && unlink(path) && errno != ENOENT)
		error = -errno;
	if (!error)
		error = bpf_obj_pin(program, path);
	return error ? error : chmod(path, 0640) ? -errno : 0;
}

static int attach_to_all(int program, struct problem *problem)
{
	struct sipdam_interfaces known;
	struct problem ignored;
	int first = 0, error = slots_read(&known, problem);

	if (error)
		return error;
	for (__u32 slot = 0; slot < SIPDAM_INTERFACES_MAX; slot++) {
		if (slots_state(&known, slot) != SLOT_PRESENT)
			continue;
		error = attach_program(known.ifindex[slot], program, first ? &ignored : problem);
		first = first ? first : error;
	}
	return first;
}

/*
 * Takes a program off that goes by a policy which nobody can set any more: one of the filter before an upgrade to
 * other tables, where no new one could be loaded. One of this filter goes on.
 */
static void detach_stale(void)
{
	struct sipdam_interfaces known;

	if (slots_read(&known, NULL))
		return;
	for (__u32 slot = 0; slot < SIPDAM_INTERFACES_MAX; slot++) {
		__u32 id = slots_state(&known, slot) == SLOT_PRESENT ? program_at(known.ifindex[slot]) : 0;

		if (id && is_ours(id) && !is_of_this_filter(id))
			egress_detach(known.ifindex[slot]);
	}
}

int egress_install(struct problem *problem)
{
	struct egress *egress = NULL;
	struct problem why = {""};
	int error = open_over(&egress, NULL, false, &why);

	if (!error && (error = pin(egress_program(egress))))
		problem_set(&why, error, "%s: %s", pins_directory(), strerror(-error));
	if (error) {
		problem_set(problem, error, "nothing is learned of what the server sends: %s; all else works",
			    why.text);
		detach_stale();
	} else {
		error = attach_to_all(egress_program(egress), problem);
	}
	egress_free(egress);
	return error;
}
