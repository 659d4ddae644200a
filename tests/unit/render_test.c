/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a snapshot looks like: exact text, JSON and metrics of snapshots made by hand, and that every
 * row of the lists in include/sipdam is there, also at 0.
 */
// uses: user/render.c user/utf8.c
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cleanup.h"
#include "render.h"

#define ONE_REASON(name, number, label, verdict, sentence) +1
#define ONE(name, number, label, x)                        +1
#define ONE_VERSION(name, number, label)                   +1
#define DROPS(name, number, label, verdict, sentence)      +(SIPDAM_VERDICT_##verdict == SIPDAM_VERDICT_DROP)

enum {
	ALL_REASONS = SIPDAM_REASONS(ONE_REASON),
	DROP_REASONS = SIPDAM_REASONS(DROPS),
	ALL_METHODS = SIPDAM_METHODS(ONE),
	ALL_CLASSES = SIPDAM_CLASSES(ONE),
	ALL_TLS_VERSIONS = SIPDAM_TLS_VERSIONS(ONE_VERSION),
};

/* Reads what was printed, once. */
struct printed {
	FILE *out;
	char *text;
	size_t size;
};

static FILE *print_to(struct printed *printed)
{
	*printed = (struct printed){0};
	printed->out = open_memstream(&printed->text, &printed->size);
	assert_non_null(printed->out);
	return printed->out;
}

static const char *printed_text(struct printed *printed)
{
	assert_int_equal(fclose(printed->out), 0);
	return printed->text;
}

static struct sipdam_count count(__u64 packets, __u64 bytes)
{
	return (struct sipdam_count){packets, bytes};
}

/* Two interfaces, the first with some traffic of every kind, the second with none and no program. */
static struct snapshot *make_snapshot(void)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	struct sipdam_counters *counters;

	assert_non_null(snapshot);
	counters = &snapshot->interface[0].counters;
	snapshot->interfaces = 2;
	strcpy(snapshot->interface[0].name, "eth0");
	strcpy(snapshot->interface[0].mode, "native");
	strcpy(snapshot->interface[1].name, "eth1.100");
	strcpy(snapshot->interface[1].mode, "none");

	counters->reason[0][SIPDAM_REASON_NOT_SIP] = count(1234567, 246913400);
	counters->reason[0][SIPDAM_REASON_WITHIN_LIMITS] = count(1200, 600000);
	counters->reason[0][SIPDAM_REASON_SOURCE_RATE] = count(98765, 49382500);
	counters->reason[0][SIPDAM_REASON_MALFORMED] = count(1, 60);
	counters->method[SIPDAM_TRANSPORT_UDP][SIPDAM_VERDICT_PASS][SIPDAM_METHOD_INVITE] = count(1000, 0);
	counters->method[SIPDAM_TRANSPORT_TCP][SIPDAM_VERDICT_PASS][SIPDAM_METHOD_INVITE] = count(50, 0);
	counters->method[SIPDAM_TRANSPORT_UDP][SIPDAM_VERDICT_DROP][SIPDAM_METHOD_INVITE] = count(98765, 0);
	counters->method[SIPDAM_TRANSPORT_UDP][SIPDAM_VERDICT_PASS][SIPDAM_METHOD_RESPONSE] = count(150, 0);
	counters->class[SIPDAM_VERDICT_PASS][SIPDAM_CLASS_INVITE] = count(1050, 0);
	counters->class[SIPDAM_VERDICT_DROP][SIPDAM_CLASS_INVITE] = count(98765, 0);

	snapshot->table_events[SIPDAM_TABLE_SOURCE_DISPLACED] = 11;
	snapshot->table_events[SIPDAM_TABLE_NETWORK_DISPLACED] = 12;
	snapshot->table_events[SIPDAM_TABLE_FRAGMENT_DISPLACED] = 13;
	snapshot->table_events[SIPDAM_TABLE_CONTENDED] = 14;
	snapshot->table_events[SIPDAM_TABLE_BAN_REFUSED] = 15;
	snapshot->tls.offered[SIPDAM_TLS_1_3] = 21;
	snapshot->tls.offered[SIPDAM_TLS_UNSEEN] = 22;
	snapshot->tls.chosen[SIPDAM_TLS_1_2] = 23;
	snapshot->banned = 16;
	snapshot->trusted = 17;
	snapshot->peers = 18;
	snapshot->table_events[SIPDAM_TABLE_REFUSED_DISPLACED] = 17;
	snapshot->table_events[SIPDAM_TABLE_GRANT_REFUSED] = 19;
	snapshot->table_events[SIPDAM_TABLE_FAILURE_DISPLACED] = 20;
	snapshot->table_events[SIPDAM_TABLE_COPY_DISPLACED] = 21;
	snapshot->table_events[SIPDAM_TABLE_STREAM_DISPLACED] = 22;
	snapshot->connections = (struct connections){
		.ports = 2,
		.port = {{SIPDAM_PORTS_TCP, 5060, 21, 3}, {SIPDAM_PORTS_WSS, 443, 22, 0}},
	};
	snapshot->connection_events[SIPDAM_CONNECTION_OPENED] = 23;
	snapshot->connection_events[SIPDAM_CONNECTION_SILENT] = 24;
	snapshot->connection_events[SIPDAM_CONNECTION_UNFINISHED] = 27;
	snapshot->connection_events[SIPDAM_CONNECTION_REFUSED] = 25;
	snapshot->connection_events[SIPDAM_CONNECTION_DISPLACED] = 26;
	snapshot->interface[0].learns = true;
	for (int class = 0; class < SIPDAM_CLASSES_MAX; class ++)
		snapshot->pool_level[class] = UINT64_MAX;
	snapshot->pool_level[SIPDAM_CLASS_INVITE] = 0;
	snapshot->pool_level[SIPDAM_CLASS_DIALOG] = 4000;
	snapshot->verify_left[SIPDAM_CLASS_INVITE] = 1;
	snapshot->verify_left[SIPDAM_CLASS_TLS_HELLO] = 1;
	snapshot->policy.list_entries[SIPDAM_LIST_ALLOW] = 3;
	snapshot->policy.list_entries[SIPDAM_LIST_DENY] = 1000000;
	snapshot->meta.sources = 1048576;
	snapshot->source_fill = 0.25;
	return snapshot;
}

