/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A caller is a peer for the length of its calls: what ends one and what does not, for messages that come twice, for
 * several calls at once, over UDP and TCP; and the same by a small model, at random.
 */
#include "prog/sent.h"

#include "sipdam/hash.h"

#define GRACE (32 * SECOND)

/* What the server says of a call. */
#define SAYS(status, method, id)                                                                             \
	"SIP/2.0 " status " Text\r\nVia: SIP/2.0/UDP 192.0.2.1;rport=5070\r\nCall-ID: " id                     \
	"\r\nCSeq: 7 " method "\r\nContent-Length: 0\r\n\r\n"
#define ASKS(method, id)                                                                                     \
	method " sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.1\r\nCall-ID: " id "\r\nCSeq: 9 " method   \
	       "\r\nContent-Length: 0\r\n\r\n"

#define RINGS(id)    SAYS("180", "INVITE", id)
#define ANSWERED(id) SAYS("200", "INVITE", id)
#define BUSY(id)     SAYS("486", "INVITE", id)
#define ENDED(id)    SAYS("200", "BYE", id)

#define X16 "xxxxxxxxxxxxxxxx"
#define X63 X16 X16 X16 "xxxxxxxxxxxxxxx"

enum { TABLE_STREAMS };

static int begin_all(void **state)
{
	static const char *const names[] = {"streams", "budgets"};

	return way_open(state, names, COUNT(names));
}

/* A request of the server's. */
static void asks(const char *to, const char *text, int method)
{
	struct recipe recipe = {.source = SERVER, .destination = to, .payload = text};

	sends(text, &recipe, 5070, method, 0);
}

static void pass_time(__u64 time)
{
	way.lab->now += time;
}

/* Either way, whatever it is. */
static void server_sends(const char *text)
{
	struct recipe recipe = {.source = SERVER, .destination = PHONE, .payload = text};

	if (!strncmp(text, "SIP/2.0 ", 8)) {
		answers(PHONE, text);
		return;
	}
	frame_build(&way.lab->frame, &recipe);
	set_ports(&way.lab->frame, SIP_PORT, 5070);
	run_frame(text, 0);
	ledger_read(way.lab, &way.lab->expected);
}

/* Where a source has its word and its record; the first of its line where it never had one. */
static size_t place_of(const char *address)
{
	struct sipdam_prefix source = lab_source(way.lab, address);
	const struct source_table *table = &way.lab->known.table;
	size_t place;
	__u64 words[2];

	memcpy(words, source.address, sizeof(words));
	place = (sipdam_hash(&table->secret, words[0], words[1]) & (SIPDAM_KNOWN_LINES - 1)) * SIPDAM_WAYS;
	for (size_t i = place; i < place + SIPDAM_WAYS; i++)
		if (table->record.known[i].low == words[1])
			return i;
	return place;
}

/* ---- one call ---- */

static void test_one_call(void **state)
{
	struct recipe ack = {.payload = ACK_TEXT}, invite = {.payload = INVITE_TEXT};
	struct lab *lab = *state;
	__u64 since = lab->now;

	lab_send(lab, "before", &ack, (struct expect)PASSES(WITHIN_LIMITS, DIALOG, ACK));
	answers(PHONE, RINGS("a@x"));
	ends_in(PHONE, 5 * MINUTE);
	pass_time(10 * SECOND);
	answers(PHONE, ANSWERED("a@x"));
	ends_in(PHONE, HOUR);
	pass_time(10 * MINUTE);
	lab_send(lab, "in the call", &ack, (struct expect)PASSES(PEER, DIALOG, ACK));
	answers(PHONE, ENDED("a@x"));
	ends_in(PHONE, GRACE);
	assert_int_equal(cause_of(PHONE), SIPDAM_KNOWN_CALL);
	assert_int_equal(since_of(PHONE), since);
	pass_time(GRACE - UNIT);
	lab_send(lab, "what comes late", &ack, (struct expect)PASSES(PEER, DIALOG, ACK));
	lab_send(lab, "new ones", &invite, (struct expect)AN_INVITE);
	pass_time(2 * UNIT);
	is(PHONE, STRANGER);
	lab_send(lab, "after it", &ack, (struct expect)PASSES(WITHIN_LIMITS, DIALOG, ACK));
	answers(PHONE, ANSWERED("b@x"));
	ends_in(PHONE, HOUR);
	assert_int_equal(since_of(PHONE), lab->now);
	pass_time(HOUR + UNIT); /* by time, as ever */
	is(PHONE, STRANGER);
}

