/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Draws the demo's tables: what `sipdam stats --json` says from second to second beside the callers'
 * running totals, and at the end a summary of the two scenes. Reads results, measures nothing itself.
 */
#include "lab.h"

#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "../../include/sipdam/message.h"
#include "../../include/sipdam/reason.h"

#define CALLERS_MAX 4
#define NAME_ROOM   64
#define COUNT_TEXT  32
#define COLUMNS     4

struct caller {
	char name[NAME_ROOM];
	const char *file; /* of its totals; in a summary below each scene's folder */
};

struct options {
	struct caller caller[CALLERS_MAX];
	size_t callers;
	bool summary;
	const char *flood;    /* prefix of the flood, as the responder was given it */
	const char *scene[2]; /* folders of a summary: without the filter, with it */
	size_t scenes;
};

/* Where a table goes, and how it may look there. */
struct screen {
	FILE *out;
	bool redraw, colour;
	unsigned int drawn; /* lines to go back over */
};

struct counters {
	__u64 at; /* nanoseconds */
	bool known;
	__u64 passed, dropped, reason[SIPDAM_REASONS_MAX];
	__u64 method[SIPDAM_METHODS_MAX][2]; /* passed, dropped */
};

static const struct {
	const char *label, *sentence;
	int verdict;
} reasons[SIPDAM_REASONS_MAX] = {
#define X(name, number, label, verdict, sentence) [number] = {label, sentence, SIPDAM_VERDICT_##verdict},
	SIPDAM_REASONS(X)
#undef X
};

static const char *const methods[SIPDAM_METHODS_MAX] = {
#define X(name, number, label, class) [number] = label,
	SIPDAM_METHODS(X)
#undef X
};

static const struct argp_option table_options[] = {
	{"caller", 'c', "NAME=FILE", 0, "Show a caller's totals from here; up to 4 times", 0},
	{"summary", 's', NULL, 0, "Compare two scenes, given as folders, instead", 0},
	{"flood", 'f', "PREFIX", 0, "Where the flood comes from, as the responder counts it", 0},
	{0},
};

