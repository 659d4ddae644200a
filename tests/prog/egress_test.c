/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is learned of the server's own packets: who becomes trusted, who a peer and for how long, who is
 * struck and banned, what strangers are not sent, and that nothing else is said or counted. The program of
 * the way out, one packet at a time, over the maps of the filter, whose verdict is asked of the way in.
 */
#include "prog/sent.h"

#include "sipdam/hash.h"

#pragma GCC diagnostic ignored "-Wunknown-pragmas" /* of unrolling */
#include "../bpf/stamp.h"

/* As bpf/stream.h says. */
#define STREAM_TAG_SHIFT  44
#define STREAM_LOST       (1ULL << 43)
#define STREAM_TIME_SHIFT 32
#define STREAM_TIME_MASK  0x7ffULL
#define STREAM_UNIT_SHIFT 33

#define CHALLENGE  ANSWER("401", "REGISTER", "")
#define CONTACT    "Contact: <sip:a@192.0.2.1>;expires=600\r\n"
#define REGISTERED ANSWER("200", "REGISTER", CONTACT)
#define LEAVES     ANSWER("200", "REGISTER", "") /* no binding is left */
#define REQUEST    "OPTIONS sip:a@192.0.2.1 SIP/2.0\r\nCSeq: 7 OPTIONS\r\nContent-Length: 0\r\n\r\n"

enum { TABLE_FAILURES, TABLE_STREAMS, TABLE_BUDGETS, TABLE_VERIFIED };

static int begin_all(void **state)
{
	static const char *const names[] = {"failures", "streams", "budgets", "verified"};

	return way_open(state, names, COUNT(names));
}

/* ---- sending ---- */

static void requests(const char *to)
{
	struct recipe recipe = {.source = SERVER, .destination = to, .payload = REQUEST};

	sends("a request", &recipe, 5070, SIPDAM_METHOD_OPTIONS, 0);
}

static bool is_banned(const char *address)
{
	struct sipdam_prefix source = lab_source(way.lab, address);

	return bans_hold(&way.lab->bans, &source, way.lab->now);
}

static void registers(const char *address)
{
	answers(address, CHALLENGE);
	answers(address, REGISTERED);
}

/* ---- registrations ---- */

static void test_registration(void **state)
{
	struct recipe invite = {.payload = INVITE_TEXT};
	struct lab *lab = *state;

	answers(PHONE, CHALLENGE);
	is(PHONE, STRANGER);
	lab_send(lab, "before", &invite, (struct expect)AN_INVITE);
	lab->now += SECOND;
	answers(PHONE, REGISTERED);
	is(PHONE, TRUSTED);
	assert_int_equal(cause_of(PHONE), SIPDAM_KNOWN_REGISTRATION);
	ends_in(PHONE, 600 * SECOND);
	is("192.0.2.2", STRANGER);
	lab_send(lab, "after", &invite, (struct expect)PASSES(TRUSTED, INVITE, INVITE));
	lab->now += 601 * SECOND;
	lab_send(lab, "when it has ended", &invite, (struct expect)AN_INVITE);
}

/* What is near to a registration that makes trusted, and is none. */
static void test_no_registration(void **state)
{
	static const struct {
		const char *name, *first, *second;
		enum who who;
	} rows[] = {
		{"it is one", CHALLENGE, REGISTERED, TRUSTED},
		{"407", ANSWER("407", "REGISTER", ""), REGISTERED, TRUSTED},
		{"no challenge", ANSWER("100", "REGISTER", ""), REGISTERED, STRANGER},
		{"a refusal that is none", ANSWER("403", "REGISTER", ""), REGISTERED, STRANGER},
		{"a challenge to call", ANSWER("407", "INVITE", ""), REGISTERED, STRANGER},
		{"another success", CHALLENGE, ANSWER("202", "REGISTER", CONTACT), STRANGER},
		{"another method", CHALLENGE, ANSWER("200", "SUBSCRIBE", CONTACT), STRANGER},
		{"no binding is left", CHALLENGE, ANSWER("200", "REGISTER", ""), STRANGER},
		{"de-registration", CHALLENGE, ANSWER("200", "REGISTER", "Contact: <sip:a@b>;expires=0\r\n"),
		 STRANGER},
		{"in the header", CHALLENGE,
		 ANSWER("200", "REGISTER", "Contact: <sip:a@b>\r\nExpires: 0\r\n"), STRANGER},
		{"a request that says so", CHALLENGE,
		 "SIP/2.0 20 OK\r\nCSeq: 1 REGISTER\r\nContact: a\r\n\r\n", STRANGER},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		way_forget();
		answers(PHONE, rows[i].first);
		if (atoi(rows[i].second + 8) >= 100) {
			answers(PHONE, rows[i].second);
		} else {
			struct recipe recipe = {
				.source = SERVER, .destination = PHONE, .payload = rows[i].second};

			sends(rows[i].name, &recipe, 5070, 0, 0);
		}
		if (who_is(PHONE) != rows[i].who)
			fail_msg("%s: %d", rows[i].name, who_is(PHONE));
	}
}

static void test_challenge_holds_32_seconds(void **state)
{
	struct lab *lab = *state;

	answers(PHONE, CHALLENGE);
	lab->now += 32 * SECOND;
	answers(PHONE, REGISTERED);
	is(PHONE, TRUSTED);
	way_forget();
	answers(PHONE, CHALLENGE);
	lab->now += 32 * SECOND + SECOND / 50;
	answers(PHONE, REGISTERED);
	is(PHONE, STRANGER);
}

static void test_renewal_needs_no_challenge(void **state)
{
	struct recipe invite = {.payload = INVITE_TEXT};
	struct lab *lab = *state;
	__u64 since = lab->now;

	registers(PHONE);
	lab->now += 599 * SECOND;
	answers(PHONE, REGISTERED);
	ends_in(PHONE, 600 * SECOND);
	assert_int_equal(since_of(PHONE), since);
	lab->now += 300 * SECOND;
	lab_send(lab, "renewed", &invite, (struct expect)PASSES(TRUSTED, INVITE, INVITE));
	lab->now += 301 * SECOND;
	answers(PHONE, REGISTERED);
	is(PHONE, STRANGER);
	registers(PHONE); /* which is not the same one */
	assert_int_equal(since_of(PHONE), lab->now);
	lab_know(lab, "192.0.2.9", true, 0, HOUR); /* nor where others are known meanwhile */
	lab->now += 601 * SECOND;
	registers(PHONE);
	assert_int_equal(since_of(PHONE), lab->now);
}

/* A registration that is longer than trust.ttl is renewed without a challenge as long as it lasts, a day at most. */
static void test_renewal_beyond_the_trust(void **state)
{
#define LASTS(seconds) ANSWER("200", "REGISTER", "Contact: <sip:a@192.0.2.1>;expires=" seconds "\r\n")
	static const struct {
		const char *first;
		int after; /* seconds */
		enum { NOTHING, CALLED, ANOTHER, BY_HAND, LEFT, ONE_LEFT } between;
		enum who who;
	} rows[] = {
		{LASTS("7200"), 301, NOTHING, TRUSTED},
		{LASTS("7200"), 7100, NOTHING, TRUSTED},
		{LASTS("7200"), 7200, NOTHING, STRANGER},
		{LASTS("7200"), 7300, NOTHING, STRANGER},
		{LASTS("7200"), 3000, CALLED, TRUSTED},
		{LASTS("7200"), 7300, CALLED, STRANGER}, /* a peer for an hour from 301 s on */
		{LASTS("7200"), 3000, ANOTHER, STRANGER},
		{LASTS("7200"), 3000, BY_HAND, STRANGER}, /* taken from it */
		{LASTS("7200"), 3000, LEFT, STRANGER},
		{LASTS("7200"), 3000, ONE_LEFT, TRUSTED},
		{LASTS("604800"), 86000, NOTHING, TRUSTED},
		{LASTS("604800"), 86500, NOTHING, STRANGER},
		{LASTS("300"), 301, NOTHING, STRANGER},
		{LASTS("0"), 301, NOTHING, STRANGER},
	};
	struct lab *lab = *state;

	lab_policy(lab, "trust: {ttl: 300s}");
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sipdam_prefix source = lab_source(lab, PHONE);
		__u64 begin = lab->now;

		way_forget();
		answers(PHONE, CHALLENGE);
		answers(PHONE, rows[i].first);
		if (rows[i].between == ONE_LEFT)
			answers_port(PHONE, 5071, rows[i].first);
		lab->now = begin + 301 * SECOND;
		is(PHONE, STRANGER);
		for (int calls = 0; rows[i].between == CALLED && calls < 2; calls++)
			requests(PHONE);
		if (rows[i].between == LEFT || rows[i].between == ONE_LEFT)
			answers(PHONE, LEAVES);
		if (rows[i].between == BY_HAND)
			known_remove(&lab->known, &source, lab->now);
		lab->now = begin + (__u64)rows[i].after * SECOND;
		answers(rows[i].between == ANOTHER ? "192.0.2.2" : PHONE, LASTS("7200"));
		if (who_is(rows[i].between == ANOTHER ? "192.0.2.2" : PHONE) != rows[i].who)
			fail_msg("row %zu: %d", i, who_is(PHONE));
	}
}