/* What the server says in the tenth minute of an answered call, or while it rings, and what that makes of the peer. */
static void test_what_ends_a_call(void **state)
{
	static const struct {
		const char *first, *then;
		__u64 left; /* a minute after the first */
	} rows[] = {
		{ANSWERED("a"), ENDED("a"), GRACE},
		{ANSWERED("a"), ENDED("b"), HOUR - MINUTE}, /* another call */
		{ANSWERED("a"), ENDED("aa"), HOUR - MINUTE},
		{ANSWERED("a"), ENDED(""), HOUR - MINUTE},
		{ANSWERED("a"), SAYS("202", "BYE", "a"), GRACE},
		{ANSWERED("a"), SAYS("100", "BYE", "a"), HOUR - MINUTE},
		{ANSWERED("a"), SAYS("481", "BYE", "a"), HOUR - MINUTE}, /* forged, or of a call that is none */
		{ANSWERED("a"), SAYS("407", "BYE", "a"), HOUR - MINUTE},
		{ANSWERED("a"), SAYS("200", "CANCEL", "a"), HOUR - MINUTE},
		{ANSWERED("a"), SAYS("200", "OPTIONS", "a"), HOUR - MINUTE},
		{ANSWERED("a"), SAYS("200", "BYEX", "a"), HOUR - MINUTE},
		{ANSWERED("a"), ASKS("BYE", "a"), GRACE},
		{ANSWERED("a"), ASKS("BYE", "b"), HOUR - MINUTE},
		{ANSWERED("a"), SAYS("488", "INVITE", "a"), HOUR - MINUTE}, /* a re-INVITE's */
		{RINGS("a"), ENDED("a"), GRACE},                            /* early, RFC 3261 15 */
		{RINGS("a"), ASKS("BYE", "a"), GRACE},
		{RINGS("a"), BUSY("a"), GRACE},
		{RINGS("a"), SAYS("302", "INVITE", "a"), GRACE},
		{RINGS("a"), SAYS("404", "INVITE", "a"), GRACE},
		{RINGS("a"), SAYS("487", "INVITE", "a"), GRACE},
		{RINGS("a"), SAYS("503", "INVITE", "a"), GRACE},
		{RINGS("a"), SAYS("603", "INVITE", "a"), GRACE},
		{RINGS("a"), BUSY("b"), 4 * MINUTE},
		{RINGS("a"), SAYS("486", "OPTIONS", "a"), 4 * MINUTE},
		{RINGS("a"), SAYS("486", "UPDATE", "a"), 4 * MINUTE},
		{RINGS("a"), SAYS("199", "INVITE", "a"), 4 * MINUTE},
		{SAYS("200", "UPDATE", "a"), ENDED("a"), GRACE},
		{SAYS("200", "UPDATE", "a"), BUSY("a"), GRACE}, /* in an early dialog: not answered */
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct known_entry entry = {};

		way_forget();
		answers(PHONE, rows[i].first);
		pass_time(MINUTE);
		server_sends(rows[i].then);
		assert_true(find(PHONE, &entry));
		if (entry.end - way.lab->now - rows[i].left > UNIT)
			fail_msg("row %zu, %.40s: %lld ns, not %llu", i, rows[i].then,
				 (long long)(entry.end - way.lab->now), (unsigned long long)rows[i].left);
	}
}

/* Who rings for longer than what is left is not kept for it. */
static void test_an_end_comes_no_later(void **state)
{
	(void)state;
	answers(PHONE, RINGS("a"));
	pass_time(290 * SECOND);
	answers(PHONE, BUSY("a"));
	ends_in(PHONE, 10 * SECOND);
}

/* What others send in its name ends nothing, nor what the server sends to others. */
static void test_what_others_send(void **state)
{
	struct recipe bye = {.payload = ASKS("BYE", "a@x")}, fine = {.payload = ENDED("a@x")};
	struct expect response = PASSES(PEER, RESPONSE, RESPONSE);
	struct lab *lab = *state;

	response.status = 200;
	answers(PHONE, ANSWERED("a@x"));
	lab_send(lab, "a forged BYE", &bye, (struct expect)PASSES(PEER, DIALOG, BYE));
	lab_send(lab, "a forged answer", &fine, response);
	answers("192.0.2.2", ENDED("a@x"));
	asks("192.0.2.2", ASKS("BYE", "a@x"), SIPDAM_METHOD_BYE);
	ends_in(PHONE, HOUR);
}

/* ---- what is said twice ---- */

