/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Trusted sources and peers: who is one and for how long, what stands above it, what neither network nor pool
 * ask of them, limits that grow with the devices behind an address, and who gives way in a full table. They are
 * made known by the tool's own functions.
 */
#include "prog/rates.h"

#define TCP 6

#define UNIT          (1ULL << SIPDAM_BAN_UNIT_SHIFT)
#define MINUTE        (60 * SECOND)
#define SOURCE_BESIDE "192.0.2.2"

#define TRUSTED_INVITE PASSES(TRUSTED, INVITE, INVITE)
#define ANSWER                                                                                               \
	{                                                                                                    \
		SIPDAM_VERDICT_PASS, SIPDAM_REASON_PEER, SIPDAM_CLASS_RESPONSE, SIPDAM_METHOD_RESPONSE, 200   \
	}

static const struct expect trusted = TRUSTED_INVITE;
static const struct recipe ack = {.payload = ACK_TEXT};
static const struct expect acked = PASSES(WITHIN_LIMITS, DIALOG, ACK);
static const struct expect acked_peer = PASSES(PEER, DIALOG, ACK);

static void trust(struct lab *lab, const char *address)
{
	assert_int_equal(lab_know(lab, address, true, 0, MINUTE), 0);
}

static void make_peer(struct lab *lab, const char *address)
{
	assert_int_equal(lab_know(lab, address, false, 0, MINUTE), 0);
}

static struct known_count count_known(struct lab *lab)
{
	return known_count(&lab->known, lab->now);
}

/* ---- who ---- */

#define ROW(name, expected, ...)                                                                             \
	{                                                                                                    \
		name, {__VA_ARGS__}, .expect = expected                                                      \
	}

/* Both families' sources are trusted; a row from another one is not. */
static void test_every_class_of_a_trusted_source(void **state)
{
	static const struct row rows[] = {
		ROW("INVITE", TRUSTED_INVITE, .payload = INVITE_TEXT),
		ROW("another source", AN_INVITE, .source = SOURCE_BESIDE, .payload = INVITE_TEXT),
		ROW("REGISTER", PASSES(TRUSTED, REGISTER, REGISTER), .payload = "REGISTER sip:a SIP/2.0\r\n"),
		ROW("ACK", PASSES(TRUSTED, DIALOG, ACK), .payload = ACK_TEXT),
		ROW("keepalive", PASSES(TRUSTED, KEEPALIVE, NONE), .payload = "\r\n"),
		ROW("garbage", PASSES(TRUSTED, MALFORMED, NONE), .fill = 60),
		ROW("tagged", TRUSTED_INVITE, .tags = 2, .payload = INVITE_TEXT),
		ROW("with options", TRUSTED_INVITE, .options = 3, .payload = INVITE_TEXT),
		ROW("SYN", PASSES(TRUSTED, TCP_SYN, NONE), .protocol = TCP, .flags = FLAG_SYN),
		ROW("segment", PASSES(TRUSTED, TCP_DATA, NONE), .protocol = TCP, .fill = 700),
		ROW("message over TCP", TRUSTED_INVITE, .protocol = TCP, .payload = INVITE_TEXT),
		ROW("TLS", PASSES(TRUSTED, TCP_DATA, NONE), .protocol = TCP, .port = TLS_PORT, .fill = 60),
		ROW("an orphan", PASSES(TRUSTED, FRAGMENT, NONE), .offset = 1480, .fill = 60),
		ROW("IPv6", TRUSTED_INVITE, .family = 6, .payload = INVITE_TEXT),
		ROW("IPv6, the last host of the /64", TRUSTED_INVITE, .family = 6,
		    .source = "2001:db8:1::ffff:ffff:ffff:ffff", .payload = INVITE_TEXT),
		ROW("IPv6, the next /64", AN_INVITE, .family = 6, .source = "2001:db8:1:1::1",
		    .payload = INVITE_TEXT),
		ROW("IPv6, the /64 before", AN_INVITE, .family = 6, .source = "2001:db8:0:ffff::1",
		    .payload = INVITE_TEXT),
		ROW("to another port", NOT_OURS, .port = 9, .payload = INVITE_TEXT),
		ROW("a lie", REFUSED, .payload = INVITE_TEXT, .change = UDP_LENGTH(7)),
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		lab_forget(lab);
		trust(lab, SOURCE);
		trust(lab, SOURCE6);
		lab_run(lab, &rows[i]);
	}
	assert_int_equal(lab->failures, 0);
}