/* Challenged while it is trusted still, and let in when that has ended. */
static void test_renewed_in_the_last_moment(void **state)
{
	static const struct {
		int challenged; /* seconds after a registration of 600 */
		enum who who;
	} rows[] = {{599, TRUSTED}, {570, TRUSTED}, {560, STRANGER}};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		__u64 begin = lab->now;

		way_forget();
		registers(PHONE);
		lab->now = begin + (__u64)rows[i].challenged * SECOND;
		answers(PHONE, CHALLENGE);
		is(PHONE, TRUSTED);
		lab->now = begin + 601 * SECOND;
		is(PHONE, STRANGER);
		answers(PHONE, REGISTERED);
		if (who_is(PHONE) != rows[i].who)
			fail_msg("row %zu: %d", i, who_is(PHONE));
	}
}

/* From its renewal on it lasts as long as that says. */
static void test_renewed_in_time(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "trust: {ttl: 300s}");
	answers(PHONE, CHALLENGE);
	answers(PHONE, LASTS("7200"));
	lab->now += 290 * SECOND;
	answers(PHONE, LASTS("7200"));
	lab->now += 7100 * SECOND;
	answers(PHONE, LASTS("7200"));
	is(PHONE, TRUSTED);
	assert_int_equal(since_of(PHONE), lab->now); /* again */
}

/* Ports that call are no devices: those that register are. */
static void test_ports_of_a_peer(void **state)
{
	struct known_entry entry;

	(void)state;
	for (int port = 5071; port < 5074; port++)
		answers_port(PHONE, port, ANSWER("200", "INVITE", ""));
	is(PHONE, PEER);
	registers(PHONE);
	assert_true(find(PHONE, &entry));
	assert_int_equal(entry.record.devices, 1);
}

/* The shortest of what the answer says and trust.ttl; of several bindings the longest. */
static void test_how_long(void **state)
{
	static const struct {
		const char *more;
		int seconds;
	} rows[] = {
		{"Contact: <sip:a@b>;expires=60\r\n", 60},
		{"Expires: 70\r\nContact: <sip:a@b>\r\n", 70},
		{"Expires: 70\r\nContact: <sip:a@b>;expires=80\r\n", 80},
		{"Contact: <sip:a@b>;expires=60, <sip:c@d>;q=1;expires=90\r\n", 90},
		{"Contact: <sip:a@b>\r\n", 300},
		{"m: <sip:a@b>;expires=301\r\n", 300},
		{"m: <sip:a@b>;expires=299\r\n", 299},
		{"m: <sip:a@b>;expires=99999999999\r\n", 300},
	};
	char text[400];

	lab_policy(*state, "trust: {ttl: 300s}");
	for (size_t i = 0; i < COUNT(rows); i++) {
		way_forget();
		answers(PHONE, CHALLENGE);
		snprintf(text, sizeof(text), ANSWER("200", "REGISTER", "%s"), rows[i].more);
		answers(PHONE, text);
		ends_in(PHONE, rows[i].seconds * SECOND);
	}
}

/* Trust by hand for longer is not cut short, and one that ends sooner lasts longer now. */
static void test_nothing_is_taken(void **state)
{
	struct lab *lab = *state;

	lab_know(lab, PHONE, true, 0, 2 * HOUR);
	registers(PHONE);
	ends_in(PHONE, 2 * HOUR);
	assert_int_equal(cause_of(PHONE), SIPDAM_KNOWN_MANUAL);
	requests(PHONE);
	answers(PHONE, ANSWER("200", "INVITE", ""));
	is(PHONE, TRUSTED);
	ends_in(PHONE, 2 * HOUR);
	way_forget();
	lab_know(lab, PHONE, true, 0, MINUTE);
	answers(PHONE, REGISTERED);
	ends_in(PHONE, 600 * SECOND);
	assert_int_equal(cause_of(PHONE), SIPDAM_KNOWN_REGISTRATION);
	requests(PHONE); /* a peer for longer than it is trusted */
	is(PHONE, TRUSTED);
	ends_in(PHONE, 600 * SECOND);
}

static void test_devices_behind_an_address(void **state)
{
	struct lab *lab = *state;
	struct known_entry entry;

	registers(PHONE);
	for (int port = 5070; port < 5073; port++)
		answers_port(PHONE, port, REGISTERED);
	assert_true(find(PHONE, &entry));
	assert_int_equal(entry.record.devices, 3);
	answers_port(PHONE, 5080, ANSWER("401", "REGISTER", "")); /* not registered: not seen */
	assert_true(find(PHONE, &entry));
	assert_int_equal(entry.record.devices, 3);
	lab->now += 599 * SECOND;
	answers_port(PHONE, 5090, REGISTERED);
	assert_true(find(PHONE, &entry));
	assert_int_equal(entry.record.devices, 4);
}

static void test_ports_are_forgotten(void **state)
{
	struct lab *lab = *state;
	struct known_entry entry;

	lab_policy(lab, "trust: {ttl: 600s}");
	registers(PHONE);
	answers_port(PHONE, 5071, REGISTERED);
	for (int turn = 0; turn < 2; turn++) {
		lab->now += 300 * SECOND;
		assert_true(find(PHONE, &entry));
		assert_int_equal(entry.record.devices, turn ? 3 : 2);
		answers_port(PHONE, 5072, REGISTERED);
		assert_true(find(PHONE, &entry));
		assert_int_equal(entry.record.devices, turn ? 1 : 3);
	}
	/* All of them, where for the whole time none was seen. */
	answers_port(PHONE, 5071, REGISTERED);
	assert_int_equal(lab_know(lab, PHONE, true, 0, HOUR), 0);
	lab->now += 600 * SECOND;
	answers_port(PHONE, 5073, REGISTERED);
	assert_true(find(PHONE, &entry));
	assert_int_equal(entry.record.devices, 1);
}

/* ---- peers ---- */

