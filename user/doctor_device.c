/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See doctor_device.h. */
#include "doctor_device.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "egress.h"
#include "filter.h"

/* --- the kernel's word for a driver's XDP: generic netlink, family "netdev" --- */

#define NETDEV_FAMILY       "netdev"
#define NETDEV_COMMAND_GET  1 /* NETDEV_CMD_DEV_GET */
#define NETDEV_IFINDEX      1 /* NETDEV_A_DEV_IFINDEX */
#define NETDEV_XDP_FEATURES 3 /* NETDEV_A_DEV_XDP_FEATURES */

struct request {
	struct nlmsghdr header;
	struct genlmsghdr generic;
	struct nlattr attribute;
	char value[16];
};

/* Asks one question with one attribute; returns how many bytes were answered, or -errno. */
static ssize_t ask(int fd, __u16 family, __u8 command, __u16 type, const void *value, size_t size,
		   void *answer, size_t room)
{
	struct request request = {
		.header = {.nlmsg_type = family, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = 1},
		.generic = {.cmd = command, .version = 1},
		.attribute = {.nla_type = type, .nla_len = (__u16)(NLA_HDRLEN + size)},
	};
	const struct nlmsghdr *header = answer;
	ssize_t got;

	memcpy(request.value, value, size);
	request.header.nlmsg_len = (__u32)(NLMSG_LENGTH(GENL_HDRLEN) + NLA_ALIGN(NLA_HDRLEN + size));
	if (send(fd, &request, request.header.nlmsg_len, 0) < 0)
		return -errno;
	got = recv(fd, answer, room, 0);
	if (got < (ssize_t)NLMSG_LENGTH(GENL_HDRLEN) || header->nlmsg_type == NLMSG_ERROR ||
	    header->nlmsg_len > (__u32)got)
		return -ENOENT;
	return header->nlmsg_len;
}

/* The attribute of an answer, NULL if it has none of at least this size. */
static const void *attribute(const void *answer, ssize_t length, __u16 type, size_t size)
{
	const char *at = (const char *)answer + NLMSG_LENGTH(GENL_HDRLEN),
		   *end = (const char *)answer + length;

	while (at + NLA_HDRLEN <= end) {
		const struct nlattr *here = (const struct nlattr *)at;

		if (here->nla_len < NLA_HDRLEN || at + here->nla_len > end)
			return NULL;
		if ((here->nla_type & NLA_TYPE_MASK) == type && here->nla_len >= NLA_HDRLEN + size)
			return at + NLA_HDRLEN;
		at += NLA_ALIGN(here->nla_len);
	}
	return NULL;
}

/* Linux before 6.3 has no such family: then it is unknown. */
static bool read_xdp(unsigned int ifindex, unsigned long long *features)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	const struct timeval patience = {.tv_sec = 1};
	_Alignas(8) char answer[4096];
	const void *value;
	__u64 bits;
	ssize_t got;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		return false;
	got = ask(fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, NETDEV_FAMILY,
		  sizeof(NETDEV_FAMILY), answer, sizeof(answer));
	value = got < 0 ? NULL : attribute(answer, got, CTRL_ATTR_FAMILY_ID, sizeof(__u16));
	if (!value)
		return false;
	got = ask(fd, *(const __u16 *)value, NETDEV_COMMAND_GET, NETDEV_IFINDEX, &ifindex, sizeof(ifindex),
		  answer, sizeof(answer));
	value = got < 0 ? NULL : attribute(answer, got, NETDEV_XDP_FEATURES, sizeof(bits));
	if (!value)
		return false;
	memcpy(&bits, value, sizeof(bits));
	*features = bits;
	return true;
}

/* --- ethtool --- */

static bool ethtool(int fd, const char *name, void *request)
{
	struct ifreq ifreq = {.ifr_data = request};

	memcpy(ifreq.ifr_name, name, IF_NAMESIZE);
	return ioctl(fd, SIOCETHTOOL, &ifreq) == 0;
}

static void read_driver(int fd, struct doctor_device *device)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};

	if (ethtool(fd, device->name, &info))
		snprintf(device->driver, sizeof(device->driver), "%.31s", info.driver);
}

