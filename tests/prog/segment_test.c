/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Many messages in one TCP segment: each costs what it would cost in a segment of its own, and all are
 * paid or none.
 */
#include "prog/lab.h"

#define TCP 6

#define INVITE_LINE   "INVITE sip:a SIP/2.0\r\n\r\n"
#define REGISTER_LINE "REGISTER sip:a SIP/2.0\r\n\r\n"
#define OPTIONS_LINE  "OPTIONS sip:a SIP/2.0\r\n\r\n"
#define BYE_LINE      "BYE sip:a SIP/2.0\r\n\r\n"
#define MESSAGE_LINE  "MESSAGE sip:a SIP/2.0\r\n\r\n"
#define ANSWER_LINE   "SIP/2.0 200 OK\r\n\r\n"
#define THREE(line)   line line line

static const struct expect passes = AN_INVITE;
static const struct expect over_source = DROPS(SOURCE_RATE, INVITE, INVITE);

static struct recipe over_tcp(const char *payload)
{
	return (struct recipe){.protocol = TCP, .payload = payload};
}

static void send_text(struct lab *lab, const char *payload, struct expect expect)
{
	struct recipe recipe = over_tcp(payload);

	lab_send(lab, payload, &recipe, expect);
}

/*
 * How many INVITEs a segment costs: what it leaves of a bucket of 20 goes one by one. Of a source that was never
 * here, and of one that has paid of both classes before.
 */
static void check_cost(struct lab *lab, const struct recipe *segment, int invites)
{
	static const struct recipe one = {.protocol = TCP, .payload = INVITE_LINE};
	static const struct recipe large = {.protocol = TCP, .payload = INVITE_LINE, .fill = 513};

	for (int before = 0; before < 2; before++) {
		lab_forget(lab);
		lab_send_many(lab, segment->payload, before, &large, passes);
		lab_send(lab, segment->payload, segment, passes);
		lab_send_many(lab, segment->payload, 20 - before - invites, &one, passes);
		lab_send(lab, segment->payload, &one, over_source);
	}
}

static void test_each_message_costs_a_token(void **state)
{
	static const struct {
		const char *payload;
		int invites;
	} rows[] = {
		{INVITE_LINE, 1},
		{INVITE_LINE INVITE_LINE, 2},
		{THREE(INVITE_LINE) THREE(INVITE_LINE) THREE(INVITE_LINE), 9},
		{"\r\n\r\n" INVITE_LINE INVITE_LINE, 2},
		{"\r\n\r\n" INVITE_LINE, 1},
		{INVITE_LINE "\r\n\r\n" INVITE_LINE, 2},
		{"INVITE sip:a SIP/2.0\nl: 4\n\nbody\nINVITE sip:b SIP/2.0\n\n", 2},
		{"INVITE sip:a SIP/2.0\r\nTo: <INVITE sip:b>\r\n\r\n", 1},
		{"INVITE sip:a SIP/2.0\r\nINVITE: sip:b\r\n\r\n", 1},
		{"INVITE sip:a SIP/2.0\r\n INVITE sip:b\r\n\r\n", 1},
		{"INVITE sip:a SIP/2.0\r\ninvite sip:b\r\n\r\n", 1},
		{"INVITE sip:a SIP/2.0\r\nINVITE SIP:b\r\n\r\n", 2}, /* any scheme */
		{"INVITE sip:a SIP/2.0\r\nINVITE im:b\r\n\r\n123456", 2},
		{"INVITE sip:a SIP/2.0\r\nl: 1\r\n\r\nxINVITE sip:b SIP/2.0\r\n\r\n", 2}, /* behind a body */
		{"INVITE sip:a SIP/2.0\r\n\r\nxINVITE sip:b sip/2.0\n\n", 2},
		{"INVITE sip:a SIP/2.0\r\n\r\nxFOO sip:b SIP/2.0\r\n\r\n", 2}, /* what it is cannot be seen */
		{"INVITE sip:a SIP/2.0\r\n\r\nVia: SIP/2.0/UDP b\r\n\r\n", 1},
		{"INVITE sip:a SIP/2.0\r\n\r\nxINVITE sip:b SIP/2.1\r\n\r\n", 1},
		{INVITE_LINE "INVITE sip:a", 1}, /* cut: the rest comes with the next segment */
		{INVITE_LINE THREE(BYE_LINE), 1},
	};
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: {rate: 1, burst: 20}}}");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct recipe segment = over_tcp(rows[i].payload);

		check_cost(lab, &segment, rows[i].invites);
	}
}