static void test_peers(void **state)
{
	static const struct {
		const char *text;
		int cause;
		__u64 lasting; /* 0: no peer */
	} rows[] = {
		{ANSWER("180", "INVITE", ""), SIPDAM_KNOWN_CALL, 5 * MINUTE},
		{ANSWER("183", "INVITE", ""), SIPDAM_KNOWN_CALL, 5 * MINUTE},
		{ANSWER("200", "INVITE", ""), SIPDAM_KNOWN_CALL, HOUR},
		{ANSWER("200", "UPDATE", ""), SIPDAM_KNOWN_CALL, HOUR},
		{ANSWER("100", "INVITE", ""), 0, 0},
		{ANSWER("190", "INVITE", ""), 0, 0},
		{ANSWER("302", "INVITE", ""), 0, 0},
		{ANSWER("486", "INVITE", ""), 0, 0},
		{ANSWER("401", "INVITE", ""), 0, 0},
		{ANSWER("200", "OPTIONS", ""), 0, 0},
		{ANSWER("200", "BYE", ""), 0, 0},
		{ANSWER("200", "INVITEX", ""), 0, 0},
		{"SIP/2.0 200 OK\r\n\r\nCSeq: 1 INVITE\r\n\r\n", 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		way_forget();
		answers(PHONE, rows[i].text);
		if ((who_is(PHONE) == PEER) != !!rows[i].lasting)
			fail_msg("%s", rows[i].text);
		if (rows[i].lasting) {
			ends_in(PHONE, rows[i].lasting);
			assert_int_equal(cause_of(PHONE), rows[i].cause);
		}
	}
}

/* Whom the server sends a request is a peer: its answers pass as such, its calls are a stranger's. */
static void test_requests(void **state)
{
	struct recipe answer = {.payload = "SIP/2.0 200 OK\r\n"}, invite = {.payload = INVITE_TEXT};
	struct expect as_peer = PASSES(PEER, RESPONSE, RESPONSE);
	struct lab *lab = *state;

	requests(PHONE);
	ends_in(PHONE, HOUR);
	assert_int_equal(cause_of(PHONE), SIPDAM_KNOWN_REQUEST);
	as_peer.status = 200;
	lab_send(lab, "an answer", &answer, as_peer);
	lab_send(lab, "a call", &invite, (struct expect)AN_INVITE);
	/* A word is not written with every packet: a sixteenth is not worth it. */
	lab->now += HOUR / 16 - SECOND;
	requests(PHONE);
	ends_in(PHONE, HOUR - (HOUR / 16 - SECOND) + 0);
	lab->now += 2 * SECOND;
	requests(PHONE);
	ends_in(PHONE, HOUR);
	registers(PHONE);
	is(PHONE, TRUSTED);
	ends_in(PHONE, 600 * SECOND);
}

static void refuse(const char *address, const char *text, int count, __u64 apart);

/* ---- places ---- */

/* The n-th address that shares a line with the first one; 10.x.y.z, so never more than 16 million. */
static void address_of_line(int n, char text[INET_ADDRSTRLEN])
{
	__u64 first = 0;
	int found = -1;

	for (__u32 i = 1; i < 1 << 24; i++) {
		__be32 address = htonl(10u << 24 | i);
		__u8 bytes[16] = {[10] = 0xff, [11] = 0xff};
		__u64 words[2], hash;

		memcpy(bytes + 12, &address, 4);
		memcpy(words, bytes, 16);
		hash = sipdam_hash(&way.lab->known.table.secret, words[0], words[1]);
		if (i == 1)
			first = hash;
		if (((hash ^ first) & (SIPDAM_KNOWN_LINES - 1)) == 0 && ++found == n) {
			inet_ntop(AF_INET, &address, text, INET_ADDRSTRLEN);
			return;
		}
	}
	abort();
}

/* Who shares a line there shares one of the failures, too. */
static void forget_failures(void)
{
	memset(way.table[TABLE_FAILURES].memory, 0, way.table[TABLE_FAILURES].bytes);
}

static void registers_alone(const char *address)
{
	forget_failures();
	registers(address);
}

/* A line full of trusted sources takes no more; peers have half of one, and give way. */
static void test_full_line(void **state)
{
	struct lab *lab = *state;
	char address[10][INET_ADDRSTRLEN];

	for (int i = 0; i < 10; i++)
		address_of_line(i, address[i]);
	for (int i = 0; i < 4; i++) {
		lab->now += SECOND;
		requests(address[i]);
	}
	lab->expected.event[SIPDAM_TABLE_GRANT_REFUSED]++;
	requests(address[4]);
	is(address[4], STRANGER);
	for (int i = 4; i < 9; i++)
		registers_alone(address[i]);
	is(address[0], STRANGER); /* which would have ended first */
	is(address[1], PEER);
	for (int i = 1; i < 4; i++)
		registers_alone(address[i]);
	forget_failures();
	answers(address[9], CHALLENGE);
	lab->expected.event[SIPDAM_TABLE_GRANT_REFUSED]++;
	answers(address[9], REGISTERED);
	is(address[9], STRANGER);
	lab->expected.event[SIPDAM_TABLE_GRANT_REFUSED]++;
	requests(address[9]);
	for (int i = 1; i < 9; i++)
		is(address[i], TRUSTED);
	lab->now += 601 * SECOND; /* all places are free again */
	requests(address[9]);
	is(address[9], PEER);
}

/* Peers take what trusted sources leave of a line, not from each other, and nothing of who was there before. */
static void test_who_takes_a_place(void **state)
{
	struct lab *lab = *state;
	char address[10][INET_ADDRSTRLEN];

	for (int i = 0; i < 10; i++)
		address_of_line(i, address[i]);
	for (int i = 0; i < 5; i++)
		registers_alone(address[i]);
	for (int i = 5; i < 8; i++)
		requests(address[i]);
	lab->expected.event[SIPDAM_TABLE_GRANT_REFUSED]++;
	requests(address[8]);
	is(address[8], STRANGER);
	for (int i = 5; i < 8; i++)
		is(address[i], PEER);
	lab->now += HOUR + SECOND;
	requests(address[9]); /* in the place of one that was registered */
	is(address[9], PEER);
	lab->now += HOUR + SECOND;
	forget_failures();
	refuse(address[9], CHALLENGE, 25, SECOND);
	assert_true(is_banned(address[9]));
}

/* A source is known by its tag and its record: by one of them alone it is nobody. */
static void test_half_a_name(void **state)
{
	struct lab *lab = *state;

	for (int tag = 0; tag < 2; tag++) {
		__u64 *word, before;
		size_t place = 0;

		way_forget();
		registers(PHONE);
		while (!lab->known.table.line[place / SIPDAM_WAYS].word[place % SIPDAM_WAYS])
			place++;
		word = &lab->known.table.line[place / SIPDAM_WAYS].word[place % SIPDAM_WAYS];
		if (tag)
			*word ^= 1ULL << SIPDAM_KNOWN_TAG_SHIFT;
		else
			lab->known.table.record.known[place].low ^= 1ULL << 56;
		before = *word;
		lab->now += 33 * SECOND;
		answers(PHONE, REGISTERED);
		is(PHONE, STRANGER);
		assert_int_equal(*word, before); /* nor is what it is not renewed */
	}
}

/* What is of no use any more goes before an older word that counts still. */
static void test_old_challenges_go_before_refusals(void **state)
{
	struct lab *lab = *state;
	char guesser[INET_ADDRSTRLEN], other[INET_ADDRSTRLEN];

	address_of_line(0, guesser);
	refuse(guesser, ANSWER("404", "INVITE", ""), 19, 0);
	for (int i = 1; i < 4; i++) { /* two words each, of which a challenge counts for 32 s */
		lab->now += SECOND;
		address_of_line(i, other);
		answers(other, CHALLENGE);
	}
	lab->now += 33 * SECOND;
	address_of_line(4, other);
	answers(other, CHALLENGE);
	assert_false(is_banned(guesser));
	answers(guesser, ANSWER("404", "INVITE", ""));
	assert_true(is_banned(guesser));
}

/* A full line of failures forgets the oldest, and that is counted. */
static void test_full_line_of_failures(void **state)
{
	struct lab *lab = *state;
	char address[INET_ADDRSTRLEN];

	for (int i = 0; i < 8; i++) {
		lab->now += SECOND;
		address_of_line(i, address);
		answers(address, ANSWER("404", "INVITE", ""));
	}
	/* The first one begins anew, so that the oldest is not the first in its line. */
	address_of_line(0, address);
	answers(address, ANSWER("183", "INVITE", ""));
	lab_disown(lab);
	lab->now += SECOND;
	answers(address, ANSWER("404", "INVITE", ""));
	address_of_line(8, address);
	lab->expected.event[SIPDAM_TABLE_FAILURE_DISPLACED]++;
	refuse(address, ANSWER("404", "INVITE", ""), 19, SECOND);
	assert_false(is_banned(address)); /* and what it has is its own */
	refuse(address, ANSWER("404", "INVITE", ""), 1, SECOND);
	assert_true(is_banned(address));
	for (int i = 0; i < 3; i++) {
		address_of_line(i, address);
		refuse(address, ANSWER("404", "INVITE", ""), 19, SECOND);
		assert_int_equal(is_banned(address), i != 1);
	}
}

/* A challenge to another one of a full line is none. */
static void test_a_challenge_to_another(void **state)
{
	char address[INET_ADDRSTRLEN];

	(void)state;
	for (int i = 0; i < 4; i++) { /* two words each */
		address_of_line(i, address);
		answers(address, CHALLENGE);
	}
	address_of_line(4, address);
	answers(address, REGISTERED);
	is(address, STRANGER);
}

/* More refusals than are counted, before the first of them is old enough. */
static void test_refusals_beyond_the_count(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "reflection: {rate: 1000000000, burst: 1000000000}");
	refuse(PHONE, ANSWER("404", "INVITE", ""), 4101, 0);
	lab->now += 5 * SECOND;
	assert_false(is_banned(PHONE));
	refuse(PHONE, ANSWER("404", "INVITE", ""), 1, 0);
	assert_true(is_banned(PHONE));
}

