/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sipdam replay: a capture through the very program that filters, with the capture's own clock. Nothing
 * live is read or touched: the result depends on the capture, the configuration given and nothing else.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio_ext.h>
#include <string.h>

#include "address.h"
#include "capture.h"
#include "cleanup.h"
#include "command.h"
#include "egress.h"
#include "filter.h"
#include "render.h"
#include "settings.h"
#include "snapshot.h"

#define LOCALS_MAX     64
#define OUTPUT_BUFFER  (1 << 20)
#define PROGRESS_BYTES (64ULL << 20) /* a smaller file is read before anybody wonders */
#define PROGRESS_EVERY 4096          /* packets; a power of two */

#define NANOSECONDS 1000000000LL
#define TIME_TEXT   24 /* sign, ten digits of seconds, point, nine of fraction */
#define LABEL_TEXT  64 /* a label or an address in quotes */

struct options {
	const char *path;
	const char *config; /* NULL: built-in defaults */
	__u8 local[LOCALS_MAX][16];
	size_t locals;
	bool packets;
	bool json;
};

struct replay {
	const struct options *options;
	struct capture *capture;
	struct filter *filter;
	struct egress *egress; /* NULL: no local address is known */
	bool monitor;
	bool progress;
	int shown;         /* percent on the terminal; -1: nothing */
	__s64 first, last; /* stamps, nanoseconds; last is the greatest so far and the filter's clock */
	__u64 packets;
	__u64 verdicts[SIPDAM_VERDICTS];
	struct sipdam_counters counters; /* reasons and methods */
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

/* The first signal ends the replay after the packet in hand; a second one ends the process. */
static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART | SA_RESETHAND};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of writing, said in words */
}

static bool from_local(const struct options *options, const struct capture_frame *frame, __u8 source[16],
		       __u8 *family)
{
	*family = (__u8)capture_source(frame->data, frame->present, source);
	for (size_t i = 0; *family && i < options->locals; i++)
		if (memcmp(options->local[i], source, 16) == 0)
			return true;
	return false;
}

/* What the capture decides alone: too little to run. False: run a program. */
static bool judge_alone(const struct capture_frame *frame, struct sipdam_trial *result)
{
	bool cut = frame->wire_length >= CAPTURE_ETHERNET;

	*result = (struct sipdam_trial){.transport = SIPDAM_TRANSPORT_NONE};
	if (frame->present >= CAPTURE_ETHERNET)
		return false;
	result->reason = cut ? SIPDAM_REASON_TRUNCATED : SIPDAM_REASON_NOT_SIP;
	return true;
}

/* Runs the program of the way that the packet goes: what the server sent is read, all else is filtered. */
static int run_program(struct replay *replay, const struct capture_frame *frame, bool *leaves)
{
	__u8 source[16], family;

	*leaves = replay->egress && from_local(replay->options, frame, source, &family);
	if (*leaves)
		return egress_trial_run(replay->egress, frame->data, frame->present);
	return filter_trial_run(replay->filter, frame->data, frame->present);
}

/* One packet's outcome. 0, or -errno with a problem if the filter could not be run. */
static int judge(struct replay *replay, const struct capture_frame *frame, struct sipdam_trial *result,
		 bool *leaves, struct problem *problem)
{
	struct sipdam_trial *trial = filter_trial(replay->filter);
	int error;

	*leaves = false;
	if (judge_alone(frame, result))
		return 0;
	*trial = (struct sipdam_trial){.now = (__u64)replay->last, .wire_length = frame->wire_length};
	error = run_program(replay, frame, leaves);
	if (error)
		return problem_set(problem, error, "cannot run packet %" PRIu64 " of %s: %s",
				   (uint64_t)replay->packets, replay->options->path, strerror(-error));
	*result = *trial;
	if (render_reason(result->reason))
		return 0;
	return problem_set(problem, -EPROTO,
			   "packet %" PRIu64 " of %s was given no reason (%d); report this as a bug",
			   (uint64_t)replay->packets, replay->options->path, result->reason);
}

static enum sipdam_verdict verdict_of(const struct replay *replay, const struct sipdam_trial *result)
{
	if (result->dropped)
		return SIPDAM_VERDICT_DROP;
	if (replay->monitor && render_reason_verdict(result->reason) == SIPDAM_VERDICT_DROP)
		return SIPDAM_VERDICT_WOULD_DROP;
	return SIPDAM_VERDICT_PASS;
}