/* Calls in progress alone are a peer's; whatever else it sends is a stranger's. */
static void test_every_class_of_a_peer(void **state)
{
	static const struct row rows[] = {
		ROW("response", ANSWER, .payload = "SIP/2.0 200 OK\r\n"),
		ROW("ACK", PASSES(PEER, DIALOG, ACK), .payload = ACK_TEXT),
		ROW("BYE", PASSES(PEER, DIALOG, BYE), .payload = "BYE sip:a SIP/2.0\r\n"),
		ROW("CANCEL", PASSES(PEER, DIALOG, CANCEL), .payload = "CANCEL sip:a SIP/2.0\r\n"),
		ROW("ACK of another source", PASSES(WITHIN_LIMITS, DIALOG, ACK), .source = SOURCE_BESIDE,
		    .payload = ACK_TEXT),
		ROW("INVITE", AN_INVITE, .payload = INVITE_TEXT),
		ROW("REGISTER", PASSES(WITHIN_LIMITS, REGISTER, REGISTER),
		    .payload = "REGISTER sip:a SIP/2.0\r\n"),
		ROW("OPTIONS", PASSES(WITHIN_LIMITS, OPTIONS, OPTIONS), .payload = "OPTIONS sip:a SIP/2.0\r\n"),
		ROW("keepalive", PASSES(WITHIN_LIMITS, KEEPALIVE, NONE), .payload = "\r\n"),
		ROW("segment", PASSES(WITHIN_LIMITS, TCP_DATA, NONE), .protocol = TCP, .fill = 700),
		ROW("ACK over TCP", PASSES(PEER, DIALOG, ACK), .protocol = TCP, .payload = ACK_TEXT),
		ROW("a response before it", ANSWER, .protocol = TCP,
		    .payload = "SIP/2.0 200 OK\r\n\r\n" ACK_TEXT),
		ROW("an INVITE behind it", PASSES(WITHIN_LIMITS, DIALOG, ACK), .protocol = TCP,
		    .payload = ACK_TEXT INVITE_TEXT),
		ROW("IPv6", PASSES(PEER, DIALOG, ACK), .family = 6, .payload = ACK_TEXT),
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		lab_forget(lab);
		make_peer(lab, SOURCE);
		make_peer(lab, SOURCE6);
		lab_run(lab, &rows[i]);
	}
	assert_int_equal(lab->failures, 0);
}

static void test_what_stands_above_trust(void **state)
{
	static const struct row rows[] = {
		{"denied", {.payload = INVITE_TEXT}, "deny: [" SOURCE "]", DROPS(DENIED, INVITE, INVITE)},
		{"allowed", {.payload = INVITE_TEXT}, "allow: [" SOURCE "]", PASSES(ALLOWED, INVITE, INVITE)},
		{"another denied", {.payload = INVITE_TEXT}, "deny: [" SOURCE_BESIDE "]", TRUSTED_INVITE},
		{"nothing for trusted ones",
		 {.payload = INVITE_TEXT},
		 "limits: {trusted: {invite: {rate: 0, burst: 1}}}",
		 DROPS(SOURCE_RATE, INVITE, INVITE)},
		{"nothing for strangers",
		 {.payload = INVITE_TEXT},
		 "limits: {unknown: {invite: {rate: 0, burst: 1}}, network: {rate: 0, burst: 1}, "
		 "pool: {invite: {rate: 0, burst: 1}}}",
		 TRUSTED_INVITE},
		{"to an address that is not protected",
		 {.payload = INVITE_TEXT},
		 "addresses: [203.0.113.1]",
		 NOT_OURS},
		{"learning switched off", {.payload = INVITE_TEXT}, "trust: {learn: false}", TRUSTED_INVITE},
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		lab_forget(lab);
		lab_policy(lab, rows[i].policy);
		trust(lab, SOURCE);
		lab_run(lab, &rows[i]);
	}
	assert_int_equal(lab->failures, 0);
}

