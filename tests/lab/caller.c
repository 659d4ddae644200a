/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A well-behaved caller for tests and the demo: places calls at a steady rate and keeps the timers of
 * RFC 3261 (A for INVITE, E for BYE), each retransmission byte for byte the first copy. A call has
 * succeeded when INVITE and BYE were both answered with 200 in time. No media, no authentication.
 * One JSON line at the end: {"calls":N,"succeeded":N,"failed":N,"retransmissions":N,"delay_ms":{...}}.
 */
#include "lab.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALLS_MAX    1000000
#define MESSAGE_MAX  2048
#define TAG_MAX      32
#define TIMER_T1     (500 * LAB_MILLISECOND) /* RFC 3261 17.1.1.1 */
#define TIMER_MOST   (32 * LAB_SECOND)
#define TICK         (2 * LAB_MILLISECOND) /* how often timers are looked at */
#define STATUS_EVERY (200 * LAB_MILLISECOND)

enum state { IDLE, INVITING, PROCEEDING, ENDING, SUCCEEDED, FAILED };

struct call {
	__u64 started, next,
		interval; /* nanoseconds: of the call, of its next retransmission, between them */
	__u64 delay;      /* nanoseconds from the first INVITE to its answer */
	enum state state;
	char tag[TAG_MAX]; /* of the called side */
};

struct options {
	struct lab_prefix to, from;
	bool have_to, have_from, live;
	__u16 port;
	__u64 rate, seconds, timeout;
	const char *status;
};

struct caller {
	const struct options *options;
	int socket;
	unsigned int run; /* distinguishes this run's calls from another's */
	char to[LAB_URI_HOST], from[LAB_URI_HOST];
	unsigned int from_port;
	struct call *call;
	__u64 calls_most, placed, oldest; /* oldest: every call below has ended */
	__u64 succeeded, failed, retransmissions;
};

enum { OPTION_TO = 256, OPTION_FROM, OPTION_LIVE, OPTION_STATUS, OPTION_TIMEOUT };