/* A call is one, however often and by however many branches it rings and is answered. */
static void test_what_is_sent_again(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		answers(PHONE, SAYS("183", "INVITE", "a"));
		answers(PHONE, RINGS("a"));
	}
	for (int i = 0; i < 3; i++)
		answers(PHONE, ANSWERED("a"));
	answers(PHONE, ANSWERED("b"));
	pass_time(MINUTE);
	for (int i = 0; i < 3; i++)
		answers(PHONE, ENDED("b"));
	ends_in(PHONE, HOUR - MINUTE);
	answers(PHONE, RINGS("a")); /* of a re-INVITE, and refused */
	answers(PHONE, SAYS("491", "INVITE", "a"));
	answers(PHONE, ANSWERED("a"));
	ends_in(PHONE, HOUR - MINUTE);
	answers(PHONE, ENDED("a"));
	ends_in(PHONE, GRACE);
	pass_time(10 * SECOND);
	answers(PHONE, ENDED("a"));
	ends_in(PHONE, GRACE - 10 * SECOND);
}

/* The server's BYE that nobody answers: the peer is one until the last of its answers may come. */
static void test_a_bye_that_is_sent_again(void **state)
{
	(void)state;
	answers(PHONE, ANSWERED("a"));
	pass_time(MINUTE);
	asks(PHONE, ASKS("BYE", "a"), SIPDAM_METHOD_BYE);
	ends_in(PHONE, GRACE);
	pass_time(16 * SECOND);
	asks(PHONE, ASKS("BYE", "a"), SIPDAM_METHOD_BYE);
	ends_in(PHONE, GRACE);
	assert_int_equal(cause_of(PHONE), SIPDAM_KNOWN_CALL);
	way_forget();
	asks(PHONE, ASKS("BYE", "a"), SIPDAM_METHOD_BYE); /* of a call that was forgotten */
	ends_in(PHONE, GRACE);
	way_forget();
	asks(PHONE, "BYE sip:a SIP/2.0", SIPDAM_METHOD_BYE);
	ends_in(PHONE, GRACE);
}

/* ---- several calls ---- */

/* What `explain` says of them. */
static int calls_of(const char *address)
{
	struct known_entry entry = {};

	assert_true(find(address, &entry));
	return known_calls(&entry);
}

static void test_two_calls(void **state)
{
	(void)state;
	answers(PHONE, ANSWERED("a"));
	answers(PHONE, ANSWERED("b"));
	assert_int_equal(calls_of(PHONE), 2);
	pass_time(MINUTE);
	answers(PHONE, ENDED("a"));
	ends_in(PHONE, HOUR - MINUTE);
	assert_int_equal(calls_of(PHONE), 1);
	answers(PHONE, RINGS("c"));
	answers(PHONE, BUSY("c"));
	ends_in(PHONE, HOUR - MINUTE);
	asks(PHONE, ASKS("BYE", "b"), SIPDAM_METHOD_BYE);
	ends_in(PHONE, GRACE);
	assert_int_equal(calls_of(PHONE), 0);
	asks(PHONE, ASKS("OPTIONS", "ping"), SIPDAM_METHOD_OPTIONS);
	assert_int_equal(calls_of(PHONE), -1); /* it is no peer for its calls */
	way_forget();
	answers(PHONE, RINGS("a"));
	answers(PHONE, RINGS("b"));
	answers(PHONE, BUSY("a"));
	answers(PHONE, BUSY("d"));
	ends_in(PHONE, 5 * MINUTE);
	answers(PHONE, BUSY("b"));
	ends_in(PHONE, GRACE);
	answers(PHONE, RINGS("e")); /* before it has ended */
	ends_in(PHONE, 5 * MINUTE);
	answers(PHONE, BUSY("e"));
	ends_in(PHONE, GRACE);
}