/* The table is not filled at once, and peers do not use up what is there for trusted sources. */
static void test_grants_a_second(void **state)
{
	struct lab *lab = *state;
	char address[INET_ADDRSTRLEN];
	__u64 refused;

	for (int i = 0; i < 4100; i++) {
		struct recipe recipe = {.source = SERVER, .destination = address, .payload = REQUEST};

		snprintf(address, sizeof(address), "10.9.%d.%d", i >> 8, i & 255);
		frame_build(&lab->frame, &recipe);
		set_ports(&lab->frame, SIP_PORT, 5070);
		run_frame("a request", 0);
	}
	refused = lab_settle(lab, SIPDAM_TABLE_GRANT_REFUSED);
	assert_in_range(refused, 100, 102); /* two may have had no place */
	assert_in_range(known_count(&lab->known, lab->now).peers, 3998, 4000);
	registers(PHONE);
	is(PHONE, TRUSTED);
	lab->now += SECOND;
	requests("10.9.200.1");
	is("10.9.200.1", PEER);
}

/* Nothing is left of this second's grants. */
static void use_grants_up(void)
{
	struct sipdam_line *budgets = way.table[TABLE_BUDGETS].memory;

	budgets->word[SIPDAM_BUDGET_TRUSTED] = (way.lab->now + 2 * SECOND) >> SIPDAM_TICK_SHIFT;
	budgets->word[SIPDAM_BUDGET_PEERS] = budgets->word[SIPDAM_BUDGET_TRUSTED];
}

/* A peer that becomes trusted takes one of them, and who goes on as what he is none. */
static void test_a_peer_that_becomes_trusted(void **state)
{
	struct lab *lab = *state;

	registers("192.0.2.2");
	requests("192.0.2.3");
	requests(PHONE);
	is(PHONE, PEER);
	use_grants_up();
	answers(PHONE, CHALLENGE);
	lab->expected.event[SIPDAM_TABLE_GRANT_REFUSED]++;
	answers(PHONE, REGISTERED);
	is(PHONE, PEER);
	lab->now += SECOND / 2000 - TICK;
	lab->expected.event[SIPDAM_TABLE_GRANT_REFUSED]++;
	answers(PHONE, REGISTERED);
	is(PHONE, PEER);
	lab->now += TICK;
	answers(PHONE, REGISTERED);
	is(PHONE, TRUSTED);
	lab->now += 599 * SECOND;
	use_grants_up();
	answers("192.0.2.2", REGISTERED);
	ends_in("192.0.2.2", 600 * SECOND);
	requests("192.0.2.3");
	ends_in("192.0.2.3", HOUR);
}

/* ---- strikes ---- */

/* count refusals, so far apart. */
static void refuse(const char *address, const char *text, int count, __u64 apart)
{
	for (int i = 0; i < count; i++) {
		way.lab->now += apart;
		answers(address, text);
	}
}

static void test_guesser(void **state)
{
	struct recipe invite = {.payload = INVITE_TEXT};
	struct lab *lab = *state;

	/* Five a second: the oldest is 4 s old with the 21st, or the one after where a unit ends in between.
	 */
	refuse(PHONE, CHALLENGE, 20, SECOND / 5);
	assert_false(is_banned(PHONE));
	refuse(PHONE, CHALLENGE, 2, SECOND / 5);
	assert_true(is_banned(PHONE));
	lab_send(lab, "banned", &invite, (struct expect)DROPS(BANNED, INVITE, INVITE));
	assert_false(is_banned("192.0.2.2"));
}

static void test_what_is_refused(void **state)
{
	static const struct {
		const char *text, *policy;
		int count;
		__u64 apart;
		bool banned;
	} rows[] = {
		{ANSWER("401", "REGISTER", ""), "", 20, SECOND, true},
		{ANSWER("407", "REGISTER", ""), "", 20, SECOND, true},
		{ANSWER("403", "REGISTER", ""), "", 20, SECOND, true},
		{ANSWER("404", "REGISTER", ""), "", 20, SECOND, true},
		{ANSWER("404", "INVITE", ""), "", 20, SECOND, true},
		{ANSWER("407", "INVITE", ""), "", 20, SECOND, true},
		{ANSWER("401", "REGISTER", ""), "", 19, SECOND, false},
		{ANSWER("401", "REGISTER", ""), "", 100, SECOND / 30, false},
		{ANSWER("401", "REGISTER", ""), "", 125, SECOND / 30, true},
		{ANSWER("401", "REGISTER", ""), "", 18, 200 * SECOND, false},
		{ANSWER("401", "REGISTER", ""), "", 40, 200 * SECOND, false}, /* not 20 in an hour */
		{ANSWER("401", "REGISTER", ""), "", 20, 180 * SECOND, true},
		{ANSWER("401", "REGISTER", ""), "ban: {failures: 5}", 4, 5 * SECOND, false},
		{ANSWER("401", "REGISTER", ""), "ban: {failures: 5}", 5, 5 * SECOND, true},
		{ANSWER("401", "REGISTER", ""), "ban: {failures: 0}", 100, SECOND, false},
		{ANSWER("401", "REGISTER", ""), "ban: {enabled: false}", 100, SECOND, false},
		{ANSWER("401", "REGISTER", ""), "trust: {learn: false}", 100, SECOND, false},
		{ANSWER("401", "REGISTER", ""), "allow: [192.0.2.0/24]", 100, SECOND, false},
		{ANSWER("401", "REGISTER", ""), "allow: [192.0.3.0/24]", 100, SECOND, true},
		{ANSWER("404", "OPTIONS", ""), "", 100, SECOND, false},
		{ANSWER("403", "UPDATE", ""), "", 100, SECOND, false},
		{ANSWER("404", "SUBSCRIBE", ""), "", 100, SECOND, false},
		{ANSWER("486", "INVITE", ""), "", 100, SECOND, false},
		{ANSWER("503", "REGISTER", ""), "", 100, SECOND, false},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		way_forget();
		lab_policy(*state, rows[i].policy);
		refuse(PHONE, rows[i].text, rows[i].count, rows[i].apart);
		if (is_banned(PHONE) != rows[i].banned)
			fail_msg("row %zu: %s", i, rows[i].text);
	}
}

/* Who was let in once is no guesser, and who is known is not struck at all. */
static void test_success_clears(void **state)
{
	static const char *const clears[] = {REGISTERED, ANSWER("200", "REGISTER", ""),
					     ANSWER("200", "INVITE", ""), ANSWER("183", "INVITE", "")};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(clears); i++) {
		way_forget();
		refuse(PHONE, ANSWER("403", "REGISTER", ""), 19, SECOND);
		answers(PHONE, clears[i]);
		lab_disown(lab); /* known or not */
		refuse(PHONE, ANSWER("403", "REGISTER", ""), 19, SECOND);
		assert_false(is_banned(PHONE));
		refuse(PHONE, ANSWER("403", "REGISTER", ""), 1, SECOND);
		assert_true(is_banned(PHONE));
	}
	way_forget();
	refuse(PHONE, ANSWER("403", "REGISTER", ""), 19, SECOND);
	answers(PHONE, ANSWER("200", "OPTIONS", "")); /* anybody gets one */
	refuse(PHONE, ANSWER("403", "REGISTER", ""), 1, SECOND);
	assert_true(is_banned(PHONE));
	for (int trusted = 0; trusted < 2; trusted++) {
		way_forget();
		lab_know(lab, PHONE, trusted, 0, HOUR);
		refuse(PHONE, CHALLENGE, 100, SECOND);
		refuse(PHONE, ANSWER("403", "INVITE", ""), 100, SECOND);
		assert_false(is_banned(PHONE));
	}
}

