/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `sipdam serve [--listen ADDRESS:PORT]`: counters over HTTP for Prometheus, and the watch over interfaces
 * that are deleted and made again. One thread, one epoll loop; the pins are opened anew for each scrape, so
 * it outlives attach and detach. The packet path does not know of it and does not need it.
 */
#include <argp.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "command.h"
#include "render.h"
#include "watch.h"

/*
 * What one client, or many, can take of this process: a scraper needs one connection for milliseconds. Beyond
 * CONNECTIONS_KEPT the oldest gives way, so that who holds many of them holds up nobody else. The library
 * takes 11 between two looks at those that are open, and closes within two: it never comes to its limit, at
 * which it would accept no more.
 */
#define CONNECTIONS_KEPT   32u
#define CONNECTIONS_MAX    96u
#define CONNECTION_SECONDS 10u
#define CONNECTION_MEMORY  ((size_t)16 * 1024)
#define LISTEN_BACKLOG     128

struct server {
	const char *listen;
	struct MHD_Daemon *http;
	struct watch watch;
	struct snapshot *snapshot;                    /* scratch of the scrape in progress */
	struct problem last;                          /* why the latest scrape read nothing; empty: it did */
	struct MHD_Connection *open[CONNECTIONS_MAX]; /* the oldest first */
	size_t opened;
};

/* ---- answers ---- */

/* Says once that the counters cannot be read, and once that they can again. */
static void note_change(struct server *server, const struct problem *problem)
{
	if (!strcmp(server->last.text, problem->text))
		return;
	fprintf(stderr, "sipdam serve: %s\n",
		*problem->text ? problem->text : "the counters can be read again");
	server->last = *problem;
}

/* The body of /metrics. Returns NULL when out of memory; to be freed. */
static char *scrape(struct server *server, size_t *length)
{
	struct problem problem = {0};
	char *body = NULL;
	FILE *out = open_memstream(&body, length);
	bool failed;

	if (!out)
		return NULL;
	failed = snapshot_read(server->snapshot, &problem);
	if (failed && !*problem.text)
		problem_set(&problem, -EIO, "read the counters: failed");
	note_change(server, &problem);
	render_metrics(failed ? NULL : server->snapshot, out);
	render_metrics_watch(server->watch.able, out);
	failed = ferror(out);
	if (!fclose(out) && !failed)
		return body;
	free(body);
	return NULL;
}

/* Queues a body (its owner from here on) with its type. NULL: out of memory, the connection is closed. */
static enum MHD_Result answer(struct MHD_Connection *connection, unsigned int status, const char *type,
			      char *body, size_t length)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	if (!body)
		return MHD_NO;
	response = MHD_create_response_from_buffer(length, body, MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(body);
		return MHD_NO;
	}
	result = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (result == MHD_YES && status == MHD_HTTP_METHOD_NOT_ALLOWED)
		result = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	if (result == MHD_YES)
		result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned int status, const char *type,
				   const char *text)
{
	return answer(connection, status, type, strdup(text), strlen(text));
}

static enum MHD_Result respond(void *context, struct MHD_Connection *connection, const char *url,
			       const char *method, const char *version, const char *upload,
			       size_t *upload_size, void **request)
{
	static const char plain[] = "text/plain; charset=utf-8";
	const bool metrics = !strcmp(url, "/metrics");
	size_t length = 0;
	char *body;

	(void)version;
	(void)upload;
	if (!metrics && strcmp(url, "/"))
		return answer_text(connection, MHD_HTTP_NOT_FOUND, plain, "not found: see /metrics\n");
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, plain, "only GET and HEAD\n");
	/* The first call comes before the body of the request, which is of no use here but must be read. */
	if (!*request || *upload_size) {
		*request = context;
		*upload_size = 0;
		return MHD_YES;
	}
	if (!metrics)
		return answer_text(connection, MHD_HTTP_OK, "text/html; charset=utf-8",
				   "<!doctype html><title>sipdam</title>\n"
				   "<p>sipdam " SIPDAM_VERSION ": <a href=\"/metrics\">/metrics</a>\n");
	body = scrape(context, &length);
	return answer(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", body, length);
}

/* ---- connections ---- */

/* Ends a connection as if the client had: the library has no call for it. */
static void give_way(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	if (info)
		shutdown(info->connect_fd, SHUT_RDWR);
}