/* Each of four is told, in any order; with a fifth at once no end is, until the peer has been forgotten. */
static void test_many_calls(void **state)
{
	static const char *const begin[] = {ANSWERED("a"), ANSWERED("b"), ANSWERED("c"), ANSWERED("d"), ANSWERED("e")};
	static const char *const end[] = {ENDED("a"), ENDED("b"), ENDED("c"), ENDED("d"), ENDED("e")};
	static const int order[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}, {2, 0, 3, 1}};

	(void)state;
	for (size_t i = 0; i < COUNT(order); i++) {
		way_forget();
		for (int call = 0; call < 4; call++)
			answers(PHONE, begin[call]);
		pass_time(MINUTE);
		for (int turn = 0; turn < 4; turn++) {
			ends_in(PHONE, HOUR - MINUTE);
			answers(PHONE, end[order[i][turn]]);
		}
		ends_in(PHONE, GRACE);
	}
	way_forget();
	for (int call = 0; call < 4; call++)
		answers(PHONE, begin[call]);
	assert_int_equal(calls_of(PHONE), 4);
	pass_time(MINUTE);
	answers(PHONE, end[2]);
	answers(PHONE, begin[4]); /* in its place */
	answers(PHONE, end[0]);
	answers(PHONE, end[1]);
	answers(PHONE, end[3]);
	ends_in(PHONE, HOUR - MINUTE);
	answers(PHONE, end[4]);
	ends_in(PHONE, GRACE);
	way_forget();
	for (int call = 0; call < 5; call++)
		answers(PHONE, begin[call]);
	assert_int_equal(calls_of(PHONE), -1);
	pass_time(MINUTE);
	for (int call = 0; call < 5; call++)
		answers(PHONE, end[call]);
	ends_in(PHONE, HOUR - MINUTE);
	pass_time(HOUR);
	answers(PHONE, begin[0]);
	answers(PHONE, end[0]);
	ends_in(PHONE, GRACE);
}

/* ---- whom the server asks ---- */

/* Whom the server sends requests of its own, before a call or in it, stays a peer as ever. */
static void test_trunk(void **state)
{
	(void)state;
	asks(PHONE, ASKS("OPTIONS", "ping"), SIPDAM_METHOD_OPTIONS);
	answers(PHONE, ANSWERED("a"));
	pass_time(30 * MINUTE);
	answers(PHONE, ENDED("a"));
	asks(PHONE, ASKS("BYE", "b"), SIPDAM_METHOD_BYE);
	ends_in(PHONE, HOUR - 30 * MINUTE);
	assert_int_equal(cause_of(PHONE), SIPDAM_KNOWN_REQUEST);
	answers(PHONE, ANSWERED("a")); /* for longer: still no peer for its calls alone */
	answers(PHONE, ENDED("a"));
	ends_in(PHONE, HOUR);
	assert_int_equal(cause_of(PHONE), SIPDAM_KNOWN_REQUEST);
	for (int twice = 0; twice < 2; twice++) {
		way_forget();
		answers(PHONE, ANSWERED("a"));
		pass_time(MINUTE);
		asks(PHONE, ASKS("OPTIONS", "ping"), SIPDAM_METHOD_OPTIONS);
		assert_int_equal(cause_of(PHONE), SIPDAM_KNOWN_REQUEST);
		if (twice)
			asks(PHONE, ASKS("INVITE", "its own"), SIPDAM_METHOD_INVITE);
		answers(PHONE, ENDED("a"));
		ends_in(PHONE, HOUR - MINUTE);
	}
	way_forget();
	answers(PHONE, ANSWERED("a"));
	answers(PHONE, ENDED("a"));
	asks(PHONE, ASKS("OPTIONS", "ping"), SIPDAM_METHOD_OPTIONS);
	ends_in(PHONE, HOUR);
	pass_time(HOUR + UNIT); /* forgotten */
	answers(PHONE, ANSWERED("a"));
	answers(PHONE, ENDED("a"));
	ends_in(PHONE, GRACE);
}

/* The server's requests inside the caller's call are that call's: it goes on for as long, and ends when it does. */
static void test_requests_in_a_call(void **state)
{
	static const struct {
		const char *text;
		int method;
	} rows[] = {
		{ASKS("INVITE", "a"), SIPDAM_METHOD_INVITE},
		{ASKS("UPDATE", "a"), SIPDAM_METHOD_UPDATE},
		{ASKS("INFO", "a"), SIPDAM_METHOD_INFO},
		{ASKS("ACK", "a"), SIPDAM_METHOD_ACK},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		way_forget();
		answers(PHONE, ANSWERED("a"));
		pass_time(30 * MINUTE);
		asks(PHONE, rows[i].text, rows[i].method);
		ends_in(PHONE, HOUR);
		assert_int_equal(cause_of(PHONE), SIPDAM_KNOWN_CALL);
		answers(PHONE, ENDED("a"));
		ends_in(PHONE, GRACE);
		asks(PHONE, rows[i].text, rows[i].method); /* the call is none any more */
		ends_in(PHONE, HOUR);
		assert_int_equal(cause_of(PHONE), SIPDAM_KNOWN_REQUEST);
	}
}

/* ---- trust ---- */