/* As the filter itself counts. */
static void tally(struct replay *replay, const struct sipdam_trial *result, enum sipdam_verdict verdict,
		  __u32 bytes)
{
	int transport = result->transport < SIPDAM_TRANSPORTS ? result->transport : SIPDAM_TRANSPORT_UDP;
	int would_drop = verdict == SIPDAM_VERDICT_WOULD_DROP;
	struct sipdam_count *reason = &replay->counters.reason[would_drop][result->reason];
	struct sipdam_count *method =
		&replay->counters.method[transport][verdict][result->method & (SIPDAM_METHODS_MAX - 1)];

	replay->verdicts[verdict]++;
	reason->packets++;
	reason->bytes += bytes;
	method->packets++;
	method->bytes += bytes;
}

/* Seconds with as many decimals as it takes to be exact, at least one and at most nine. */
static const char *format_time(__s64 nanoseconds, char text[TIME_TEXT])
{
	__u64 size = nanoseconds < 0 ? -(__u64)nanoseconds : (__u64)nanoseconds;
	int used = snprintf(text, TIME_TEXT, "%s%" PRIu64 ".%09" PRIu64, nanoseconds < 0 ? "-" : "",
			    (uint64_t)(size / NANOSECONDS), (uint64_t)(size % NANOSECONDS));

	while (text[used - 1] == '0' && text[used - 2] != '.')
		text[--used] = '\0';
	return text;
}

/* A label in quotes, or null. Labels and addresses hold nothing that JSON would want escaped. */
static const char *quote(const char *label, char text[LABEL_TEXT])
{
	if (!label)
		return "null";
	snprintf(text, LABEL_TEXT, "\"%s\"", label);
	return text;
}

/* The source as text, or NULL. */
static const char *source_of(const struct sipdam_trial *result, char text[ADDRESS_TEXT])
{
	if (!result->family)
		return NULL;
	address_format(result->source, text);
	return text;
}

static void print_packet_json(const struct replay *replay, const struct sipdam_trial *result, __s64 time,
			      enum sipdam_verdict verdict, bool leaves)
{
	char stamp[TIME_TEXT], address[ADDRESS_TEXT], source[LABEL_TEXT], transport[LABEL_TEXT];
	char method[LABEL_TEXT], class[LABEL_TEXT];

	printf("{\"packet\":%" PRIu64 ",\"time\":%s,\"source\":%s,\"transport\":%s,\"method\":%s",
	       (uint64_t)replay->packets, format_time(time, stamp), quote(source_of(result, address), source),
	       quote(render_transport(result->transport), transport),
	       quote(render_method(result->method), method));
	if (result->method == SIPDAM_METHOD_RESPONSE)
		printf(",\"status\":%u", result->status);
	printf(",\"class\":%s,\"verdict\":\"%s\",\"reason\":\"%s\"",
	       quote(render_class(result->class), class), verdict == SIPDAM_VERDICT_DROP ? "drop" : "pass",
	       render_reason(result->reason));
	if (verdict == SIPDAM_VERDICT_WOULD_DROP)
		fputs(",\"would_drop\":true", stdout);
	if (leaves)
		fputs(",\"direction\":\"egress\"", stdout);
	fputs("}\n", stdout);
}

static void print_packet_text(const struct replay *replay, const struct sipdam_trial *result, __s64 time,
			      enum sipdam_verdict verdict)
{
	static const char *const words[SIPDAM_VERDICTS] = {"pass", "drop", "would"};
	const char *method = render_method(result->method), *transport = render_transport(result->transport);
	char address[ADDRESS_TEXT], response[16];
	const char *source = source_of(result, address);

	if (result->method == SIPDAM_METHOD_RESPONSE) {
		snprintf(response, sizeof(response), "response %u", result->status);
		method = response;
	}
	printf("%6" PRIu64 " %11.6f %-5s %-13s %-3s %-12s %s\n", (uint64_t)replay->packets,
	       (double)time / NANOSECONDS, words[verdict], render_reason(result->reason),
	       transport ? transport : "-", method ? method : "-", source ? source : "-");
}

/*
 * -errno with a problem once stdout has failed: nothing else may come between the two. What is left of
 * the output is given up, so that the failure is told once and not again at the end of the process.
 */
static int output_failed(struct problem *problem)
{
	int error = errno ? errno : EIO;

	__fpurge(stdout);
	clearerr(stdout);
	return problem_set(problem, -error, "cannot write the report to standard output: %s",
			   strerror(error));
}

