/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A caller over TLS for tests: each call a connection of its own at a steady rate, one version of TLS,
 * INVITE, 200, ACK, BYE, 200. With --hello it sends a ClientHello, says nothing more and hangs up after a
 * while: a flood by real connections. One JSON line at the end:
 * {"calls":N,"succeeded":N,"refused":N,"late":N,"delay_ms":{...}, "refused_ms":{...}}; refused is an error
 * that was told, late is none within the time.
 */
#include "lab.h"

#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALLS_MAX   1000000
#define OPEN_MAX    20000 /* at once, or as many as the system lets */
#define MESSAGE_MAX 2048
#define TICK        2 /* milliseconds */

enum state { IDLE, CONNECTING, SHAKING, INVITING, ENDING, SUCCEEDED, REFUSED, LATE };

struct call {
	enum state state;
	int fd;
	SSL *tls;
	__u64 started, ended; /* nanoseconds */
	size_t length;
	char answer[MESSAGE_MAX];
};

struct options {
	struct lab_prefix to, from;
	bool have_to, have_from, hello;
	__u16 port;
	__u64 rate, seconds, timeout, sources, hold;
	int version;
};

struct caller {
	const struct options *options;
	SSL_CTX *context;
	struct call **call; /* of those placed; freed once they have ended, all but the times */
	struct pollfd *poll;
	__u64 *at; /* the number of the call of each descriptor polled */
	__u64 calls_most, placed, oldest, open, open_most;
	__u64 count[LATE + 1];
	double *delay, *refusal; /* milliseconds */
	__u64 delays, refusals;
	char to[LAB_URI_HOST];
};

enum { OPTION_TO = 256, OPTION_FROM, OPTION_TLS, OPTION_HELLO, OPTION_SOURCES, OPTION_HOLD };

static const struct argp_option caller_options[] = {
	{"to", OPTION_TO, "ADDRESS", 0, "Address of the SIP server", 0},
	{"port", 'p', "PORT", 0, "Its port (5061)", 0},
	{"from", OPTION_FROM, "ADDRESS", 0, "First address to call from, of IPv4 (any)", 0},
	{"sources", OPTION_SOURCES, "N", 0, "So many addresses from there on, in turn (1)", 0},
	{"rate", 'r', "N", 0, "Calls a second (10)", 0},
	{"seconds", 's', "S", 0, "Place calls for so long (10)", 0},
	{"timeout", 't', "MS", 0, "Give a call up after so many milliseconds (4000)", 0},
	{"tls", OPTION_TLS, "VERSION", 0, "1.2 or 1.3 (1.3)", 0},
	{"hello", OPTION_HELLO, NULL, 0, "Send a ClientHello alone", 0},
	{"hold", OPTION_HOLD, "MS", 0, "and hang up after so many milliseconds (1000)", 0},
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
	case OPTION_FROM:
		lab_prefix_option(state, "--from", argument, true, &options->from);
		options->have_from = true;
		return 0;
	case 'p':
		options->port = (__u16)lab_number(state, "--port", argument, 1, 65535);
		return 0;
	case OPTION_SOURCES:
		options->sources = lab_number(state, "--sources", argument, 1, 65536);
		return 0;
	case 'r':
		options->rate = lab_number(state, "--rate", argument, 1, 20000);
		return 0;
	case 's':
		options->seconds = lab_number(state, "--seconds", argument, 1, 600);
		return 0;
	case 't':
		options->timeout = lab_number(state, "--timeout", argument, 10, 60000);
		return 0;
	case OPTION_TLS:
		if (strcmp(argument, "1.2") && strcmp(argument, "1.3"))
			argp_error(state, "--tls is 1.2 or 1.3");
		options->version = strcmp(argument, "1.2") ? TLS1_3_VERSION : TLS1_2_VERSION;
		return 0;
	case OPTION_HELLO:
		options->hello = true;
		return 0;
	case OPTION_HOLD:
		options->hold = lab_number(state, "--hold", argument, 0, 60000);
		return 0;
	case ARGP_KEY_END:
		if (!options->have_to || options->to.family != AF_INET ||
		    (options->have_from && options->from.family != AF_INET))
			argp_error(state, "--to, an address of IPv4, is needed, and --from is one too");
		if (options->rate * options->seconds > CALLS_MAX)
			argp_error(state, "at most %d calls in one run", CALLS_MAX);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* --- one call --- */

static void end_call(struct caller *caller, struct call *call, enum state state, __u64 now)
{
	double milliseconds = (double)(now - call->started) / (double)LAB_MILLISECOND;
	struct linger reset = {.l_onoff = caller->options->hello};

	if (state == SUCCEEDED)
		caller->delay[caller->delays++] = milliseconds;
	else if (state == REFUSED)
		caller->refusal[caller->refusals++] = milliseconds;
	caller->count[state]++;
	caller->open--;
	call->state = state;
	SSL_free(call->tls);
	call->tls = NULL;
	setsockopt(call->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)); /* or ports run out */
	close(call->fd);
}