/* The same with monitor mode on: what it would have dropped since then beside what it dropped before. */
static struct snapshot *make_monitor_snapshot(void)
{
	struct snapshot *snapshot = make_snapshot();
	struct sipdam_counters *counters = &snapshot->interface[0].counters;

	snapshot->policy.monitor = 1;
	counters->reason[1][SIPDAM_REASON_SOURCE_RATE] = count(35, 17500);
	counters->reason[1][SIPDAM_REASON_POOL_RATE] = count(7, 3500);
	counters->method[SIPDAM_TRANSPORT_UDP][SIPDAM_VERDICT_WOULD_DROP][SIPDAM_METHOD_INVITE] =
		count(35, 0);
	counters->method[SIPDAM_TRANSPORT_TCP][SIPDAM_VERDICT_WOULD_DROP][SIPDAM_METHOD_REGISTER] =
		count(7, 0);
	counters->class[SIPDAM_VERDICT_WOULD_DROP][SIPDAM_CLASS_REGISTER] = count(7, 0);
	return snapshot;
}

/* ---- labels ---- */

static void labels_name_every_number_and_no_other(void **state)
{
	(void)state;
#define X(name, number, label, verdict, sentence)                                                            \
	assert_string_equal(render_reason(number), label);                                                   \
	assert_string_equal(render_reason_sentence(number), sentence);                                       \
	assert_int_equal(render_reason_verdict(number), SIPDAM_VERDICT_##verdict);
	SIPDAM_REASONS(X)
#undef X
#define X(name, number, label, x) assert_string_equal(render_method(number), label);
	SIPDAM_METHODS(X)
#undef X
#define X(name, number, label, x) assert_string_equal(render_class(number), label);
	SIPDAM_CLASSES(X)
#undef X
	assert_string_equal(render_transport(SIPDAM_TRANSPORT_UDP), "udp");
	assert_string_equal(render_transport(SIPDAM_TRANSPORT_TCP), "tcp");
	assert_null(render_transport(SIPDAM_TRANSPORT_NONE));
	for (int out = -1; out <= 64; out += 65) {
		assert_null(render_reason(out));
		assert_null(render_reason_sentence(out));
		assert_null(render_method(out));
		assert_null(render_class(out));
		assert_null(render_transport(out));
	}
	assert_null(render_reason(SIPDAM_REASON_NONE));
	assert_null(render_method(SIPDAM_METHOD_NONE));
	assert_null(render_class(SIPDAM_CLASS_NONE));
}

static void totals_share_no_packet(void **state)
{
	_cleanup_free_ struct snapshot *snapshot = make_monitor_snapshot();
	const struct sipdam_counters *counters = &snapshot->interface[0].counters;

	(void)state;
	assert_int_equal(snapshot_total(counters, SIPDAM_VERDICT_PASS).packets, 1235767);
	assert_int_equal(snapshot_total(counters, SIPDAM_VERDICT_PASS).bytes, 247513400);
	assert_int_equal(snapshot_total(counters, SIPDAM_VERDICT_DROP).packets, 98766);
	assert_int_equal(snapshot_total(counters, SIPDAM_VERDICT_DROP).bytes, 49382560);
	assert_int_equal(snapshot_total(counters, SIPDAM_VERDICT_WOULD_DROP).packets, 42);
	assert_int_equal(snapshot_total(counters, SIPDAM_VERDICT_WOULD_DROP).bytes, 21000);
}

/* ---- JSON ---- */

static json_int_t number_at(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static void json_names_every_reason_and_method(void **state)
{
	struct sipdam_counters none = {0};
	json_t *reasons = render_json_reasons(&none);
	json_t *methods = render_json_methods(&none);

	(void)state;
	assert_int_equal(json_object_size(reasons), ALL_REASONS);
	assert_int_equal(json_object_size(methods), ALL_METHODS);
#define X(name, number, label, verdict, sentence) assert_int_equal(number_at(reasons, label), 0);
	SIPDAM_REASONS(X)
#undef X
#define X(name, number, label, class)                                                                        \
	assert_int_equal(number_at(json_object_get(methods, label), "passed"), 0);                           \
	assert_int_equal(number_at(json_object_get(methods, label), "dropped"), 0);                          \
	assert_int_equal(json_object_size(json_object_get(methods, label)), 2);
	SIPDAM_METHODS(X)
#undef X
	json_decref(reasons);
	json_decref(methods);
}

/* Each counter alone shows under its own key and no other. */
static void json_puts_each_counter_under_its_key(void **state)
{
	(void)state;
	for (int i = 1; i <= ALL_REASONS; i++) {
		struct sipdam_counters counters = {0};
		json_t *reasons;
		const char *key;
		json_t *value;

		counters.reason[0][i].packets = 5;
		counters.reason[1][i].packets = 2;
		reasons = render_json_reasons(&counters);
		json_object_foreach (reasons, key, value)
			assert_int_equal(json_integer_value(value), strcmp(key, render_reason(i)) ? 0 : 7);
		json_decref(reasons);
	}
}

static void json_methods_sum_transports_and_count_would_drop_as_passed(void **state)
{
	_cleanup_free_ struct snapshot *snapshot = make_monitor_snapshot();
	json_t *methods = render_json_methods(&snapshot->interface[0].counters);
	const json_t *invite = json_object_get(methods, "INVITE");
	const json_t *registration = json_object_get(methods, "REGISTER");

	(void)state;
	assert_int_equal(number_at(invite, "passed"), 1000 + 50 + 35);
	assert_int_equal(number_at(invite, "dropped"), 98765);
	assert_int_equal(number_at(registration, "passed"), 7);
	assert_int_equal(number_at(registration, "dropped"), 0);
	json_decref(methods);
}

static void json_stats_is_as_documented(void **state)
{
	static const char start[] =
		"{\"interfaces\":[{\"name\":\"eth0\",\"mode\":\"native\","
		"\"packets\":{\"passed\":1235767,\"dropped\":98766,\"would_drop\":42},"
		"\"bytes\":{\"passed\":247513400,\"dropped\":49382560,\"would_drop\":21000},"
		"\"reasons\":{\"not_sip\":1234567,\"allowed\":0,";
	_cleanup_free_ struct snapshot *snapshot = make_monitor_snapshot();
	json_t *stats = render_json_stats(snapshot, NULL);
	_cleanup_free_ char *text = json_dumps(stats, JSON_COMPACT);
	const json_t *second = json_array_get(json_object_get(stats, "interfaces"), 1);

	(void)state;
	assert_int_equal(json_array_size(json_object_get(stats, "interfaces")), 2);
	assert_memory_equal(text, start, strlen(start));
	assert_string_equal(json_string_value(json_object_get(second, "name")), "eth1.100");
	assert_string_equal(json_string_value(json_object_get(second, "mode")), "none");
	assert_int_equal(json_object_size(second), 6);
	assert_int_equal(number_at(json_object_get(second, "packets"), "passed"), 0);
	json_decref(stats);
}

static void json_stats_of_one_interface_or_none(void **state)
{
	_cleanup_free_ struct snapshot *snapshot = make_snapshot();
	json_t *one = render_json_stats(snapshot, "eth1.100");
	json_t *none = render_json_stats(snapshot, "eth1");
	const json_t *list = json_object_get(one, "interfaces");

	(void)state;
	assert_int_equal(json_array_size(list), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "name")), "eth1.100");
	assert_int_equal(json_array_size(json_object_get(none, "interfaces")), 0);
	json_decref(one);
	json_decref(none);
}