static void read_queues(int fd, struct doctor_device *device)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};

	if (!ethtool(fd, device->name, &channels))
		return;
	device->queues = (int)(channels.combined_count + channels.rx_count);
	device->queues_max = (int)(channels.max_combined + channels.max_rx);
}

static void read_ring(int fd, struct doctor_device *device)
{
	struct ethtool_ringparam ring = {.cmd = ETHTOOL_GRINGPARAM};

	if (!ethtool(fd, device->name, &ring))
		return;
	device->ring = (int)ring.rx_pending;
	device->ring_max = (int)ring.rx_max_pending;
}

/* How many names of features there are: 0 if the kernel does not say. */
static __u32 count_features(int fd, const char *name)
{
	struct {
		struct ethtool_sset_info info;
		__u32 length;
	} request = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES}};

	return ethtool(fd, name, &request) && request.info.sset_mask ? request.length : 0;
}

/* Names of features, and which are on; NULL where they cannot be read. */
static void read_features(int fd, struct doctor_device *device)
{
	__u32 count = count_features(fd, device->name);
	_cleanup_free_ struct ethtool_gstrings *names =
		calloc(1, sizeof(*names) + (size_t)count * ETH_GSTRING_LEN);
	_cleanup_free_ struct ethtool_gfeatures *on =
		calloc(1, sizeof(*on) + (count / 32 + 1) * sizeof(*on->features));

	device->lro = device->gro_hw = DOCTOR_UNKNOWN;
	if (!count || !names || !on)
		return;
	*names = (struct ethtool_gstrings){
		.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = count};
	*on = (struct ethtool_gfeatures){.cmd = ETHTOOL_GFEATURES, .size = (count + 31) / 32};
	if (!ethtool(fd, device->name, names) || !ethtool(fd, device->name, on))
		return;
	for (__u32 i = 0; i < count; i++) {
		const char *feature = (const char *)names->data + (size_t)i * ETH_GSTRING_LEN;
		int active = on->features[i / 32].active >> i % 32 & 1;

		if (!strcmp(feature, "rx-lro"))
			device->lro = active;
		else if (!strcmp(feature, "rx-gro-hw"))
			device->gro_hw = active;
	}
}

/* --- programs --- */

static void read_program(unsigned int ifindex, bool attached, struct doctor_device *device)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	if (bpf_xdp_query((int)ifindex, 0, &query) || query.attach_mode == XDP_ATTACHED_NONE)
		return;
	device->program_id = query.prog_id ? query.prog_id : query.drv_prog_id;
	device->mode = query.attach_mode == XDP_ATTACHED_SKB ? INTERFACE_MODE_GENERIC : INTERFACE_MODE_NATIVE;
	if (filter_missing_capability()) {
		device->program = attached ? DOCTOR_PROGRAM_OURS : DOCTOR_PROGRAM_UNSEEN;
		return;
	}
	switch (interface_entry(ifindex, &device->mode)) {
	case INTERFACE_ENTRY_ALIVE:
		device->program = DOCTOR_PROGRAM_OURS;
		break;
	case INTERFACE_ENTRY_DEAD:
		device->program = DOCTOR_PROGRAM_DEAD;
		break;
	case INTERFACE_ENTRY_NONE:
		device->program = DOCTOR_PROGRAM_FOREIGN;
	}
}

void doctor_device_read(const char *name, bool attached, struct doctor_device *device)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned int ifindex = if_nametoindex(name);
	struct ifreq request = {};

	*device = (struct doctor_device){
		.mode = INTERFACE_MODE_NONE, .lro = DOCTOR_UNKNOWN, .gro_hw = DOCTOR_UNKNOWN};
	snprintf(device->name, sizeof(device->name), "%s", name);
	memcpy(request.ifr_name, device->name, IF_NAMESIZE);
	device->up = !ioctl(fd, SIOCGIFFLAGS, &request) && request.ifr_flags & IFF_UP;
	if (!ioctl(fd, SIOCGIFMTU, &request))
		device->mtu = request.ifr_mtu;
	read_driver(fd, device);
	read_queues(fd, device);
	read_ring(fd, device);
	read_features(fd, device);
	device->xdp_known = read_xdp(ifindex, &device->xdp);
	read_program(ifindex, attached, device);
	device->learns = egress_is_attached(ifindex);
}
