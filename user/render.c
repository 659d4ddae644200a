/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A snapshot as text, JSON or Prometheus exposition. Labels come from the lists of include/sipdam and
 * from interface names, never from packets. Pure: reads no map and no clock.
 */
#include <inttypes.h>
#include <stdint.h>
#include <string.h>

#include "render.h"
#include "utf8.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct {
	const char *label;
	const char *sentence;
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

static const char *const classes[SIPDAM_CLASSES_MAX] = {
#define X(name, number, label, network) [number] = label,
	SIPDAM_CLASSES(X)
#undef X
};

static const char *const transports[] = {[SIPDAM_TRANSPORT_UDP] = "udp", [SIPDAM_TRANSPORT_TCP] = "tcp"};

static const char *const verdicts[SIPDAM_VERDICTS] = {
	[SIPDAM_VERDICT_PASS] = "pass",
	[SIPDAM_VERDICT_DROP] = "drop",
	[SIPDAM_VERDICT_WOULD_DROP] = "would_drop",
};

static const char *const tls_versions[SIPDAM_TLS_ROWS] = {
#define X(name, number, label) [number] = label,
	SIPDAM_TLS_VERSIONS(X)
#undef X
};

static const char *const lists[SIPDAM_LISTS] = {
	[SIPDAM_LIST_ALLOW] = "allow",
	[SIPDAM_LIST_DENY] = "deny",
	[SIPDAM_LIST_ADDRESSES] = "addresses",
};

static const char *label_of(const char *const *labels, size_t count, int number)
{
	return number >= 0 && (size_t)number < count ? labels[number] : NULL;
}

const char *render_reason(int reason)
{
	return reason >= 0 && reason < SIPDAM_REASONS_MAX ? reasons[reason].label : NULL;
}

const char *render_reason_sentence(int reason)
{
	return reason >= 0 && reason < SIPDAM_REASONS_MAX ? reasons[reason].sentence : NULL;
}

int render_reason_verdict(int reason)
{
	return reason >= 0 && reason < SIPDAM_REASONS_MAX ? reasons[reason].verdict : SIPDAM_VERDICT_PASS;
}

const char *render_method(int method)
{
	return label_of(methods, COUNT(methods), method);
}

const char *render_class(int class)
{
	return label_of(classes, COUNT(classes), class);
}

const char *render_transport(int transport)
{
	return label_of(transports, COUNT(transports), transport);
}

const char *render_tls_version(int row)
{
	return label_of(tls_versions, COUNT(tls_versions), row);
}

/* Messages of a method by verdict, over all transports. */
static __u64 messages(const struct sipdam_counters *counters, int method, int verdict)
{
	__u64 sum = 0;

	for (int transport = 0; transport < SIPDAM_TRANSPORTS; transport++)
		sum += counters->method[transport][verdict][method].packets;
	return sum;
}

static bool selected(const struct snapshot_interface *interface, const char *name)
{
	return !name || !strcmp(interface->name, name);
}

/* ---- JSON ---- */

static json_t *json_count(__u64 count)
{
	return json_integer((json_int_t)count);
}

/* object[key] = value, taking the reference. Returns false when out of memory or value is NULL. */
static bool json_put(json_t *object, const char *key, json_t *value)
{
	return !json_object_set_new(object, key, value);
}

/* Gives object if it was built whole, else frees it. */
static json_t *json_whole(json_t *object, bool whole)
{
	if (whole)
		return object;
	json_decref(object);
	return NULL;
}

json_t *render_json_reasons(const struct sipdam_counters *counters)
{
	json_t *object = json_object();
	bool whole = object;

	for (int i = 0; whole && i < SIPDAM_REASONS_MAX; i++)
		if (reasons[i].label)
			whole = json_put(
				object, reasons[i].label,
				json_count(counters->reason[0][i].packets + counters->reason[1][i].packets));
	return json_whole(object, whole);
}