static const struct argp_option caller_options[] = {
	{"to", OPTION_TO, "ADDRESS", 0, "Address of the SIP server", 0},
	{"port", 'p', "PORT", 0, "Its port (5060)", 0},
	{"from", OPTION_FROM, "ADDRESS", 0, "Address to call from (any)", 0},
	{"rate", 'r', "N", 0, "Calls a second (10)", 0},
	{"seconds", 's', "S", 0, "Place calls for so long (10)", 0},
	{"timeout", OPTION_TIMEOUT, "S", 0, "Give a call up after so long (4)", 0},
	{"status", OPTION_STATUS, "FILE", 0, "Keep running totals in this file", 0},
	{"live", OPTION_LIVE, NULL, 0, "Print running totals to stderr", 0},
	{0},
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case OPTION_TO:
		lab_prefix_option(state, "--to", argument, true, &options->to);
		options->have_to = true;
		return 0;
	case 'p':
		options->port = (__u16)lab_number(state, "--port", argument, 1, 65535);
		return 0;
	case OPTION_FROM:
		lab_prefix_option(state, "--from", argument, true, &options->from);
		options->have_from = true;
		return 0;
	case 'r':
		options->rate = lab_number(state, "--rate", argument, 1, 10000);
		return 0;
	case 's':
		options->seconds = lab_number(state, "--seconds", argument, 1, 3600);
		return 0;
	case OPTION_TIMEOUT:
		options->timeout = lab_number(state, "--timeout", argument, 1, 64);
		return 0;
	case OPTION_STATUS:
		options->status = argument;
		return 0;
	case OPTION_LIVE:
		options->live = true;
		return 0;
	case ARGP_KEY_END:
		if (!options->have_to)
			argp_error(state, "--to is needed");
		if (options->have_from && options->from.family != options->to.family)
			argp_error(state, "--to and --from are of different IP versions");
		if (options->rate * options->seconds > CALLS_MAX)
			argp_error(state, "at most %d calls in one run", CALLS_MAX);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Writes a request of a call; the same call and method give the same bytes. Returns its length. */
static int write_request(const struct caller *caller, __u64 number, const char *method, char *text)
{
	static const char sdp[] =
		"v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
		"m=audio 40000 RTP/AVP 8 0\r\na=sendrecv\r\n";
	const struct call *call = &caller->call[number];
	bool invite = !strcmp(method, "INVITE"), bye = !strcmp(method, "BYE");
	const char *tag = invite ? "" : call->tag, *body = invite ? sdp : "";
	/* the ACK of a refusal belongs to the INVITE's transaction, that of a 200 has its own
	 * (17.1.1.3, 13.2.2.4) */
	const char *branch = !invite && call->state == FAILED ? "INVITE" : method;

	return snprintf(text, MESSAGE_MAX,
			"%s sip:1000@%s:%u SIP/2.0\r\n"
			"Via: SIP/2.0/UDP %s:%u;branch=z9hG4bK-%08x-%llu-%s;rport\r\n"
			"Max-Forwards: 70\r\n"
			"From: <sip:caller@%s>;tag=%08x%llu\r\n"
			"To: <sip:1000@%s>%s%s\r\n"
			"Call-ID: %llu-%08x@lab\r\n"
			"CSeq: %d %s\r\n"
			"Contact: <sip:caller@%s:%u>\r\n"
			"%sContent-Length: %zu\r\n\r\n%s",
			method, caller->to, caller->options->port, caller->from, caller->from_port,
			caller->run, number, branch, caller->from, caller->run, number, caller->to,
			*tag ? ";tag=" : "", tag, number, caller->run, bye ? 2 : 1, method, caller->from,
			caller->from_port, invite ? "Content-Type: application/sdp\r\n" : "", strlen(body),
			body);
}

/* A datagram that cannot be sent is as good as lost: the timers repeat it. */
static void send_request(const struct caller *caller, __u64 number, const char *method)
{
	char text[MESSAGE_MAX];
	int length = write_request(caller, number, method, text);

	if (send(caller->socket, text, (size_t)length, MSG_DONTWAIT) < 0)
		return;
}

/* Sends a request for the first time and starts its timer. */
static void start_transaction(struct caller *caller, __u64 number, enum state state, __u64 now)
{
	struct call *call = &caller->call[number];

	call->state = state;
	call->interval = TIMER_T1;
	call->next = now + call->interval;
	send_request(caller, number, state == ENDING ? "BYE" : "INVITE");
}

static void end_call(struct caller *caller, struct call *call, enum state state)
{
	call->state = state;
	if (state == SUCCEEDED)
		caller->succeeded++;
	else
		caller->failed++;
}

static void place_due(struct caller *caller, __u64 start, __u64 now)
{
	__u64 due = (now - start) * caller->options->rate / LAB_SECOND + 1;

	for (; caller->placed < due && caller->placed < caller->calls_most && !lab_stopped;
	     caller->placed++) {
		caller->call[caller->placed].started = now;
		start_transaction(caller, caller->placed, INVITING, now);
	}
}

static void retransmit(struct caller *caller, __u64 number, __u64 now)
{
	struct call *call = &caller->call[number];

	send_request(caller, number, call->state == ENDING ? "BYE" : "INVITE");
	caller->retransmissions++;
	call->interval = call->interval * 2 < TIMER_MOST ? call->interval * 2 : TIMER_MOST;
	call->next = now + call->interval;
}

static void keep_timers(struct caller *caller, __u64 now)
{
	__u64 timeout = caller->options->timeout * LAB_SECOND, i;
	struct call *call;

	for (i = caller->oldest; i < caller->placed; i++) {
		call = &caller->call[i];
		if (call->state >= SUCCEEDED) {
			caller->oldest += i == caller->oldest;
			continue;
		}
		if (now - call->started >= timeout)
			end_call(caller, call, FAILED);
		else if (call->state != PROCEEDING && now >= call->next)
			retransmit(caller, i, now);
	}
}

/* Keeps the tag of the called side for the rest of the dialog. */
static void keep_tag(struct call *call, const char *answer)
{
	const char *to = strcasestr(answer, "\r\nTo:"), *tag = to ? strstr(to, ";tag=") : NULL;
	size_t length = tag ? strcspn(tag + 5, ";\r\n \t>") : 0;

	if (!tag || strcspn(to + 2, "\r") < (size_t)(tag - to - 2) || length >= TAG_MAX)
		return;
	memcpy(call->tag, tag + 5, length);
	call->tag[length] = '\0';
}

static void invite_answered(struct caller *caller, __u64 number, int status, const char *answer, __u64 now)
{
	struct call *call = &caller->call[number];

	if (status < 200 && call->state == INVITING)
		call->state = PROCEEDING;
	if (status < 200 || call->state == FAILED)
		return;
	if (status >= 300 && call->state <= PROCEEDING) {
		end_call(caller, call, FAILED);
		send_request(caller, number, "ACK");
		return;
	}
	keep_tag(call, answer);
	send_request(caller, number, "ACK"); /* every copy of a 200 is acknowledged (13.2.2.4) */
	if (call->state > PROCEEDING)
		return;
	call->delay = now - call->started;
	start_transaction(caller, number, ENDING, now);
}

/* One answer, ended by a NUL. What does not belong to a call of this run is ignored. */
static void take_answer(struct caller *caller, const char *answer, __u64 now)
{
	const char *id = strcasestr(answer, "\r\nCall-ID:"), *cseq = strcasestr(answer, "\r\nCSeq:");
	unsigned long long number;
	unsigned int run, sequence;
	char method[16];
	int status;

	if (!id || !cseq || sscanf(answer, "SIP/2.0 %3d", &status) != 1 ||
	    sscanf(id + 10, " %llu-%8x@lab", &number, &run) != 2 ||
	    sscanf(cseq + 7, " %u %15s", &sequence, method) != 2 || run != caller->run ||
	    number >= caller->placed)
		return;
	if (!strcmp(method, "INVITE"))
		invite_answered(caller, number, status, answer, now);
	else if (!strcmp(method, "BYE") && status >= 200 && caller->call[number].state == ENDING)
		end_call(caller, &caller->call[number], status < 300 ? SUCCEEDED : FAILED);
}

static void receive(struct caller *caller)
{
	char text[MESSAGE_MAX];
	ssize_t length;

	while ((length = recv(caller->socket, text, sizeof(text) - 1, MSG_DONTWAIT)) > 0) {
		text[length] = '\0';
		take_answer(caller, text, lab_now());
	}
}

/* Writes the running totals beside the file and renames, so that a reader never sees half of them. */
static void publish(const struct caller *caller)
{
	char beside[4096];
	FILE *file;

	if (caller->options->live)
		fprintf(stderr, "calls %llu, succeeded %llu, failed %llu, sent again %llu\n", caller->placed,
			caller->succeeded, caller->failed, caller->retransmissions);
	if (!caller->options->status ||
	    snprintf(beside, sizeof(beside), "%s.new", caller->options->status) >= (int)sizeof(beside))
		return;
	file = fopen(beside, "w");
	if (!file)
		return;
	fprintf(file,
		"{\"calls\":%llu,\"succeeded\":%llu,\"failed\":%llu,\"pending\":%llu,\"retransmissions\":%"
		"llu}\n",
		caller->placed, caller->succeeded, caller->failed,
		caller->placed - caller->succeeded - caller->failed, caller->retransmissions);
	if (!fclose(file) && rename(beside, caller->options->status))
		unlink(beside);
}

static bool finished(const struct caller *caller)
{
	return (lab_stopped || caller->placed == caller->calls_most) &&
	       caller->succeeded + caller->failed == caller->placed;
}

/* Places the calls and waits for the last of them: no longer than one timeout. */
static void run(struct caller *caller)
{
	__u64 start = lab_now(), now = start, next_tick = 0, next_status = 0;
	struct pollfd waiting = {.fd = caller->socket, .events = POLLIN};
	const struct timespec tick = {.tv_nsec = TICK};

	while (!finished(caller)) {
		now = lab_now();
		if (now >= next_tick) {
			place_due(caller, start, now);
			keep_timers(caller, now);
			next_tick = now + TICK;
		}
		if (now >= next_status) {
			publish(caller);
			next_status = now + STATUS_EVERY;
		}
		if (ppoll(&waiting, 1, &tick, NULL) > 0)
			receive(caller);
	}
	publish(caller);
}

/* 0 or -errno. */
static int prepare(struct caller *caller, const struct options *options)
{
	struct sockaddr_storage address;
	struct lab_prefix own = {.family = options->to.family};
	socklen_t length = sizeof(address);

	caller->options = options;
	caller->run = (unsigned int)lab_mix(lab_now() ^ (__u64)getpid());
	caller->calls_most = options->rate * options->seconds;
	caller->call = calloc(caller->calls_most, sizeof(*caller->call));
	caller->socket = socket(options->to.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (!caller->call || caller->socket < 0)
		return -errno;
	if (options->have_from &&
	    bind(caller->socket, (struct sockaddr *)&address, lab_sockaddr(&options->from, 0, &address)))
		return -errno;
	if (connect(caller->socket, (struct sockaddr *)&address,
		    lab_sockaddr(&options->to, options->port, &address)) ||
	    getsockname(caller->socket, (struct sockaddr *)&address, &length))
		return -errno;
	if (own.family == AF_INET)
		memcpy(own.bytes, &((struct sockaddr_in *)&address)->sin_addr, 4);
	else
		memcpy(own.bytes, &((struct sockaddr_in6 *)&address)->sin6_addr, 16);
	caller->from_port = ntohs(((struct sockaddr_in *)&address)->sin_port); /* at the same place in both */
	lab_uri_host(&own, caller->from);
	lab_uri_host(&options->to, caller->to);
	return 0;
}

static int by_value(const void *a, const void *b)
{
	__u64 x = *(const __u64 *)a, y = *(const __u64 *)b;

	return (x > y) - (x < y);
}

static void report(const struct caller *caller)
{
	__u64 *delay = calloc(caller->placed + 1, sizeof(*delay)), i, n = 0;
	double p50, p99;

	for (i = 0; delay && i < caller->placed; i++)
		if (caller->call[i].state == SUCCEEDED)
			delay[n++] = caller->call[i].delay;
	if (n)
		qsort(delay, n, sizeof(*delay), by_value);
	p50 = n ? (double)delay[(n - 1) / 2] / (double)LAB_MILLISECOND : 0;
	p99 = n ? (double)delay[(n - 1) * 99 / 100] / (double)LAB_MILLISECOND : 0;
	free(delay);
	printf("{\"calls\":%llu,\"succeeded\":%llu,\"failed\":%llu,\"retransmissions\":%llu,"
	       "\"delay_ms\":{\"p50\":%.1f,\"p99\":%.1f}}\n",
	       caller->placed, caller->succeeded, caller->placed - caller->succeeded, caller->retransmissions,
	       p50, p99);
}

int main(int argc, char **argv)
{
	static const struct argp parser = {
		.options = caller_options,
		.parser = parse_option,
		.doc = "Places SIP calls at a steady rate and counts those that succeed.",
	};
	struct options options = {.port = 5060, .rate = 10, .seconds = 10, .timeout = 4};
	struct caller caller = {0};
	int error;

	argp_err_exit_status = 2;
	argp_parse(&parser, argc, argv, 0, NULL, &options);
	lab_stop_on_signals();
	error = prepare(&caller, &options);
	if (error) {
		fprintf(stderr, "caller: cannot call port %u of the server: %s\n", options.port,
			strerror(-error));
		return 1;
	}
	run(&caller);
	report(&caller);
	free(caller.call);
	close(caller.socket);
	return 0;
}