static void test_a_ban_by_hand_beats_trust(void **state)
{
	struct lab *lab = *state;

	trust(lab, SOURCE);
	trust(lab, SOURCE_BESIDE);
	assert_int_equal(lab_ban(lab, SOURCE, SECOND), 0);
	lab_send(lab, "banned", &invite, (struct expect)DROPS(BANNED, INVITE, INVITE));
	send_from(lab, SOURCE_BESIDE, trusted);
	lab->now += SECOND + UNIT;
	lab_send(lab, "after it", &invite, trusted);
}

/* ---- how long ---- */

static void test_to_the_end_of_trust(void **state)
{
	struct lab *lab = *state;
	__u64 end = (lab->now + SECOND + UNIT - 1) / UNIT * UNIT;

	assert_int_equal(lab_know(lab, SOURCE, true, 0, SECOND), 0);
	lab_send(lab, "at once", &invite, trusted);
	lab->now = end - 1;
	lab_send(lab, "a nanosecond before its end", &invite, trusted);
	assert_int_equal(count_known(lab).trusted, 1);
	lab->now = end;
	lab_send(lab, "at its end", &invite, passes);
	assert_int_equal(count_known(lab).trusted, 0);
	lab->now = end - 1;
	/* The gate is open while another one is trusted. */
	assert_int_equal(lab_know(lab, SOURCE_BESIDE, true, 0, MINUTE), 0);
	lab->now = end;
	lab_send(lab, "at its end, beside another", &invite, passes);
	send_from(lab, SOURCE_BESIDE, trusted);
}

static void test_another_end(void **state)
{
	struct lab *lab = *state;
	struct sipdam_prefix source = lab_source(lab, SOURCE);

	assert_int_equal(lab_know(lab, SOURCE, true, 0, MINUTE), 0);
	assert_int_equal(lab_know(lab, SOURCE, true, 0, SECOND), 0);
	assert_int_equal(count_known(lab).trusted, 1);
	lab->now += SECOND + UNIT;
	lab_send(lab, "the last word holds", &invite, passes);
	trust(lab, SOURCE);
	lab_send(lab, "again", &invite, trusted);
	assert_int_equal(known_remove(&lab->known, &source, lab->now), 0);
	lab_send(lab, "no more", &invite, passes);
	assert_int_equal(known_remove(&lab->known, &source, lab->now), -ENOENT);
}

/* One place a source: what is once trusted is not made a peer, what is a peer may become trusted. */
static void test_a_peer_that_registers(void **state)
{
	struct lab *lab = *state;

	make_peer(lab, SOURCE);
	lab_send(lab, "a peer", &ack, acked_peer);
	trust(lab, SOURCE);
	lab_send(lab, "trusted", &invite, trusted);
	make_peer(lab, SOURCE);
	lab_send(lab, "still trusted", &invite, trusted);
	assert_int_equal(count_known(lab).trusted, 1);
	assert_int_equal(count_known(lab).peers, 0);
	lab->now += MINUTE + UNIT;
	make_peer(lab, SOURCE);
	lab_send(lab, "trust has ended", &invite, passes);
	lab_send(lab, "a peer again", &ack, acked_peer);
}

/* A source of another source_key is another source. */
static void test_sources_of_another_length(void **state)
{
	struct lab *lab = *state;
	struct sipdam_policy policy;

	trust(lab, SOURCE);
	lab_policy(lab, "source_key: {ipv4: 24}");
	lab_send(lab, "the network is not", &invite, passes);
	trust(lab, SOURCE);
	send_from(lab, "192.0.2.200", trusted);
	send_from(lab, "192.0.3.1", passes);
	policy = lab->in_force;
	assert_int_equal(count_known(lab).trusted, 2);
	known_end_others(&lab->known, &policy, lab->now);
	assert_int_equal(count_known(lab).trusted, 1);
	send_from(lab, "192.0.2.200", trusted);
}