static void add_caller(struct argp_state *state, const char *text, struct options *options)
{
	const char *equals = strchr(text, '=');
	struct caller *caller = &options->caller[options->callers];

	if (options->callers == CALLERS_MAX || !equals || equals - text >= NAME_ROOM)
		argp_error(state, "--caller '%s': NAME=FILE was expected, at most %d times", text,
			   CALLERS_MAX);
	snprintf(caller->name, sizeof(caller->name), "%.*s", (int)(equals - text), text);
	caller->file = equals + 1;
	options->callers++;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'c':
		add_caller(state, argument, options);
		return 0;
	case 's':
		options->summary = true;
		return 0;
	case 'f':
		options->flood = argument;
		return 0;
	case ARGP_KEY_ARG:
		if (options->scenes == 2)
			return ARGP_ERR_UNKNOWN;
		options->scene[options->scenes++] = argument;
		return 0;
	case ARGP_KEY_END:
		if (options->scenes != (options->summary ? 2 : 0))
			argp_error(state, "two folders and --summary go together");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* "1,234,567" */
static const char *text_count(__u64 count, char text[COUNT_TEXT])
{
	char digits[24], *to = text;
	int length = snprintf(digits, sizeof(digits), "%llu", count), i;

	for (i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return text;
}

/* The number at a path of keys, 0 where there is none. */
static __u64 number_at(const json_t *object, const char *key, const char *below)
{
	const json_t *value = json_object_get(object, key);

	if (below)
		value = json_object_get(value, below);
	return json_is_integer(value) ? (__u64)json_integer_value(value) : 0;
}

static void add_interface(struct counters *counters, const json_t *interface)
{
	const json_t *method;
	int i;

	counters->known = true;
	counters->passed += number_at(interface, "packets", "passed");
	counters->dropped += number_at(interface, "packets", "dropped");
	for (i = 0; i < SIPDAM_REASONS_MAX; i++)
		if (reasons[i].label)
			counters->reason[i] += number_at(interface, "reasons", reasons[i].label);
	for (i = 0; i < SIPDAM_METHODS_MAX; i++) {
		if (!methods[i])
			continue;
		method = json_object_get(json_object_get(interface, "methods"), methods[i]);
		counters->method[i][0] += number_at(method, "passed", NULL);
		counters->method[i][1] += number_at(method, "dropped", NULL);
	}
}

static struct counters read_counters(const json_t *statistics)
{
	struct counters counters = {.at = lab_now()};
	const json_t *interface;
	size_t i;

	json_array_foreach (json_object_get(statistics, "interfaces"), i, interface)
		add_interface(&counters, interface);
	return counters;
}

static void print_title(const struct screen *screen, const char *title, const char *const column[COLUMNS])
{
	int i;

	fprintf(screen->out, "%s  %-24s", screen->colour ? "\033[1m" : "", title);
	for (i = 0; i < COLUMNS; i++)
		fprintf(screen->out, "%13s", column[i]);
	fprintf(screen->out, "%s\n", screen->colour ? "\033[0m" : "");
}

/* One row of four counts; a colour of 0 is none. */
static void print_counts(const struct screen *screen, const char *name, const __u64 count[COLUMNS],
			 const int *colour)
{
	char text[COUNT_TEXT];
	int i;

	fprintf(screen->out, "  %-24s", name);
	for (i = 0; i < COLUMNS; i++) {
		if (screen->colour && colour[i] && count[i])
			fprintf(screen->out, "\033[%dm%13s\033[0m", colour[i], text_count(count[i], text));
		else
			fprintf(screen->out, "%13s", count[i] ? text_count(count[i], text) : "-");
	}
	fputc('\n', screen->out);
}

#define GREEN 32
#define RED   31

/* A row of what passed and was dropped, a second and in total. */
static void print_traffic(const struct screen *screen, const char *name, __u64 elapsed, const __u64 now[2],
			  const __u64 before[2])
{
	static const int colour[COLUMNS] = {GREEN, RED, GREEN, RED};
	__u64 count[COLUMNS] = {0, 0, now[0], now[1]};
	int i;

	for (i = 0; i < 2 && elapsed; i++)
		count[i] = (__u64)((double)(now[i] - before[i]) * (double)LAB_SECOND / (double)elapsed + 0.5);
	print_counts(screen, name, count, colour);
}

static void print_filter(const struct screen *screen, const struct counters *now,
			 const struct counters *before)
{
	static const char *const column[COLUMNS] = {"passed/s", "dropped/s", "passed", "dropped"};
	__u64 elapsed = before->at ? now->at - before->at : 0;
	const __u64 total[2][2] = {{now->passed, now->dropped}, {before->passed, before->dropped}};
	__u64 row[2][2];
	char name[32];
	int i, dropped;

	print_title(screen, "packets", column);
	print_traffic(screen, "all", elapsed, total[0], total[1]);
	for (i = 0; i < SIPDAM_METHODS_MAX; i++)
		if (now->method[i][0] + now->method[i][1])
			print_traffic(screen, methods[i], elapsed, now->method[i], before->method[i]);
	for (i = 0; i < SIPDAM_REASONS_MAX; i++) {
		if (!now->reason[i])
			continue;
		memset(row, 0, sizeof(row));
		dropped = reasons[i].verdict == SIPDAM_VERDICT_DROP;
		row[0][dropped] = now->reason[i];
		row[1][dropped] = before->reason[i];
		snprintf(name, sizeof(name), "why: %s", reasons[i].label);
		print_traffic(screen, name, elapsed, row[0], row[1]);
	}
}

static void print_callers(const struct screen *screen, const struct options *options)
{
	static const char *const column[COLUMNS] = {"placed", "completed", "failed", "sent again"};
	static const int colour[COLUMNS] = {0, GREEN, RED, 0};
	size_t i;

	print_title(screen, "calls", column);
	for (i = 0; i < options->callers; i++) {
		json_t *totals = json_load_file(options->caller[i].file, 0, NULL);
		const __u64 count[COLUMNS] = {
			number_at(totals, "calls", NULL), number_at(totals, "succeeded", NULL),
			number_at(totals, "failed", NULL), number_at(totals, "retransmissions", NULL)};

		print_counts(screen, options->caller[i].name, count, colour);
		json_decref(totals);
	}
}

/* Puts a table over the last one on a terminal, below it elsewhere. */
static void show(struct screen *screen, const char *text)
{
	unsigned int lines = 0;
	const char *at;

	if (screen->redraw && screen->drawn)
		printf("\033[%uA\033[J", screen->drawn);
	for (at = text; (at = strchr(at, '\n')); at++)
		lines++;
	screen->drawn = lines;
	fputs(text, stdout);
	fflush(stdout);
}

/* One table for each JSON object on standard input, until that ends. 0 or -errno. */
static int follow(const struct options *options, struct screen *screen)
{
	struct counters now, before = {0};
	__u64 start = lab_now();
	char *text = NULL;
	size_t length;
	json_t *statistics;

	while (!lab_stopped && (statistics = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, NULL))) {
		now = read_counters(statistics);
		json_decref(statistics);
		screen->out = open_memstream(&text, &length);
		if (!screen->out)
			return -errno;
		fprintf(screen->out, "\n  after %.0f s\n", (double)(now.at - start) / (double)LAB_SECOND);
		if (now.known)
			print_filter(screen, &now, &before);
		print_callers(screen, options);
		fclose(screen->out);
		show(screen, text);
		free(text);
		before = now;
	}
	return 0;
}

/* A scene's result of this name; NULL where there is none. */
static json_t *load_result(const char *folder, const char *file)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s/%s", folder, file) >= (int)sizeof(path))
		return NULL;
	return json_load_file(path, 0, NULL);
}