/* Requests can be sent in a customer's name: whoever was registered within the last day is not banned for them. */
static void test_once_registered(void **state)
{
	static const struct {
		const char *name;
		int after; /* seconds since a registration of ten minutes */
		enum { ITSELF, ANOTHER_SOURCE, TAKEN, TRUSTED_BY_HAND, ALL_LEFT, ONE_OF_TWO_LEFT, LEFT_LATE, NEVER } who;
		bool banned;
	} rows[] = {
		{"never, but it was called", 3700, NEVER, true}, /* in the first day of the clock */
		{"registered", 0, ITSELF, false},
		{"it has ended", 610, ITSELF, false},
		{"nearly a day ago", 600 + 86000, ITSELF, false},
		{"more than a day ago", 600 + 86600, ITSELF, true},
		{"weeks ago", 51 * 86400 + 43200, ITSELF, true}, /* what 16 bits of its end would say is to come */
		{"a day later", 52 * 86400 + 43200, ITSELF, true},
		{"somebody else", 0, ANOTHER_SOURCE, true},
		{"taken from it by hand", 0, TAKEN, true},
		{"trusted by hand for a minute since", 3600, TRUSTED_BY_HAND, false},
		{"it has left at once, nearly a day ago", 86000, ALL_LEFT, false},
		{"it has left at once, more than a day ago", 86700, ALL_LEFT, true},
		{"one device of two has left", 86700, ONE_OF_TWO_LEFT, false},
		{"it has left long after its end", 600 + 80000, LEFT_LATE, true}, /* and that is not its end */
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *victim = rows[i].who == ANOTHER_SOURCE ? "192.0.2.2" : PHONE;
		struct sipdam_prefix source = lab_source(lab, PHONE);

		way_forget();
		if (rows[i].who == NEVER)
			requests(PHONE);
		else
			registers(PHONE);
		if (rows[i].who == ONE_OF_TWO_LEFT)
			answers_port(PHONE, 5071, REGISTERED);
		if (rows[i].who == ALL_LEFT || rows[i].who == ONE_OF_TWO_LEFT)
			answers(PHONE, LEAVES);
		if (rows[i].who == TAKEN)
			known_remove(&lab->known, &source, lab->now);
		lab->now += (__u64)rows[i].after * SECOND;
		if (rows[i].who == LEFT_LATE) {
			answers(PHONE, CHALLENGE);
			answers(PHONE, LEAVES);
			lab->now += 10000 * SECOND;
		}
		if (rows[i].who == TRUSTED_BY_HAND) {
			assert_int_equal(lab_know(lab, PHONE, true, 0, MINUTE), 0);
			lab->now += 2 * MINUTE;
		}
		refuse(victim, CHALLENGE, 25, SECOND);
		if (is_banned(victim) != rows[i].banned)
			fail_msg("%s: %d", rows[i].name, is_banned(victim));
	}
}

/* Fifty phones behind one address, after an outage: each is challenged before one is registered. */
static void test_office(void **state)
{
	struct lab *lab = *state;

	for (int turn = 0; turn < 3; turn++) {
		for (int phone = 0; phone < 50; phone++)
			answers_port(PHONE, 20000 + phone, CHALLENGE);
		lab->now += 3 * SECOND;
		for (int phone = 0; phone < 50; phone++)
			answers_port(PHONE, 20000 + phone, REGISTERED);
		assert_false(is_banned(PHONE));
		is(PHONE, TRUSTED);
		lab->now += 700 * SECOND;
	}
}

/* The n-th of many refusals that are all different. */
static const char *refusal(char text[256], int n)
{
	snprintf(text, 256,
		 "SIP/2.0 407 Proxy Authentication Required\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK%d\r\n"
		 "CSeq: 7 INVITE\r\nContent-Length: 0\r\n\r\n",
		 n);
	return text;
}

/* A server that repeats its refusal for want of an ACK (RFC 3261 17.2.1) strikes its caller once. */
static void test_a_refusal_that_is_sent_again(void **state)
{
	static const int timers[] = {500, 1000, 2000, 4000, 4000, 4000, 4000, 4000, 4000, 4000};
	struct lab *lab = *state;
	char text[256];

	for (size_t i = 0; i <= COUNT(timers); i++) {
		answers(PHONE, refusal(text, 99));
		lab->now += (i < COUNT(timers) ? timers[i] : 4000) * MILLISECOND;
	}
	for (int n = 0; n < 18; n++)
		answers(PHONE, refusal(text, n));
	assert_false(is_banned(PHONE));
	answers(PHONE, refusal(text, 18));
	assert_true(is_banned(PHONE));

	/* One time more than the timers send it is another refusal. */
	way_forget();
	for (size_t i = 0; i <= COUNT(timers) + 1; i++) {
		answers(PHONE, refusal(text, 99));
		lab->now += (i < COUNT(timers) ? timers[i] : 4000) * MILLISECOND;
	}
	for (int n = 0; n < 18; n++)
		answers(PHONE, refusal(text, n));
	assert_true(is_banned(PHONE));
}

/* What is no copy of a refusal that half a second ago went to port 5070. */
static void test_another_refusal(void **state)
{
	static const struct {
		const char *name;
		int last, port;
		__u64 after;
		bool struck;
	} rows[] = {
		{"the same", 0, 5070, 500 * MILLISECOND, false},
		{"a little late", 0, 5070, 640 * MILLISECOND, false},
		{"early", 0, 5070, 390 * MILLISECOND, true},
		{"late", 0, 5070, 660 * MILLISECOND, true},
		{"as late as a second copy", 0, 5070, SECOND, true},
		{"to another port", 0, 5071, 500 * MILLISECOND, true},
		{"another end", 'x', 5070, 500 * MILLISECOND, true},
	};
	struct lab *lab = *state;
	char text[256], long_text[700], other[256];

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct recipe recipe = {.source = SERVER, .destination = PHONE, .payload = long_text};

		way_forget();
		snprintf(long_text, sizeof(long_text), "%s%0400d", refusal(text, 99), 0);
		sends("first", &recipe, 5070, SIPDAM_METHOD_RESPONSE, 407);
		lab->now += rows[i].after;
		if (rows[i].last)
			long_text[strlen(long_text) - 1] = (char)rows[i].last;
		sends(rows[i].name, &recipe, rows[i].port, SIPDAM_METHOD_RESPONSE, 407);
		lab->now += 4 * SECOND;
		for (int n = 0; n < 18; n++)
			answers(PHONE, refusal(other, n));
		if (is_banned(PHONE) != rows[i].struck)
			fail_msg("%s: %d", rows[i].name, is_banned(PHONE));
	}
}

/* Banned once more it stays so for longer, and the cause is told. */
static void test_ban_of_failures(void **state)
{
	struct ban_entries entries;
	struct lab *lab = *state;

	for (int turn = 0; turn < 2; turn++) {
		refuse(PHONE, CHALLENGE, 20, SECOND);
		assert_true(is_banned(PHONE));
		assert_int_equal(bans_list(&lab->bans, &lab->in_force, lab->now, &entries), 0);
		assert_int_equal(entries.count, 1);
		assert_int_equal(entries.entry[0].ban.cause, SIPDAM_BAN_FAILURES);
		assert_int_equal(entries.entry[0].ban.times, turn + 1);
		ban_entries_free(&entries);
		lab->now += 300 * SECOND + UNIT;
		assert_int_equal(is_banned(PHONE), turn);
	}
}

/* What a forger can do to a customer who was never registered: he is let in when the ban ends, and is safe then. */
static void test_who_was_forged_upon(void **state)
{
	struct recipe invite = {.payload = INVITE_TEXT};
	struct lab *lab = *state;

	refuse(PHONE, CHALLENGE, 20, SECOND);
	lab_send(lab, "banned", &invite, (struct expect)DROPS(BANNED, INVITE, INVITE));
	lab->now += 300 * SECOND + UNIT;
	lab_send(lab, "let in", &invite, (struct expect)PASSES(WITHIN_LIMITS, INVITE, INVITE));
	registers(PHONE);
	refuse(PHONE, CHALLENGE, 100, SECOND);
	assert_false(is_banned(PHONE));
}

/* ---- packets ---- */

/* As it leaves: whatever is in front of it, and what is no packet of ours. */
static void test_headers(void **state)
{
	static const struct {
		const char *name;
		struct recipe recipe;
		enum who who;
	} rows[] = {
		{"plain", {.payload = REGISTERED}, TRUSTED},
		{"tagged", {.payload = REGISTERED, .tags = 1}, TRUSTED},
		{"tagged twice", {.payload = REGISTERED, .tags = 2, .tag_type = 0x88a8}, TRUSTED},
		{"options", {.payload = REGISTERED, .options = 2}, TRUSTED},
		{"first fragment", {.payload = REGISTERED, .more = true, .datagram = 3000}, TRUSTED},
		{"IPv6", {.payload = REGISTERED, .family = 6}, TRUSTED},
		{"IPv6, extensions", {.payload = REGISTERED, .family = 6, .chain = "hd"}, TRUSTED},
		{"IPv6, first fragment",
		 {.payload = REGISTERED, .family = 6, .chain = "f", .more = true, .datagram = 3000},
		 TRUSTED},
		{"TCP", {.payload = REGISTERED, .protocol = TCP}, TRUSTED},
		{"TCP with options", {.payload = REGISTERED, .protocol = TCP, .tcp_options = 3}, TRUSTED},
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct recipe recipe = rows[i].recipe;
		const char *phone = recipe.family == 6 ? PHONE6 : PHONE;

		way_forget();
		answers(phone, CHALLENGE);
		recipe.destination = phone;
		recipe.source = recipe.family == 6 ? DESTINATION6 : SERVER;
		sends(rows[i].name, &recipe, 5070, SIPDAM_METHOD_RESPONSE, 200);
		if (who_is(phone) != rows[i].who)
			fail_msg("%s", rows[i].name);
	}
	assert_int_equal(lab->failures, 0);
}