/* Line feeds at every place of a word, and a start-line across two words. */
static void test_at_every_offset(void **state)
{
	struct lab *lab = *state;
	char payload[128];

	lab_policy(lab, "limits: {unknown: {invite: {rate: 1, burst: 20}}}");
	for (int pad = 0; pad < 16; pad++) {
		struct recipe segment = over_tcp(payload);

		snprintf(payload, sizeof(payload), "INVITE sip:a SIP/2.0\r\nX: %.*s\r\n\r\n" INVITE_LINE, pad,
			 "0123456789abcdef");
		check_cost(lab, &segment, 2);
	}
}

/* A segment that begins in mid-message is looked through as well: its class is tcp_data. */
static void test_behind_the_end_of_another(void **state)
{
	static const struct {
		const char *payload;
		int invites;
	} rows[] = {
		{"x\r\n" INVITE_LINE, 1},
		{"x\r\n" THREE(INVITE_LINE), 3},
		{" sip:a SIP/2.0\r\n\r\n" INVITE_LINE, 2}, /* begun in the segment before */
		{"=" INVITE_LINE, 1},
		{"Via: SIP/2.0/TCP a\r\n\r\n", 0},
		{"x\r\n" THREE(BYE_LINE), 0},
	};
	static const struct recipe one = {.protocol = TCP, .payload = INVITE_LINE};
	static const struct expect data = PASSES(WITHIN_LIMITS, TCP_DATA, NONE);
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: {rate: 1, burst: 20}}}");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		lab_forget(lab);
		send_text(lab, rows[i].payload, data);
		lab_send_many(lab, rows[i].payload, 20 - rows[i].invites, &one, passes);
		lab_send(lab, rows[i].payload, &one, over_source);
	}
}

/* Over TLS nothing can be seen, and what looks like a message is none. */
static void test_not_over_tls(void **state)
{
	static const struct recipe hidden = {.protocol = TCP, .port = 5061, .payload = THREE(INVITE_LINE)};
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: {rate: 0, burst: 1}}}");
	lab_send(lab, "TLS", &hidden, (struct expect)PASSES(WITHIN_LIMITS, TCP_DATA, NONE));
}

/* Bytes are looked through in pieces: a start-line is seen across their border, and far behind it. */
static void test_how_far_the_look_goes(void **state)
{
	static const int starts[] = {1528, 1529, 1535, 1536, 1537, 1544, 3071, 3072, 3073, 8000};
	static char payload[9000];
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: {rate: 1, burst: 20}}}");
	for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
		struct recipe segment = over_tcp(payload);

		memset(payload, 'x', sizeof(payload));
		memcpy(payload, "INVITE sip:a SIP/2.0\r\n", 22);
		memcpy(payload + starts[i] - 1, "\n" INVITE_LINE, sizeof(INVITE_LINE));
		payload[starts[i] + sizeof(INVITE_LINE)] = '\0';
		check_cost(lab, &segment, 2);
	}
}

static void test_each_class_pays(void **state)
{
	static const struct {
		const char *class, *line;
		struct expect passes, dropped;
	} rows[] = {
		{"invite", INVITE_LINE, AN_INVITE, DROPS(SOURCE_RATE, INVITE, INVITE)},
		{"register", REGISTER_LINE, PASSES(WITHIN_LIMITS, REGISTER, REGISTER),
		 DROPS(SOURCE_RATE, REGISTER, REGISTER)},
		{"options", OPTIONS_LINE, PASSES(WITHIN_LIMITS, OPTIONS, OPTIONS),
		 DROPS(SOURCE_RATE, OPTIONS, OPTIONS)},
		{"dialog", BYE_LINE, PASSES(WITHIN_LIMITS, DIALOG, BYE), DROPS(SOURCE_RATE, DIALOG, BYE)},
		{"other", MESSAGE_LINE, PASSES(WITHIN_LIMITS, OTHER, MESSAGE),
		 DROPS(SOURCE_RATE, OTHER, MESSAGE)},
		{"response",
		 ANSWER_LINE,
		 ANSWERS(200),
		 {SIPDAM_VERDICT_DROP, SIPDAM_REASON_SOURCE_RATE, SIPDAM_CLASS_RESPONSE,
		  SIPDAM_METHOD_RESPONSE, 200}},
	};
	struct lab *lab = *state;
	char policy[128];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		lab_forget(lab);
		snprintf(policy, sizeof(policy), "limits: {unknown: {%s: {rate: 1, burst: 2}}}",
			 rows[i].class);
		lab_policy(lab, policy);
		/* The first message names the segment, the second of each class pays with the rest. */
		send_text(lab,
			  "UPDATE sip:a SIP/2.0\r\n\r\n" INVITE_LINE REGISTER_LINE OPTIONS_LINE BYE_LINE
				  ANSWER_LINE,
			  (struct expect)PASSES(WITHIN_LIMITS, OTHER, UPDATE));
		send_text(lab, rows[i].line, rows[i].passes);
		send_text(lab, rows[i].line, rows[i].dropped);
	}
}