/* Trust does not end with a call, and of calls nothing is left where a trusted source's ports are. */
static void test_trust(void **state)
{
	struct lab *lab = *state;
	struct known_entry entry = {};

	for (int by_hand = 0; by_hand < 2; by_hand++) {
		way_forget();
		answers(PHONE, ANSWERED("a"));
		answers(PHONE, ANSWERED("b"));
		answers(PHONE, ANSWERED("c"));
		lab->known.table.record.known[place_of(PHONE)].calls = lab->now - SECOND; /* as well as any */
		if (by_hand) {
			lab_know(lab, PHONE, true, 5070, 600 * SECOND);
		} else {
			answers(PHONE, ANSWER("401", "REGISTER", ""));
			answers(PHONE, ANSWER("200", "REGISTER", "Contact: <sip:a@b>;expires=600\r\n"));
		}
		is(PHONE, TRUSTED);
		assert_int_equal(calls_of(PHONE), -1);
		answers(PHONE, ANSWERED("d"));
		answers(PHONE, ENDED("a"));
		asks(PHONE, ASKS("BYE", "b"), SIPDAM_METHOD_BYE);
		is(PHONE, TRUSTED);
		ends_in(PHONE, 600 * SECOND);
		assert_true(find(PHONE, &entry));
		assert_int_equal(entry.record.devices, 1);
		assert_int_equal(entry.record.turned, lab->now);
		answers_port(PHONE, 5071, ANSWER("200", "REGISTER", "Contact: <sip:a@b>;expires=600\r\n"));
		assert_true(find(PHONE, &entry));
		assert_int_equal(entry.record.devices, 2);
		pass_time(601 * SECOND);
		answers(PHONE, RINGS("c")); /* a peer, of one call that was begun since */
		answers(PHONE, ENDED("a"));
		ends_in(PHONE, 5 * MINUTE);
		answers(PHONE, ENDED("c"));
		ends_in(PHONE, GRACE);
	}
}

/* ---- Call-IDs ---- */

