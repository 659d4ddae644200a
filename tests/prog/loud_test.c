/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sources in a storm: from the sixteenth refusal in a tick on they are refused from memory, which shows where
 * their bucket is refilled behind the program's back. Whatever the memory holds ends with the tick.
 */
#include "prog/rates.h"

#define BURST    20 /* of TEN_A_SECOND */
#define REFUSALS 16 /* LOUD_REFUSALS */

/* SYNs are refused for their bucket too after nine (spent.h), of which one in eight counts. */
#define SYN_REFUSALS (9 + 8 * REFUSALS)
#define LIMITED  "limits: {unknown: {invite: " TEN_A_SECOND "}, " NO_OTHER "}"
#define A_SOURCE "192.0.2.77"

static const struct expect is_denied = DROPS(DENIED, INVITE, INVITE);

/* Every bucket is full again, and the program is not told but that none of them is known to refuse (spent.h). */
static void refill(struct lab *lab)
{
	memset(lab->table[0].memory, 0, lab->table[0].bytes);
	memset(lab->table[LAB_SPENT].memory, 0, lab->table[LAB_SPENT].bytes);
}

/* A source that has been refused so often in this tick, and has a full bucket now. */
static void be_refused(struct lab *lab, const char *source, int refusals)
{
	send_many_from(lab, BURST, source, passes);
	send_many_from(lab, refusals, source, over_source);
	refill(lab);
}

static void test_a_storm_is_refused_from_memory(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, LIMITED);
	be_refused(lab, A_SOURCE, REFUSALS);
	send_many_from(lab, 100, A_SOURCE, over_source);
	lab->now += 1;
	send_many_from(lab, BURST, A_SOURCE, passes);
	send_from(lab, A_SOURCE, over_source);
}

static void test_fifteen_refusals_are_no_storm(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, LIMITED);
	be_refused(lab, A_SOURCE, REFUSALS - 1);
	send_many_from(lab, BURST, A_SOURCE, passes);
	send_from(lab, A_SOURCE, over_source);
}

static void test_refusals_of_two_ticks_are_no_storm(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, LIMITED);
	be_refused(lab, A_SOURCE, REFUSALS - 1);
	lab->now += TICK;
	be_refused(lab, A_SOURCE, REFUSALS - 1);
	send_from(lab, A_SOURCE, passes);
}

static void test_others_are_judged(void **state)
{
	static const struct recipe ack = {.payload = ACK_TEXT, .source = A_SOURCE};
	struct lab *lab = *state;
	char text[INET_ADDRSTRLEN];

	lab_policy(lab, LIMITED);
	be_refused(lab, A_SOURCE, REFUSALS);
	lab_send(lab, "another class", &ack, (struct expect)PASSES(WITHIN_LIMITS, DIALOG, ACK));
	for (__u32 i = 1; i <= 64; i++)
		send_from(lab, spoofed(text, i, true), passes);
}

static void test_of_ipv6_too(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, LIMITED);
	be_refused(lab, "2001:db8::7", REFUSALS);
	send_from(lab, "2001:db8::7", over_source);
	send_from(lab, "2001:db8::8", passes);
	send_from(lab, "2001:db8:0:1::7", passes);
}

static void test_a_denied_source_is_remembered_too(void **state)
{
	struct lab *lab = *state;
	__u32 changes;

	lab_policy(lab, "deny: [" A_SOURCE "]");
	send_many_from(lab, REFUSALS, A_SOURCE, is_denied);
	changes = lab->changes;
	lab_policy(lab, LIMITED);
	lab->changes = changes;
	send_from(lab, A_SOURCE, is_denied);
	lab->now += 1;
	send_from(lab, A_SOURCE, passes);
}

/* The operator's change is told to a trial; live it is in force with the next tick. */
static void test_a_change_ends_it(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, LIMITED);
	be_refused(lab, A_SOURCE, REFUSALS);
	assert_int_equal(lab_ban(lab, A_SOURCE, SECOND), 0);
	send_from(lab, A_SOURCE, (struct expect)DROPS(BANNED, INVITE, INVITE));
}

static void test_in_monitor_mode_it_is_counted_as_what_would_be(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "mode: monitor\n" LIMITED);
	send_many_from(lab, BURST, A_SOURCE, passes);
	send_many_from(lab, REFUSALS + 4, A_SOURCE, (struct expect)WOULD_DROP(SOURCE_RATE, INVITE, INVITE));
}

/* Where drops lead to a ban each is counted: the last of them is the last that is not a ban. */
static void test_not_where_drops_are_strikes(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, LIMITED "\nban: {drops: 50, within: 10s}");
	send_many_from(lab, BURST, A_SOURCE, passes);
	send_many_from(lab, 50, A_SOURCE, over_source);
	send_from(lab, A_SOURCE, (struct expect)DROPS(BANNED, INVITE, INVITE));
}