/* ---- what is not asked ---- */

#define LITTLE                                                                                               \
	NOT_VERIFIED "limits: {network: {rate: 1, burst: 2}, pool: {invite: {rate: 1, burst: 3}, dialog: {rate: 1, burst: 3}}}"

/* Strangers have used up network and pool: customers call on, and take nothing of what strangers get next. */
static void test_trusted_sources_draw_on_nothing(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, LITTLE);
	trust(lab, SOURCE);
	send_many_from(lab, 2, SOURCE_BESIDE, passes);
	send_from(lab, SOURCE_BESIDE, over_network);
	send_from(lab, "198.51.100.1", passes);
	send_from(lab, "198.51.100.1", over_pool);
	lab_send_many(lab, "trusted", 300, &invite, trusted);
	lab->now += SECOND;
	lab_send_many(lab, "trusted", 300, &invite, trusted);
	send_from(lab, SOURCE_BESIDE, passes);
	send_from(lab, SOURCE_BESIDE, over_network);
}

static void test_peers_draw_on_nothing_for_calls(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, LITTLE);
	make_peer(lab, SOURCE);
	for (int i = 0; i < 3; i++)
		lab_send(lab, "strangers' ACK", &(struct recipe){.source = SOURCE_BESIDE, .payload = ACK_TEXT},
			 acked);
	lab_send(lab, "the pool is empty", &(struct recipe){.source = SOURCE_BESIDE, .payload = ACK_TEXT},
		 (struct expect)DROPS(POOL_RATE, DIALOG, ACK));
	lab_send_many(lab, "the peer's", 1000, &ack, acked_peer);
	lab_send_many(lab, "its INVITEs are a stranger's", 2, &invite, passes);
	lab_send(lab, "and meet the network", &invite, over_network);
}

/* Peers have as much as trusted sources for their calls, and no more than strangers for new requests. */
static void test_limits_of_a_peer(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "limits: {network: unlimited, pool: {invite: unlimited}}");
	make_peer(lab, SOURCE);
	lab_send_many(lab, "calls", 4000, &ack, acked_peer);
	lab_send(lab, "too many", &ack, (struct expect)DROPS(SOURCE_RATE, DIALOG, ACK));
	lab_send_many(lab, "new ones", 50, &invite, passes);
	lab_send(lab, "too many new ones", &invite, over_source);
}

static void test_limits_of_a_trusted_source(void **state)
{
	struct lab *lab = *state;

	trust(lab, SOURCE);
	lab_send_many(lab, "a full bucket", 1000, &invite, trusted);
	check_refill(lab, &invite, SECOND / 100, trusted, over_source);
}

/* Drops never ban whom the server knows; strangers beside them are banned. */
static void test_known_sources_are_not_banned_for_drops(void **state)
{
	static const struct recipe lie = {.payload = INVITE_TEXT, .change = UDP_LENGTH(7)};
	struct lab *lab = *state;

	lab_policy(lab, "ban: {drops: 2, within: 10s}\nlimits: {trusted: {invite: {rate: 0, burst: 1}}, "
			"peer: {invite: {rate: 0, burst: 1}}, unknown: {invite: {rate: 0, burst: 1}}}");
	trust(lab, SOURCE);
	make_peer(lab, SOURCE_BESIDE);
	lab_send_many(lab, "trusted", 10, &invite, over_source);
	lab_send_many(lab, "trusted", 10, &lie, (struct expect)REFUSED);
	lab_send(lab, "and not banned", &invite, over_source);
	send_many_from(lab, 10, SOURCE_BESIDE, over_source);
	assert_int_equal(bans_count(&lab->bans, lab->now), 0);
	send_many_from(lab, 2, "198.51.100.1", over_source);
	send_from(lab, "198.51.100.1", (struct expect)DROPS(BANNED, INVITE, INVITE));
}