/* In monitor mode what would have been dropped has passed. */
static json_t *json_method(const struct sipdam_counters *counters, int method)
{
	__u64 passed = messages(counters, method, SIPDAM_VERDICT_PASS) +
		       messages(counters, method, SIPDAM_VERDICT_WOULD_DROP);
	json_t *object = json_object();

	return json_whole(object,
			  json_put(object, "passed", json_count(passed)) &&
				  json_put(object, "dropped",
					   json_count(messages(counters, method, SIPDAM_VERDICT_DROP))));
}

json_t *render_json_methods(const struct sipdam_counters *counters)
{
	json_t *object = json_object();
	bool whole = object;

	for (int i = 0; whole && i < SIPDAM_METHODS_MAX; i++)
		if (methods[i])
			whole = json_put(object, methods[i], json_method(counters, i));
	return json_whole(object, whole);
}

static json_t *json_totals(const struct sipdam_counters *counters, bool bytes)
{
	static const char *const keys[SIPDAM_VERDICTS] = {
		[SIPDAM_VERDICT_PASS] = "passed",
		[SIPDAM_VERDICT_DROP] = "dropped",
		[SIPDAM_VERDICT_WOULD_DROP] = "would_drop",
	};
	json_t *object = json_object();
	bool whole = object;

	for (int verdict = 0; whole && verdict < SIPDAM_VERDICTS; verdict++) {
		struct sipdam_count total = snapshot_total(counters, verdict);

		whole = json_put(object, keys[verdict], json_count(bytes ? total.bytes : total.packets));
	}
	return json_whole(object, whole);
}

static json_t *json_interface(const struct snapshot_interface *interface)
{
	const struct sipdam_counters *counters = &interface->counters;
	json_t *object = json_object();

	return json_whole(object, json_put(object, "name", utf8_json(interface->name)) &&
					  json_put(object, "mode", json_string(interface->mode)) &&
					  json_put(object, "packets", json_totals(counters, false)) &&
					  json_put(object, "bytes", json_totals(counters, true)) &&
					  json_put(object, "reasons", render_json_reasons(counters)) &&
					  json_put(object, "methods", render_json_methods(counters)));
}

static json_t *json_versions(const __u64 rows[SIPDAM_TLS_ROWS])
{
	json_t *object = json_object();
	bool whole = object;

	for (int row = 0; whole && row < SIPDAM_TLS_ROWS; row++)
		if (tls_versions[row])
			whole = json_put(object, tls_versions[row], json_count(rows[row]));
	return json_whole(object, whole);
}

json_t *render_json_tls(const struct sipdam_tls_meter *meter)
{
	json_t *object = json_object();

	return json_whole(object, json_put(object, "offered", json_versions(meter->offered)) &&
					  json_put(object, "chosen", json_versions(meter->chosen)));
}

json_t *render_json_stats(const struct snapshot *snapshot, const char *interface)
{
	json_t *object = json_object();
	json_t *array = json_array();
	bool whole = json_put(object, "interfaces", array);

	for (size_t i = 0; whole && i < snapshot->interfaces; i++)
		if (selected(&snapshot->interface[i], interface))
			whole = !json_array_append_new(array, json_interface(&snapshot->interface[i]));
	return json_whole(object, whole);
}

/* ---- text ---- */

#define COUNT_TEXT  RENDER_COUNT
#define NAME_WIDTH  13 /* the longest label of a reason */
#define COUNT_WIDTH 11

/* Columns of the tables of one interface. */
struct table {
	FILE *out;
	int width; /* of a count: all columns of one interface are alike */
	bool would_drop;
	__u64 packets; /* all of them, for shares */
};

const char *render_count(__u64 count, char text[RENDER_COUNT])
{
	char digits[21];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, (uint64_t)count);
	char *to = text;

	for (int i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return text;
}

/* "999 B", "1.23 kB": decimal units. */
static const char *text_bytes(__u64 bytes, char text[COUNT_TEXT])
{
	static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
	double value = (double)bytes / 1000;
	size_t unit = 0;

	if (bytes < 1000) {
		snprintf(text, COUNT_TEXT, "%u B", (unsigned int)bytes);
		return text;
	}
	/* What two decimals would round up to 1000.00 belongs to the next unit. */
	for (; value >= 999.995 && unit + 1 < COUNT(units); unit++)
		value /= 1000;
	snprintf(text, COUNT_TEXT, "%.2f %s", value, units[unit]);
	return text;
}

