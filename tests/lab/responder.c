/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A small SIP server over UDP for tests and the demo: says 200 OK to every request but ACK, keeps no
 * dialogs, counts what reached it. With --busy-us it breaks where a real one would. No SIP stack: it
 * never retransmits and never refuses.
 * One JSON line at the end: {"received":N,"answered":N,"overflowed":N,"by_method":{...},"from_prefix":{...}}.
 */
#include "lab.h"

#include <linux/sock_diag.h>
#include <stdio.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH        32
#define DATAGRAM_MAX 9216
#define ANSWER_MAX   (4 * DATAGRAM_MAX + 512) /* the shortest To line, "t:", grows fourfold by its tag */
#define PREFIXES_MAX 16
#define TURNS        8 /* batches read before the signals are looked at again */

enum { INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, OTHER, RESPONSE, METHODS };
static const char *const method_names[METHODS] = {"INVITE",  "ACK",      "BYE",   "CANCEL",
						  "OPTIONS", "REGISTER", "other", "response"};

struct options {
	struct lab_prefix listen;
	__u16 port;
	__u64 seconds, busy, buffer;
	const char *prefix_text[PREFIXES_MAX];
	struct lab_prefix prefix[PREFIXES_MAX];
	size_t prefixes;
};

struct server {
	const struct options *options;
	int socket;
	char contact[LAB_URI_HOST];
	char datagram[BATCH][DATAGRAM_MAX];
	struct sockaddr_storage peer[BATCH];
	struct iovec vector[BATCH];
	struct mmsghdr message[BATCH];
	__u64 received, answered, by_method[METHODS], from_prefix[PREFIXES_MAX];
};

enum { OPTION_BUSY = 256, OPTION_BUFFER };