/* ---- text ---- */

static void text_leaves_out_rows_at_0(void **state)
{
	static const char expected[] = "eth0: native\n"
				       "\n"
				       "  reason            packets    share      bytes\n"
				       "  not_sip         1,234,567   92.51%  246.91 MB\n"
				       "  within_limits       1,200    0.09%  600.00 kB\n"
				       "  all passed      1,235,767   92.60%  247.51 MB\n"
				       "  malformed               1   <0.01%       60 B\n"
				       "  source_rate        98,765    7.40%   49.38 MB\n"
				       "  all dropped        98,766    7.40%   49.38 MB\n"
				       "\n"
				       "  message            passed     dropped\n"
				       "  INVITE              1,050      98,765\n"
				       "  response              150           0\n"
				       "  all messages        1,200      98,765\n";
	_cleanup_free_ struct snapshot *snapshot = make_snapshot();
	struct printed printed;
	_cleanup_free_ char *text = NULL;

	(void)state;
	render_text_stats(snapshot, "eth0", print_to(&printed));
	text = (char *)printed_text(&printed);
	assert_string_equal(text, expected);
}

static void text_has_would_drop_in_monitor_mode(void **state)
{
	static const char expected[] = "eth0: native, monitor mode: nothing is dropped\n"
				       "\n"
				       "  reason            packets  would_drop    share      bytes\n"
				       "  not_sip         1,234,567               92.51%  246.91 MB\n"
				       "  within_limits       1,200                0.09%  600.00 kB\n"
				       "  all passed      1,235,767               92.60%  247.51 MB\n"
				       "  malformed               1           0   <0.01%       60 B\n"
				       "  source_rate        98,765          35    7.40%   49.40 MB\n"
				       "  pool_rate               0           7   <0.01%    3.50 kB\n"
				       "  all dropped        98,766          42    7.40%   49.40 MB\n"
				       "\n"
				       "  message            passed     dropped  would_drop\n"
				       "  INVITE              1,050      98,765          35\n"
				       "  REGISTER                0           0           7\n"
				       "  response              150           0           0\n"
				       "  all messages        1,200      98,765          42\n"
				       "\n"
				       "eth1.100: not attached any more\n";
	_cleanup_free_ struct snapshot *snapshot = make_monitor_snapshot();
	struct printed printed;
	_cleanup_free_ char *text = NULL;

	(void)state;
	render_text_stats(snapshot, NULL, print_to(&printed));
	text = (char *)printed_text(&printed);
	assert_memory_equal(text, expected, strlen(expected));
}

