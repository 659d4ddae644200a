/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Captures through libpcap, which knows the file formats and their byte orders. This file turns each
 * link type's header into an Ethernet header, since that is what the filter sees on an interface.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "capture.h"
#include "cleanup.h"

#define READ_BUFFER (1 << 20)

#define ETHERTYPE_NONE 0x0000 /* below 0x0600 a length, so never a protocol */
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_QINQ 0x88a8
#define ETHERTYPE_IPV6 0x86dd
#define VLAN_TAGS_MAX  4 /* as many as the filter skips */

/* Values of DLT_RAW elsewhere that reach us in files (OpenBSD's, and the number used inside files). */
#define RAW_OPENBSD 14
#define RAW_IN_FILE 101

struct capture {
	pcap_t *pcap;
	int link_type;
	__u64 size;
	__u8 room[CAPTURE_FRAME_MAX];
	char buffer[READ_BUFFER]; /* stdio's, so that a read is a system call a mebibyte */
};

/* A link type: its header's length, and the EtherType of what follows (host order; at has header bytes,
 * length counts what lies behind them). */
struct link {
	int type;
	size_t header;
	__u16 (*ethertype)(const __u8 *at, size_t header, size_t length);
};

static __u16 load16(const __u8 *at)
{
	return (__u16)(at[0] << 8 | at[1]);
}

static __u16 sll_ethertype(const __u8 *at, size_t header, size_t length)
{
	(void)header;
	(void)length;
	return load16(at + 14);
}

static __u16 sll2_ethertype(const __u8 *at, size_t header, size_t length)
{
	(void)header;
	(void)length;
	return load16(at);
}

/* Raw IP says what it is by its version alone. */
static __u16 raw_ethertype(const __u8 *at, size_t header, size_t length)
{
	__u8 version = length ? at[header] >> 4 : 0;

	if (version == 4)
		return ETHERTYPE_IPV4;
	return version == 6 ? ETHERTYPE_IPV6 : ETHERTYPE_NONE;
}

/*
 * The address family before the packet, in the byte order of whoever captured (or network order): a
 * small number either way. IPv6 has a number of its own on each system, so the version decides.
 */
static __u16 loopback_ethertype(const __u8 *at, size_t header, size_t length)
{
	__u16 low = (__u16)(at[0] | at[1] << 8), high = load16(at + 2);
	unsigned int family = low ? low : high;

	switch (family) {
	case 2:  /* AF_INET everywhere */
	case 10: /* AF_INET6: Linux, NetBSD and OpenBSD, FreeBSD, Darwin */
	case 24:
	case 28:
	case 30:
		return raw_ethertype(at, header, length);
	}
	return ETHERTYPE_NONE;
}

static const struct link links[] = {
	{DLT_LINUX_SLL, 16, sll_ethertype}, {DLT_LINUX_SLL2, 20, sll2_ethertype},
	{DLT_RAW, 0, raw_ethertype},        {RAW_OPENBSD, 0, raw_ethertype},
	{RAW_IN_FILE, 0, raw_ethertype},    {DLT_IPV4, 0, raw_ethertype},
	{DLT_IPV6, 0, raw_ethertype},       {DLT_NULL, 4, loopback_ethertype},
	{DLT_LOOP, 4, loopback_ethertype},
};

static const struct link *link_find(int type)
{
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (links[i].type == type)
			return &links[i];
	return NULL;
}

static size_t at_most(size_t value, size_t limit)
{
	return value < limit ? value : limit;
}

/* Length on the wire with the capture's link header exchanged for an Ethernet header, saturating. */
static __u32 exchange_header(__u32 wire_length, size_t header)
{
	__u64 length = wire_length < header ? 0 : (__u64)wire_length - header + CAPTURE_ETHERNET;

	return length > UINT_MAX ? UINT_MAX : (__u32)length;
}