static void print_pair(const struct screen *screen, const char *name, const char *without, const char *with)
{
	printf("  %-38s%18s%s%20s%s\n", name, without, screen->colour ? "\033[1m" : "", with,
	       screen->colour ? "\033[0m" : "");
}

static void print_flood(const struct screen *screen, const struct options *options)
{
	char sent[2][COUNT_TEXT], reached[2][COUNT_TEXT], lost[2][COUNT_TEXT], dropped[COUNT_TEXT];
	struct counters counters = {0};
	int i;

	for (i = 0; i < 2; i++) {
		json_t *flood = load_result(options->scene[i], "flood.json");
		json_t *server = load_result(options->scene[i], "responder.json");
		json_t *filter = load_result(options->scene[i], "stats.json");

		text_count(number_at(flood, "sent", NULL), sent[i]);
		text_count(number_at(server, "from_prefix", options->flood ? options->flood : ""),
			   reached[i]);
		text_count(number_at(server, "overflowed", NULL), lost[i]);
		counters = read_counters(filter);
		json_decref(flood);
		json_decref(server);
		json_decref(filter);
	}
	print_pair(screen, "flood packets sent", sent[0], sent[1]);
	print_pair(screen, "  dropped by sipdam", "-", text_count(counters.dropped, dropped));
	print_pair(screen, "  lost in the server's full queue", lost[0], lost[1]);
	print_pair(screen, "  reached the server", reached[0], reached[1]);
}

static void print_caller_summary(const struct screen *screen, const struct options *options,
				 const struct caller *caller)
{
	char calls[2][2 * COUNT_TEXT], delay[2][COUNT_TEXT];
	__u64 placed, succeeded;
	int i;

	for (i = 0; i < 2; i++) {
		json_t *totals = load_result(options->scene[i], caller->file);

		placed = number_at(totals, "calls", NULL);
		succeeded = number_at(totals, "succeeded", NULL);
		snprintf(calls[i], sizeof(calls[i]), "%llu of %llu, %llu %%", succeeded, placed,
			 placed ? succeeded * 100 / placed : 0);
		snprintf(delay[i], sizeof(delay[i]), succeeded ? "%.1f ms" : "-",
			 json_number_value(json_object_get(json_object_get(totals, "delay_ms"), "p50")));
		json_decref(totals);
	}
	print_pair(screen, caller->name, calls[0], calls[1]);
	print_pair(screen, "  median time to the answer", delay[0], delay[1]);
}

/* What each reason of the second scene means. */
static void print_legend(const struct options *options)
{
	json_t *statistics = load_result(options->scene[1], "stats.json");
	struct counters counters = read_counters(statistics);
	int i;

	json_decref(statistics);
	if (counters.known)
		printf("\n");
	for (i = 0; i < SIPDAM_REASONS_MAX; i++)
		if (counters.reason[i])
			printf("  %-14s %s\n", reasons[i].label, reasons[i].sentence);
}

static void summarize(const struct options *options, const struct screen *screen)
{
	size_t i;

	printf("\n");
	print_pair(screen, "", "without sipdam", "with sipdam");
	print_flood(screen, options);
	for (i = 0; i < options->callers; i++)
		print_caller_summary(screen, options, &options->caller[i]);
	print_legend(options);
}

int main(int argc, char **argv)
{
	static const struct argp parser = {
		.options = table_options,
		.parser = parse_option,
		.args_doc = "[WITHOUT WITH]",
		.doc = "Draws the demo's tables.",
	};
	struct options options = {0};
	struct screen screen = {0};
	int error = 0;

	argp_err_exit_status = 2;
	argp_parse(&parser, argc, argv, 0, NULL, &options);
	lab_stop_on_signals();
	screen.redraw =
		isatty(STDOUT_FILENO) && strcmp(getenv("TERM") ? getenv("TERM") : "dumb", "dumb") != 0;
	screen.colour = screen.redraw && !(getenv("NO_COLOR") && *getenv("NO_COLOR"));
	if (options.summary)
		summarize(&options, &screen);
	else
		error = follow(&options, &screen);
	if (error)
		fprintf(stderr, "live_table: cannot draw: %s\n", strerror(-error));
	return error ? 1 : 0;
}