/* The column stays while there is something in it: nothing that was counted disappears. */
static void text_keeps_would_drop_after_monitor_mode(void **state)
{
	_cleanup_free_ struct snapshot *snapshot = make_monitor_snapshot();
	struct printed printed;
	_cleanup_free_ char *text = NULL;

	(void)state;
	snapshot->policy.monitor = 0;
	render_text_stats(snapshot, "eth0", print_to(&printed));
	text = (char *)printed_text(&printed);
	assert_memory_equal(text, "eth0: native\n", 13);
	assert_non_null(strstr(text, "  all messages        1,200      98,765          42\n"));
}

static void text_says_that_the_deadline_has_passed(void **state)
{
	static const char before[] = "eth0: native\n",
			  after[] = "eth0: native, not confirmed in time: nothing";
	_cleanup_free_ struct snapshot *snapshot = make_snapshot();
	struct printed printed;
	char *text;

	(void)state;
	snapshot->policy.deadline = snapshot->now + 1;
	render_text_stats(snapshot, "eth0", print_to(&printed));
	text = (char *)printed_text(&printed);
	assert_memory_equal(text, before, strlen(before));
	free(text);
	snapshot->now++;
	render_text_stats(snapshot, "eth0", print_to(&printed));
	text = (char *)printed_text(&printed);
	assert_memory_equal(text, after, strlen(after));
	assert_non_null(strstr(text, "would_drop"));
	free(text);
}