/* present counts at least the link's header. */
static void build_frame(const struct link *link, const __u8 *data, size_t present, __u8 *room,
			struct capture_frame *frame)
{
	size_t payload = at_most(present - link->header, CAPTURE_FRAME_MAX - CAPTURE_ETHERNET);
	__u16 ethertype = link->ethertype(data, link->header, payload);

	memset(room, 0, CAPTURE_ETHERNET - 2);
	room[12] = (__u8)(ethertype >> 8);
	room[13] = (__u8)ethertype;
	memcpy(room + CAPTURE_ETHERNET, data + link->header, payload);
	frame->data = room;
	frame->present = CAPTURE_ETHERNET + payload;
}

int capture_to_ethernet(int link_type, const __u8 *data, size_t present, __u32 wire_length,
			__u8 room[CAPTURE_FRAME_MAX], struct capture_frame *frame)
{
	const struct link *link = NULL;

	if (link_type != DLT_EN10MB) {
		link = link_find(link_type);
		if (!link)
			return -EPROTONOSUPPORT;
	}
	/* A record that claims more bytes than were on the wire lies about the wire. */
	if (wire_length < present)
		wire_length = (__u32)at_most(present, UINT_MAX);
	if (!link) {
		frame->data = data;
		frame->present = at_most(present, CAPTURE_FRAME_MAX);
		frame->wire_length = wire_length;
		return 0;
	}
	frame->wire_length = exchange_header(wire_length, link->header);
	frame->data = room;
	frame->present = 0;
	if (present > link->header || (present == link->header && wire_length == present))
		build_frame(link, data, present, room, frame);
	return 0;
}

int capture_source(const __u8 *frame, size_t length, __u8 address[16])
{
	static const __u8 mapped[12] = {[10] = 0xff, [11] = 0xff};
	size_t at = CAPTURE_ETHERNET;
	__u16 ethertype;

	if (length < at)
		return 0;
	ethertype = load16(frame + 12);
	for (int tag = 0; tag < VLAN_TAGS_MAX; tag++) {
		if (ethertype != ETHERTYPE_VLAN && ethertype != ETHERTYPE_QINQ)
			break;
		if (length < at + 4)
			return 0;
		ethertype = load16(frame + at + 2);
		at += 4;
	}
	if (ethertype == ETHERTYPE_IPV4 && length >= at + 16 && frame[at] >> 4 == 4) {
		memcpy(address, mapped, 12);
		memcpy(address + 12, frame + at + 12, 4);
		return 4;
	}
	if (ethertype == ETHERTYPE_IPV6 && length >= at + 24 && frame[at] >> 4 == 6) {
		memcpy(address, frame + at + 8, 16);
		return 6;
	}
	return 0;
}

/* "-" becomes a stream of its own on standard input, so that both kinds are closed the same way. */
static FILE *open_stream(const char *path)
{
	_cleanup_close_ int fd = -1;
	FILE *stream;

	if (strcmp(path, "-") == 0)
		fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	else
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	stream = fdopen(fd, "r");
	if (stream)
		take_fd(&fd);
	return stream;
}

/* What can be said about a file before libpcap sees it: that it is one, and that there is something in it. */
static int look_at(FILE *stream, const char *path, __u64 *size, struct problem *problem)
{
	struct stat status;
	int first;

	if (fstat(fileno(stream), &status) < 0)
		return problem_set(problem, -errno, "cannot look at %s: %s", path, strerror(errno));
	if (S_ISDIR(status.st_mode))
		return problem_set(problem, -EISDIR,
				   "cannot replay %s: it is a directory; name a capture file in it", path);
	first = getc(stream);
	if (first == EOF && ferror(stream))
		return problem_set(problem, -errno, "cannot read %s: %s", path, strerror(errno));
	if (first == EOF)
		return problem_set(
			problem, -ENODATA,
			"cannot replay %s: it is empty, not even a capture's header; capture again", path);
	ungetc(first, stream);
	*size = S_ISREG(status.st_mode) ? (__u64)status.st_size : 0;
	return 0;
}