/* ---- devices ---- */

#define SITE                                                                                                 \
	"trust: {ttl: 1h}\nlimits: {unknown: {invite: {rate: 10, burst: 5}}, trusted: {invite: {rate: 10, "    \
	"burst: 20}}}"

static void see_ports(struct lab *lab, int from, int count)
{
	for (int port = from; port < from + count; port++)
		assert_int_equal(lab_know(lab, SOURCE, true, (__u16)port, 2 * 3600 * SECOND), 0);
}

static int devices(struct lab *lab)
{
	struct sipdam_policy policy = lab->in_force;
	struct known_entries entries;
	int seen;

	assert_int_equal(known_list(&lab->known, &policy, lab->now, &entries), 0);
	assert_int_equal(entries.count, 1);
	seen = entries.entry[0].record.devices;
	known_entries_free(&entries);
	return seen;
}

/* One port, also seen often, is one device; each further one adds a stranger's limit. */
static void test_limits_grow_with_devices(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, SITE);
	for (int i = 0; i < 5; i++)
		see_ports(lab, 5060, 1);
	assert_int_equal(devices(lab), 1);
	lab_send_many(lab, "one device", 20, &invite, trusted);
	check_refill(lab, &invite, SECOND / 10, trusted, over_source);
	see_ports(lab, 5061, 3);
	assert_int_equal(devices(lab), 4);
	lab->now += MINUTE;
	lab_send_many(lab, "four devices", 20 + 3 * 5, &invite, trusted);
	check_refill(lab, &invite, 390625 * TICK, trusted, over_source); /* 40 a second */
}

/* Over TCP as well, where a segment may cost more than one class. */
static void test_devices_over_tcp(void **state)
{
	static const struct recipe segment = {.protocol = TCP, .payload = INVITE_TEXT, .fill = 700};
	struct lab *lab = *state;

	lab_policy(lab, SITE);
	see_ports(lab, 5060, 4);
	lab_send_many(lab, "four devices", 20 + 3 * 5, &segment, trusted);
	lab_send(lab, "no more", &segment, over_source);
}

static void test_devices_are_bounded(void **state)
{
	struct lab *lab = *state;

	see_ports(lab, 1, 30000);
	assert_int_equal(devices(lab), SIPDAM_DEVICES_MAX);
}

/* Ports that were not seen for trust.ttl count no more; they are counted anew at each registration. */
static void test_devices_are_forgotten(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, SITE);
	see_ports(lab, 5060, 10);
	assert_int_equal(devices(lab), 10);
	lab->now += 1800 * SECOND - 1;
	see_ports(lab, 5060, 1);
	assert_int_equal(devices(lab), 10);
	lab->now += 1;
	see_ports(lab, 5060, 2);
	assert_int_equal(devices(lab), 10);
	lab->now += 1800 * SECOND;
	see_ports(lab, 5060, 1);
	assert_int_equal(devices(lab), 2);
	lab->now += 3600 * SECOND;
	see_ports(lab, 5062, 1);
	assert_int_equal(devices(lab), 1);
}

/* ---- full ---- */

/* Fills the free places of every line with others, that hold. */
static void fill_lines(struct lab *lab, int from, int to, bool as_trusted)
{
	__u64 end = (lab->now + MINUTE) >> SIPDAM_BAN_UNIT_SHIFT;

	for (size_t line = 0; line < SIPDAM_KNOWN_LINES; line++)
		for (int way = from; way < to; way++)
			lab->known.table.line[line].word[way] = (__u64)(way + 1) << SIPDAM_KNOWN_TAG_SHIFT |
							  (as_trusted ? SIPDAM_KNOWN_KIND : 0) | (end + way);
}

static void test_a_full_line(void **state)
{
	struct lab *lab = *state;

	trust(lab, SOURCE_BESIDE); /* opens the gate */
	fill_lines(lab, 0, SIPDAM_WAYS, true);
	assert_int_equal(lab_know(lab, SOURCE, true, 0, MINUTE), -ENOSPC);
	assert_int_equal(lab_know(lab, SOURCE, false, 0, MINUTE), -ENOSPC);
	lab_send(lab, "refused", &invite, passes);
	lab->now += MINUTE + 8 * UNIT;
	trust(lab, SOURCE);
	lab_send(lab, "in the place of one that has ended", &invite, trusted);
}

