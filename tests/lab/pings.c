/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The pings that phones and proxies send to hold a NAT's door open, every kind there is, from many addresses
 * and ports: what a filter must never take for junk. One JSON line at the end: {"sent":N,"options":N}, the
 * second those that are OPTIONS requests and not keepalives.
 */
#include "lab.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define PHONES_MAX 4096
#define FIRST_PORT 20000

struct ping {
	const char *bytes; /* NULL: an OPTIONS request */
	size_t length;
};

/* A binding request, bare and with SOFTWARE: RFC 5389 6, as RFC 5626 3.5.2 sends it over UDP. */
#define STUN_BARE "\0\1\0\0\x21\x12\xa4\x42sipdam lab 1"
#define STUN_SOFT "\0\1\0\x0c\x21\x12\xa4\x42sipdam lab 2\x80\x22\0\10sipdam  "
#define PING(text)                                                                                           \
	{                                                                                                    \
		text, sizeof(text) - 1                                                                       \
	}

static const struct ping pings[] = {
	PING(""),        PING("\r\n"),    PING("\r\n\r\n"),
	PING("\0"),      PING("\0\0"),    PING("\0\0\0\0"),
	PING("jaK\0"),   PING("\n"),      PING("\r\n\r\n\r\n\r\n"),
	PING(STUN_BARE), PING(STUN_SOFT), {NULL, 0},
};
#define PINGS (sizeof(pings) / sizeof(*pings))

struct options {
	struct lab_prefix to, from;
	__u16 port;
	__u64 sources, phones, rounds, milliseconds;
};

enum { OPTION_TO = 256, OPTION_FROM, OPTION_SOURCES, OPTION_PHONES, OPTION_ROUNDS, OPTION_EVERY };

static const struct argp_option ping_options[] = {
	{"to", OPTION_TO, "ADDRESS", 0, "IPv4 address of the server, port 5060", 0},
	{"from", OPTION_FROM, "ADDRESS", 0, "First IPv4 address of the phones", 0},
	{"sources", OPTION_SOURCES, "N", 0, "Addresses, from the first upwards (1)", 0},
	{"phones", OPTION_PHONES, "N", 0, "Phones behind each address, a port each (1)", 0},
	{"rounds", OPTION_ROUNDS, "N", 0, "Pings of each phone (1)", 0},
	{"every", OPTION_EVERY, "MS", 0, "Milliseconds from round to round (1000)", 0},
	{0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case OPTION_TO:
		lab_prefix_option(state, "--to", argument, true, &options->to);
		return 0;
	case OPTION_FROM:
		lab_prefix_option(state, "--from", argument, true, &options->from);
		return 0;
	case OPTION_SOURCES:
		options->sources = lab_number(state, "--sources", argument, 1, PHONES_MAX);
		return 0;
	case OPTION_PHONES:
		options->phones = lab_number(state, "--phones", argument, 1, PHONES_MAX);
		return 0;
	case OPTION_ROUNDS:
		options->rounds = lab_number(state, "--rounds", argument, 1, 1000);
		return 0;
	case OPTION_EVERY:
		options->milliseconds = lab_number(state, "--every", argument, 0, 60000);
		return 0;
	case ARGP_KEY_END:
		if (options->to.family != AF_INET || options->from.family != AF_INET)
			argp_error(state, "--to and --from are needed, both IPv4");
		if (options->sources * options->phones > PHONES_MAX)
			argp_error(state, "at most %d phones in all", PHONES_MAX);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* A socket of phone number `phone` of source number `source`, connected to the server. Or -errno. */
static int open_phone(const struct options *options, __u64 source, __u64 phone)
{
	struct sockaddr_storage to, from;
	socklen_t length = lab_sockaddr(&options->to, 5060, &to);
	struct sockaddr_in *own = (struct sockaddr_in *)&from;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	lab_sockaddr(&options->from, (__u16)(FIRST_PORT + phone), &from);
	own->sin_addr.s_addr = htonl(ntohl(own->sin_addr.s_addr) + (__u32)source);
	if (fd < 0 || bind(fd, (struct sockaddr *)&from, length) ||
	    connect(fd, (struct sockaddr *)&to, length))
		return -errno;
	return fd;
}

static int send_options(int fd, __u64 phone, __u64 round)
{
	char text[512];
	int length = snprintf(text, sizeof(text),
			      "OPTIONS sip:platform SIP/2.0\r\n"
			      "Via: SIP/2.0/UDP phone%llu.invalid;branch=z9hG4bK%llu.%llu;rport\r\n"
			      "Max-Forwards: 70\r\nFrom: <sip:ping@platform>;tag=%llu\r\n"
			      "To: <sip:ping@platform>\r\nCall-ID: %llu.%llu@ping\r\n"
			      "CSeq: %llu OPTIONS\r\nContent-Length: 0\r\n\r\n",
			      phone, phone, round, phone, phone, round, round + 1);

	return send(fd, text, (size_t)length, 0) < 0 ? -errno : 1;
}

/* The next ping of a phone; each round it is of the next kind. 1 for OPTIONS, 0 for others, or -errno. */
static int send_ping(int fd, __u64 phone, __u64 round)
{
	const struct ping *ping = &pings[(phone + round) % PINGS];

	if (!ping->bytes)
		return send_options(fd, phone, round);
	return send(fd, ping->bytes, ping->length, 0) < 0 ? -errno : 0;
}

static int run(const struct options *options, int *phones, __u64 *sent, __u64 *requests)
{
	const struct timespec pause = {.tv_sec = (time_t)(options->milliseconds / 1000),
				       .tv_nsec = (long)(options->milliseconds % 1000 * LAB_MILLISECOND)};
	__u64 count = options->sources * options->phones;
	int answer;

	for (__u64 i = 0; i < count; i++) {
		phones[i] = open_phone(options, i / options->phones, i % options->phones);
		if (phones[i] < 0)
			return phones[i];
	}
	for (__u64 round = 0; round < options->rounds && !lab_stopped; round++) {
		if (round)
			nanosleep(&pause, NULL);
		for (__u64 i = 0; i < count; i++) {
			answer = send_ping(phones[i], i, round);
			if (answer < 0)
				return answer;
			*requests += (__u64)answer;
			++*sent;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp parser = {
		.options = ping_options,
		.parser = parse_option,
		.doc = "Sends NAT pings of every kind to a SIP server.",
	};
	static int phones[PHONES_MAX];
	struct options options = {.sources = 1, .phones = 1, .rounds = 1, .milliseconds = 1000};
	__u64 sent = 0, requests = 0;
	int error;

	argp_err_exit_status = 2;
	argp_parse(&parser, argc, argv, 0, NULL, &options);
	lab_stop_on_signals();
	error = run(&options, phones, &sent, &requests);
	if (error)
		fprintf(stderr, "pings: cannot send: %s\n", strerror(-error));
	printf("{\"sent\":%llu,\"options\":%llu}\n", sent, requests);
	return error ? 1 : 0;
}