/* "12.34%"; what is not none is never shown as none, what is not all never as all. */
static const char *text_share(__u64 part, __u64 whole, char text[COUNT_TEXT])
{
	double share = whole ? 100.0 * (double)part / (double)whole : 0;

	if (part && share < 0.01)
		snprintf(text, COUNT_TEXT, "<0.01%%");
	else if (part < whole && share > 99.99)
		snprintf(text, COUNT_TEXT, ">99.99%%");
	else
		snprintf(text, COUNT_TEXT, "%.2f%%", share);
	return text;
}

/* One row of the table of reasons. plain and would_drop share no packet; would_drop NULL: blank. */
static void text_reason(const struct table *table, const char *name, const struct sipdam_count *plain,
			const struct sipdam_count *would_drop)
{
	__u64 packets = plain->packets + (would_drop ? would_drop->packets : 0);
	__u64 bytes = plain->bytes + (would_drop ? would_drop->bytes : 0);
	char text[COUNT_TEXT];

	fprintf(table->out, "  %-*s %*s", NAME_WIDTH, name, table->width, render_count(plain->packets, text));
	if (table->would_drop)
		fprintf(table->out, " %*s", table->width,
			would_drop ? render_count(would_drop->packets, text) : "");
	fprintf(table->out, " %8s", text_share(packets, table->packets, text));
	fprintf(table->out, " %10s\n", text_bytes(bytes, text));
}

/* The reasons of one verdict that have packets, then their sum. */
static void text_reasons(const struct table *table, const struct sipdam_counters *counters, int verdict)
{
	const bool drop = verdict == SIPDAM_VERDICT_DROP;
	struct sipdam_count plain = snapshot_total(counters, verdict);
	struct sipdam_count would_drop = snapshot_total(counters, SIPDAM_VERDICT_WOULD_DROP);

	for (int i = 0; i < SIPDAM_REASONS_MAX; i++) {
		const struct sipdam_count *row[] = {&counters->reason[0][i], &counters->reason[1][i]};

		if (!reasons[i].label || reasons[i].verdict != verdict ||
		    !(row[0]->packets || (drop && row[1]->packets)))
			continue;
		text_reason(table, reasons[i].label, row[0], drop ? row[1] : NULL);
	}
	text_reason(table, drop ? "all dropped" : "all passed", &plain, drop ? &would_drop : NULL);
}

static void text_method(const struct table *table, const char *name, const __u64 by_verdict[SIPDAM_VERDICTS])
{
	char text[COUNT_TEXT];

	fprintf(table->out, "  %-*s", NAME_WIDTH, name);
	for (int verdict = 0; verdict < SIPDAM_VERDICTS; verdict++)
		if (verdict != SIPDAM_VERDICT_WOULD_DROP || table->would_drop)
			fprintf(table->out, " %*s", table->width, render_count(by_verdict[verdict], text));
	fputc('\n', table->out);
}

static void text_methods(const struct table *table, const struct sipdam_counters *counters)
{
	__u64 total[SIPDAM_VERDICTS] = {0};

	fprintf(table->out, "\n  %-*s %*s %*s", NAME_WIDTH, "message", table->width, "passed", table->width,
		"dropped");
	if (table->would_drop)
		fprintf(table->out, " %*s", table->width, "would_drop");
	fputc('\n', table->out);
	for (int i = 0; i < SIPDAM_METHODS_MAX; i++) {
		__u64 row[SIPDAM_VERDICTS];
		bool any = false;

		for (int verdict = 0; methods[i] && verdict < SIPDAM_VERDICTS; verdict++) {
			row[verdict] = messages(counters, i, verdict);
			total[verdict] += row[verdict];
			any |= row[verdict] != 0;
		}
		if (any)
			text_method(table, methods[i], row);
	}
	text_method(table, "all messages", total);
}

/* Why nothing is dropped, NULL where something is. */
static const char *text_spared(const struct snapshot *snapshot)
{
	if (snapshot->policy.monitor)
		return ", monitor mode: nothing is dropped";
	if (snapshot_is_overdue(snapshot))
		return ", not confirmed in time: nothing is dropped";
	return NULL;
}