static int replay_packet(struct replay *replay, const struct capture_frame *frame, struct problem *problem)
{
	struct sipdam_trial result;
	enum sipdam_verdict verdict;
	bool leaves;
	int error;

	if (!replay->packets++)
		replay->first = replay->last = frame->stamp;
	if (frame->stamp > replay->last)
		replay->last = frame->stamp;
	error = judge(replay, frame, &result, &leaves, problem);
	if (error)
		return error;
	verdict = verdict_of(replay, &result);
	tally(replay, &result, verdict, frame->wire_length);
	if (!replay->options->packets)
		return 0;
	errno = 0;
	if (replay->options->json)
		print_packet_json(replay, &result, frame->stamp - replay->first, verdict, leaves);
	else
		print_packet_text(replay, &result, frame->stamp - replay->first, verdict);
	return ferror(stdout) ? output_failed(problem) : 0;
}

static void show_progress(struct replay *replay)
{
	int percent;

	if (!replay->progress || replay->packets & (PROGRESS_EVERY - 1))
		return;
	percent = (int)(capture_offset(replay->capture) * 100 / capture_size(replay->capture));
	if (percent == replay->shown)
		return;
	replay->shown = percent;
	fprintf(stderr, "\rreplaying: %3d %%", percent);
}

static void erase_progress(const struct replay *replay)
{
	if (replay->shown >= 0)
		fputs("\r\033[K", stderr);
}

/* Every packet of the capture in its order. -EBADMSG and -EINTR: what was read so far is good. */
static int replay_all(struct replay *replay, struct problem *problem)
{
	struct capture_frame frame;
	struct problem why;

	while (!interrupted) {
		int got = capture_next(replay->capture, &frame, &why);
		int error;

		if (got == 0)
			return 0;
		if (got < 0)
			return problem_set(problem, got,
					   "reading %s broke off after packet %" PRIu64
					   ": %s; the report ends there",
					   replay->options->path, (uint64_t)replay->packets, why.text);
		error = replay_packet(replay, &frame, problem);
		if (error)
			return error;
		show_progress(replay);
	}
	return problem_set(problem, -EINTR,
			   "replaying %s was interrupted after packet %" PRIu64 "; the report ends there",
			   replay->options->path, (uint64_t)replay->packets);
}

/* Packets that went on, those of monitor mode that would not have included. */
static __u64 passed(const struct replay *replay)
{
	return replay->verdicts[SIPDAM_VERDICT_PASS] + replay->verdicts[SIPDAM_VERDICT_WOULD_DROP];
}

/* New reference; NULL when out of memory. */
static json_t *report_object(const struct replay *replay)
{
	json_t *object = json_pack("{s:I,s:I,s:I}", "packets", (json_int_t)replay->packets, "passed",
				   (json_int_t)passed(replay), "dropped",
				   (json_int_t)replay->verdicts[SIPDAM_VERDICT_DROP]);
	json_int_t would = (json_int_t)replay->verdicts[SIPDAM_VERDICT_WOULD_DROP];
	int failed = !object;

	if (replay->monitor)
		failed |= json_object_set_new(object, "would_drop", json_integer(would));
	failed |= json_object_set_new(object, "reasons", render_json_reasons(&replay->counters));
	failed |= json_object_set_new(object, "methods", render_json_methods(&replay->counters));
	if (!failed)
		return object;
	json_decref(object);
	return NULL;
}

static int report_json(const struct replay *replay, struct problem *problem)
{
	json_t *object = report_object(replay);
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	if (!text)
		return problem_set(problem, -ENOMEM, "cannot write the report: out of memory");
	puts(text);
	free(text);
	return 0;
}

/* The table of `stats` with the capture in an interface's place and its span in the mode's. */
static int report_text(const struct replay *replay, struct problem *problem)
{
	_cleanup_free_ struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	struct snapshot_interface *capture;

	if (!snapshot)
		return problem_set(problem, -ENOMEM, "cannot write the report: out of memory");
	capture = &snapshot->interface[snapshot->interfaces++];
	strcpy(capture->name, "replay");
	snprintf(capture->mode, sizeof(capture->mode), "%.3f s",
		 (double)(replay->last - replay->first) / NANOSECONDS);
	capture->counters = replay->counters;
	snapshot->policy.monitor = replay->monitor;
	if (replay->options->packets && replay->packets)
		putchar('\n');
	render_text_stats(snapshot, NULL, stdout);
	return 0;
}

static int report(const struct replay *replay, struct problem *problem)
{
	int error = 0;

	errno = 0;
	if (replay->options->json)
		error = report_json(replay, problem);
	else
		error = report_text(replay, problem);
	if (error)
		return error;
	return fflush(stdout) || ferror(stdout) ? output_failed(problem) : 0;
}