/* What this side has to say is small: it is written at once or the connection is of no use. */
static bool say(const struct caller *caller, struct call *call, __u64 number, const char *method,
		int sequence)
{
	char text[MESSAGE_MAX];
	int length = snprintf(text, sizeof(text),
			      "%s sip:1000@%s:%u;transport=tls SIP/2.0\r\n"
			      "Via: SIP/2.0/TLS caller.invalid:5061;branch=z9hG4bK-%d-%llu-%s\r\n"
			      "Max-Forwards: 70\r\n"
			      "From: <sip:caller@caller.invalid>;tag=%d%llu\r\n"
			      "To: <sip:1000@%s>\r\n"
			      "Call-ID: %d-%llu@lab\r\n"
			      "CSeq: %d %s\r\n"
			      "Contact: <sip:caller@caller.invalid;transport=tls>\r\n"
			      "Content-Length: 0\r\n\r\n",
			      method, caller->to, caller->options->port, getpid(), number, method, getpid(),
			      number, caller->to, getpid(), number, sequence, method);

	return SSL_write(call->tls, text, length) == length;
}

static void took_answer(struct caller *caller, struct call *call, __u64 number, __u64 now)
{
	int status = 0;

	sscanf(call->answer, "SIP/2.0 %3d", &status);
	call->length = 0;
	if (status < 200)
		return;
	if (status > 299)
		end_call(caller, call, REFUSED, now);
	else if (call->state == ENDING)
		end_call(caller, call, SUCCEEDED, now);
	else if (say(caller, call, number, "ACK", 1) && say(caller, call, number, "BYE", 2))
		call->state = ENDING;
	else
		end_call(caller, call, REFUSED, now);
}

/* Answers have no body: each ends with an empty line. */
static void hear(struct caller *caller, struct call *call, __u64 number, __u64 now)
{
	int got = SSL_read(call->tls, call->answer + call->length,
			   (int)(sizeof(call->answer) - 1 - call->length));
	int error = got > 0 ? 0 : SSL_get_error(call->tls, got);

	if (error == SSL_ERROR_WANT_READ)
		return;
	if (error) {
		end_call(caller, call, REFUSED, now);
		return;
	}
	call->length += (size_t)got;
	call->answer[call->length] = 0;
	if (strstr(call->answer, "\r\n\r\n"))
		took_answer(caller, call, number, now);
	else if (call->length == sizeof(call->answer) - 1)
		end_call(caller, call, REFUSED, now);
}

static void shake(struct caller *caller, struct call *call, __u64 number, __u64 now)
{
	int result = SSL_connect(call->tls), error = result == 1 ? 0 : SSL_get_error(call->tls, result);

	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return;
	if (error || !say(caller, call, number, "INVITE", 1))
		end_call(caller, call, REFUSED, now);
	else
		call->state = INVITING;
}

/* A flood has nothing to read from: an answer that is there at once is not gone on with. */
static bool has_wire(const struct caller *caller, struct call *call)
{
	if (!caller->options->hello)
		return SSL_set_fd(call->tls, call->fd);
	if (!SSL_set_wfd(call->tls, call->fd))
		return false;
	SSL_set0_rbio(call->tls, BIO_new(BIO_s_mem()));
	return true;
}

/* The hello has left by the first call of SSL_connect; a flood says no more. */
static void begin_tls(struct caller *caller, struct call *call, __u64 number, __u64 now)
{
	socklen_t size = sizeof(int);
	int error = 0;

	getsockopt(call->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	call->tls = error ? NULL : SSL_new(caller->context);
	if (!call->tls || !has_wire(caller, call)) {
		end_call(caller, call, REFUSED, now);
		return;
	}
	call->state = SHAKING;
	shake(caller, call, number, now);
	if (call->state == SHAKING && caller->options->hello)
		call->started = now; /* from here it is held */
}

static void place(struct caller *caller, __u64 number, __u64 now)
{
	const struct options *options = caller->options;
	struct call *call = caller->call[number] = calloc(1, sizeof(*call));
	struct lab_prefix from = options->from;
	struct sockaddr_storage address;
	const int at_once = 1;
	__u32 host;

	if (!call)
		exit(1);
	*call = (struct call){.state = CONNECTING, .started = now};
	call->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(call->fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once)); /* ACK and BYE together */
	caller->open++;
	memcpy(&host, from.bytes, sizeof(host));
	host = htonl(ntohl(host) + (__u32)(number % options->sources));
	memcpy(from.bytes, &host, sizeof(host));
	if (call->fd < 0 ||
	    (options->have_from &&
	     bind(call->fd, (struct sockaddr *)&address, lab_sockaddr(&from, 0, &address))) ||
	    (connect(call->fd, (struct sockaddr *)&address,
		     lab_sockaddr(&options->to, options->port, &address)) &&
	     errno != EINPROGRESS))
		end_call(caller, call, REFUSED, now);
}

/* --- all of them --- */

static void place_due(struct caller *caller, __u64 start, __u64 now)
{
	__u64 due = (now - start) * caller->options->rate / LAB_SECOND + 1;

	for (; caller->placed < due && caller->placed < caller->calls_most && !lab_stopped;
	     caller->placed++) {
		if (caller->open >= caller->open_most)
			return;
		place(caller, caller->placed, now);
	}
}