/* What names the same call as "a@x" and what does not. */
static void test_call_ids(void **state)
{
#define LINES(before, after) "SIP/2.0 200 OK\r\n" before "CSeq: 7 BYE\r\n" after "Content-Length: 0\r\n\r\n"
	static const struct {
		const char *name, *end;
		bool same;
	} rows[] = {
		{"as it is", LINES("Call-ID: a@x\r\n", ""), true},
		{"small", LINES("call-id: a@x\r\n", ""), true},
		{"large", LINES("CALL-ID:a@x\r\n", ""), true},
		{"blanks", LINES("Call-ID \t:  \ta@x \t\r\n", ""), true},
		{"compact", LINES("i: a@x\r\n", ""), true},
		{"compact, large", LINES("I:a@x\r\n", ""), true},
		{"compact, a blank", LINES("i : a@x\r\n", ""), true},
		{"behind the CSeq", LINES("", "Call-ID: a@x\r\n"), true},
		{"far behind", LINES("", "A: " X63 X63 X63 "\r\nB: 1\r\nContact: <sip:a>\r\ni: a@x\r\n"), true},
		{"the first counts", LINES("Call-ID: a@x\r\n", "i: b\r\n"), true},
		{"the second does not", LINES("Call-ID: b\r\n", "i: a@x\r\n"), false},
		{"behind another that begins so", LINES("Identity: b\r\nCall-ID: a@x\r\n", ""), true},
		{"a line feed alone", LINES("Call-ID: a@x\n", ""), true},
		{"case matters", LINES("Call-ID: A@x\r\n", ""), false},
		{"longer", LINES("Call-ID: a@xy\r\n", ""), false},
		{"shorter", LINES("Call-ID: a@\r\n", ""), false},
		{"nothing", LINES("Call-ID:\r\n", ""), false},
		{"no colon", LINES("Call-ID a@x\r\n", ""), false},
		{"no such line", LINES("", ""), false},
		{"another name", LINES("Call-IDs: a@x\r\n", ""), false},
		{"another name, compact", LINES("id: a@x\r\n", ""), false},
		{"in the body", LINES("", "") "Call-ID: a@x\r\n", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct known_entry entry = {};

		way_forget();
		answers(PHONE, ANSWERED("a@x"));
		answers(PHONE, rows[i].end);
		assert_true(find(PHONE, &entry));
		if ((entry.end < way.lab->now + MINUTE) != rows[i].same)
			fail_msg("%s", rows[i].name);
	}
}

/* 64 bytes tell calls apart. */
static void test_long_call_ids(void **state)
{
	(void)state;
	answers(PHONE, ANSWERED(X63 "a"));
	answers(PHONE, ENDED(X63 "b"));
	answers(PHONE, ENDED(X63));
	ends_in(PHONE, HOUR);
	answers(PHONE, ENDED(X63 "ab")); /* cut */
	ends_in(PHONE, GRACE);
	way_forget();
	answers(PHONE, ANSWERED(X63));
	answers(PHONE, ENDED(X63 "a"));
	ends_in(PHONE, HOUR);
	answers(PHONE, ENDED(X63));
	ends_in(PHONE, GRACE);
}

/* A call without a name is never known to have ended, nor are others beside it. */
static void test_a_call_without_a_name(void **state)
{
	(void)state;
	answers(PHONE, ANSWERED("a"));
	answers(PHONE, ANSWER("200", "INVITE", ""));
	assert_int_equal(calls_of(PHONE), -1);
	pass_time(MINUTE);
	answers(PHONE, ENDED("a"));
	answers(PHONE, ANSWER("200", "BYE", ""));
	ends_in(PHONE, HOUR - MINUTE);
}

/* Headers of more than is read at once: the Call-ID is behind them, or before and has no name any more. */
static void test_long_answers(void **state)
{
	static char text[3600];

	(void)state;
	for (int behind = 0; behind < 2; behind++) {
		int length = snprintf(text, sizeof(text), "SIP/2.0 200 OK\r\n%s", behind ? "" : "Call-ID: a@x\r\n");

		way_forget();
		while (length < 3000)
			length += snprintf(text + length, sizeof(text) - length, "X::::::::::::::%d\r\n", length % 100);
		snprintf(text + length, sizeof(text) - length, "CSeq: 7 INVITE\r\n%s\r\n",
			 behind ? "Call-ID: a@x\r\n" : "");
		answers(PHONE, text);
		ends_in(PHONE, HOUR);
		answers(PHONE, ENDED("b@x"));
		ends_in(PHONE, HOUR);
		answers(PHONE, ENDED("a@x"));
		ends_in(PHONE, behind ? GRACE : HOUR);
		assert_int_equal(calls_of(PHONE), behind ? 0 : -1);
	}
}

/* ---- packets ---- */

static void test_ipv6(void **state)
{
	(void)state;
	answers(PHONE6, ANSWERED("a"));
	answers("2001:db8:1::9", ENDED("b"));
	ends_in(PHONE6, HOUR);
	answers("2001:db8:1::9", ENDED("a")); /* of the same /64: one source */
	ends_in(PHONE6, GRACE);
}

/* Over TCP as well: several messages in a segment, and each begins where the one before it ended. */
static void test_stream(void **state)
{
	(void)state;
	open_connection();
	segment(RINGS("a"));
	ends_in(PHONE, 5 * MINUTE);
	segment(ANSWERED("a") ANSWERED("b"));
	ends_in(PHONE, HOUR);
	segment(ENDED("a"));
	ends_in(PHONE, HOUR);
	segment(ASKS("INFO", "b") ASKS("BYE", "b"));
	ends_in(PHONE, GRACE);
	segment(RINGS("c") ANSWERED("c") ASKS("BYE", "c"));
	ends_in(PHONE, GRACE);
	segment(ANSWERED("d"));
	segment(ENDED("d") ANSWERED("e"));
	ends_in(PHONE, HOUR);
	segment(ENDED("e") RINGS("f") BUSY("f"));
	ends_in(PHONE, GRACE);
	segment(ANSWERED("d") ASKS("OPTIONS", "ping") ENDED("d"));
	ends_in(PHONE, HOUR);
	assert_int_equal(cause_of(PHONE), SIPDAM_KNOWN_REQUEST);
	way_forget();
	segment(RINGS("e") BUSY("e") RINGS("f"));
	ends_in(PHONE, 5 * MINUTE);
	segment(BUSY("f"));
	ends_in(PHONE, GRACE);
}

/* Datagrams that leave as one and are cut apart behind. */
static void test_datagrams_that_leave_as_one(void **state)
{
	static char text[1200];
	struct recipe recipe = {.source = SERVER, .destination = PHONE, .payload = text, .payload_bytes = 1000};
	struct lab *lab = *state;

	memset(text, 'x', sizeof(text));
	memcpy(text, ANSWERED("a"), strlen(ANSWERED("a")));
	memcpy(text + 500, ASKS("BYE", "a"), strlen(ASKS("BYE", "a")));
	frame_build(&lab->frame, &recipe);
	set_ports(&lab->frame, SIP_PORT, 5070);
	run_frame("two datagrams", 500);
	ends_in(PHONE, GRACE);
	lab_settle(lab, 0);
}

/* A capture lacks the Call-ID of what may be a call's end: it says so, and that is no request like others. */
static void test_a_capture_cut_short(void **state)
{
	struct lab *lab = *state;

	enum { NOBODY, IN_A_CALL, ASKED };

	for (int known = NOBODY; known <= ASKED; known++) {
		struct recipe recipe = {.source = SERVER, .destination = PHONE, .payload = ASKS("OPTIONS", "a")};
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = lab->frame.data, .data_size_in = 42 + 40, .repeat = 1);

		way_forget();
		if (known)
			answers(PHONE, ANSWERED("a"));
		if (known == ASKED)
			asks(PHONE, ASKS("OPTIONS", "ping"), SIPDAM_METHOD_OPTIONS);
		frame_build(&lab->frame, &recipe);
		set_ports(&lab->frame, SIP_PORT, 5070);
		*lab->trial = (struct sipdam_trial){.now = lab->now, .wire_length = (__u32)lab->frame.length};
		assert_int_equal(bpf_prog_test_run_opts(egress_program(way.egress), &opts), 0);
		assert_int_equal(lab->trial->reason, known == IN_A_CALL ? SIPDAM_REASON_TRUNCATED : SIPDAM_REASON_EGRESS);
		assert_int_equal(cause_of(PHONE), known == IN_A_CALL ? SIPDAM_KNOWN_CALL : SIPDAM_KNOWN_REQUEST);
		lab_settle(lab, 0);
	}
}