/* Large numbers stay exact and aligned, within 80 columns up to 10^15 packets. */
static void text_fits_80_columns(void **state)
{
	_cleanup_free_ struct snapshot *snapshot = make_monitor_snapshot();
	struct printed printed;
	_cleanup_free_ char *text = NULL;

	(void)state;
	snapshot->interface[0].counters.reason[0][SIPDAM_REASON_NOT_SIP] =
		count(999999999999999 - 1235767, 18000000000000000000ULL);
	render_text_stats(snapshot, "eth0", print_to(&printed));
	text = (char *)printed_text(&printed);
	assert_non_null(strstr(text, "  not_sip       999,999,998,764,232 "));
	assert_non_null(strstr(text, ">99.99%   18.00 EB\n"));
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		assert_in_range(strlen(line), 0, 80);
}

static void text_bytes_change_unit_where_they_would_round_up(void **state)
{
	static const struct {
		__u64 bytes;
		const char *end;
	} rows[] = {
		{0, "        0 B\n"},      {999, "      999 B\n"},    {1000, "    1.00 kB\n"},
		{999994, "  999.99 kB\n"}, {999995, "    1.00 MB\n"}, {UINT64_MAX, "   18.45 EB\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		_cleanup_free_ struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
		_cleanup_free_ char *text = NULL;
		struct printed printed;

		assert_non_null(snapshot);
		snapshot->interfaces = 1;
		snapshot->interface[0].counters.reason[0][SIPDAM_REASON_PEER] = count(1, rows[i].bytes);
		render_text_stats(snapshot, NULL, print_to(&printed));
		text = (char *)printed_text(&printed);
		assert_non_null(strstr(text, rows[i].end));
	}
}

/* ---- metrics ---- */

static char *metrics(const struct snapshot *snapshot)
{
	struct printed printed;

	render_metrics(snapshot, print_to(&printed));
	return (char *)printed_text(&printed);
}

/* How many lines of text begin so. */
static int lines_with(const char *text, const char *start)
{
	int found = 0;

	for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL)
		found += !strncmp(line, start, strlen(start));
	return found;
}

/* Exactly this line is there, once. */
static void assert_line(const char *text, const char *line)
{
	char with_end[256];

	snprintf(with_end, sizeof(with_end), "%s\n", line);
	if (lines_with(text, with_end) != 1)
		fail_msg("%d lines \"%s\"", lines_with(text, with_end), line);
}