static void test_peers_have_half_a_line(void **state)
{
	struct lab *lab = *state;

	make_peer(lab, SOURCE_BESIDE);
	fill_lines(lab, 0, SIPDAM_KNOWN_PEERS_MAX, false);
	assert_int_equal(lab_know(lab, SOURCE, false, 0, MINUTE), -ENOSPC);
	lab_send(lab, "no peer", &ack, acked);
	trust(lab, SOURCE);
	lab_send(lab, "trusted all the same", &invite, trusted);
}

static void test_a_peer_gives_way(void **state)
{
	struct lab *lab = *state;
	size_t peers;

	trust(lab, SOURCE_BESIDE);
	fill_lines(lab, 0, SIPDAM_WAYS - 2, true);
	fill_lines(lab, SIPDAM_WAYS - 2, SIPDAM_WAYS, false);
	peers = count_known(lab).peers;
	assert_int_equal(peers, 2 * SIPDAM_KNOWN_LINES);
	trust(lab, SOURCE);
	assert_int_equal(count_known(lab).peers, peers - 1);
	lab_send(lab, "in a peer's place", &invite, trusted);
}

/* The same tag and another address: a record tells them apart. */
static void test_a_tag_of_another_source(void **state)
{
	struct lab *lab = *state;

	trust(lab, SOURCE);
	for (size_t i = 0; i < SIPDAM_KNOWN_LINES * SIPDAM_WAYS; i++)
		if (lab->known.table.record.known[i].bits)
			lab->known.table.record.known[i].low ^= 1ULL << 63;
	lab_send(lab, "not this one", &invite, passes);
	for (size_t i = 0; i < SIPDAM_KNOWN_LINES * SIPDAM_WAYS; i++)
		if (lab->known.table.record.known[i].bits)
			lab->known.table.record.known[i].low ^= 1ULL << 63;
	lab_send(lab, "this one", &invite, trusted);
}

/* Its own place has ended, and the word of another source with the same tag holds. */
static void test_an_end_beside_the_same_tag(void **state)
{
	struct lab *lab = *state;

	assert_int_equal(lab_know(lab, SOURCE, true, 0, SECOND), 0);
	trust(lab, SOURCE_BESIDE);
	for (size_t line = 0; line < SIPDAM_KNOWN_LINES; line++) {
		__u64 *word = lab->known.table.line[line].word;

		if (word[0])
			word[1] = word[0] + MINUTE / UNIT;
	}
	lab_send(lab, "before", &invite, trusted);
	lab->now += SECOND + UNIT;
	lab_send(lab, "after", &invite, passes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lab_test(test_every_class_of_a_trusted_source),
		lab_test(test_every_class_of_a_peer),
		lab_test(test_what_stands_above_trust),
		lab_test(test_a_ban_by_hand_beats_trust),
		lab_test(test_to_the_end_of_trust),
		lab_test(test_another_end),
		lab_test(test_a_peer_that_registers),
		lab_test(test_sources_of_another_length),
		lab_test(test_trusted_sources_draw_on_nothing),
		lab_test(test_peers_draw_on_nothing_for_calls),
		lab_test(test_limits_of_a_peer),
		lab_test(test_limits_of_a_trusted_source),
		lab_test(test_known_sources_are_not_banned_for_drops),
		lab_test(test_limits_grow_with_devices),
		lab_test(test_devices_over_tcp),
		lab_test(test_devices_are_bounded),
		lab_test(test_devices_are_forgotten),
		lab_test(test_a_full_line),
		lab_test(test_peers_have_half_a_line),
		lab_test(test_a_peer_gives_way),
		lab_test(test_a_tag_of_another_source),
		lab_test(test_an_end_beside_the_same_tag),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}