static int check_link_type(int type, const char *path, struct problem *problem)
{
	const char *name = pcap_datalink_val_to_name(type);

	if (type == DLT_EN10MB || link_find(type))
		return 0;
	return problem_set(problem, -EPROTONOSUPPORT,
			   "cannot replay %s: its link type %s (%d) is not read; capture on an Ethernet "
			   "interface or on \"any\"",
			   path, name ? name : "unknown", type);
}

static int open_pcap(struct capture *capture, const char *path, struct problem *problem)
{
	_cleanup_fclose_ FILE *stream = open_stream(path);
	char why[PCAP_ERRBUF_SIZE] = "";
	int error;

	if (!stream)
		return problem_set(problem, -errno, "cannot open %s: %s", path, strerror(errno));
	setvbuf(stream, capture->buffer, _IOFBF, sizeof(capture->buffer));
	error = look_at(stream, path, &capture->size, problem);
	if (error)
		return error;
	capture->pcap = pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, why);
	if (!capture->pcap)
		return problem_set(
			problem, -EBADMSG,
			"cannot replay %s: not a pcap or pcapng capture (%s); decompress or convert it first",
			path, why);
	take_pointer(&stream);
	capture->link_type = pcap_datalink(capture->pcap);
	return check_link_type(capture->link_type, path, problem);
}

int capture_open(struct capture **capture, const char *path, struct problem *problem)
{
	struct capture *opened = calloc(1, sizeof(*opened));
	int error;

	if (!opened)
		return problem_set(problem, -ENOMEM, "cannot open %s: out of memory", path);
	error = open_pcap(opened, path, problem);
	if (error) {
		capture_close(opened);
		return error;
	}
	*capture = opened;
	return 0;
}

/*
 * Nanoseconds of a libpcap stamp at nanosecond precision, where tv_usec counts nanoseconds. The seconds
 * of a pcap file are 32 bits without a sign that libpcap reads with one; a damaged stamp is clamped.
 */
static __s64 stamp_of(const struct timeval *stamp)
{
	__s64 seconds = stamp->tv_sec, nanoseconds = stamp->tv_usec;

	if (seconds < 0 && seconds >= INT_MIN)
		seconds += 1LL << 32;
	if (seconds < 0)
		return 0;
	if (seconds >= LLONG_MAX / 1000000000LL)
		return LLONG_MAX;
	if (nanoseconds < 0 || nanoseconds > 999999999)
		nanoseconds = 0;
	return seconds * 1000000000LL + nanoseconds;
}

/* What to do about what libpcap says; it reads one kind of link in a file. */
static const char *remedy(const char *error)
{
	return strstr(error, "different from the type of the first interface")
		       ? ": write each interface into a file of its own (replay in the manual says how)"
		       : "";
}

int capture_next(struct capture *capture, struct capture_frame *frame, struct problem *problem)
{
	struct pcap_pkthdr *header;
	const u_char *data;
	int got = pcap_next_ex(capture->pcap, &header, &data);
	int error;

	if (got == PCAP_ERROR_BREAK)
		return 0;
	if (got != 1)
		return problem_set(problem, -EBADMSG, "%s%s", pcap_geterr(capture->pcap),
				   remedy(pcap_geterr(capture->pcap)));
	error = capture_to_ethernet(capture->link_type, data, header->caplen, header->len, capture->room,
				    frame);
	if (error)
		return problem_set(problem, error, "link type %d is not read", capture->link_type);
	frame->stamp = stamp_of(&header->ts);
	return 1;
}

__u64 capture_size(const struct capture *capture)
{
	return capture->size;
}

__u64 capture_offset(struct capture *capture)
{
	off_t offset = ftello(pcap_file(capture->pcap));

	return offset < 0 ? 0 : (__u64)offset;
}

void capture_close(struct capture *capture)
{
	if (!capture)
		return;
	if (capture->pcap)
		pcap_close(capture->pcap);
	free(capture);
}
