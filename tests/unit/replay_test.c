/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
// uses: user/cmd_replay.c user/capture.c user/render.c user/address.c user/problem.c user/utf8.c
/*
 * What `sipdam replay` prints and how it ends, byte by byte, with a filter in the program's place that
 * answers as each test tells it: what is tested here is what is handed to the filter and what is made of
 * its answer, not the filter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdio_ext.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "capture_file.h"
#include "capture.h"
#include "command.h"
#include "egress.h"
#include "filter.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define RUNS_MAX     16

/* ---- the parts in the real ones' place ---- */

/* Shared with the child that runs the command: what to answer, and what was handed in. */
static struct script {
	struct sipdam_trial answer[RUNS_MAX];
	int error;     /* of every run */
	int signal_at; /* raise SIGINT in this run, from 1 */
	int runs;
	int left; /* runs of what reads the server's own packets */
	struct sipdam_trial sent; /* what it answers */
	struct sipdam_trial in[RUNS_MAX];
	size_t length[RUNS_MAX];
} * script;

struct filter {
	struct sipdam_trial trial;
};

int filter_open_trial(struct filter **filter, const struct settings *settings, struct problem *problem)
{
	(void)settings;
	*filter = calloc(1, sizeof(**filter));
	return *filter ? 0 : problem_set(problem, -ENOMEM, "out of memory");
}

struct sipdam_trial *filter_trial(struct filter *filter)
{
	return &filter->trial;
}

int filter_trial_run(struct filter *filter, const void *data, size_t length)
{
	int run = script->runs++ % RUNS_MAX;

	(void)data;
	script->in[run] = filter->trial;
	script->length[run] = length;
	filter->trial = script->answer[run];
	if (script->runs == script->signal_at)
		raise(SIGINT);
	return script->error;
}

struct egress {
	struct filter *filter;
};

int egress_open_private(struct egress **egress, struct filter *filter, bool own_clock, struct problem *problem)
{
	assert_false(own_clock);
	*egress = calloc(1, sizeof(**egress));
	if (!*egress)
		return problem_set(problem, -ENOMEM, "out of memory");
	(*egress)->filter = filter;
	return 0;
}

int egress_trial_run(struct egress *egress, const void *data, size_t length)
{
	const __u8 *source = (const __u8 *)data + CAPTURE_ETHERNET + 12;

	assert_true(length >= CAPTURE_ETHERNET + 20);
	script->left++;
	egress->filter->trial = script->sent;
	egress->filter->trial.family = 4;
	memset(egress->filter->trial.source + 10, 0xff, 2);
	memcpy(egress->filter->trial.source + 12, source, 4);
	return script->error;
}

void egress_free(struct egress *egress)
{
	free(egress);
}

void filter_free(struct filter *filter)
{
	free(filter);
}

void settings_default(struct settings *settings)
{
	*settings = (struct settings){0};
}

void settings_free(struct settings *settings)
{
	(void)settings;
}

/* "monitor" is a configuration, everything else is a bad one. */
int settings_load(struct settings *settings, const char *path, struct problem *problem)
{
	if (strcmp(path, "monitor") != 0)
		return problem_set(problem, -ENOENT, "%s: no such configuration", path);
	settings->policy.monitor = 1;
	return 0;
}

int command_fail(const char *command, int error, const struct problem *problem)
{
	fprintf(stderr, "sipdam %s: %s\n", command, problem->text);
	return error == EINVAL || error == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
}

int command_parse(const struct argp *argp, int argc, char **argv, void *input)
{
	int error = argp_parse(argp, argc, argv, ARGP_NO_EXIT, NULL, input);

	fflush(stdout);
	return error ? -EINVAL : 0;
}

/* ---- running the command ---- */

struct outcome {
	int code;
	char out[16384];
	char err[4096];
};

static void read_back(int fd, char *text, size_t size)
{
	ssize_t got = pread(fd, text, size - 1, 0);

	assert_true(got >= 0);
	text[got] = '\0';
	close(fd);
}