static void text_interface(const struct snapshot_interface *interface, const char *spared, FILE *out)
{
	const struct sipdam_counters *counters = &interface->counters;
	struct table table = {.out = out, .width = COUNT_WIDTH, .would_drop = spared};
	char text[COUNT_TEXT];

	for (int verdict = 0; verdict < SIPDAM_VERDICTS; verdict++)
		table.packets += snapshot_total(counters, verdict).packets;
	if (snapshot_total(counters, SIPDAM_VERDICT_WOULD_DROP).packets)
		table.would_drop = true; /* of an earlier time in monitor mode */
	if ((int)strlen(render_count(table.packets, text)) > table.width)
		table.width = (int)strlen(text);

	if (!strcmp(interface->mode, "none"))
		fprintf(out, "%s: not attached any more\n\n", interface->name);
	else
		fprintf(out, "%s: %s%s\n\n", interface->name, interface->mode, spared ? spared : "");
	fprintf(out, "  %-*s %*s", NAME_WIDTH, "reason", table.width, "packets");
	if (table.would_drop)
		fprintf(out, " %*s", table.width, "would_drop");
	fprintf(out, " %8s %10s\n", "share", "bytes");
	text_reasons(&table, counters, SIPDAM_VERDICT_PASS);
	text_reasons(&table, counters, SIPDAM_VERDICT_DROP);
	text_methods(&table, counters);
}

void render_text_stats(const struct snapshot *snapshot, const char *interface, FILE *out)
{
	bool first = true;

	for (size_t i = 0; i < snapshot->interfaces; i++) {
		if (!selected(&snapshot->interface[i], interface))
			continue;
		if (!first)
			fputc('\n', out);
		first = false;
		text_interface(&snapshot->interface[i], text_spared(snapshot), out);
	}
}

/* ---- metrics ---- */