/* What goes to another address is not for us, however loud its source is. */
static void test_not_where_addresses_are_protected(void **state)
{
	struct recipe elsewhere = invite_from(A_SOURCE);
	struct lab *lab = *state;

	elsewhere.destination = "198.51.100.2";
	lab_policy(lab, LIMITED "\naddresses: [" DESTINATION "]");
	send_many_from(lab, BURST, A_SOURCE, passes);
	send_many_from(lab, REFUSALS + 4, A_SOURCE, over_source);
	lab_send(lab, "elsewhere", &elsewhere, (struct expect)NOT_OURS);
	send_from(lab, A_SOURCE, over_source);
}

/* ---- SYNs ---- */

static const struct expect syn_passes = PASSES(WITHIN_LIMITS, TCP_SYN, NONE);
static const struct expect syn_over = DROPS(SOURCE_RATE, TCP_SYN, NONE);

#define NO_SYN_POOL  "network: unlimited, pool: {tcp_syn: unlimited, tcp_data: unlimited}"
#define SYNS_LIMITED "limits: {unknown: {tcp_syn: " TEN_A_SECOND "}, " NO_SYN_POOL "}"

/* As a wire brings it, which pads. */
static struct recipe syn_from(const char *source)
{
	return (struct recipe){.source = source,
			       .family = strchr(source, ':') ? 6 : 4,
			       .protocol = IPPROTO_TCP,
			       .flags = FLAG_SYN,
			       .padding = 6,
			       .port = TLS_PORT};
}

/* A source whose SYNs have been refused so often in this tick, and that has a full bucket now. */
static void be_refused_syns(struct lab *lab, const struct recipe *syn, int refusals)
{
	lab_send_many(lab, "passes", BURST, syn, syn_passes);
	lab_send_many(lab, "over its limit", refusals, syn, syn_over);
	refill(lab);
}

/* Of both families, on ports of all kinds, with options and without. */
static void test_a_storm_of_syns(void **state)
{
	static const struct {
		const char *source;
		int options, port;
	} rows[] = {
		{A_SOURCE, 0, SIP_PORT}, {A_SOURCE, 5, TLS_PORT},      {A_SOURCE, 10, 80},
		{A_SOURCE, 1, 443},      {"2001:db8::7", 0, TLS_PORT}, {"2001:db8::7", 10, SIP_PORT},
	};
	struct lab *lab = *state;

	lab_policy(lab, "ports: {ws: [80], wss: [443]}\n" SYNS_LIMITED);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct recipe syn = syn_from(rows[i].source);

		syn.tcp_options = rows[i].options;
		syn.port = rows[i].port;
		lab_forget(lab);
		lab->now += TICK;
		be_refused_syns(lab, &syn, SYN_REFUSALS);
		lab_send_many(lab, "from memory", 100, &syn, syn_over);
		lab->now += 1;
		lab_send_many(lab, "the next tick", BURST, &syn, syn_passes);
		lab_send(lab, "judged again", &syn, syn_over);
	}
}

static void test_fifteen_refused_syns_are_no_storm(void **state)
{
	struct recipe syn = syn_from(A_SOURCE);
	struct lab *lab = *state;

	lab_policy(lab, SYNS_LIMITED);
	be_refused_syns(lab, &syn, REFUSALS - 1);
	lab_send(lab, "judged", &syn, syn_passes);
}

/* While SYNs of a source are refused from memory, all else of it is judged, and what others send. */
static void test_beside_a_storm_of_syns(void **state)
{
	static const struct {
		const char *name;
		struct recipe packet;
		struct expect expect;
	} rows[] = {
		{"with data", {.flags = FLAG_SYN, .payload = "x"}, PASSES(WITHIN_LIMITS, TCP_SYN, NONE)},
		{"with options of IPv4",
		 {.flags = FLAG_SYN, .options = 1},
		 PASSES(WITHIN_LIMITS, TCP_SYN, NONE)},
		{"with a tag", {.flags = FLAG_SYN, .tags = 1}, PASSES(WITHIN_LIMITS, TCP_SYN, NONE)},
		{"an answer", {.flags = FLAG_SYN | FLAG_ACK}, PASSES(WITHIN_LIMITS, TCP_DATA, NONE)},
		{"an acknowledgement", {.flags = FLAG_ACK}, PASSES(WITHIN_LIMITS, TCP_DATA, NONE)},
		{"an end", {.flags = FLAG_FIN | FLAG_ACK}, PASSES(WITHIN_LIMITS, TCP_DATA, NONE)},
		{"a reset", {.flags = FLAG_RST}, PASSES(WITHIN_LIMITS, TCP_DATA, NONE)},
		{"data", {.flags = FLAG_ACK, .payload = "payload"}, PASSES(WITHIN_LIMITS, TCP_DATA, NONE)},
		{"a port beside", {.flags = FLAG_SYN, .port = TLS_PORT + 1}, NOT_OURS},
		{"a neighbour",
		 {.flags = FLAG_SYN, .source = "192.0.2.78"},
		 PASSES(WITHIN_LIMITS, TCP_SYN, NONE)},
	};
	struct recipe syn = syn_from(A_SOURCE);
	struct lab *lab = *state;

	lab_policy(lab, SYNS_LIMITED);
	be_refused_syns(lab, &syn, SYN_REFUSALS);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct recipe packet = rows[i].packet;

		packet.protocol = IPPROTO_TCP;
		packet.padding = 6;
		packet.source = packet.source ? packet.source : A_SOURCE;
		packet.port = packet.port ? packet.port : TLS_PORT;
		lab_send(lab, rows[i].name, &packet, rows[i].expect);
		lab_send(lab, "from memory", &syn, syn_over);
	}
	send_from(lab, A_SOURCE, passes);
}