/* ---- a model ---- */

/*
 * The rule, written from the design: a caller is a peer for the length of its calls, and as long as it may ring; whom
 * the server asks is one for an hour. What is said of a call that is not one of the peer's changes nothing. Left open:
 * ends are counted in units of 2^20 ns, rounded up, and moved where that is worth a sixteenth of the time; a peer has
 * four calls that are told apart.
 */
#define MODEL_PEERS 3
#define MODEL_CALLS 7 /* of each that there may be */
#define MODEL_ROOM  4

struct model_peer {
	const char *address;
	__u64 end; /* units */
	bool asked; /* for other reasons than its calls */
	bool untold;
	enum { NO_CALL, RINGING, TALKING } call[MODEL_CALLS];
};

static __u64 model_units(__u64 time)
{
	return (time + UNIT - 1) / UNIT;
}

static bool model_holds(const struct model_peer *peer)
{
	return way.lab->now / UNIT < peer->end;
}

static int model_calls(const struct model_peer *peer)
{
	int calls = 0;

	for (int i = 0; i < MODEL_CALLS; i++)
		calls += peer->call[i] != NO_CALL;
	return calls;
}

static void model_lasts(struct model_peer *peer, __u64 lasting)
{
	__u64 end = model_units(way.lab->now + lasting);

	if (end > peer->end + lasting / UNIT / 16)
		peer->end = end;
}

/* It is one from now on, or still. */
static void model_begins(struct model_peer *peer)
{
	if (!model_holds(peer))
		*peer = (struct model_peer){.address = peer->address};
}

static void model_calls_in(struct model_peer *peer, int call, bool answered, bool invite)
{
	model_begins(peer);
	if (peer->call[call] == NO_CALL && model_calls(peer) == MODEL_ROOM)
		peer->untold = true;
	if (peer->call[call] == NO_CALL)
		peer->call[call] = RINGING;
	if (answered && invite)
		peer->call[call] = TALKING;
	model_lasts(peer, answered ? HOUR : 5 * MINUTE);
}

/* Of its calls one is over. */
static void model_ends(struct model_peer *peer, int call)
{
	if (peer->asked || peer->untold || peer->call[call] == NO_CALL)
		return;
	peer->call[call] = NO_CALL;
	if (!model_calls(peer) && peer->end > model_units(way.lab->now + GRACE))
		peer->end = model_units(way.lab->now + GRACE);
}

static void model_asks(struct model_peer *peer, int call, bool bye)
{
	bool within = model_holds(peer) && !peer->asked && !peer->untold && peer->call[call] != NO_CALL;

	model_begins(peer);
	if (bye && within)
		model_ends(peer, call);
	else if (bye)
		model_lasts(peer, GRACE);
	else if (within)
		model_lasts(peer, HOUR);
	else {
		model_lasts(peer, HOUR);
		peer->asked = true;
	}
}