static void test_all_or_none(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: {rate: 1, burst: 3}, register: {rate: 1, burst: 1}}}");
	send_text(lab, INVITE_LINE REGISTER_LINE, passes);
	send_text(lab, INVITE_LINE REGISTER_LINE, over_source); /* no REGISTER left: takes no INVITE */
	send_text(lab, INVITE_LINE, passes);
	send_text(lab, INVITE_LINE, passes);
	send_text(lab, INVITE_LINE, over_source);
}

/*
 * More messages than the bucket holds: all of a full one, so that a connection is not stuck; more than twice
 * as many never pass, or few tokens would buy many messages.
 */
static void test_more_than_a_bucket(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: {rate: 1, burst: 2}}}");
	send_text(lab, THREE(INVITE_LINE) INVITE_LINE, passes);
	send_text(lab, INVITE_LINE, over_source);
	lab->now += 2 * SECOND - TICK;
	send_text(lab, THREE(INVITE_LINE), over_source);
	lab->now += TICK;
	send_text(lab, THREE(INVITE_LINE) INVITE_LINE INVITE_LINE, over_source);
	send_text(lab, THREE(INVITE_LINE), passes);
}

/* A segment of nothing but lines counts as full of INVITEs; one of as many as messages have does not. */
static void test_too_many_lines(void **state)
{
	static const struct expect over = DROPS(SOURCE_RATE, TCP_DATA, NONE);
	static char lines[300];
	struct lab *lab = *state;

	memset(lines, '\n', sizeof(lines) - 1);
	lines[0] = 'x';
	lab_policy(lab, "limits: {unknown: {invite: {rate: 1, burst: 50}}}");
	send_text(lab, lines, over);
	lines[257] = '\0';
	send_text(lab, lines, (struct expect)PASSES(WITHIN_LIMITS, TCP_DATA, NONE));
}

/* A source without a token left is not looked at, and one that is refused takes nothing. */
static void test_refused_takes_nothing(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: {rate: 1, burst: 1}, register: {rate: 1, burst: 1}}}");
	send_text(lab, INVITE_LINE, passes);
	send_text(lab, INVITE_LINE REGISTER_LINE, over_source);
	send_text(lab, REGISTER_LINE, (struct expect)PASSES(WITHIN_LIMITS, REGISTER, REGISTER));
}

static void test_network_and_pool_count_all(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "limits: {network: {rate: 1, burst: 4}}");
	send_text(lab, THREE(INVITE_LINE) BYE_LINE, passes);
	send_text(lab, INVITE_LINE, passes);
	send_text(lab, INVITE_LINE, (struct expect)DROPS(NETWORK_RATE, INVITE, INVITE));
	lab_forget(lab);
	lab_policy(lab, "limits: {pool: {invite: {rate: 1, burst: 4}}}");
	send_text(lab, THREE(INVITE_LINE), passes);
	send_text(lab, INVITE_LINE, passes);
	send_text(lab, INVITE_LINE, (struct expect)DROPS(POOL_RATE, INVITE, INVITE));
}

/* Over UDP a datagram is one message, whatever its body says. */
static void test_not_over_udp(void **state)
{
	static const struct recipe datagram = {.payload = THREE(INVITE_LINE)};
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {invite: {rate: 1, burst: 2}}}");
	lab_send_many(lab, "datagram", 2, &datagram, passes);
	lab_send(lab, "datagram", &datagram, over_source);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		lab_test(test_each_message_costs_a_token),
		lab_test(test_at_every_offset),
		lab_test(test_behind_the_end_of_another),
		lab_test(test_not_over_tls),
		lab_test(test_how_far_the_look_goes),
		lab_test(test_each_class_pays),
		lab_test(test_all_or_none),
		lab_test(test_more_than_a_bucket),
		lab_test(test_too_many_lines),
		lab_test(test_refused_takes_nothing),
		lab_test(test_network_and_pool_count_all),
		lab_test(test_not_over_udp),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}