/* Either of its limits may be what refuses a SYN with data. */
static void test_syns_with_data_are_no_storm(void **state)
{
	struct recipe syn = syn_from(A_SOURCE), data = syn;
	struct lab *lab = *state;

	data.payload = "x";
	lab_policy(lab, SYNS_LIMITED);
	lab_send_many(lab, "passes", BURST, &syn, syn_passes);
	lab_send_many(lab, "with data", REFUSALS, &data, syn_over);
	refill(lab);
	lab_send(lab, "without", &syn, syn_passes);
}

/* What ends a storm of requests ends one of SYNs: see above. */
static void test_syns_are_judged_where_that_matters(void **state)
{
	struct recipe syn = syn_from(A_SOURCE), elsewhere = syn;
	struct lab *lab = *state;

	elsewhere.destination = "198.51.100.2";
	lab_policy(lab, SYNS_LIMITED "\nban: {drops: 50, within: 10s}");
	lab_send_many(lab, "passes", BURST, &syn, syn_passes);
	lab_send_many(lab, "each is a strike", 50, &syn, syn_over);
	lab_send(lab, "banned", &syn, (struct expect)DROPS(BANNED, TCP_SYN, NONE));
	lab_forget(lab);
	lab_policy(lab, SYNS_LIMITED "\naddresses: [" DESTINATION "]");
	lab_send_many(lab, "passes", BURST, &syn, syn_passes);
	lab_send_many(lab, "over its limit", REFUSALS + 4, &syn, syn_over);
	lab_send(lab, "elsewhere", &elsewhere, (struct expect)NOT_OURS);
	lab_forget(lab);
	lab_policy(lab, SYNS_LIMITED);
	be_refused_syns(lab, &syn, SYN_REFUSALS);
	lab_policy(lab, "limits: {unknown: {tcp_syn: unlimited}, " NO_SYN_POOL "}");
	lab_send(lab, "by another policy", &syn, syn_passes);
}

static void test_denied_syns_are_remembered_too(void **state)
{
	const struct expect denied = DROPS(DENIED, TCP_SYN, NONE);
	struct recipe syn = syn_from(A_SOURCE);
	struct lab *lab = *state;
	__u32 changes;

	lab_policy(lab, "deny: [" A_SOURCE "]");
	lab_send_many(lab, "denied", REFUSALS, &syn, denied);
	changes = lab->changes;
	lab_policy(lab, SYNS_LIMITED);
	lab->changes = changes;
	lab_send(lab, "from memory", &syn, denied);
	lab->now += 1;
	lab_send(lab, "the next tick", &syn, syn_passes);
}

static void test_syns_in_monitor_mode(void **state)
{
	struct recipe syn = syn_from(A_SOURCE);
	struct lab *lab = *state;

	lab_policy(lab, "mode: monitor\n" SYNS_LIMITED);
	lab_send_many(lab, "passes", BURST, &syn, syn_passes);
	lab_send_many(lab, "would be dropped", REFUSALS + 4, &syn,
		      (struct expect)WOULD_DROP(SOURCE_RATE, TCP_SYN, NONE));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		lab_test(test_a_storm_is_refused_from_memory),
		lab_test(test_fifteen_refusals_are_no_storm),
		lab_test(test_refusals_of_two_ticks_are_no_storm),
		lab_test(test_others_are_judged),
		lab_test(test_of_ipv6_too),
		lab_test(test_a_denied_source_is_remembered_too),
		lab_test(test_a_change_ends_it),
		lab_test(test_in_monitor_mode_it_is_counted_as_what_would_be),
		lab_test(test_not_where_drops_are_strikes),
		lab_test(test_not_where_addresses_are_protected),
		lab_test(test_a_storm_of_syns),
		lab_test(test_fifteen_refused_syns_are_no_storm),
		lab_test(test_beside_a_storm_of_syns),
		lab_test(test_syns_with_data_are_no_storm),
		lab_test(test_syns_are_judged_where_that_matters),
		lab_test(test_denied_syns_are_remembered_too),
		lab_test(test_syns_in_monitor_mode),
	};

	return cmocka_run_group_tests(tests, lab_open_on_one_cpu, lab_close);
}