/* When the program has it end, in units. */
static __u64 end_of(const char *address)
{
	size_t place = place_of(address);

	return way.lab->known.table.line[place / SIPDAM_WAYS].word[place % SIPDAM_WAYS] &
	       ((1ULL << SIPDAM_BAN_END_BITS) - 1);
}

enum event { RING, ANSWER_IT, REFUSE, END, UPDATED, REFUSE_BYE, PING_ANSWERED, SERVER_ENDS, SERVER_ASKS, EVENTS };

/* One thing that the server says, and what the model makes of it. */
static void happens(struct model_peer *peer, enum event event, int call, char *text, size_t size)
{
	static const char *const says[EVENTS] = {"180 INVITE", "200 INVITE", "486 INVITE", "200 BYE", "200 UPDATE",
						 "481 BYE",    "200 OPTIONS", "BYE",       "OPTIONS"};
	const char *word = strchr(says[event], ' ');

	if (word)
		snprintf(text, size, "SIP/2.0 %.3s Text\r\nCall-ID: %d-%s\r\nCSeq: 1%s\r\nContent-Length: 0\r\n\r\n",
			 says[event], call, peer->address, word);
	else
		snprintf(text, size, "%s sip:a SIP/2.0\r\nCall-ID: %d-%s\r\nCSeq: 1 %s\r\nContent-Length: 0\r\n\r\n",
			 says[event], call, peer->address, says[event]);
	if (event == RING || event == ANSWER_IT || event == UPDATED)
		model_calls_in(peer, call, event != RING, event != UPDATED);
	else if (event == END || (event == REFUSE && peer->call[call] == RINGING))
		if (model_holds(peer))
			model_ends(peer, call);
	if (event == SERVER_ENDS || event == SERVER_ASKS)
		model_asks(peer, call, event == SERVER_ENDS);
}

static __u64 random_time(void)
{
	static const __u64 most[] = {SECOND, 10 * SECOND, MINUTE, MINUTE, 40 * MINUTE};

	return (__u64)(random() % 1000) * (most[random() % 5] / 1000);
}

/* Nothing but ends and answers for calls, mostly: a peer that is asked ends nothing for an hour. */
static enum event random_event(void)
{
	static const enum event often[] = {RING, RING, ANSWER_IT, ANSWER_IT, ANSWER_IT, REFUSE, REFUSE,
					   END,  END,  END,       SERVER_ENDS};

	return random() % 50 ? often[random() % COUNT(often)] : (enum event)(random() % EVENTS);
}

static void test_model(void **state)
{
	struct model_peer peers[MODEL_PEERS] = {{.address = PHONE}, {.address = "198.51.100.7"}, {.address = "192.0.2.2"}};
	struct lab *lab = *state;
	int cut = 0, asked = 0, untold = 0;
	char text[256];

	srandom(1);
	for (int step = 0; step < 60000; step++) {
		struct model_peer *peer = &peers[random() % MODEL_PEERS];
		struct recipe recipe = {.source = SERVER, .destination = peer->address, .payload = text};
		enum event event = random_event();
		__u64 before = peer->end;

		happens(peer, event, random() % (random() % 8 ? 3 : MODEL_CALLS), text, sizeof(text));
		frame_build(&lab->frame, &recipe);
		set_ports(&lab->frame, SIP_PORT, 5070);
		run_frame(text, 0);
		if (end_of(peer->address) != peer->end)
			fail_msg("step %d at %llu, to %s: ends at %llu, not %llu:\n%s", step,
				 (unsigned long long)lab->now, peer->address, (unsigned long long)end_of(peer->address),
				 (unsigned long long)peer->end, text);
		cut += peer->end < before;
		asked += peer->asked;
		untold += peer->untold;
		lab->now += random_time();
	}
	lab_settle(lab, 0);
	assert_true(cut > 1000 && asked > 100 && untold > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		way_test(test_one_call),
		way_test(test_what_ends_a_call),
		way_test(test_an_end_comes_no_later),
		way_test(test_what_others_send),
		way_test(test_what_is_sent_again),
		way_test(test_a_bye_that_is_sent_again),
		way_test(test_two_calls),
		way_test(test_many_calls),
		way_test(test_trunk),
		way_test(test_requests_in_a_call),
		way_test(test_trust),
		way_test(test_call_ids),
		way_test(test_long_call_ids),
		way_test(test_a_call_without_a_name),
		way_test(test_long_answers),
		way_test(test_ipv6),
		way_test(test_stream),
		way_test(test_datagrams_that_leave_as_one),
		way_test(test_a_capture_cut_short),
		way_test(test_model),
	};

	return cmocka_run_group_tests(tests, begin_all, way_close);
}