/* Ends calls that take too long, and forgets those that have ended. */
static void look_at_times(struct caller *caller, __u64 now)
{
	const struct options *options = caller->options;

	for (__u64 i = caller->oldest; i < caller->placed; i++) {
		struct call *call = caller->call[i];

		if (call && call->state < SUCCEEDED) {
			bool held = options->hello && call->state == SHAKING;

			if (now - call->started >=
			    (held ? options->hold : options->timeout) * LAB_MILLISECOND)
				end_call(caller, call, held ? SUCCEEDED : LATE, now);
		}
		if (call && call->state >= SUCCEEDED) {
			free(call);
			caller->call[i] = call = NULL;
		}
		if (!call && i == caller->oldest)
			caller->oldest++;
	}
}

static void step(struct caller *caller, __u64 number, __u64 now)
{
	struct call *call = caller->call[number];

	if (call->state == CONNECTING)
		begin_tls(caller, call, number, now);
	else if (call->state == SHAKING && caller->options->hello)
		call->length++; /* what the server says to that is not read */
	else if (call->state == SHAKING)
		shake(caller, call, number, now);
	/* What has come with the last bytes of the handshake is not told of by poll. */
	if (call->state == INVITING || call->state == ENDING)
		hear(caller, call, number, now);
}

static void wait_and_step(struct caller *caller)
{
	nfds_t count = 0;

	for (__u64 i = caller->oldest; i < caller->placed; i++) {
		const struct call *call = caller->call[i];

		if (!call || call->state >= SUCCEEDED || (caller->options->hello && call->state == SHAKING))
			continue;
		caller->at[count] = i;
		caller->poll[count++] = (struct pollfd){
			.fd = call->fd, .events = call->state == CONNECTING ? POLLOUT : POLLIN};
	}
	if (poll(caller->poll, count, TICK) <= 0)
		return;
	for (nfds_t i = 0; i < count; i++)
		if (caller->poll[i].revents)
			step(caller, caller->at[i], lab_now());
}

static void run(struct caller *caller)
{
	__u64 start = lab_now(), now = start;

	while (caller->open || (caller->placed < caller->calls_most && !lab_stopped)) {
		place_due(caller, start, now);
		wait_and_step(caller);
		now = lab_now();
		look_at_times(caller, now);
	}
}

static int prepare(struct caller *caller, const struct options *options)
{
	struct rlimit files;

	caller->options = options;
	caller->calls_most = options->rate * options->seconds;
	caller->call = calloc(caller->calls_most, sizeof(*caller->call));
	caller->delay = calloc(caller->calls_most, sizeof(*caller->delay));
	caller->refusal = calloc(caller->calls_most, sizeof(*caller->refusal));
	caller->poll = calloc(OPEN_MAX, sizeof(*caller->poll));
	caller->at = calloc(OPEN_MAX, sizeof(*caller->at));
	caller->context = SSL_CTX_new(TLS_client_method());
	if (!caller->call || !caller->delay || !caller->refusal || !caller->poll || !caller->at ||
	    !caller->context)
		return -ENOMEM;
	if (!SSL_CTX_set_min_proto_version(caller->context, options->version) ||
	    !SSL_CTX_set_max_proto_version(caller->context, options->version))
		return -EPROTONOSUPPORT;
	lab_uri_host(&options->to, caller->to);
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files))
		return -errno;
	files.rlim_cur = files.rlim_max;
	caller->open_most = files.rlim_max - 32 < OPEN_MAX ? files.rlim_max - 32 : OPEN_MAX;
	return setrlimit(RLIMIT_NOFILE, &files) ? -errno : 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_times(const char *name, double *time, __u64 count)
{
	qsort(time, count, sizeof(*time), by_value);
	printf("\"%s\":{\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}", name, count ? time[(count - 1) / 2] : 0,
	       count ? time[(count - 1) * 99 / 100] : 0, count ? time[count - 1] : 0);
}

int main(int argc, char **argv)
{
	static const struct argp parser = {
		.options = caller_options,
		.parser = parse_option,
		.doc = "Places SIP calls over TLS at a steady rate and counts those that succeed.",
	};
	struct options options = {.port = 5061,
				  .rate = 10,
				  .seconds = 10,
				  .timeout = 4000,
				  .sources = 1,
				  .hold = 1000,
				  .version = TLS1_3_VERSION};
	struct caller caller = {0};
	int error;

	argp_err_exit_status = 2;
	argp_parse(&parser, argc, argv, 0, NULL, &options);
	lab_stop_on_signals();
	error = prepare(&caller, &options);
	if (error) {
		fprintf(stderr, "tls_caller: cannot begin: %s\n", strerror(-error));
		return 1;
	}
	run(&caller);
	printf("{\"calls\":%llu,\"succeeded\":%llu,\"refused\":%llu,\"late\":%llu,", caller.placed,
	       caller.count[SUCCEEDED], caller.count[REFUSED], caller.count[LATE]);
	print_times("delay_ms", caller.delay, caller.delays);
	printf(",");
	print_times("refused_ms", caller.refusal, caller.refusals);
	printf("}\n");
	return 0;
}