/* In a process of its own: streams, buffers and signals are the command's to change. */
static void run_to(struct outcome *outcome, int out, char *const *arguments)
{
	int err = memfd_create("err", 0), status, count = 1;
	char *argv[80] = {"replay"};
	pid_t child;

	for (; arguments[count - 1]; count++)
		argv[count] = arguments[count - 1];
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(out, STDOUT_FILENO);
		dup2(err, STDERR_FILENO);
		status = cmd_replay(count, argv);
		__fpurge(stdout); /* what the command has not flushed itself is lost */
		exit(status);     /* and not _exit: leaks are looked for */
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	outcome->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	read_back(err, outcome->err, sizeof(outcome->err));
}

static void run(struct outcome *outcome, char *const *arguments)
{
	int out = memfd_create("out", 0);

	run_to(outcome, out, arguments);
	read_back(out, outcome->out, sizeof(outcome->out));
}

#define RUN(outcome, ...) run(outcome, (char *const[]){__VA_ARGS__, NULL})

static void starts_with(const char *text, const char *expected)
{
	if (strncmp(text, expected, strlen(expected)) != 0)
		fail_msg("expected:\n%s\ngot:\n%s", expected, text);
}

/* Exit code and stderr of a run that went well. */
static void went_well(const struct outcome *outcome)
{
	assert_string_equal(outcome->err, "");
	assert_int_equal(outcome->code, 0);
}

/* One line on stderr that holds these words. */
static void one_line(const struct outcome *outcome, const char *words)
{
	const char *end = strchr(outcome->err, '\n');

	if (!end || end[1] || !strstr(outcome->err, words))
		fail_msg("expected one line with \"%s\", got: %s", words, outcome->err);
}

static int begin_test(void **state)
{
	(void)state;
	memset(script, 0, sizeof(*script));
	return 0;
}

static struct sipdam_trial answer(int reason, int method, int class, int transport, int dropped)
{
	struct sipdam_trial trial = {.reason = (__u8)reason,
				     .method = (__u8)method,
				     .class = (__u8) class,
				     .transport = (__u8)transport,
				     .dropped = (__u8)dropped,
				     .family = 4,
				     .source = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 1}};

	return trial;
}