static void metric(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* An interface's name as a label holds it. */
struct label {
	char text[5 * IF_NAMESIZE]; /* \\xNN at most for each byte */
};

/* Names may hold quotes and backslashes, which would end a label. */
static struct label interface_label(const struct snapshot_interface *interface)
{
	char clean[UTF8_ROOM(IF_NAMESIZE)];
	struct label label = {0};
	char *to = label.text;

	utf8_clean(interface->name, clean, sizeof(clean));
	for (const char *from = clean; *from; from++) {
		if (*from == '"' || *from == '\\')
			*to++ = '\\';
		*to++ = *from;
	}
	return label;
}

static void metric_reason(FILE *out, const char *name, const char *interface, int reason, int verdict,
			  __u64 value)
{
	fprintf(out, "%s{interface=\"%s\",verdict=\"%s\",reason=\"%s\"} %" PRIu64 "\n", name, interface,
		verdicts[verdict], reasons[reason].label, (uint64_t)value);
}

static void metric_reasons(const struct snapshot *snapshot, const char *name, bool bytes, FILE *out)
{
	for (size_t i = 0; i < snapshot->interfaces; i++) {
		const struct snapshot_interface *from = &snapshot->interface[i];
		const struct label label = interface_label(from);

		for (int r = 0; r < SIPDAM_REASONS_MAX; r++) {
			const struct sipdam_count *plain = &from->counters.reason[0][r];
			const struct sipdam_count *would_drop = &from->counters.reason[1][r];

			if (!reasons[r].label)
				continue;
			metric_reason(out, name, label.text, r, reasons[r].verdict,
				      bytes ? plain->bytes : plain->packets);
			if (reasons[r].verdict == SIPDAM_VERDICT_DROP)
				metric_reason(out, name, label.text, r, SIPDAM_VERDICT_WOULD_DROP,
					      bytes ? would_drop->bytes : would_drop->packets);
		}
	}
}

static void metric_messages(const struct snapshot_interface *from, int transport, FILE *out)
{
	const struct label label = interface_label(from);

	for (int method = 0; method < SIPDAM_METHODS_MAX; method++)
		for (int verdict = 0; methods[method] && verdict < SIPDAM_VERDICTS; verdict++)
			fprintf(out,
				"sipdam_messages_total{interface=\"%s\",transport=\"%s\",method=\"%s\","
				"verdict=\"%s\"} %" PRIu64 "\n",
				label.text, transports[transport], methods[method], verdicts[verdict],
				(uint64_t)from->counters.method[transport][verdict][method].packets);
}

static void metric_classes(const struct snapshot_interface *from, FILE *out)
{
	const struct label label = interface_label(from);

	for (int class = 0; class < SIPDAM_CLASSES_MAX; class ++)
		for (int verdict = 0; classes[class] && verdict < SIPDAM_VERDICTS; verdict++)
			fprintf(out,
				"sipdam_class_packets_total{interface=\"%s\",class=\"%s\",verdict=\"%s\"} "
				"%" PRIu64 "\n",
				label.text, classes[class], verdicts[verdict],
				(uint64_t)from->counters.class[verdict][class].packets);
}

static void metrics_traffic(const struct snapshot *snapshot, FILE *out)
{
	metric(out, "sipdam_packets_total", "counter", "Packets by verdict and reason.");
	metric_reasons(snapshot, "sipdam_packets_total", false, out);
	metric(out, "sipdam_bytes_total", "counter", "Bytes of packets by verdict and reason.");
	metric_reasons(snapshot, "sipdam_bytes_total", true, out);
	metric(out, "sipdam_messages_total", "counter", "SIP messages by transport, method and verdict.");
	for (size_t i = 0; i < snapshot->interfaces; i++)
		for (int transport = 0; transport < SIPDAM_TRANSPORTS; transport++)
			metric_messages(&snapshot->interface[i], transport, out);
	metric(out, "sipdam_class_packets_total", "counter", "Packets by class of limits and verdict.");
	for (size_t i = 0; i < snapshot->interfaces; i++)
		metric_classes(&snapshot->interface[i], out);
}

static void metrics_tables(const struct snapshot *snapshot, FILE *out)
{
	static const char *const tables[] = {
		[SIPDAM_TABLE_SOURCE_DISPLACED] = "source",
		[SIPDAM_TABLE_NETWORK_DISPLACED] = "network",
		[SIPDAM_TABLE_FRAGMENT_DISPLACED] = "fragment",
		[SIPDAM_TABLE_FAILURE_DISPLACED] = "failure",
		[SIPDAM_TABLE_COPY_DISPLACED] = "copy",
		[SIPDAM_TABLE_STREAM_DISPLACED] = "stream",
	};

	metric(out, "sipdam_table_displaced_total", "counter",
	       "Entries still in use that a full table replaced: it is too small if this grows.");
	for (size_t i = 0; i < COUNT(tables); i++)
		if (tables[i])
			fprintf(out, "sipdam_table_displaced_total{table=\"%s\"} %" PRIu64 "\n", tables[i],
			(uint64_t)snapshot->table_events[i]);
	metric(out, "sipdam_table_contended_total", "counter",
	       "Packets dropped because other CPUs took the same bucket first.");
	fprintf(out, "sipdam_table_contended_total %" PRIu64 "\n",
		(uint64_t)snapshot->table_events[SIPDAM_TABLE_CONTENDED]);
	metric(out, "sipdam_banned_sources", "gauge", "Sources that are banned now.");
	fprintf(out, "sipdam_banned_sources %" PRIu64 "\n", (uint64_t)snapshot->banned);
	metric(out, "sipdam_bans_refused_total", "counter",
	       "Bans that the filter did not make because the table was full where they would have been.");
	fprintf(out, "sipdam_bans_refused_total %" PRIu64 "\n",
		(uint64_t)snapshot->table_events[SIPDAM_TABLE_BAN_REFUSED]);
	metric(out, "sipdam_over_limit_displaced_total", "counter",
	       "Sources over their limits whose record another took: status may not name them all.");
	fprintf(out, "sipdam_over_limit_displaced_total %" PRIu64 "\n",
		(uint64_t)snapshot->table_events[SIPDAM_TABLE_REFUSED_DISPLACED]);
	metric(out, "sipdam_trusted_sources", "gauge", "Sources that are trusted now.");
	fprintf(out, "sipdam_trusted_sources %" PRIu64 "\n", (uint64_t)snapshot->trusted);
	metric(out, "sipdam_peer_sources", "gauge", "Sources that the server itself talks to now.");
	fprintf(out, "sipdam_peer_sources %" PRIu64 "\n", (uint64_t)snapshot->peers);
	metric(out, "sipdam_grants_refused_total", "counter",
	       "Sources that did not become trusted or peers: no place, or too many in a second.");
	fprintf(out, "sipdam_grants_refused_total %" PRIu64 "\n",
		(uint64_t)snapshot->table_events[SIPDAM_TABLE_GRANT_REFUSED]);
	metric(out, "sipdam_source_table_lines", "gauge", "Size of the table of sources.");
	fprintf(out, "sipdam_source_table_lines %" PRIu64 "\n", (uint64_t)snapshot->meta.sources);
	metric(out, "sipdam_source_table_fill", "gauge",
	       "Share of the table of sources that is in use, 0 to 1, by a sample.");
	if (snapshot->source_fill >= 0)
		fprintf(out, "sipdam_source_table_fill %.4f\n", snapshot->source_fill);
}

static void metric_of_ports(const struct snapshot *snapshot, const char *name, bool silent, FILE *out)
{
	static const char *const kinds[SIPDAM_PORT_KINDS] = {"udp", "tcp", "tls", "ws", "wss"};
	const struct connections *count = &snapshot->connections;

	for (size_t i = 0; i < count->ports; i++)
		fprintf(out, "%s{transport=\"%s\",port=\"%u\"} %" PRIu64 "\n", name, kinds[count->port[i].kind],
			count->port[i].port, (uint64_t)(silent ? count->port[i].silent : count->port[i].open));
}

static void metrics_connections(const struct snapshot *snapshot, FILE *out)
{
	static const struct {
		enum sipdam_connection_event event;
		const char *name, *help;
	} totals[] = {
		{SIPDAM_CONNECTION_OPENED, "sipdam_connections_opened_total",
		 "Connections of TCP that were opened on SIP ports."},
		{SIPDAM_CONNECTION_SILENT, "sipdam_connections_ended_silent_total",
		 "Connections that ended, or were forgotten, and never carried a byte."},
		{SIPDAM_CONNECTION_UNFINISHED, "sipdam_tls_handshakes_unfinished_total",
		 "Handshakes of TLS that the server had answered and the client left unfinished."},
		{SIPDAM_CONNECTION_REFUSED, "sipdam_connections_uncounted_total",
		 "Connections that are not counted because open ones have all places they may have."},
		{SIPDAM_CONNECTION_DISPLACED, "sipdam_connection_sources_displaced_total",
		 "Sources whose open connections are no longer counted because another's took the place."},
	};

	metric(out, "sipdam_connections_open", "gauge", "Connections of TCP that are open now.");
	metric_of_ports(snapshot, "sipdam_connections_open", false, out);
	metric(out, "sipdam_connections_silent", "gauge", "Those of them that have carried no byte yet.");
	metric_of_ports(snapshot, "sipdam_connections_silent", true, out);
	for (size_t i = 0; i < COUNT(totals); i++) {
		metric(out, totals[i].name, "counter", totals[i].help);
		fprintf(out, "%s %" PRIu64 "\n", totals[i].name,
			(uint64_t)snapshot->connection_events[totals[i].event]);
	}
}

static void metrics_tls(const struct snapshot *snapshot, FILE *out)
{
	metric(out, "sipdam_tls_offered_total", "counter",
	       "TLS handshakes begun by the highest version that the client offers.");
	for (int row = 0; row < SIPDAM_TLS_ROWS; row++)
		if (tls_versions[row])
			fprintf(out, "sipdam_tls_offered_total{version=\"%s\"} %" PRIu64 "\n", tls_versions[row],
				(uint64_t)snapshot->tls.offered[row]);
	metric(out, "sipdam_tls_chosen_total", "counter", "TLS handshakes by the version that the server chose.");
	for (int row = 0; row < SIPDAM_TLS_ROWS; row++)
		if (tls_versions[row])
			fprintf(out, "sipdam_tls_chosen_total{version=\"%s\"} %" PRIu64 "\n", tls_versions[row],
				(uint64_t)snapshot->tls.chosen[row]);
}

static void metrics_policy(const struct snapshot *snapshot, FILE *out)
{
	metric(out, "sipdam_monitor_mode", "gauge", "1 if nothing is dropped, only counted as would_drop.");
	fprintf(out, "sipdam_monitor_mode %d\n", snapshot->policy.monitor != 0);
	metric(out, "sipdam_confirm_pending", "gauge",
	       "1 while the filter waits for `sipdam confirm` before a deadline.");
	fprintf(out, "sipdam_confirm_pending %d\n",
		snapshot->policy.deadline && !snapshot_is_overdue(snapshot));
	metric(out, "sipdam_confirm_overdue", "gauge",
	       "1 if nothing is dropped because that deadline has passed.");
	fprintf(out, "sipdam_confirm_overdue %d\n", snapshot_is_overdue(snapshot));
	metric(out, "sipdam_list_entries", "gauge", "Prefixes in a list.");
	for (int list = 0; list < SIPDAM_LISTS; list++)
		fprintf(out, "sipdam_list_entries{list=\"%s\"} %u\n", lists[list],
			snapshot->policy.list_entries[list]);
	metric(out, "sipdam_pool_level", "gauge",
	       "Packets that all unknown sources together may send at once now; unlimited ones are absent.");
	for (int class = 0; class < SIPDAM_CLASSES_MAX; class ++)
		if (classes[class] && snapshot->pool_level[class] != UINT64_MAX)
			fprintf(out, "sipdam_pool_level{class=\"%s\"} %" PRIu64 "\n", classes[class],
				(uint64_t)snapshot->pool_level[class]);
	metric(out, "sipdam_verification_active", "gauge",
	       "1 while unknown sources must send a request of the class twice, or over TCP be of a connection.");
	for (int class = 0; class < SIPDAM_CLASSES_MAX; class ++)
		if (SIPDAM_CLASSES_PROVEN >> class & 1)
			fprintf(out, "sipdam_verification_active{class=\"%s\"} %d\n", classes[class],
				snapshot->verify_left[class] != 0);
}

static void metrics_interfaces(const struct snapshot *snapshot, FILE *out)
{
	metric(out, "sipdam_interface_attached", "gauge", "1 if the filter is on the interface, and how.");
	for (size_t i = 0; i < snapshot->interfaces; i++) {
		const struct snapshot_interface *from = &snapshot->interface[i];

		fprintf(out, "sipdam_interface_attached{interface=\"%s\",mode=\"%s\"} %d\n",
			interface_label(from).text, from->mode, strcmp(from->mode, "none") != 0);
	}
	metric(out, "sipdam_interface_learns", "gauge", "1 if what the server sends there is read.");
	for (size_t i = 0; i < snapshot->interfaces; i++)
		fprintf(out, "sipdam_interface_learns{interface=\"%s\"} %d\n",
			interface_label(&snapshot->interface[i]).text, snapshot->interface[i].learns);
}

void render_metrics(const struct snapshot *snapshot, FILE *out)
{
	metric(out, "sipdam_build_info", "gauge", "Version of the exporter.");
	fputs("sipdam_build_info{version=\"" SIPDAM_VERSION "\"} 1\n", out);
	metric(out, "sipdam_up", "gauge", "1 if the filter's counters could be read.");
	fprintf(out, "sipdam_up %d\n", snapshot != NULL);
	if (!snapshot)
		return;
	metrics_interfaces(snapshot, out);
	metrics_traffic(snapshot, out);
	metrics_tables(snapshot, out);
	metrics_connections(snapshot, out);
	metrics_tls(snapshot, out);
	metrics_policy(snapshot, out);
}

void render_metrics_watch(bool able, FILE *out)
{
	metric(out, "sipdam_reattach_enabled", "gauge",
	       "1 if this exporter attaches interfaces again that are deleted and made again.");
	fprintf(out, "sipdam_reattach_enabled %d\n", able);
}