static void metrics_have_every_row(void **state)
{
	_cleanup_free_ struct snapshot *snapshot = make_snapshot();
	_cleanup_free_ char *text = metrics(snapshot);
	/* All but the reason that only captures have, and a second row for what monitor mode lets through. */
	const int reason_rows = ALL_REASONS + DROP_REASONS;

	(void)state;
	assert_int_equal(lines_with(text, "sipdam_packets_total{interface=\"eth0\","), reason_rows);
	assert_int_equal(lines_with(text, "sipdam_packets_total{interface=\"eth1.100\","), reason_rows);
	assert_int_equal(lines_with(text, "sipdam_bytes_total{"), 2 * reason_rows);
	assert_int_equal(lines_with(text, "sipdam_messages_total{"), 2 * 2 * 3 * ALL_METHODS);
	assert_int_equal(lines_with(text, "sipdam_class_packets_total{"), 2 * 3 * ALL_CLASSES);
	assert_int_equal(lines_with(text, "sipdam_list_entries{"), SIPDAM_LISTS);
	assert_int_equal(lines_with(text, "sipdam_pool_level{"), 2);
	assert_int_equal(lines_with(text, "sipdam_verification_active{"), 8);
	assert_int_equal(lines_with(text, "sipdam_table_displaced_total{"), 6);
	assert_int_equal(lines_with(text, "sipdam_tls_offered_total{"), ALL_TLS_VERSIONS);
	assert_int_equal(lines_with(text, "sipdam_tls_chosen_total{"), ALL_TLS_VERSIONS);
	assert_line(text, "sipdam_packets_total{interface=\"eth0\",verdict=\"pass\",reason=\"truncated\"} 0");
	assert_line(text, "sipdam_tls_offered_total{version=\"1.3\"} 21");
	assert_line(text, "sipdam_tls_offered_total{version=\"unseen\"} 22");
	assert_line(text, "sipdam_tls_chosen_total{version=\"1.2\"} 23");
	assert_line(text, "sipdam_tls_chosen_total{version=\"1.3\"} 0");
}

static void versions_are_all_there(void **state)
{
	_cleanup_free_ struct snapshot *snapshot = make_snapshot();
	json_t *object = render_json_tls(&snapshot->tls);
	_cleanup_free_ char *text = json_dumps(object, JSON_COMPACT);

	(void)state;
	assert_string_equal(text, "{\"offered\":{\"unseen\":22,\"unknown\":0,\"ssl3\":0,\"1.0\":0,\"1.1\":0,"
				  "\"1.2\":0,\"1.3\":21},\"chosen\":{\"unseen\":0,\"unknown\":0,\"ssl3\":0,"
				  "\"1.0\":0,\"1.1\":0,\"1.2\":23,\"1.3\":0}}");
	json_decref(object);
}

/* A name of a metric has one HELP, one TYPE, and rows right behind them. */
static void metrics_are_all_described(void **state)
{
	_cleanup_free_ struct snapshot *snapshot = make_snapshot();
	_cleanup_free_ char *text = metrics(snapshot);
	char name[64] = "", help[64], type[64];
	int described = 0;

	(void)state;
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (sscanf(line, "# HELP %63s", help) == 1) {
			line = strtok(NULL, "\n");
			assert_non_null(line);
			assert_int_equal(sscanf(line, "# TYPE %63s", type), 1);
			assert_string_equal(help, type);
			strcpy(name, type);
			assert_int_equal(!!strstr(line, " counter"), !!strstr(name, "_total"));
			described++;
			continue;
		}
		assert_memory_equal(line, name, strlen(name));
		assert_non_null(strchr(" {", line[strlen(name)]));
	}
	assert_int_equal(described, 33);
}

/* No byte of a name makes the whole unreadable. */
static void json_of_a_name_that_is_no_utf8(void **state)
{
	_cleanup_free_ struct snapshot *snapshot = make_snapshot();
	json_t *object;

	(void)state;
	strcpy(snapshot->interface[0].name, "e\xff\xc3\xa9");
	object = render_json_stats(snapshot, NULL);
	assert_non_null(object);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(json_object_get(object, "interfaces"), 0), "name")),
		"e\\xff\xc3\xa9");
	json_decref(object);
}

