// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sends INVITEs over UDP and IPv4 on a virtual Ethernet pair, as the kernel's own test runs with live frames
 * do: no socket buffer and no copy, so that what is timed is nearly all the receiver. Sending and receiving
 * take turns on one CPU, 64 packets each. Prints the nanoseconds a packet of both.
 *
 *   sender [--in-order] DEVICE DESTINATION-MAC FIRST-SOURCE SOURCES PACKETS
 *   sender --drop DEVICE          attaches a program that drops, and nothing else
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sender.skel.h"

#define PAYLOAD_BYTES 554 /* an INVITE with its SDP */
#define HEADER_BYTES  42  /* Ethernet, IPv4, UDP */
#define FRAME_BYTES   (HEADER_BYTES + PAYLOAD_BYTES)
#define BATCH         64 /* the kernel's own default; a veth ring holds 256 */
#define PACKETS_MAX   100000000

/* Of sender.bpf.c. */
struct sending {
	__u64 state;
	__u32 base, sources, in_order, sum;
};

static void die(const char *what, int error)
{
	fprintf(stderr, "sender: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

static unsigned int find_device(const char *name)
{
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq request = {.ifr_data = (void *)&driver};
	int socket_fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (socket_fd < 0 || ioctl(socket_fd, SIOCETHTOOL, &request))
		die(name, errno);
	close(socket_fd);
	if (strcmp(driver.driver, "veth")) {
		fprintf(stderr, "sender: %s: not a virtual Ethernet pair: this sends a flood\n", name);
		exit(2);
	}
	return if_nametoindex(name);
}

static void put16(__u8 *at, unsigned int value)
{
	at[0] = value >> 8;
	at[1] = value;
}

/* Of the IPv4 header, without its source, which is 0 still. */
static __u32 header_sum(const __u8 frame[FRAME_BYTES])
{
	__u32 sum = 0;

	for (int i = 14; i < 34; i += 2)
		sum += frame[i] << 8 | frame[i + 1];
	return sum;
}

/* Source and header checksum stay 0: the program writes them. No UDP checksum. */
static void make_frame(__u8 frame[FRAME_BYTES], const struct ether_addr *mac)
{
	static const char text[] = "INVITE sip:service@192.0.2.1:5060 SIP/2.0\r\n"
				   "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKabcdefgh\r\n"
				   "From: caller <sip:caller@10.0.0.1:5060>;tag=1\r\n"
				   "To: service <sip:service@192.0.2.1:5060>\r\nCall-ID: 1-1@10.0.0.1\r\n"
				   "CSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\nSubject: ";
	static const __u8 destination[4] = {192, 0, 2, 1};

	memset(frame, 'x', FRAME_BYTES);
	memcpy(frame, mac, ETH_ALEN);
	memset(frame + ETH_ALEN, 2, ETH_ALEN);
	put16(frame + 12, 0x0800);
	memset(frame + 14, 0, 28);
	frame[14] = 0x45;
	put16(frame + 16, FRAME_BYTES - 14);
	frame[22] = 64;
	frame[23] = IPPROTO_UDP;
	memcpy(frame + 30, destination, sizeof(destination));
	put16(frame + 34, 5060);
	put16(frame + 36, 5060);
	put16(frame + 38, FRAME_BYTES - 34);
	memcpy(frame + HEADER_BYTES, text, sizeof(text) - 1);
	memcpy(frame + FRAME_BYTES - 4, "\r\n\r\n", 4);
}

static void attach_drop(struct sender_bpf *sender, unsigned int device)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	int error =
		bpf_xdp_attach(device, bpf_program__fd(sender->progs.drop_frame), XDP_FLAGS_DRV_MODE, &opts);

	if (error)
		die("attaching the program that drops", error);
}

static __u32 read_number(const char *what, const char *text, unsigned long most)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*end || !number || number > most) {
		fprintf(stderr, "sender: %s '%s': a number up to %lu was expected\n", what, text, most);
		exit(2);
	}
	return number;
}

/* Nanoseconds a packet, of sender and receiver. */
static unsigned int send_frames(struct sender_bpf *sender, unsigned int device, const __u8 frame[FRAME_BYTES],
				__u32 packets)
{
	struct xdp_md context = {.data_end = FRAME_BYTES, .ingress_ifindex = device};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = FRAME_BYTES,
		    .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = packets,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);
	int error = bpf_prog_test_run_opts(bpf_program__fd(sender->progs.send_frame), &opts);

	if (error)
		die("sending", error);
	return opts.duration;
}

static void stay_on_cpu(int number)
{
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(number, &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu))
		die("staying on a CPU", errno);
}

static void run(struct sender_bpf *sender, bool in_order, char **arguments)
{
	unsigned int device = find_device(arguments[0]);
	const struct ether_addr *mac = ether_aton(arguments[1]);
	struct sending sending = {.in_order = in_order};
	__u8 frame[FRAME_BYTES];
	struct in_addr base;
	__u32 zero = 0;

	if (!mac || !inet_aton(arguments[2], &base)) {
		fprintf(stderr, "sender: an Ethernet address and an IPv4 address were expected\n");
		exit(2);
	}
	make_frame(frame, mac);
	sending.base = ntohl(base.s_addr);
	sending.sources = read_number("sources", arguments[3], 1UL << 31);
	sending.sum = header_sum(frame);
	if (!in_order && getrandom(&sending.state, sizeof(sending.state), 0) != sizeof(sending.state))
		die("drawing a seed", errno);
	if (bpf_map_update_elem(bpf_map__fd(sender->maps.sendings), &zero, &sending, BPF_ANY))
		die("preparing", errno);
	stay_on_cpu(0);
	printf("%u\n", send_frames(sender, device, frame, read_number("packets", arguments[4], PACKETS_MAX)));
}

int main(int argc, char **argv)
{
	bool drop = argc == 3 && !strcmp(argv[1], "--drop");
	bool in_order = argc == 7 && !strcmp(argv[1], "--in-order");
	struct sender_bpf *sender;

	if (!drop && !in_order && argc != 6) {
		fprintf(stderr, "usage: sender [--in-order] DEVICE MAC FIRST-SOURCE SOURCES PACKETS\n"
				"       sender --drop DEVICE\n");
		return 2;
	}
	sender = sender_bpf__open_and_load();
	if (!sender)
		die("loading (root is needed)", errno);
	if (drop)
		attach_drop(sender, find_device(argv[2]));
	else
		run(sender, in_order, argv + 1 + in_order);
	sender_bpf__destroy(sender);
	return 0;
}