/* What is not of a protected port or address is neither counted nor read. */
static void leaves_unseen(const char *name, const struct recipe *given, int from)
{
	struct recipe recipe = *given;

	recipe.destination = recipe.family == 6 ? PHONE6 : PHONE;
	recipe.source = recipe.family == 6 ? DESTINATION6 : SERVER;
	frame_build(&way.lab->frame, &recipe);
	if (!recipe.offset && from)
		set_ports(&way.lab->frame, from, SIP_PORT);
	run_frame(name, 0);
	lab_compare(way.lab, name);
	assert_int_equal(way.lab->trial->method, 0);
	assert_int_equal(way.lab->failures, 0);
	if (who_is(PHONE) != STRANGER || who_is(PHONE6) != STRANGER)
		fail_msg("%s", name);
}

static void test_what_is_not_ours(void **state)
{
	struct lab *lab = *state;

	answers(PHONE, CHALLENGE);
	answers(PHONE6, CHALLENGE);
	leaves_unseen("another port", &(struct recipe){.payload = REGISTERED}, 5070);
	leaves_unseen("a port like it", &(struct recipe){.payload = REGISTERED}, SIP_PORT + 64);
	leaves_unseen("IPv6", &(struct recipe){.payload = REGISTERED, .family = 6}, 5070);
	leaves_unseen("TCP", &(struct recipe){.payload = REGISTERED, .protocol = TCP}, 5070);
	leaves_unseen("ICMP", &(struct recipe){.payload = REGISTERED, .protocol = 1}, 0);
	leaves_unseen("a follower", &(struct recipe){.payload = REGISTERED, .offset = 1480}, 0);
	leaves_unseen("no IP", &(struct recipe){.payload = REGISTERED, .ethertype = 0x88cc}, SIP_PORT);
	leaves_unseen("a lie", &(struct recipe){.payload = REGISTERED, .change = UDP_LENGTH(7)}, SIP_PORT);
	lab_policy(lab, "addresses: [192.0.2.77]");
	leaves_unseen("another address", &(struct recipe){.payload = REGISTERED}, SIP_PORT);
	lab_policy(lab, "addresses: [" SERVER "]");
	answers(PHONE, REGISTERED);
	is(PHONE, TRUSTED);
}

/* It is counted, and that is all, while nothing is to be learned; in monitor mode all is learned. */
static void test_modes(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "trust: {learn: false}");
	registers(PHONE);
	requests(PHONE);
	is(PHONE, STRANGER);
	lab_policy(lab, "mode: monitor");
	registers(PHONE);
	is(PHONE, TRUSTED);
	lab_policy(lab, "allow: [192.0.2.0/24]");
	way_forget();
	registers(PHONE);
	requests(PHONE);
	is(PHONE, STRANGER);
}

/* Headers of more than is read at once, and a Contact behind them. */
static void test_long_answers(void **state)
{
	static char text[3400];
	int length = snprintf(text, sizeof(text), "SIP/2.0 200 OK\r\nCSeq: 1 REGISTER\r\n");

	(void)state;
	while (length < 3000)
		length += snprintf(text + length, sizeof(text) - length, "Via: SIP/2.0/UDP 192.0.2.%d\r\n",
				   length % 100);
	snprintf(text + length, sizeof(text) - length, CONTACT "\r\n");
	answers(PHONE, CHALLENGE);
	answers(PHONE, text);
	ends_in(PHONE, 600 * SECOND);
}

/* Datagrams that leave as one and are cut apart behind: each of them is read. */
static void test_datagrams_that_leave_as_one(void **state)
{
	static char text[1200];
	struct recipe recipe = {
		.source = SERVER, .destination = PHONE, .payload = text, .payload_bytes = 1000};
	struct lab *lab = *state;

	memset(text, 'x', sizeof(text));
	memcpy(text, ANSWER("100", "INVITE", ""), strlen(ANSWER("100", "INVITE", "")));
	memcpy(text + 500, REQUEST, strlen(REQUEST));
	for (int cut = 0; cut < 2; cut++) {
		frame_build(&lab->frame, &recipe);
		set_ports(&lab->frame, SIP_PORT, 5070);
		run_frame("two datagrams", cut ? 500 : 0);
		is(PHONE, cut ? PEER : STRANGER);
	}
	lab_settle(lab, 0);
}

/* The reason of a packet of which a capture holds so many bytes; from a port. */
static int reason_of_cut(struct recipe recipe, int port, int keep)
{
	struct frame *frame = &way.lab->frame;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->data, .repeat = 1);

	recipe.source = SERVER;
	recipe.destination = PHONE;
	frame_build(frame, &recipe);
	set_ports(frame, port, 5070);
	*way.lab->trial = (struct sipdam_trial){.now = way.lab->now, .wire_length = (__u32)frame->length};
	opts.data_size_in = keep && (size_t)keep < frame->length ? (__u32)keep : (__u32)frame->length;
	assert_int_equal(bpf_prog_test_run_opts(egress_program(way.egress), &opts), 0);
	assert_false(way.lab->trial->dropped);
	return way.lab->trial->reason;
}

/* Where a capture lacks what there would be to learn from, it says so; where that does not matter, it does not. */
static void test_a_capture_cut_short(void **state)
{
#define FULL    0
#define HEADERS 42
	static const struct {
		const char *name, *policy;
		struct recipe recipe;
		int port, keep;
		bool truncated;
	} rows[] = {
		{"whole", "", {.payload = CHALLENGE}, SIP_PORT, FULL, false},
		{"a challenge", "", {.payload = CHALLENGE}, SIP_PORT, HEADERS + 60, true},
		{"no payload", "", {.payload = CHALLENGE}, SIP_PORT, HEADERS, true},
		{"no ports", "", {.payload = CHALLENGE}, SIP_PORT, 36, true},
		{"no transport header", "", {.payload = CHALLENGE}, SIP_PORT, 38, true},
		{"of no interest", "", {.payload = ANSWER("100", "INVITE", "")}, SIP_PORT, HEADERS + 60, false},
		{"a request", "", {.payload = REQUEST}, SIP_PORT, HEADERS + 40, false},
		{"another port", "", {.payload = CHALLENGE}, 20000, HEADERS + 60, false},
		{"nothing is learned", "trust: {learn: false}", {.payload = CHALLENGE}, SIP_PORT, HEADERS + 60, false},
		{"of the allowed", "allow: [" PHONE "]", {.payload = CHALLENGE}, SIP_PORT, HEADERS + 60, false},
		{"a stream", "", {.protocol = TCP, .payload = REQUEST}, SIP_PORT, 54 + 40, true},
		{"a whole stream", "", {.protocol = TCP, .payload = REQUEST}, SIP_PORT, FULL, false},
		{"TLS", "", {.protocol = TCP, .payload = REQUEST}, 5061, 54 + 40, false},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		int reason;

		way_forget();
		lab_policy(*state, rows[i].policy);
		reason = reason_of_cut(rows[i].recipe, rows[i].port, rows[i].keep);
		if (reason != (rows[i].truncated ? SIPDAM_REASON_TRUNCATED : SIPDAM_REASON_EGRESS))
			fail_msg("%s: %s", rows[i].name, reason_label(reason));
	}
	lab_settle(*state, 0);
}

/* ---- streams ---- */

/* The next from another address of the server, or with flags. */
static void segment_of(const char *server, const char *text, __u8 flags)
{
	const char *before = stream_server;

	stream_server = server;
	segment_at(sequence, text, 0, flags);
	stream_server = before;
	sequence += text ? strlen(text) : 0;
}

static void test_stream(void **state)
{
	static const char body[] =
		"SIP/2.0 200 OK\r\nContent-Length: 20\r\nCSeq: 1 MESSAGE\r\n\r\n12345678901234567890";

	(void)state;
	sequence = 0xffffff80; /* about to wrap */
	open_connection();
	segment(CHALLENGE);
	segment("\r\n");
	segment(body);
	is(PHONE, STRANGER);
	segment(REGISTERED);
	is(PHONE, TRUSTED);
}

/* A stream is not sent again message by message: each refusal is one. */
static void test_refusals_in_a_stream(void **state)
{
	struct lab *lab = *state;
	char text[256];

	open_connection();
	for (int n = 0; n < 20; n++, lab->now += 500 * MILLISECOND)
		segment(refusal(text, n / 2));
	assert_true(is_banned(PHONE));
}