/* A name may hold what would end a label, and then all rows of all interfaces would be refused for it. */
static void metrics_escape_names(void **state)
{
#define ESCAPED "{interface=\"x\\\"y\\\\\""
	_cleanup_free_ struct snapshot *snapshot = make_snapshot();
	_cleanup_free_ char *text = NULL, *mixed = NULL, *longest = NULL;

	(void)state;
	strcpy(snapshot->interface[0].name, "x\"y\\");
	text = metrics(snapshot);
	assert_line(text, "sipdam_interface_attached" ESCAPED ",mode=\"native\"} 1");
	assert_line(text, "sipdam_interface_learns" ESCAPED "} 1");
	assert_int_equal(lines_with(text, "sipdam_packets_total" ESCAPED ","), ALL_REASONS + DROP_REASONS);
	assert_int_equal(lines_with(text, "sipdam_bytes_total" ESCAPED ","), ALL_REASONS + DROP_REASONS);
	assert_int_equal(lines_with(text, "sipdam_messages_total" ESCAPED ","), 2 * 3 * ALL_METHODS);
	assert_int_equal(lines_with(text, "sipdam_class_packets_total" ESCAPED ","), 3 * ALL_CLASSES);

	strcpy(snapshot->interface[0].name, "\xc3\xa9\xff");
	mixed = metrics(snapshot);
	assert_line(mixed, "sipdam_interface_learns{interface=\"\xc3\xa9\\\\xff\"} 1");

	memset(snapshot->interface[0].name, 0xff, IF_NAMESIZE - 1);
	longest = metrics(snapshot);
	assert_line(longest, "sipdam_interface_learns{interface=\""
			     "\\\\xff\\\\xff\\\\xff\\\\xff\\\\xff\\\\xff\\\\xff\\\\xff\\\\xff\\\\xff\\\\xff\\\\xff\\\\xff\\\\xff\\\\xff"
			     "\"} 1");
#undef ESCAPED
}

static void metrics_tell_of_a_deadline(void **state)
{
	_cleanup_free_ struct snapshot *snapshot = make_snapshot();
	_cleanup_free_ char *before = NULL, *after = NULL;

	(void)state;
	snapshot->policy.deadline = snapshot->now + 1;
	before = metrics(snapshot);
	assert_line(before, "sipdam_confirm_pending 1");
	assert_line(before, "sipdam_confirm_overdue 0");
	snapshot->now++;
	after = metrics(snapshot);
	assert_line(after, "sipdam_confirm_pending 0");
	assert_line(after, "sipdam_confirm_overdue 1");
}