static void forget(struct server *server, const struct MHD_Connection *connection)
{
	size_t kept = 0;

	for (size_t i = 0; i < server->opened; i++)
		if (server->open[i] != connection)
			server->open[kept++] = server->open[i];
	server->opened = kept;
}

static void note_connection(void *context, struct MHD_Connection *connection, void **unused,
			    enum MHD_ConnectionNotificationCode what)
{
	struct server *server = context;

	(void)unused;
	forget(server, connection);
	if (what != MHD_CONNECTION_NOTIFY_STARTED || server->opened == CONNECTIONS_MAX)
		return;
	server->open[server->opened++] = connection;
	if (server->opened > CONNECTIONS_KEPT)
		give_way(server->open[server->opened - CONNECTIONS_KEPT - 1]);
}

/* ---- the socket ---- */

/* Splits "ADDRESS:PORT" or "[ADDRESS]:PORT" and resolves it without asking anybody. */
static int parse_listen(const char *listen, struct addrinfo **address, struct problem *problem)
{
	static const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	};
	const char *colon = strrchr(listen, ':');
	size_t length = colon ? (size_t)(colon - listen) : 0;
	const bool bracketed = length > 2 && listen[0] == '[' && listen[length - 1] == ']';
	const size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
	char host[NI_MAXHOST];

	if (bracketed)
		length -= 2;
	if (length && length < sizeof(host) && digits && digits <= 5 && !colon[1 + digits] &&
	    strtoul(colon + 1, NULL, 10) <= 65535) {
		snprintf(host, sizeof(host), "%.*s", (int)length, listen + bracketed);
		if (bracketed == !!strchr(host, ':') && !getaddrinfo(host, colon + 1, &hints, address))
			return 0;
	}
	return problem_set(problem, -EINVAL,
			   "--listen %s: expected ADDRESS:PORT, as 127.0.0.1:9469 or [::1]:9469", listen);
}

static int listen_failed(const char *listen, int error, struct problem *problem)
{
	const char *advice = "";

	if (error == -EADDRINUSE)
		advice = "; stop what listens there or choose another port with --listen";
	else if (error == -EADDRNOTAVAIL)
		advice = "; give one of this host's addresses with --listen";
	return problem_set(problem, error == -EINVAL ? -EIO : error, "listen on %s: %s%s", listen,
			   strerror(-error), advice);
}

/* Returns a listening descriptor or -errno with a problem. */
static int open_listener(const char *listen_on, struct problem *problem)
{
	struct addrinfo *address = NULL;
	_cleanup_close_ int fd = -1;
	const int one = 1;
	int error = parse_listen(listen_on, &address, problem);

	if (error)
		return error;
	fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, address->ai_addr, address->ai_addrlen) || listen(fd, LISTEN_BACKLOG))
		error = -errno;
	freeaddrinfo(address);
	return error ? listen_failed(listen_on, error, problem) : take_fd(&fd);
}

/* Says where, with the port that the kernel chose if 0 was asked for. */
static void announce(int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	char host[NI_MAXHOST] = "", port[NI_MAXSERV] = "";

	if (!getsockname(fd, (struct sockaddr *)&address, &size))
		getnameinfo((struct sockaddr *)&address, size, host, sizeof(host), port, sizeof(port),
			    NI_NUMERICHOST | NI_NUMERICSERV);
	fprintf(stderr,
		strchr(host, ':') ? "serving http://[%s]:%s/metrics\n" : "serving http://%s:%s/metrics\n",
		host, port);
}

/* ---- the loop ---- */