#define ANSWER(reason, method, class, transport, dropped)                                                    \
	answer(SIPDAM_REASON_##reason, SIPDAM_METHOD_##method, SIPDAM_CLASS_##class,                         \
	       SIPDAM_TRANSPORT_##transport, dropped)

/* A pcap of nanoseconds with one whole packet at each stamp. */
static void packets_at(struct capture_file *file, const __u64 *stamps, size_t count)
{
	__u8 room[200];
	__u32 size = capture_file_ipv4(room, 1, 8);

	capture_file_create(file, 0);
	capture_file_pcap(file, CAPTURE_NANOSECONDS, 65535, DLT_EN10MB);
	for (size_t i = 0; i < count; i++)
		capture_file_packet(file, (__u32)(stamps[i] / 1000000000), (__u32)(stamps[i] % 1000000000),
				    room, size, size);
	capture_file_finish(file, 0);
}

#define SECONDS(s) ((s)*1000000000ULL)
#define NONE_OF_EACH                                                                                         \
	"\"not_sip\":0,\"allowed\":0,\"trusted\":0,\"peer\":0,\"within_limits\":0,\"egress\":0,\"denied\":"  \
	"0,"                                                                                                 \
	"\"banned\":0,\"malformed\":0,\"fragment\":0,\"source_rate\":0,\"network_rate\":0,\"pool_rate\":0,"  \
	"\"unverified\":0,\"tls_version\":0,\"signature\":0,\"reflection\":0,\"truncated\":0"
#define NO(method)   "\"" method "\":{\"passed\":0,\"dropped\":0}"
#define NEXT(method) "," NO(method)
#define NO_METHODS                                                                                           \
	NO("INVITE")                                                                                         \
	NEXT("ACK") NEXT("BYE") NEXT("CANCEL") NEXT("OPTIONS") NEXT("REGISTER") NEXT("PRACK")                \
		NEXT("SUBSCRIBE") NEXT("NOTIFY") NEXT("PUBLISH") NEXT("INFO") NEXT("REFER") NEXT("MESSAGE")  \
			NEXT("UPDATE") NEXT("other") NEXT("response")

/* ---- tests ---- */

static void test_empty_capture(void **state)
{
	struct capture_file file;
	struct outcome outcome;

	(void)state;
	packets_at(&file, NULL, 0);
	RUN(&outcome, "--json", "--packets", file.path);
	went_well(&outcome);
	assert_string_equal(outcome.out,
			    "{\"packets\":0,\"passed\":0,\"dropped\":0,\"reasons\":{" NONE_OF_EACH
			    "},\"methods\":{" NO_METHODS "}}\n");
	capture_file_remove(&file);
}

static void test_packet_lines(void **state)
{
	const __u64 stamps[] = {SECONDS(7), SECONDS(7) + 1, SECONDS(8) + 500000000, SECONDS(6) + 999999999,
				SECONDS(17)};
	struct capture_file file;
	struct outcome outcome;

	(void)state;
	script->answer[0] = ANSWER(SOURCE_RATE, INVITE, INVITE, UDP, 1);
	script->answer[1] = ANSWER(NOT_SIP, NONE, NONE, NONE, 0);
	script->answer[1].family = 0;
	script->answer[2] = ANSWER(TRUSTED, RESPONSE, RESPONSE, TCP, 0);
	script->answer[2].status = 401;
	script->answer[3] = ANSWER(WITHIN_LIMITS, OTHER, OTHER, UDP, 0);
	script->answer[3].family = 6;
	memset(script->answer[3].source, 0, 16);
	script->answer[3].source[15] = 1;
	script->answer[4] = ANSWER(MALFORMED, NONE, NONE, UDP, 1);
	packets_at(&file, stamps, COUNT(stamps));
	RUN(&outcome, "--json", "--packets", file.path);
	went_well(&outcome);
	starts_with(
		outcome.out,
		"{\"packet\":1,\"time\":0.0,\"source\":\"192.0.2.1\",\"transport\":\"udp\",\"method\":"
		"\"INVITE\","
		"\"class\":\"invite\",\"verdict\":\"drop\",\"reason\":\"source_rate\"}\n"
		"{\"packet\":2,\"time\":0.000000001,\"source\":null,\"transport\":null,\"method\":null,"
		"\"class\":null,\"verdict\":\"pass\",\"reason\":\"not_sip\"}\n"
		"{\"packet\":3,\"time\":1.5,\"source\":\"192.0.2.1\",\"transport\":\"tcp\",\"method\":"
		"\"response\","
		"\"status\":401,\"class\":\"response\",\"verdict\":\"pass\",\"reason\":\"trusted\"}\n"
		"{\"packet\":4,\"time\":-0.000000001,\"source\":\"::1\",\"transport\":\"udp\",\"method\":"
		"\"other\","
		"\"class\":\"other\",\"verdict\":\"pass\",\"reason\":\"within_limits\"}\n"
		"{\"packet\":5,\"time\":10.0,\"source\":\"192.0.2.1\",\"transport\":\"udp\",\"method\":null,"
		"\"class\":null,\"verdict\":\"drop\",\"reason\":\"malformed\"}\n"
		"{\"packets\":5,\"passed\":3,\"dropped\":2,\"reasons\":{\"not_sip\":1,\"allowed\":0,"
		"\"trusted\":1,"
		"\"peer\":0,\"within_limits\":1,\"egress\":0,\"denied\":0,\"banned\":0,\"malformed\":1,");
	assert_non_null(strstr(outcome.out, "\"methods\":{\"INVITE\":{\"passed\":0,\"dropped\":1},\"ACK\""));
	assert_non_null(strstr(outcome.out, "\"response\":{\"passed\":1,\"dropped\":0}}}\n"));
	capture_file_remove(&file);
}

/* The clock is absolute, begins at the first stamp and never steps back; the wire's length goes in. */
static void test_what_the_filter_is_handed(void **state)
{
	const __u64 stamps[] = {SECONDS(1700000000) + 5, SECONDS(1700000000) + 9, SECONDS(1600000000),
				SECONDS(1700000000) + 8, SECONDS(1700000000) + 10};
	const __u64 clock[] = {stamps[0], stamps[1], stamps[1], stamps[1], stamps[4]};
	struct capture_file file;
	struct outcome outcome;

	(void)state;
	for (size_t i = 0; i < COUNT(stamps); i++)
		script->answer[i] = ANSWER(NOT_SIP, NONE, NONE, NONE, 0);
	packets_at(&file, stamps, COUNT(stamps));
	RUN(&outcome, "--json", file.path);
	went_well(&outcome);
	assert_int_equal(script->runs, COUNT(stamps));
	for (size_t i = 0; i < COUNT(stamps); i++) {
		assert_int_equal(script->in[i].now, clock[i]);
		assert_int_equal(script->in[i].wire_length, 42);
		assert_int_equal(script->length[i], 42);
		/* Nothing of the answer before it. */
		assert_int_equal(script->in[i].reason, 0);
		assert_int_equal(script->in[i].family, 0);
	}
	capture_file_remove(&file);
}

static void test_long_and_short_frames(void **state)
{
	static __u8 room[9100];
	__u32 size = capture_file_ipv4(room, 1, 9000);
	struct capture_file file;
	struct outcome outcome;

	(void)state;
	script->answer[0] = ANSWER(WITHIN_LIMITS, INVITE, INVITE, UDP, 0);
	script->answer[1] = ANSWER(TRUNCATED, NONE, NONE, UDP, 0);
	capture_file_create(&file, 0);
	capture_file_pcap(&file, CAPTURE_NANOSECONDS, 65535, DLT_EN10MB);
	capture_file_packet(&file, 1, 0, room, size, size);
	capture_file_packet(&file, 1, 0, room, 14, size);
	capture_file_packet(&file, 1, 0, room, 13, 14);
	capture_file_packet(&file, 1, 0, room, 13, 13);
	capture_file_packet(&file, 1, 0, room, 0, 0);
	capture_file_finish(&file, 0);
	RUN(&outcome, "--json", "--packets", file.path);
	went_well(&outcome);
	assert_int_equal(script->runs, 2);
	assert_int_equal(script->length[0], 3500);
	assert_int_equal(script->in[0].wire_length, size);
	assert_int_equal(script->length[1], 14);
	assert_non_null(strstr(outcome.out, "{\"packet\":3,\"time\":0.0,\"source\":null,\"transport\":null,"
					    "\"method\":null,\"class\":null,\"verdict\":\"pass\","
					    "\"reason\":\"truncated\"}\n"));
	assert_non_null(strstr(outcome.out, "{\"packet\":4,\"time\":0.0,\"source\":null,\"transport\":null,"
					    "\"method\":null,\"class\":null,\"verdict\":\"pass\","
					    "\"reason\":\"not_sip\"}\n"));
	assert_non_null(
		strstr(outcome.out, "{\"packets\":5,\"passed\":5,\"dropped\":0,\"reasons\":{\"not_sip\":2,"));
	assert_non_null(strstr(outcome.out, "\"truncated\":2}"));
	capture_file_remove(&file);
}

static void test_local_is_egress(void **state)
{
	struct capture_file file;
	struct outcome outcome;
	__u8 room[200];

	(void)state;
	script->answer[0] = ANSWER(SOURCE_RATE, INVITE, INVITE, UDP, 1);
	script->sent = ANSWER(EGRESS, RESPONSE, NONE, UDP, 0);
	script->sent.status = 401;
	capture_file_create(&file, 0);
	capture_file_pcap(&file, CAPTURE_NANOSECONDS, 65535, DLT_EN10MB);
	for (__u8 last = 1; last < 4; last++) {
		__u32 size = capture_file_ipv4(room, last, 8);

		capture_file_packet(&file, 1, 0, room, size, size);
	}
	capture_file_finish(&file, 0);
	RUN(&outcome, "--json", "--packets", "--local", "192.0.2.2", "--local", "::1", "--local=192.0.2.3",
	    file.path);
	went_well(&outcome);
	assert_int_equal(script->runs, 1);
	assert_int_equal(script->left, 2);
	assert_non_null(strstr(outcome.out,
			       "{\"packet\":2,\"time\":0.0,\"source\":\"192.0.2.2\",\"transport\":\"udp\","
			       "\"method\":\"response\",\"status\":401,\"class\":null,\"verdict\":\"pass\","
			       "\"reason\":\"egress\",\"direction\":\"egress\"}\n"));
	assert_non_null(strstr(outcome.out, "\"response\":{\"passed\":2,\"dropped\":0}"));
	assert_non_null(strstr(outcome.out, "\"passed\":2,\"dropped\":1,"));
	assert_non_null(strstr(outcome.out, "\"egress\":2,"));
	capture_file_remove(&file);
}

static void test_monitor_mode(void **state)
{
	const __u64 stamps[] = {1, 2};
	struct capture_file file;
	struct outcome outcome;

	(void)state;
	script->answer[0] = ANSWER(POOL_RATE, REGISTER, REGISTER, UDP, 0);
	script->answer[1] = ANSWER(WITHIN_LIMITS, REGISTER, REGISTER, UDP, 0);
	packets_at(&file, stamps, 2);
	RUN(&outcome, "--json", "--packets", "--config", "monitor", file.path);
	went_well(&outcome);
	assert_non_null(
		strstr(outcome.out, "\"verdict\":\"pass\",\"reason\":\"pool_rate\",\"would_drop\":true}\n"));
	assert_non_null(strstr(outcome.out, "\"verdict\":\"pass\",\"reason\":\"within_limits\"}\n"));
	assert_non_null(strstr(outcome.out, "{\"packets\":2,\"passed\":2,\"dropped\":0,\"would_drop\":1,"));
	assert_non_null(strstr(outcome.out, "\"pool_rate\":1,"));
	assert_non_null(strstr(outcome.out, "\"REGISTER\":{\"passed\":2,\"dropped\":0}"));
	capture_file_remove(&file);
}

/* Longest line of a text, in columns. */
static size_t widest(const char *text)
{
	size_t most = 0;

	for (size_t length; *text; text += length + (text[length] == '\n')) {
		length = strcspn(text, "\n");
		most = length > most ? length : most;
	}
	return most;
}

static void test_text(void **state)
{
	const __u64 stamps[] = {SECONDS(1), SECONDS(2) + 500000000, SECONDS(3)};
	struct capture_file file;
	struct outcome outcome;

	(void)state;
	script->answer[0] = ANSWER(NETWORK_RATE, SUBSCRIBE, OTHER, UDP, 1);
	script->answer[1] = ANSWER(WITHIN_LIMITS, RESPONSE, RESPONSE, UDP, 0);
	script->answer[1].status = 200;
	script->answer[2] = ANSWER(NOT_SIP, NONE, NONE, NONE, 0);
	script->answer[2].family = 0;
	packets_at(&file, stamps, COUNT(stamps));
	RUN(&outcome, "--packets", file.path);
	went_well(&outcome);
	starts_with(outcome.out, "     1    0.000000 drop  network_rate  udp SUBSCRIBE    192.0.2.1\n"
				 "     2    1.500000 pass  within_limits udp response 200 192.0.2.1\n"
				 "     3    2.000000 pass  not_sip       -   -            -\n"
				 "\n"
				 "replay: 2.000 s\n");
	assert_true(widest(outcome.out) <= 80);
	assert_non_null(strstr(outcome.out, "\n  network_rate  "));
	assert_non_null(strstr(outcome.out, "\n  SUBSCRIBE     "));
	capture_file_remove(&file);
}

static void test_capture_that_breaks_off(void **state)
{
	struct capture_file file;
	struct outcome outcome;
	__u8 room[200];
	__u32 size = capture_file_ipv4(room, 1, 8);

	(void)state;
	script->answer[0] = ANSWER(WITHIN_LIMITS, INVITE, INVITE, UDP, 0);
	capture_file_create(&file, 0);
	capture_file_pcap(&file, CAPTURE_NANOSECONDS, 65535, DLT_EN10MB);
	capture_file_packet(&file, 1, 0, room, size, size);
	capture_file_packet(&file, 1, 0, room, size, size);
	capture_file_finish(&file, 1);
	RUN(&outcome, "--json", file.path);
	assert_int_equal(outcome.code, 1);
	starts_with(outcome.out, "{\"packets\":1,\"passed\":1,\"dropped\":0,");
	one_line(&outcome, "broke off after packet 1: truncated");
	capture_file_remove(&file);
}

static void test_interrupted(void **state)
{
	const __u64 stamps[] = {1, 2, 3};
	struct capture_file file;
	struct outcome outcome;

	(void)state;
	for (size_t i = 0; i < COUNT(stamps); i++)
		script->answer[i] = ANSWER(NOT_SIP, NONE, NONE, NONE, 0);
	script->signal_at = 2;
	packets_at(&file, stamps, COUNT(stamps));
	RUN(&outcome, "--json", file.path);
	assert_int_equal(outcome.code, 1);
	assert_int_equal(script->runs, 2);
	starts_with(outcome.out, "{\"packets\":2,\"passed\":2,");
	one_line(&outcome, "interrupted after packet 2");
	capture_file_remove(&file);
}

/* A filter that cannot run, or says nothing, is no report. */
static void test_filter_that_fails(void **state)
{
	const __u64 stamps[] = {1};
	struct capture_file file;
	struct outcome outcome;

	(void)state;
	packets_at(&file, stamps, 1);
	RUN(&outcome, "--json", file.path);
	assert_int_equal(outcome.code, 1);
	one_line(&outcome, "was given no reason (0)");
	assert_string_equal(outcome.out, "");
	script->answer[1] = ANSWER(NOT_SIP, NONE, NONE, NONE, 0);
	script->error = -EPERM;
	RUN(&outcome, "--json", file.path);
	assert_int_equal(outcome.code, 1);
	one_line(&outcome, "Operation not permitted");
	assert_string_equal(outcome.out, "");
	capture_file_remove(&file);
}

static void test_broken_output(void **state)
{
	const __u64 stamps[] = {1};
	int full = open("/dev/full", O_WRONLY), ends[2];
	struct capture_file file;
	struct outcome outcome;

	(void)state;
	for (int i = 0; i < RUNS_MAX; i++)
		script->answer[i] = ANSWER(NOT_SIP, NONE, NONE, NONE, 0);
	packets_at(&file, stamps, 1);
	for (int json = 0; json < 2; json++) {
		run_to(&outcome, full, (char *const[]){file.path, json ? "--json" : NULL, NULL});
		assert_int_equal(outcome.code, 1);
		one_line(&outcome, "No space left on device");
		assert_int_equal(pipe(ends), 0);
		close(ends[0]);
		run_to(&outcome, ends[1],
		       (char *const[]){file.path, "--packets", json ? "--json" : NULL, NULL});
		assert_int_equal(outcome.code, 1);
		one_line(&outcome, "Broken pipe");
		close(ends[1]);
	}
	close(full);
	capture_file_remove(&file);
}

/* Lines that nobody will read are not worth the rest of the capture: it ends at the first lost buffer. */
static void test_broken_output_ends_the_replay(void **state)
{
	static __u64 stamps[20000];
	int full = open("/dev/full", O_WRONLY);
	struct capture_file file;
	struct outcome outcome;

	(void)state;
	for (int i = 0; i < RUNS_MAX; i++)
		script->answer[i] = ANSWER(NOT_SIP, NONE, NONE, NONE, 0);
	packets_at(&file, stamps, COUNT(stamps));
	run_to(&outcome, full, (char *const[]){file.path, "--packets", "--json", NULL});
	assert_int_equal(outcome.code, 1);
	one_line(&outcome, "No space left on device");
	assert_in_range(script->runs, 1, COUNT(stamps) - 1);
	close(full);
	capture_file_remove(&file);
}

static void test_bad_files(void **state)
{
	struct outcome outcome;

	(void)state;
	RUN(&outcome, "--json", "/nonexistent/flood.pcap");
	assert_int_equal(outcome.code, 1);
	one_line(&outcome, "/nonexistent/flood.pcap: No such file");
	assert_string_equal(outcome.out, "");
	RUN(&outcome, "--config", "absent", "/nonexistent/flood.pcap");
	assert_int_equal(outcome.code, 2);
	one_line(&outcome, "absent: no such configuration");
}

static void test_usage(void **state)
{
	char *many[2 * 65 + 2] = {"flood.pcap"};
	struct outcome outcome;

	(void)state;
	RUN(&outcome, "--json");
	assert_int_equal(outcome.code, 2);
	RUN(&outcome, "one.pcap", "two.pcap");
	assert_int_equal(outcome.code, 2);
	assert_non_null(strstr(outcome.err, "one capture at a time"));
	RUN(&outcome, "--local", "192.0.2.0/24", "flood.pcap");
	assert_int_equal(outcome.code, 2);
	assert_non_null(strstr(outcome.err, "--local 192.0.2.0/24: expected one"));
	for (int i = 1; i < 66; i++)
		many[i] = "--local=::1";
	run(&outcome, many);
	assert_int_equal(outcome.code, 2);
	assert_non_null(strstr(outcome.err, "at most 64"));
	many[65] = NULL;
	run(&outcome, many);
	assert_int_equal(outcome.code, 1); /* 64 are taken: it is the file that is missing */
}

static void test_help_says_the_default(void **state)
{
	struct outcome outcome;
	int out = memfd_create("out", 0);

	(void)state;
	run_to(&outcome, out, (char *const[]){"--help", NULL});
	read_back(out, outcome.out, sizeof(outcome.out));
	assert_non_null(strstr(outcome.out, "built-in defaults"));
	assert_non_null(strstr(outcome.out, "/etc/sipdam/sipdam.yaml"));
	assert_true(widest(outcome.out) <= 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_empty_capture, begin_test),
		cmocka_unit_test_setup(test_packet_lines, begin_test),
		cmocka_unit_test_setup(test_what_the_filter_is_handed, begin_test),
		cmocka_unit_test_setup(test_long_and_short_frames, begin_test),
		cmocka_unit_test_setup(test_local_is_egress, begin_test),
		cmocka_unit_test_setup(test_monitor_mode, begin_test),
		cmocka_unit_test_setup(test_text, begin_test),
		cmocka_unit_test_setup(test_capture_that_breaks_off, begin_test),
		cmocka_unit_test_setup(test_interrupted, begin_test),
		cmocka_unit_test_setup(test_filter_that_fails, begin_test),
		cmocka_unit_test_setup(test_broken_output, begin_test),
		cmocka_unit_test_setup(test_broken_output_ends_the_replay, begin_test),
		cmocka_unit_test_setup(test_bad_files, begin_test),
		cmocka_unit_test_setup(test_usage, begin_test),
		cmocka_unit_test_setup(test_help_says_the_default, begin_test),
	};

	script = mmap(NULL, sizeof(*script), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (script == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
