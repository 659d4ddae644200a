/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Nanoseconds a packet of the program that reads what the server sends, over a bare one in the same minute:
 * what is not of a protected port, and answers as a registrar and relay writes them, to who is known and who
 * is not. As bench.c, interleaved round by round; needs root and changes nothing.
 *
 *   egress [ROUNDS [PACKETS-A-ROUND]]   default: 31 rounds of 20,000 packets
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "../prog/packet.h"
#include "egress.h"
#include "filter.h"
#include "settings.h"

#define ROUNDS_MAX 999
#define RTP_BYTES  172
#define CALLER     "192.0.2.77" /* a peer for its calls alone */

/* The header lines of an answer of Kamailio's. */
#define HEADERS(cseq)                                                                                        \
	"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-1234567890abcdef;rport=5060;received=192.0.2.1\r\n"  \
	"From: <sip:alice@example.org>;tag=abcdef1234\r\n"                                                   \
	"To: <sip:alice@example.org>;tag=b27e1a1d33761e85846fc98f5f3a7e58.1234\r\n"                          \
	"Call-ID: 1234567890abcdef@192.0.2.1\r\nCSeq: 2 " cseq "\r\n"                                        \
	"Contact: <sip:alice@192.0.2.1:5060>;expires=600\r\nServer: kamailio (5.6.3 (x86_64/linux))\r\n"     \
	"Content-Length: 0\r\n\r\n"

struct sample_case {
	const char *name, *payload;
	int port; /* from */
	int family;
	bool tcp;
	const char *to; /* else to the one source */
	double sample[2][ROUNDS_MAX]; /* of the program, and of a bare one */
};

/* The first makes the receiver known, and what follows goes to one who is. */
static struct sample_case cases[] = {
	{"RTP, IPv4", NULL, 20000, 4, false, NULL, {}},
	{"RTP, IPv6", NULL, 20000, 6, false, NULL, {}},
	{"TLS, of an open connection", "\x17\x03\x03", TLS_PORT, 4, true, NULL, {}},
	{"a request", "OPTIONS sip:alice@192.0.2.1 SIP/2.0\r\n" HEADERS("OPTIONS"), SIP_PORT, 4, false, NULL, {}},
	{"100 to INVITE", "SIP/2.0 100 trying\r\n" HEADERS("INVITE"), SIP_PORT, 4, false, NULL, {}},
	{"180 to INVITE", "SIP/2.0 180 Ringing\r\n" HEADERS("INVITE"), SIP_PORT, 4, false, NULL, {}},
	{"200 to INVITE", "SIP/2.0 200 OK\r\n" HEADERS("INVITE"), SIP_PORT, 4, false, NULL, {}},
	{"401 to REGISTER", "SIP/2.0 401 Unauthorized\r\n" HEADERS("REGISTER"), SIP_PORT, 4, false, NULL, {}},
	{"200 to REGISTER", "SIP/2.0 200 OK\r\n" HEADERS("REGISTER"), SIP_PORT, 4, false, NULL, {}},
	{"180 to INVITE, of a caller", "SIP/2.0 180 Ringing\r\n" HEADERS("INVITE"), SIP_PORT, 4, false, CALLER, {}},
	{"200 to INVITE, of a caller", "SIP/2.0 200 OK\r\n" HEADERS("INVITE"), SIP_PORT, 4, false, CALLER, {}},
	{"200 to BYE, of a caller", "SIP/2.0 200 OK\r\n" HEADERS("BYE"), SIP_PORT, 4, false, CALLER, {}},
};

static void die(const char *what, int error)
{
	fprintf(stderr, "egress: %s: %s\n", what, strerror(error));
	exit(1);
}

static int load_bare(void)
{
	static const struct bpf_insn program[] = {
		{.code = 0xb7 /* r0 = -1 */, .imm = -1},
		{.code = 0x95 /* exit */},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "bare", "GPL", program, 2, NULL);

	if (fd < 0)
		die("loading a bare program (root is needed)", -fd);
	return fd;
}

static double measure(const struct sample_case *one, int program, int packets)
{
	static struct frame frame;
	const struct recipe recipe = {.source = one->family == 6 ? DESTINATION6 : DESTINATION,
				      .destination = one->to ? one->to : one->family == 6 ? SOURCE6 : SOURCE,
				      .family = one->family,
				      .protocol = one->tcp ? IPPROTO_TCP : 0,
				      .payload = one->payload,
				      .fill = RTP_BYTES};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame.data, .repeat = packets);

	frame_build(&frame, &recipe);
	put16(frame.data + frame.at[LAYER_TRANSPORT], one->port);
	opts.data_size_in = frame.length;
	if (bpf_prog_test_run_opts(program, &opts))
		die("running the program", errno);
	if ((int)opts.retval != -1)
		die(one->name, EPROTO);
	return opts.duration;
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static double percentile(double *sample, int rounds, int percent)
{
	qsort(sample, rounds, sizeof(*sample), compare);
	return sample[rounds * percent / 100];
}

static void print(int rounds, int packets)
{
	printf("\nWhat the server sends: net median and quietest tenth of %d rounds of %d packets.\n\n",
	       rounds, packets);
	for (size_t i = 0; i < COUNT(cases); i++)
		printf("%-36s %8.1f %8.1f\n", cases[i].name,
		       percentile(cases[i].sample[0], rounds, 50) -
			       percentile(cases[i].sample[1], rounds, 50),
		       percentile(cases[i].sample[0], rounds, 10) -
			       percentile(cases[i].sample[1], rounds, 10));
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 31, packets = argc > 2 ? atoi(argv[2]) : 20000;
	struct problem problem = {""};
	struct settings settings;
	struct filter *filter;
	struct egress *egress;
	cpu_set_t cpu;
	int bare;

	if (rounds < 1 || rounds > ROUNDS_MAX || packets < 1000) {
		fprintf(stderr, "egress: 1 to %d rounds of at least 1,000 packets\n", ROUNDS_MAX);
		return 2;
	}
	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
	settings_default(&settings);
	if (settings_finish(&settings, &problem) || filter_open_private(&filter, &settings, true, &problem) ||
	    egress_open_private(&egress, filter, true, &problem)) {
		fprintf(stderr, "egress: %s\n", problem.text);
		return 1;
	}
	bare = load_bare();
	for (int round = 0; round < rounds; round++)
		for (size_t i = 0; i < COUNT(cases); i++) {
			cases[i].sample[0][round] = measure(&cases[i], egress_program(egress), packets);
			cases[i].sample[1][round] = measure(&cases[i], bare, packets);
		}
	print(rounds, packets);
	egress_free(egress);
	filter_free(filter);
	settings_free(&settings);
	return 0;
}