static int listen_to(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/* SIGTERM and SIGINT as a readable descriptor, or -errno. */
static int open_signals(void)
{
	sigset_t signals;
	int fd;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* Milliseconds until a connection times out; -1: none is open. */
static int next_timeout(struct MHD_Daemon *http)
{
	MHD_UNSIGNED_LONG_LONG timeout;

	if (MHD_get_timeout(http, &timeout) != MHD_YES)
		return -1;
	return timeout < CONNECTION_SECONDS * 1000 ? (int)timeout : (int)CONNECTION_SECONDS * 1000;
}

static unsigned int open_connections(struct MHD_Daemon *http)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(http, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

	return info ? info->num_connections : 0;
}

static void report(const char *line)
{
	fprintf(stderr, "sipdam serve: %s\n", line);
}

/* The earlier of two timeouts in milliseconds; -1: none. */
static int earlier(int one, int other)
{
	if (one < 0 || other < 0)
		return one < 0 ? other : one;
	return one < other ? one : other;
}

/* Serves until a signal says stop. 0 or -errno. */
static int loop(struct server *server, int signals)
{
	struct MHD_Daemon *http = server->http;
	unsigned int before = 0, now = 0;
	_cleanup_close_ int epoll = epoll_create1(EPOLL_CLOEXEC);
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(http, MHD_DAEMON_INFO_EPOLL_FD);
	int error;

	if (epoll < 0)
		return -errno;
	if (!info)
		return -ENOTSUP;
	error = listen_to(epoll, signals);
	if (!error)
		error = listen_to(epoll, info->epoll_fd);
	if (!error)
		error = listen_to(epoll, server->watch.netlink);
	watch_run(&server->watch, report); /* what happened before it was there */
	while (!error) {
		struct epoll_event event;
		/* At the connection limit the library stops listening, and takes that up again not when it
		 * closes connections but when it is run once more. */
		int wait = now == before ? earlier(next_timeout(http), watch_timeout(&server->watch)) : 0;
		int ready = epoll_wait(epoll, &event, 1, wait);

		if (ready > 0 && event.data.fd == signals)
			return 0;
		if ((ready > 0 && event.data.fd == server->watch.netlink) ||
		    !watch_timeout(&server->watch))
			watch_run(&server->watch, report);
		if (ready < 0 && errno != EINTR)
			error = -errno;
		else if (MHD_run(http) != MHD_YES)
			error = -EIO;
		before = now;
		now = open_connections(http);
	}
	return error;
}

/* The listener belongs to the HTTP library from here on, which closes it. 0 or -errno with a problem. */
static int serve(struct server *server, int listener, int signals, struct problem *problem)
{
	int error;

	server->http = MHD_start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, respond, server, MHD_OPTION_LISTEN_SOCKET, listener,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
		CONNECTION_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
		MHD_OPTION_NOTIFY_CONNECTION, note_connection, server, MHD_OPTION_END);
	if (!server->http)
		return problem_set(problem, -EIO, "serve HTTP on %s: the HTTP library refused",
				   server->listen);
	announce(listener);
	error = loop(server, signals);
	MHD_stop_daemon(server->http);
	if (error)
		problem_set(problem, error, "serve HTTP on %s: %s", server->listen, strerror(-error));
	return error;
}

/* ---- the command ---- */

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct server *server = state->input;

	switch (key) {
	case 'l':
		server->listen = argument;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "no argument expected: %s", argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option long_options[] = {
	{"listen", 'l', "ADDRESS:PORT", 0, "Where to listen; 127.0.0.1:9469 if not given", 0},
	{0},
};

static const struct argp parser = {
	.options = long_options,
	.parser = parse_option,
	.doc = "Serves the counters over HTTP for Prometheus (/metrics) until SIGTERM. Run as root it also "
	       "watches the interfaces: one that was attached, deleted and made again under its name is "
	       "attached again at once.\v"
	       "Examples:\n"
	       "  sipdam serve\n"
	       "  sipdam serve --listen 10.0.0.5:9469",
};

int cmd_serve(int argc, char **argv)
{
	_cleanup_free_ struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	struct server server = {.listen = "127.0.0.1:9469", .snapshot = snapshot};
	_cleanup_close_ int signals = -1;
	struct problem problem = {0};
	int listener, error;

	if (command_parse(&parser, argc, argv, &server))
		return EXIT_USAGE;
	signals = open_signals();
	if (!snapshot || signals < 0) {
		problem_set(&problem, -ENOMEM, "start: out of memory or descriptors");
		return command_fail("serve", -ENOMEM, &problem);
	}
	listener = open_listener(server.listen, &problem);
	error = listener < 0 ? listener : watch_open(&server.watch, &problem);
	if (error)
		return command_fail("serve", error, &problem);
	if (!server.watch.able)
		report(problem.text);
	error = serve(&server, listener, signals, &problem);
	watch_close(&server.watch);
	return error ? command_fail("serve", error, &problem) : EXIT_DONE;
}