static void metrics_read_exactly(void **state)
{
	_cleanup_free_ struct snapshot *snapshot = make_monitor_snapshot();
	_cleanup_free_ char *text = metrics(snapshot);
	static const char *const lines[] = {
		"# HELP sipdam_packets_total Packets by verdict and reason.",
		"# TYPE sipdam_packets_total counter",
		"sipdam_packets_total{interface=\"eth0\",verdict=\"pass\",reason=\"not_sip\"} 1234567",
		"sipdam_packets_total{interface=\"eth0\",verdict=\"drop\",reason=\"source_rate\"} 98765",
		"sipdam_packets_total{interface=\"eth0\",verdict=\"would_drop\",reason=\"source_rate\"} 35",
		"sipdam_packets_total{interface=\"eth0\",verdict=\"drop\",reason=\"pool_rate\"} 0",
		"sipdam_packets_total{interface=\"eth1.100\",verdict=\"pass\",reason=\"egress\"} 0",
		"sipdam_bytes_total{interface=\"eth0\",verdict=\"drop\",reason=\"malformed\"} 60",
		"sipdam_bytes_total{interface=\"eth0\",verdict=\"would_drop\",reason=\"pool_rate\"} 3500",
		"sipdam_messages_total{interface=\"eth0\",transport=\"udp\",method=\"INVITE\",verdict="
		"\"pass\"} 1000",
		"sipdam_messages_total{interface=\"eth0\",transport=\"tcp\",method=\"INVITE\",verdict="
		"\"pass\"} 50",
		"sipdam_messages_total{interface=\"eth0\",transport=\"udp\",method=\"INVITE\",verdict="
		"\"drop\"} 98765",
		"sipdam_messages_total{interface=\"eth0\",transport=\"tcp\",method=\"REGISTER\","
		"verdict=\"would_drop\"} 7",
		"sipdam_messages_total{interface=\"eth0\",transport=\"udp\",method=\"response\",verdict="
		"\"pass\"} 150",
		"sipdam_class_packets_total{interface=\"eth0\",class=\"invite\",verdict=\"pass\"} 1050",
		"sipdam_class_packets_total{interface=\"eth0\",class=\"register\",verdict=\"would_drop\"} 7",
		"sipdam_list_entries{list=\"allow\"} 3",
		"sipdam_list_entries{list=\"deny\"} 1000000",
		"sipdam_list_entries{list=\"addresses\"} 0",
		"sipdam_pool_level{class=\"invite\"} 0",
		"sipdam_pool_level{class=\"dialog\"} 4000",
		"sipdam_verification_active{class=\"invite\"} 1",
		"sipdam_verification_active{class=\"other\"} 0",
		"sipdam_verification_active{class=\"tls_hello\"} 1",
		"sipdam_verification_active{class=\"ws_upgrade\"} 0",
		"sipdam_source_table_lines 1048576",
		"sipdam_source_table_fill 0.2500",
		"sipdam_monitor_mode 1",
		"sipdam_confirm_pending 0",
		"sipdam_confirm_overdue 0",
		"sipdam_table_displaced_total{table=\"source\"} 11",
		"sipdam_table_displaced_total{table=\"network\"} 12",
		"sipdam_table_displaced_total{table=\"fragment\"} 13",
		"sipdam_table_displaced_total{table=\"failure\"} 20",
		"sipdam_table_displaced_total{table=\"copy\"} 21",
		"sipdam_table_displaced_total{table=\"stream\"} 22",
		"sipdam_grants_refused_total 19",
		"sipdam_connections_open{transport=\"tcp\",port=\"5060\"} 21",
		"sipdam_connections_open{transport=\"wss\",port=\"443\"} 22",
		"sipdam_connections_silent{transport=\"tcp\",port=\"5060\"} 3",
		"sipdam_connections_silent{transport=\"wss\",port=\"443\"} 0",
		"sipdam_connections_opened_total 23",
		"sipdam_connections_ended_silent_total 24",
		"sipdam_tls_handshakes_unfinished_total 27",
		"sipdam_connections_uncounted_total 25",
		"sipdam_connection_sources_displaced_total 26",
		"sipdam_interface_learns{interface=\"eth0\"} 1",
		"sipdam_interface_learns{interface=\"eth1.100\"} 0",
		"sipdam_table_contended_total 14",
		"sipdam_bans_refused_total 15",
		"sipdam_banned_sources 16",
		"sipdam_trusted_sources 17",
		"sipdam_peer_sources 18",
		"sipdam_over_limit_displaced_total 17",
		"sipdam_interface_attached{interface=\"eth0\",mode=\"native\"} 1",
		"sipdam_interface_attached{interface=\"eth1.100\",mode=\"none\"} 0",
		"sipdam_build_info{version=\"" SIPDAM_VERSION "\"} 1",
		"sipdam_up 1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		assert_line(text, lines[i]);
}

static void metrics_without_a_filter_say_so(void **state)
{
	_cleanup_free_ char *text = metrics(NULL);

	(void)state;
	assert_string_equal(text, "# HELP sipdam_build_info Version of the exporter.\n"
				  "# TYPE sipdam_build_info gauge\n"
				  "sipdam_build_info{version=\"" SIPDAM_VERSION "\"} 1\n"
				  "# HELP sipdam_up 1 if the filter's counters could be read.\n"
				  "# TYPE sipdam_up gauge\n"
				  "sipdam_up 0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels_name_every_number_and_no_other),
		cmocka_unit_test(totals_share_no_packet),
		cmocka_unit_test(json_names_every_reason_and_method),
		cmocka_unit_test(json_puts_each_counter_under_its_key),
		cmocka_unit_test(json_methods_sum_transports_and_count_would_drop_as_passed),
		cmocka_unit_test(json_stats_is_as_documented),
		cmocka_unit_test(json_stats_of_one_interface_or_none),
		cmocka_unit_test(text_leaves_out_rows_at_0),
		cmocka_unit_test(text_has_would_drop_in_monitor_mode),
		cmocka_unit_test(text_keeps_would_drop_after_monitor_mode),
		cmocka_unit_test(text_says_that_the_deadline_has_passed),
		cmocka_unit_test(text_fits_80_columns),
		cmocka_unit_test(text_bytes_change_unit_where_they_would_round_up),
		cmocka_unit_test(metrics_have_every_row),
		cmocka_unit_test(metrics_are_all_described),
		cmocka_unit_test(versions_are_all_there),
		cmocka_unit_test(json_of_a_name_that_is_no_utf8),
		cmocka_unit_test(metrics_escape_names),
		cmocka_unit_test(metrics_tell_of_a_deadline),
		cmocka_unit_test(metrics_read_exactly),
		cmocka_unit_test(metrics_without_a_filter_say_so),
	};

	return cmocka_run_group_tests_name("render", tests, NULL, NULL);
}