static void test_several_in_a_segment(void **state)
{
	(void)state;
	open_connection();
	segment(ANSWER("100", "INVITE", "") "\r\n\r\n" CHALLENGE REGISTERED);
	is(PHONE, TRUSTED);
	way_forget();
	segment(CHALLENGE REGISTERED); /* met under way */
	is(PHONE, TRUSTED);
}

/* Nobody has the server say what he likes by where a segment begins. */
static void test_forged_in_a_stream(void **state)
{
	static const char before[] = "SIP/2.0 200 OK\r\nCSeq: 1 MESSAGE\r\nContent-Length: 400\r\n\r\n";
	static char text[600];
	__u32 from;

	(void)state;
	open_connection();
	segment(CHALLENGE);
	snprintf(text, sizeof(text), "%s%s", before, REGISTERED);
	memset(text + strlen(text), 'x', 400 - strlen(REGISTERED));
	from = sequence;
	segment_at(from, text, strlen(before), 0);
	segment_at(from + strlen(before), REGISTERED, 0, 0);
	is(PHONE, STRANGER);
	segment_at(from + strlen(before) + strlen(REGISTERED), "xxxx", 0, 0);
	segment_at(from, REGISTERED, 0, 0); /* once more, from before */
	is(PHONE, STRANGER);
	segment_at(from + strlen(before) + 400, REGISTERED, 0, 0); /* the next one */
	is(PHONE, TRUSTED);
}

/* What cannot be followed is left alone until the connection is opened anew. */
static void test_lost_stream(void **state)
{
	(void)state;
	open_connection();
	segment(CHALLENGE);
	segment("SIP/2.0 200 OK\r\nCSeq: 1 REGISTER\r\n"); /* headers without an end */
	segment(REGISTERED);
	is(PHONE, STRANGER);
	open_connection();
	segment(REGISTERED);
	is(PHONE, TRUSTED);
	way_forget();
	open_connection();
	segment(CHALLENGE);
	segment("SIP/2.0 200 OK\r\nCSeq: 1 MESSAGE\r\n\r\n"); /* no Content-Length */
	segment(REGISTERED);
	is(PHONE, STRANGER);
	way_forget();
	segment(CHALLENGE);
	way_forget();
	segment("xxxx" REGISTERED); /* met under way, in the midst of something */
	segment(REGISTERED);
	is(PHONE, STRANGER);
}

/* A connection is of one of the server's addresses: what another says at the same ports is none of it. */
static void test_two_addresses_of_the_server(void **state)
{
	static const char other[] = "198.51.100.2";

	(void)state;
	sequence = 1000;
	open_connection();
	segment(CHALLENGE);
	segment_of(other, "xxxx", 0);
	sequence -= 4;
	segment(REGISTERED); /* which the other's bytes have not put off */
	is(PHONE, TRUSTED);

	way_forget();
	open_connection();
	segment_of(other, "xxxx" CHALLENGE, 0); /* under way, in the midst of something */
	sequence -= strlen("xxxx" CHALLENGE);
	segment(CHALLENGE);
	sequence += 7;
	segment_of(other, REGISTERED, 0); /* taken up where a message begins */
	is(PHONE, TRUSTED);
}

/* What comes again behind an end is not read, wherever it begins. */
static void test_the_end_of_a_stream(void **state)
{
	static const __u8 ends[] = {FLAG_FIN, FLAG_RST};

	(void)state;
	for (size_t i = 0; i < COUNT(ends); i++) {
		way_forget();
		open_connection();
		segment_of(SERVER, CHALLENGE, 0);
		segment_of(SERVER, REGISTERED, ends[i]); /* still read */
		is(PHONE, TRUSTED);
		lab_disown(way.lab);
		segment(REGISTERED);
		is(PHONE, STRANGER);
		open_connection();
		segment(CHALLENGE);
		segment_of(SERVER, NULL, ends[i]);
		segment(REGISTERED);
		is(PHONE, STRANGER);
		open_connection();
		segment(REGISTERED);
		is(PHONE, TRUSTED);
	}
}

/* Fills the lines of all streams with others, heard of at a time: lost ones, or not. */
static void fill_streams(__u64 heard, bool lost)
{
	__u64 *words = way.table[TABLE_STREAMS].memory;
	__u64 word = 1ULL << STREAM_TAG_SHIFT | (lost ? STREAM_LOST : 0) |
		     (heard >> STREAM_UNIT_SHIFT & STREAM_TIME_MASK) << STREAM_TIME_SHIFT;

	for (size_t i = 0; i < way.table[TABLE_STREAMS].bytes / sizeof(*words); i++)
		words[i] = word;
}

/* Once one is forgotten no stream is taken up under way: it may be that one. One that is missed is counted. */
static void test_a_forgotten_stream(void **state)
{
	static const struct {
		__u64 ago;
		bool lost, missed;
	} rows[] = {{0, false, true}, {3590 * SECOND, false, true}, {3620 * SECOND, false, false}, {0, true, false}};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		__u64 before;

		way_forget();
		lab->now = 100 * HOUR;
		segment(CHALLENGE REGISTERED); /* under way */
		is(PHONE, TRUSTED);
		lab_disown(lab);
		fill_streams(lab->now - rows[i].ago, rows[i].lost);
		ledger_read(lab, &lab->expected);
		before = lab->expected.event[SIPDAM_TABLE_STREAM_DISPLACED];
		open_connection();
		assert_int_equal(lab->expected.event[SIPDAM_TABLE_STREAM_DISPLACED] - before, rows[i].missed);
		memset(way.table[TABLE_STREAMS].memory, 0, way.table[TABLE_STREAMS].bytes);
		segment(CHALLENGE REGISTERED);
		is(PHONE, STRANGER);
		open_connection();
		segment(CHALLENGE REGISTERED);
		is(PHONE, TRUSTED);
	}
}

/* ---- reflection ---- */

#define LIMITED "reflection: {rate: 100000, burst: 100000}"

/* An answer of 500 bytes; whether it was sent, as the counters must agree. */
static bool passes(const struct recipe *given, int port)
{
	struct recipe recipe = *given;
	struct sipdam_counters *slot = &way.lab->expected.slot[0];
	const struct sipdam_trial *report = way.lab->trial;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = way.lab->frame.data, .repeat = 1);
	bool monitor = way.lab->in_force.monitor;

	recipe.source = recipe.family == 6 ? DESTINATION6 : SERVER;
	if (!recipe.payload)
		recipe.payload = ANSWER("404", "OPTIONS", "");
	if (!recipe.datagram)
		recipe.fill = 500 - (recipe.family == 6 ? 62 : recipe.protocol == TCP ? 54 : 42);
	frame_build(&way.lab->frame, &recipe);
	set_ports(&way.lab->frame, SIP_PORT, port);
	*way.lab->trial = (struct sipdam_trial){.now = way.lab->now};
	opts.data_size_in = way.lab->frame.length;
	assert_int_equal(bpf_prog_test_run_opts(egress_program(way.egress), &opts), 0);
	assert_int_equal((int)opts.retval, report->dropped ? 2 : -1);
	assert_true(report->reason == SIPDAM_REASON_EGRESS || report->reason == SIPDAM_REASON_REFLECTION);
	assert_int_equal(report->dropped, report->reason == SIPDAM_REASON_REFLECTION && !monitor);
	count_up(&slot->reason[monitor && report->reason == SIPDAM_REASON_REFLECTION][report->reason],
		 way.lab->frame.length);
	lab_compare(way.lab, "an answer");
	assert_int_equal(way.lab->failures, 0);
	return report->reason == SIPDAM_REASON_EGRESS;
}

static bool answer_passes(const char *to)
{
	return passes(&(struct recipe){.destination = to, .family = strchr(to, ':') ? 6 : 4}, 5070);
}

/* A hundredth of the rate and burst: 1,000 bytes at once and 1,000 a second, for each source. */
static void test_reflection_of_a_source(void **state)
{
	static const char *const addresses[] = {PHONE, PHONE6};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(addresses); i++) {
		way_forget();
		lab_policy(lab, LIMITED);
		assert_true(answer_passes(addresses[i]));
		assert_true(answer_passes(addresses[i]));
		assert_false(answer_passes(addresses[i]));
		assert_true(answer_passes("192.0.2.9"));
		lab->now += SECOND / 2 - 1000;
		assert_false(answer_passes(addresses[i]));
		lab->now += 1000;
		assert_true(answer_passes(addresses[i]));
		assert_false(answer_passes(addresses[i]));
		lab->now += 100 * SECOND;
		assert_true(answer_passes(addresses[i]));
		assert_true(answer_passes(addresses[i]));
		assert_false(answer_passes(addresses[i]));
	}
}