static const struct argp_option server_options[] = {
	{"listen", 'l', "ADDRESS", 0, "Address to answer on (0.0.0.0)", 0},
	{"port", 'p', "PORT", 0, "Port to answer on (5060)", 0},
	{"seconds", 's', "S", 0, "End after so long, 0 for never (0)", 0},
	{"count", 'c', "PREFIX", 0, "Count what comes from here; up to 16 times", 0},
	{"busy-us", OPTION_BUSY, "N", 0, "Work this many microseconds on each request (0)", 0},
	{"buffer", OPTION_BUFFER, "BYTES", 0, "Receive buffer of the socket (212992)", 0},
	{0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'l':
		lab_prefix_option(state, "--listen", argument, true, &options->listen);
		return 0;
	case 'p':
		options->port = (__u16)lab_number(state, "--port", argument, 1, 65535);
		return 0;
	case 's':
		options->seconds = lab_number(state, "--seconds", argument, 0, 1000000);
		return 0;
	case 'c':
		if (options->prefixes == PREFIXES_MAX)
			argp_error(state, "--count: at most %d prefixes", PREFIXES_MAX);
		lab_prefix_option(state, "--count", argument, false, &options->prefix[options->prefixes]);
		options->prefix_text[options->prefixes++] = argument;
		return 0;
	case OPTION_BUSY:
		options->busy = lab_number(state, "--busy-us", argument, 0, 1000000);
		return 0;
	case OPTION_BUFFER:
		options->buffer = lab_number(state, "--buffer", argument, 1024, 1 << 30);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int method_of(const char *text, size_t length)
{
	const char *space = memchr(text, ' ', length);
	size_t name = space ? (size_t)(space - text) : 0;
	int method;

	if (length >= 8 && !memcmp(text, "SIP/2.0 ", 8))
		return RESPONSE;
	for (method = INVITE; method < OTHER; method++)
		if (strlen(method_names[method]) == name && !memcmp(text, method_names[method], name))
			return method;
	return OTHER;
}

/* Whether the line is a header field of this name, long or compact (RFC 3261 7.3.3; 0 for no compact form).
 */
static bool is_field(const char *line, size_t length, const char *name, char compact)
{
	size_t end = strcspn(line, ": \t\r");

	if (end >= length)
		return false;
	return (end == strlen(name) && !strncasecmp(line, name, end)) ||
	       (end == 1 && compact && (line[0] | 0x20) == compact);
}

static bool is_copied(const char *line, size_t length)
{
	return is_field(line, length, "Via", 'v') || is_field(line, length, "From", 'f') ||
	       is_field(line, length, "Call-ID", 'i') || is_field(line, length, "CSeq", 0) ||
	       is_field(line, length, "Record-Route", 0);
}

static char *append(char *out, const char *text, size_t length)
{
	memcpy(out, text, length);
	return out + length;
}

/* Writes the answer to a request that ends in a NUL. Returns its length; out holds ANSWER_MAX bytes. */
static size_t write_answer(const struct server *server, const char *request, size_t length, char *out)
{
	const char *line = request, *end = request + length, *newline;
	char *at = stpcpy(out, "SIP/2.0 200 OK\r\n");
	bool copied = false, to;
	size_t text;

	while ((newline = memchr(line, '\n', (size_t)(end - line)))) {
		text = (size_t)(newline - line);
		text -= text && line[text - 1] == '\r';
		if (line != request && !text)
			break; /* the blank line before the body */
		to = line != request && is_field(line, text, "To", 't');
		if (line != request && *line != ' ' && *line != '\t')
			copied = to || is_copied(line, text);
		if (copied) {
			at = append(at, line, text);
			if (to && !memmem(line, text, ";tag=", 5))
				at = stpcpy(at, ";tag=lab");
			at = stpcpy(at, "\r\n");
		}
		line = newline + 1;
	}
	return (size_t)(at - out) + (size_t)snprintf(at, (size_t)(out + ANSWER_MAX - at),
						     "Contact: <sip:lab@%s:%u>\r\nContent-Length: 0\r\n\r\n",
						     server->contact, server->options->port);
}

static void work(__u64 microseconds)
{
	__u64 end = lab_now() + microseconds * 1000;

	while (microseconds && lab_now() < end)
		;
}

static void take(struct server *server, char *text, size_t length, const struct msghdr *header)
{
	static char answer[ANSWER_MAX];
	int method = method_of(text, length);
	size_t i;

	server->received++;
	server->by_method[method]++;
	for (i = 0; i < server->options->prefixes; i++)
		server->from_prefix[i] += lab_prefix_holds(&server->options->prefix[i], header->msg_name);
	if (method == ACK || method == RESPONSE)
		return;
	work(server->options->busy);
	text[length] = '\0';
	length = write_answer(server, text, length, answer);
	if (sendto(server->socket, answer, length, MSG_DONTWAIT, header->msg_name, header->msg_namelen) > 0)
		server->answered++;
}

/* Reads and answers what waits, for a bounded while. 0 or -errno. */
static int serve(struct server *server)
{
	int turn, n, i;

	for (turn = 0; turn < TURNS; turn++) {
		for (i = 0; i < BATCH; i++)
			server->message[i].msg_hdr.msg_namelen = sizeof(server->peer[i]);
		n = recvmmsg(server->socket, server->message, BATCH, MSG_DONTWAIT, NULL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR || errno == ECONNREFUSED ? 0 : -errno;
		for (i = 0; i < n; i++)
			take(server, server->datagram[i], server->message[i].msg_len,
			     &server->message[i].msg_hdr);
	}
	return 0;
}

static int prepare(struct server *server, const struct options *options)
{
	struct sockaddr_storage address;
	socklen_t length = lab_sockaddr(&options->listen, options->port, &address);
	int buffer = (int)options->buffer;
	size_t i;

	server->options = options;
	lab_uri_host(&options->listen, server->contact);
	for (i = 0; i < BATCH; i++) {
		/* one byte is left for a NUL */
		server->vector[i] = (struct iovec){server->datagram[i], DATAGRAM_MAX - 1};
		server->message[i].msg_hdr = (struct msghdr){
			.msg_iov = &server->vector[i], .msg_iovlen = 1, .msg_name = &server->peer[i]};
	}
	server->socket = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (server->socket < 0 ||
	    setsockopt(server->socket, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)) ||
	    bind(server->socket, (struct sockaddr *)&address, length))
		return -errno;
	return 0;
}

/* An epoll descriptor over the socket and the signals that end the program. */
static int watch(int socket, int *out)
{
	struct epoll_event event = {.events = EPOLLIN};
	sigset_t signals;
	int poll = epoll_create1(EPOLL_CLOEXEC), stop;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	stop = signalfd(-1, &signals, SFD_CLOEXEC);
	if (poll < 0 || stop < 0)
		return -errno;
	event.data.fd = socket;
	if (epoll_ctl(poll, EPOLL_CTL_ADD, socket, &event))
		return -errno;
	event.data.fd = stop;
	if (epoll_ctl(poll, EPOLL_CTL_ADD, stop, &event))
		return -errno;
	*out = poll;
	return 0;
}

static int run(struct server *server)
{
	__u64 end = server->options->seconds ? lab_now() + server->options->seconds * LAB_SECOND : UINT64_MAX,
	      now;
	struct epoll_event event[2];
	bool stopped = false;
	int poll = -1, n, error, wait;

	error = watch(server->socket, &poll);
	while (!error && !stopped && (now = lab_now()) < end) {
		wait = end - now < LAB_SECOND ? (int)((end - now) / LAB_MILLISECOND) + 1 : 1000;
		n = epoll_wait(poll, event, 2, wait);
		if (n < 0 && errno != EINTR)
			return -errno;
		while (n-- > 0) {
			if (event[n].data.fd == server->socket)
				error = serve(server);
			else
				stopped = true;
		}
	}
	return error;
}

/* Datagrams that the kernel dropped because the socket's buffer was full. */
static unsigned int overflowed(int socket)
{
	__u32 memory[SK_MEMINFO_VARS] = {0};
	socklen_t length = sizeof(memory);

	getsockopt(socket, SOL_SOCKET, SO_MEMINFO, memory, &length);
	return memory[SK_MEMINFO_DROPS];
}

static void report(const struct server *server)
{
	size_t i;

	printf("{\"received\":%llu,\"answered\":%llu,\"overflowed\":%u,\"by_method\":{", server->received,
	       server->answered, overflowed(server->socket));
	for (i = 0; i < METHODS; i++)
		printf("%s\"%s\":%llu", i ? "," : "", method_names[i], server->by_method[i]);
	printf("},\"from_prefix\":{");
	for (i = 0; i < server->options->prefixes; i++)
		printf("%s\"%s\":%llu", i ? "," : "", server->options->prefix_text[i],
		       server->from_prefix[i]);
	printf("}}\n");
}

int main(int argc, char **argv)
{
	static const struct argp parser = {
		.options = server_options,
		.parser = parse_option,
		.doc = "A small SIP server that says 200 OK.",
	};
	struct options options = {.listen = {.family = AF_INET, .bits = 32}, .port = 5060, .buffer = 212992};
	static struct server server;
	int error;

	argp_err_exit_status = 2;
	argp_parse(&parser, argc, argv, 0, NULL, &options);
	error = prepare(&server, &options);
	if (error) {
		fprintf(stderr, "responder: cannot listen on port %u: %s\n", options.port, strerror(-error));
		return 1;
	}
	error = run(&server);
	if (error)
		fprintf(stderr, "responder: receiving failed: %s\n", strerror(-error));
	report(&server);
	return error ? 1 : 0;
}