/* Runs and reports; a capture that breaks off is reported up to there and still a failure. */
static int run(struct replay *replay)
{
	struct problem problem, unwritten;
	int error, unreported;

	catch_signals();
	error = replay_all(replay, &problem);
	erase_progress(replay);
	if (error && error != -EBADMSG && error != -EINTR)
		return command_fail("replay", EIO, &problem);
	unreported = report(replay, &unwritten);
	if (unreported)
		return command_fail("replay", EIO, &unwritten);
	return error ? command_fail("replay", EIO, &problem) : EXIT_DONE;
}

/*
 * The filter keeps state by CPU (counters, verdicts of fragments in flight), and a process that stays
 * where its cache is warm replays faster. Where it may not be bound, it still runs.
 */
static void stay_on_cpu(void)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void prepare_output(struct replay *replay)
{
	static char buffer[OUTPUT_BUFFER];
	bool mixed = replay->options->packets && isatty(STDOUT_FILENO);

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	replay->shown = -1;
	replay->progress = capture_size(replay->capture) > PROGRESS_BYTES && isatty(STDERR_FILENO) && !mixed;
}

/* Opens everything, runs, closes everything: the exit code. */
static int replay_with(const struct options *options, const struct settings *settings)
{
	struct replay replay = {.options = options, .monitor = settings->policy.monitor};
	struct problem problem;
	int result = EXIT_FAILED;

	stay_on_cpu();
	if (capture_open(&replay.capture, options->path, &problem) ||
	    filter_open_trial(&replay.filter, settings, &problem) ||
	    (options->locals && egress_open_private(&replay.egress, replay.filter, false, &problem))) {
		result = command_fail("replay", EIO, &problem);
	} else {
		prepare_output(&replay);
		result = run(&replay);
	}
	egress_free(replay.egress);
	if (replay.filter)
		filter_free(replay.filter);
	capture_close(replay.capture);
	return result;
}

static error_t add_local(struct argp_state *state, struct options *options, const char *text)
{
	if (options->locals == LOCALS_MAX) {
		argp_error(state, "--local %s: at most %d addresses are taken", text, LOCALS_MAX);
		return EINVAL;
	}
	if (address_parse(text, options->local[options->locals])) {
		argp_error(state, "--local %s: expected one IPv4 or IPv6 address", text);
		return EINVAL;
	}
	options->locals++;
	return 0;
}

static error_t add_path(struct argp_state *state, struct options *options, const char *path)
{
	if (options->path) {
		argp_error(state, "%s: one capture at a time, %s is already given", path, options->path);
		return EINVAL;
	}
	options->path = path;
	return 0;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'c':
		options->config = argument;
		return 0;
	case 'l':
		return add_local(state, options, argument);
	case 'p':
		options->packets = true;
		return 0;
	case 'j':
		options->json = true;
		return 0;
	case ARGP_KEY_ARG:
		return add_path(state, options, argument);
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no capture given: name a pcap or pcapng file, or - for standard input");
		return EINVAL;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_option option_table[] = {
	{"config", 'c', "FILE", 0, "Filter as this configuration says (without it: the built-in defaults)",
	 0},
	{"local", 'l', "ADDRESS", 0,
	 "An address of the server: what it sent is learned from and not filtered (up to 64 times)", 0},
	{"packets", 'p', NULL, 0, "Print a line for each packet too", 0},
	{"json", 'j', NULL, 0, "Print JSON: one object, before it one line a packet with --packets", 0},
	{0},
};

static const struct argp arguments = {
	.options = option_table,
	.parser = parse_option,
	.args_doc = "FILE",
	.doc = "Run a pcap or pcapng capture (- is standard input) through the filter and report what would "
	       "have passed and what would have been dropped, and why. The clock is the capture's; "
	       "nothing that is attached is read or changed.\v"
	       "Without --config the built-in defaults apply and not " SETTINGS_PATH ", so that the same "
	       "command gives the same answer on every machine; name that path to try what is in use.\n\n"
	       "Examples:\n"
	       "  sipdam replay flood.pcap\n"
	       "  sipdam replay --config new.yaml --local 192.0.2.10 night.pcapng\n"
	       "  sipdam replay --packets --json flood.pcap | grep '\"verdict\":\"drop\"'",
};

int cmd_replay(int argc, char **argv)
{
	struct options options = {0};
	struct settings settings;
	struct problem problem;
	int result;

	if (command_parse(&arguments, argc, argv, &options))
		return EXIT_USAGE;
	settings_default(&settings);
	if (options.config && settings_load(&settings, options.config, &problem))
		result = command_fail("replay", EINVAL, &problem);
	else
		result = replay_with(&options, &settings);
	settings_free(&settings);
	return result;
}