static void test_reflection_of_all(void **state)
{
	struct lab *lab = *state;
	char address[INET_ADDRSTRLEN];
	int passed = 0;

	lab_policy(lab, LIMITED);
	for (int i = 0; i < 300; i++) {
		snprintf(address, sizeof(address), "10.8.%d.%d", i >> 8, i & 255);
		passed += answer_passes(address);
	}
	assert_int_equal(passed, 200);
	lab->now += SECOND / 2;
	for (int i = 0; i < 300; i++) {
		snprintf(address, sizeof(address), "10.7.%d.%d", i >> 8, i & 255);
		passed += answer_passes(address);
	}
	assert_int_equal(passed, 300);
}

/* Whom it does not concern: who is known, who has opened a connection, and requests. */
static void test_reflection_of_others(void **state)
{
	static const struct recipe answer = {.destination = PHONE};
	static const struct recipe segment = {.destination = PHONE, .protocol = TCP};
	static const struct recipe request = {.destination = PHONE, .payload = REQUEST};
	struct lab *lab = *state;

	lab_policy(lab, LIMITED);
	for (int trusted = 0; trusted < 2; trusted++) {
		way_forget();
		lab_know(lab, PHONE, trusted, 0, HOUR);
		for (int i = 0; i < 10; i++)
			assert_true(passes(&answer, 5070));
	}
	way_forget();
	for (int i = 0; i < 10; i++)
		assert_true(passes(&segment, 5070));
	way_forget();
	for (int i = 0; i < 10; i++) {
		assert_true(passes(&request, 5070));
		lab_disown(lab);
	}
	assert_true(passes(&answer, 5070));
	lab_policy(lab, LIMITED "\nallow: [192.0.2.0/24]");
	for (int i = 0; i < 10; i++)
		assert_true(passes(&answer, 5070));
}

/* Nor who has sent a request twice within 32 s, from this port. */
static void test_reflection_of_verified(void **state)
{
	static const struct recipe answer = {.destination = PHONE};
	const __u64 *key = way.lab->known.table.secret.word;
	struct lab *lab = *state;
	struct sipdam_line *lines = way.table[TABLE_VERIFIED].memory;
	__u8 address[16] = {[10] = 0xff, [11] = 0xff};
	__u64 words[2], sender;

	inet_pton(AF_INET, PHONE, address + 12);
	memcpy(words, address, 16);
	sender = sipdam_hash(&way.lab->known.table.secret, words[0] + htons(5070) * (key[3] | 1), words[1]);
	lab_policy(lab, LIMITED);
	verified_note(&lines[sender & (SIPDAM_VERIFIED_LINES - 1)], sender, lab->now);
	lab->now += 32 * SECOND;
	for (int i = 0; i < 10; i++)
		assert_true(passes(&answer, 5070));
	assert_true(passes(&answer, 5071) && passes(&answer, 5071));
	assert_false(passes(&answer, 5071));
	assert_true(passes(&answer, 5070));
	lab->now += SECOND;
	assert_true(passes(&answer, 5070) && passes(&answer, 5070));
	assert_false(passes(&answer, 5070));
}

static void test_reflection_by_policy(void **state)
{
	static const struct recipe fragment = {.destination = PHONE,
					       .payload = ANSWER("404", "OPTIONS", ""),
					       .more = true,
					       .datagram = 900,
					       .fill = 400};
	struct lab *lab = *state;

	lab_policy(lab, LIMITED "\ntrust: {learn: false}");
	assert_true(answer_passes(PHONE) && answer_passes(PHONE) && !answer_passes(PHONE));
	way_forget();
	lab_policy(lab, LIMITED "\nmode: monitor");
	assert_true(answer_passes(PHONE) && answer_passes(PHONE) && !answer_passes(PHONE));
	way_forget();
	lab_policy(lab, "reflection: {rate: 0}");
	assert_false(answer_passes(PHONE));
	way_forget();
	lab_policy(lab, "");
	for (int i = 0; i < 800; i++) /* 400,000 bytes */
		assert_true(answer_passes(PHONE));
	assert_false(answer_passes(PHONE));
	way_forget();
	lab_policy(lab, LIMITED); /* all of a datagram counts with its first fragment */
	assert_true(passes(&fragment, 5070));
	assert_false(passes(&fragment, 5070));
}

/* An answer that is not sent teaches nothing. */
static void test_nothing_is_learned_of_what_is_not_sent(void **state)
{
	static const struct recipe registered = {.destination = PHONE, .payload = REGISTERED};
	struct lab *lab = *state;

	answers(PHONE, CHALLENGE);
	lab_policy(lab, "reflection: {rate: 0}");
	assert_false(passes(&registered, 5070));
	is(PHONE, STRANGER);
	lab_policy(lab, "");
	assert_true(passes(&registered, 5070));
	is(PHONE, TRUSTED);
}

/* ---- memory ---- */

/* The maps of a program, by the kernel's account: all have their memory from the beginning. */
static void check_maps(int program, __u32 least)
{
	__u32 ids[64] = {}, size;
	struct bpf_prog_info info = {.nr_map_ids = COUNT(ids), .map_ids = (__u64)(unsigned long)ids};

	size = sizeof(info);
	assert_int_equal(bpf_obj_get_info_by_fd(program, &info, &size), 0);
	assert_in_range(info.nr_map_ids, least, COUNT(ids));
	for (__u32 i = 0; i < info.nr_map_ids; i++) {
		struct bpf_map_info map = {};
		int fd = bpf_map_get_fd_by_id(ids[i]);

		size = sizeof(map);
		assert_true(fd >= 0);
		assert_int_equal(bpf_obj_get_info_by_fd(fd, &map, &size), 0);
		close(fd);
		if (map.type != BPF_MAP_TYPE_ARRAY && map.type != BPF_MAP_TYPE_PERCPU_ARRAY &&
		    map.type != BPF_MAP_TYPE_PROG_ARRAY && map.type != BPF_MAP_TYPE_ARRAY_OF_MAPS)
			fail_msg("map %s is of type %u", map.name, map.type);
	}
}

/* Nothing that a packet does allocates: there is no map that could. */
static void test_no_map_allocates(void **state)
{
	struct lab *lab = *state;

	check_maps(filter_program(lab->filter), 20);
	check_maps(egress_program(way.egress), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		way_test(test_registration),
		way_test(test_no_registration),
		way_test(test_challenge_holds_32_seconds),
		way_test(test_renewal_needs_no_challenge),
		way_test(test_renewal_beyond_the_trust),
		way_test(test_renewed_in_the_last_moment),
		way_test(test_renewed_in_time),
		way_test(test_how_long),
		way_test(test_nothing_is_taken),
		way_test(test_devices_behind_an_address),
		way_test(test_ports_are_forgotten),
		way_test(test_ports_of_a_peer),
		way_test(test_peers),
		way_test(test_requests),
		way_test(test_full_line),
		way_test(test_who_takes_a_place),
		way_test(test_half_a_name),
		way_test(test_full_line_of_failures),
		way_test(test_old_challenges_go_before_refusals),
		way_test(test_a_challenge_to_another),
		way_test(test_refusals_beyond_the_count),
		way_test(test_grants_a_second),
		way_test(test_a_peer_that_becomes_trusted),
		way_test(test_guesser),
		way_test(test_what_is_refused),
		way_test(test_success_clears),
		way_test(test_once_registered),
		way_test(test_office),
		way_test(test_a_refusal_that_is_sent_again),
		way_test(test_another_refusal),
		way_test(test_ban_of_failures),
		way_test(test_who_was_forged_upon),
		way_test(test_headers),
		way_test(test_what_is_not_ours),
		way_test(test_modes),
		way_test(test_long_answers),
		way_test(test_datagrams_that_leave_as_one),
		way_test(test_a_capture_cut_short),
		way_test(test_stream),
		way_test(test_refusals_in_a_stream),
		way_test(test_several_in_a_segment),
		way_test(test_forged_in_a_stream),
		way_test(test_lost_stream),
		way_test(test_two_addresses_of_the_server),
		way_test(test_the_end_of_a_stream),
		way_test(test_a_forgotten_stream),
		way_test(test_reflection_of_a_source),
		way_test(test_reflection_of_all),
		way_test(test_reflection_of_others),
		way_test(test_reflection_of_verified),
		way_test(test_reflection_by_policy),
		way_test(test_nothing_is_learned_of_what_is_not_sent),
		way_test(test_no_map_allocates),
	};

	return cmocka_run_group_tests(tests, begin_all, way_close);
}
