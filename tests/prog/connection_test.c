/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connections of TCP: what opens one and what ends it, who counts it and for how long, and that nobody but the
 * server can say so. Both programs over the same maps, one packet at a time; what is asked is whether one more
 * SYN passes, and what the tables hold.
 */
#include "prog/both.h"

#include "connections.h"
#include "explain.h"
#include "sipdam/hash.h"

#define HOUR (3600 * SECOND)

/* Spans of forget are counted in whole units from the beginning of time: two of them from the first on. */
#define SPAN (HOUR / 4 >> SIPDAM_CONNECTION_UNIT_SHIFT << SIPDAM_CONNECTION_UNIT_SHIFT)

#define SERVER  DESTINATION
#define CLIENT  SOURCE
#define OTHER   "192.0.2.77"
#define CLIENT6 SOURCE6
#define SERVER6 DESTINATION6

/* The clock's, and the unit that openings are timed in. */
#define CLOCK_TICK         (4 * 1000000ULL)
#define OPENING_UNIT_SHIFT 28

/* First numbers of both sides. */
#define ISN    0x89abcdefU
#define CLIENT_ISN 0xfffffffeU /* turns within the first bytes */

#define A_SYN   PASSES(WITHIN_LIMITS, TCP_SYN, NONE)
#define REFUSED_SYN DROPS(SOURCE_RATE, TCP_SYN, NONE)

enum { TABLE_CONNECTIONS, TABLE_LEVELS, TABLE_BUDGETS };

static int begin_all(void **state)
{
	static const char *const names[] = {"connections", "conn_levels", "budgets"};

	return way_open(state, names, COUNT(names));
}

/* ---- what is kept ---- */

static __u64 events(enum sipdam_connection_event event)
{
	__u64 sum[SIPDAM_CONNECTION_EVENTS];

	read_all_summed(filter_map(way.lab->filter, "conn_events"), SIPDAM_CONNECTION_EVENTS, sum, sizeof(*sum));
	return sum[event];
}

static int words(int table, bool (*is_wanted)(__u64 word))
{
	const struct sipdam_line *line = way.table[table].memory;
	int count = 0;

	for (size_t i = 0; i < way.table[table].bytes / sizeof(*line); i++)
		for (int place = 0; place < SIPDAM_WAYS; place++)
			count += line[i].word[place] && is_wanted(line[i].word[place]);
	return count;
}

static int state_of(__u64 word)
{
	return word >> SIPDAM_CONNECTION_STATE_SHIFT & 3;
}

static bool is_open(__u64 word)
{
	return state_of(word) == SIPDAM_CONNECTION_OPEN;
}

static bool is_half(__u64 word)
{
	return state_of(word) == SIPDAM_CONNECTION_HALF;
}

static bool is_any(__u64 word)
{
	return word;
}

static int open_connections(void)
{
	return words(TABLE_CONNECTIONS, is_open);
}

/* ---- segments ---- */

/* One connection: who, from where and to which port. */
struct line {
	const char *client;
	int port, to;
	const char *server; /* NULL: SERVER */
};

struct segment {
	__u8 flags;
	__u32 sequence, acknowledged;
	int bytes;
};

static void put32(__u8 *at, __u32 value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

static bool is_six(const struct line *line)
{
	return line->client && strchr(line->client, ':');
}

/* Every other one is padded, as a wire does: what is shorter than that is read the long way. */
static void build(const struct line *line, const struct segment *segment, bool from_server)
{
	const char *client = line->client ? line->client : CLIENT;
	const char *server = line->server ? line->server : is_six(line) ? SERVER6 : SERVER;
	int port = line->port ? line->port : 40000, to = line->to ? line->to : SIP_PORT;
	struct recipe recipe = {.family = is_six(line) ? 6 : 4,
				.source = from_server ? server : client,
				.destination = from_server ? client : server,
				.protocol = IPPROTO_TCP,
				.flags = segment->flags,
				.payload = "",
				.fill = segment->bytes,
				.padding = port % 2 && !segment->bytes ? 6 : 0};
	__u8 *tcp;

	frame_build(&way.lab->frame, &recipe);
	tcp = way.lab->frame.data + way.lab->frame.at[LAYER_TRANSPORT];
	put16(tcp, from_server ? to : port);
	put16(tcp + 2, from_server ? port : to);
	put32(tcp + 4, segment->sequence);
	put32(tcp + 8, segment->acknowledged);
}

static void server_sends(const struct line *line, __u8 flags, __u32 sequence, __u32 acknowledged, int bytes)
{
	struct segment segment = {flags, sequence, acknowledged, bytes};

	build(line, &segment, true);
	*way.lab->trial = (struct sipdam_trial){.now = way.lab->now};
	assert_int_equal(egress_trial_run(way.egress, way.lab->frame.data, way.lab->frame.length), 0);
	assert_int_equal(way.lab->trial->reason, SIPDAM_REASON_EGRESS);
}

/* Returns the filter's verdict. */
static struct expect client_sends(const struct line *line, __u8 flags, __u32 sequence, __u32 acknowledged,
				  int bytes)
{
	struct segment segment = {flags, sequence, acknowledged, bytes};
	const struct sipdam_trial *trial = way.lab->trial;

	build(line, &segment, false);
	*way.lab->trial = (struct sipdam_trial){.now = way.lab->now};
	assert_int_equal(filter_trial_run(way.lab->filter, way.lab->frame.data, way.lab->frame.length), 0);
	return (struct expect){trial->dropped ? SIPDAM_VERDICT_DROP : SIPDAM_VERDICT_PASS, trial->reason,
			       trial->class, trial->method, trial->status};
}

/* As what a client is known, for those who explain it. */
static void find_known(const char *client, struct explain_question *question)
{
	struct sipdam_prefix source = lab_source(way.lab, client);
	struct known_entries entries;

	assert_int_equal(known_list(&way.lab->known, &way.lab->in_force, way.lab->now, &entries), 0);
	for (size_t i = 0; i < entries.count; i++)
		if (!memcmp(&entries.entry[i].source, &source, sizeof(source))) {
			question->trusted = entries.entry[i].trusted;
			question->peer = !entries.entry[i].trusted;
		}
	known_entries_free(&entries);
}

/* What `sipdam explain` says of one more connection. */
static struct explanation explained(const char *client)
{
	const struct explain_maps maps = {.sources = filter_map(way.lab->filter, "sources"),
					  .networks = filter_map(way.lab->filter, "networks"),
					  .pools = filter_map(way.lab->filter, "pools"),
					  .secrets = filter_map(way.lab->filter, "secrets"),
					  .verified = -1,
					  .levels = filter_map(way.lab->filter, "conn_levels")};
	struct explain_question question = {.policy = &way.lab->in_force,
					    .now = way.lab->now,
					    .allowed = strstr(way.lab->policy, "allow: [" CLIENT "]")};
	struct explanation explanation;

	assert_int_equal(address_parse_prefix(client, &question.address), 0);
	find_known(client, &question);
	assert_int_equal(explain(&question, &maps, &explanation), 0);
	return explanation;
}

/* One SYN, and that it was explained as what becomes of it. */
static void syn(const struct line *line, struct expect expect)
{
	struct explanation explanation = explained(line->client ? line->client : CLIENT);
	struct expect got = client_sends(line, FLAG_SYN, CLIENT_ISN, 0, 0);

	if (explain_reason(&explanation, SIPDAM_CLASS_TCP_SYN, false) != got.reason)
		fail_msg("SYN from %s:%d with %u of %u: %s, explained otherwise", line->client ? line->client : CLIENT,
			 line->port, explanation.connections, explanation.connections_most,
			 reason_label(got.reason));
	if (got.reason != expect.reason || got.class != expect.class || got.verdict != expect.verdict)
		fail_msg("SYN from %s:%d: %s, class %s", line->client ? line->client : CLIENT, line->port,
			 reason_label(got.reason), class_label(got.class));
}

static void syn_ack(const struct line *line)
{
	server_sends(line, FLAG_SYN | FLAG_ACK, ISN, CLIENT_ISN + 1, 0);
}

static void ack(const struct line *line)
{
	client_sends(line, FLAG_ACK, CLIENT_ISN + 1, ISN + 1, 0);
}

static void opens(const struct line *line)
{
	syn(line, (struct expect)A_SYN);
	syn_ack(line);
	ack(line);
}

/* The client sends so many bytes, and the server acknowledges them. */
static void carries(const struct line *line, int bytes)
{
	client_sends(line, FLAG_PSH | FLAG_ACK, CLIENT_ISN + 1, ISN + 1, bytes);
	server_sends(line, FLAG_ACK, ISN + 1, CLIENT_ISN + 1 + bytes, 0);
}

/* ---- the cap ---- */

#define TWO "connections: {per_source: 2, trusted: 3}"

/* The third of two is refused; that of three is not, nor anybody else's. */
static void test_cap(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, TWO);
	opens(&(struct line){.port = 1});
	opens(&(struct line){.port = 2, .to = TLS_PORT});
	syn(&(struct line){.port = 3}, (struct expect)REFUSED_SYN);
	syn(&(struct line){.client = OTHER, .port = 3}, (struct expect)A_SYN);
	lab_policy(lab, "connections: {per_source: 3}");
	syn(&(struct line){.port = 3}, (struct expect)A_SYN);
	lab_policy(lab, "connections: {per_source: 0}");
	syn(&(struct line){.port = 3}, (struct expect)A_SYN);
	assert_int_equal(open_connections(), 2);
}

/* What is sent on connections that are open goes on at the cap, and over it. */
static void test_cap_is_of_syns_alone(void **state)
{
	struct lab *lab = *state;
	struct line line = {.port = 1};

	opens(&line);
	lab_policy(lab, "connections: {per_source: 1}");
	syn(&(struct line){.port = 2}, (struct expect)REFUSED_SYN);
	assert_int_equal(client_sends(&line, FLAG_ACK | FLAG_PSH, CLIENT_ISN + 1, ISN + 1, 100).verdict,
			 SIPDAM_VERDICT_PASS);
	assert_int_equal(client_sends(&line, FLAG_ACK, CLIENT_ISN + 101, ISN + 1, 0).verdict,
			 SIPDAM_VERDICT_PASS);
}

/* What the cap refuses is judged each time: the next SYN may come behind an end, in the same tick. */
static void test_cap_is_not_remembered(void **state)
{
	struct line line = {.port = 1};
	struct lab *lab = *state;

	opens(&line);
	lab_policy(lab, "connections: {per_source: 1}");
	for (int i = 0; i < 20; i++)
		syn(&(struct line){.port = 3}, (struct expect)REFUSED_SYN);
	server_sends(&line, FLAG_FIN | FLAG_ACK, ISN + 1, CLIENT_ISN + 1, 0);
	syn(&(struct line){.port = 3}, (struct expect)A_SYN);
}

static void test_cap_of_tiers(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, TWO);
	for (int port = 1; port <= 2; port++)
		opens(&(struct line){.port = port});
	syn(&(struct line){.port = 3}, (struct expect)REFUSED_SYN);
	lab_policy(lab, TWO "\nallow: [" CLIENT "]");
	syn(&(struct line){.port = 3}, (struct expect)PASSES(ALLOWED, TCP_SYN, NONE));
	lab_policy(lab, TWO);
	assert_int_equal(lab_know(lab, CLIENT, false, 0, HOUR), 0);
	syn(&(struct line){.port = 3}, (struct expect)REFUSED_SYN);
	assert_int_equal(lab_know(lab, CLIENT, true, 0, HOUR), 0);
	syn(&(struct line){.port = 3}, (struct expect)PASSES(TRUSTED, TCP_SYN, NONE));
	syn_ack(&(struct line){.port = 3});
	ack(&(struct line){.port = 3});
	syn(&(struct line){.port = 4}, (struct expect)REFUSED_SYN);
	lab_policy(lab, "connections: {per_source: 2, trusted: 0}");
	syn(&(struct line){.port = 4}, (struct expect)PASSES(TRUSTED, TCP_SYN, NONE));
}

/* A refused SYN takes no token: the burst is what it was. */
static void test_refused_syn_is_free(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "connections: {per_source: 1}\nlimits: {unknown: {tcp_syn: {rate: 1, burst: 2}}}");
	opens(&(struct line){.port = 1});
	for (int port = 2; port < 9; port++)
		syn(&(struct line){.port = port}, (struct expect)REFUSED_SYN);
	server_sends(&(struct line){.port = 1}, FLAG_RST | FLAG_ACK, ISN + 1, CLIENT_ISN + 1, 0);
	syn(&(struct line){.port = 2}, (struct expect)A_SYN);
	syn(&(struct line){.port = 3}, (struct expect)REFUSED_SYN); /* the bucket's */
}

static void test_monitor(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "mode: monitor\ndeny: [" CLIENT "]\nconnections: {per_source: 1}");
	client_sends(&(struct line){.port = 1}, FLAG_SYN, CLIENT_ISN, 0, 0);
	syn_ack(&(struct line){.port = 1});
	ack(&(struct line){.port = 1}); /* passes all the same, and so it is open */
	assert_int_equal(open_connections(), 1);
	lab_policy(lab, "mode: monitor\nconnections: {per_source: 1}");
	syn(&(struct line){.port = 2}, (struct expect)PASSES(SOURCE_RATE, TCP_SYN, NONE));
}

static void test_source_of_ipv6_is_its_prefix(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, TWO);
	opens(&(struct line){.client = "2001:db8:1::1", .port = 1});
	opens(&(struct line){.client = "2001:db8:1::2", .port = 1});
	syn(&(struct line){.client = "2001:db8:1::3", .port = 1}, (struct expect)REFUSED_SYN);
	syn(&(struct line){.client = "2001:db8:1:1::3", .port = 1}, (struct expect)A_SYN);
}

/* ---- what opens ---- */

static void test_what_opens(void **state)
{
	static const struct {
		const char *name;
		struct segment third;
		int after; /* seconds after the SYN was answered */
		int open;
	} rows[] = {
		{"the number", {FLAG_ACK, CLIENT_ISN + 1, ISN + 1}, 0, 1},
		{"the number before", {FLAG_ACK, CLIENT_ISN + 1, ISN}, 0, 0},
		{"the number behind", {FLAG_ACK, CLIENT_ISN + 1, ISN + 2}, 0, 0},
		{"another by its bit 23", {FLAG_ACK, CLIENT_ISN + 1, (ISN + 1) ^ 1U << 23}, 0, 0},
		{"with bytes", {FLAG_ACK, CLIENT_ISN + 1, ISN + 1, 10}, 0, 0},
		{"a FIN", {FLAG_ACK | FLAG_FIN, CLIENT_ISN + 1, ISN + 1}, 0, 0},
		{"a RST", {FLAG_ACK | FLAG_RST, CLIENT_ISN + 1, ISN + 1}, 0, 0},
		{"a SYN", {FLAG_ACK | FLAG_SYN, CLIENT_ISN + 1, ISN + 1}, 0, 0},
		{"in time", {FLAG_ACK, CLIENT_ISN + 1, ISN + 1}, 128, 1},
		{"too late", {FLAG_ACK, CLIENT_ISN + 1, ISN + 1}, 129, 0},
	};
	struct lab *lab = *state;
	const struct line line = {.port = 1};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct segment *third = &rows[i].third;
		__u64 before = events(SIPDAM_CONNECTION_OPENED);

		way_forget();
		lab->now = LAB_START;
		syn_ack(&line);
		lab->now += rows[i].after * SECOND;
		client_sends(&line, third->flags, third->sequence, third->acknowledged, third->bytes);
		if (open_connections() != rows[i].open ||
		    events(SIPDAM_CONNECTION_OPENED) - before != (__u64)rows[i].open ||
		    words(TABLE_LEVELS, is_any) != rows[i].open)
			fail_msg("%s: %d open, %d sources", rows[i].name, open_connections(),
				 words(TABLE_LEVELS, is_any));
	}
}

/* No answer of the server's, nothing learned: it takes another way. */
static void test_one_way(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "connections: {per_source: 1}");
	for (int port = 1; port < 5; port++) {
		syn(&(struct line){.port = port}, (struct expect)A_SYN);
		ack(&(struct line){.port = port});
	}
	assert_int_equal(words(TABLE_CONNECTIONS, is_any), 0);
	server_sends(&(struct line){.port = 1}, FLAG_SYN, ISN, 0, 0); /* of its own accord, from its port */
	assert_int_equal(words(TABLE_CONNECTIONS, is_any), 0);
	syn_ack(&(struct line){.port = 1, .to = 5070}); /* not a port of ours */
	assert_int_equal(words(TABLE_CONNECTIONS, is_any), 0);
	syn_ack(&(struct line){.port = 1});
	assert_int_equal(words(TABLE_CONNECTIONS, is_any), 1);
}

/* Who is dropped opens nothing. */
static void test_dropped_segments_open_nothing(void **state)
{
	struct lab *lab = *state;
	const struct line line = {.port = 1};

	syn_ack(&line);
	assert_int_equal(lab_ban(lab, CLIENT, HOUR), 0);
	ack(&line);
	assert_int_equal(open_connections(), 0);
	lab_pardon(lab);
	ack(&line);
	assert_int_equal(open_connections(), 1);
}

/* The third segment was lost, or had the first bytes: that the server has an answer to them opens it. */
static void test_opened_by_the_servers_data(void **state)
{
	const struct line line = {.port = 1};

	(void)state;
	syn_ack(&line);
	client_sends(&line, FLAG_ACK | FLAG_PSH, CLIENT_ISN + 1, ISN + 1, 300);
	server_sends(&line, FLAG_ACK, ISN + 1, CLIENT_ISN + 1, 0); /* as it acknowledges what is no connection */
	assert_int_equal(open_connections(), 0);
	server_sends(&line, FLAG_ACK | FLAG_PSH, ISN + 1, CLIENT_ISN + 301, 100);
	assert_int_equal(open_connections(), 1);
	assert_int_equal(words(TABLE_LEVELS, is_any), 1);
	server_sends(&line, FLAG_ACK | FLAG_PSH, ISN + 101, CLIENT_ISN + 301, 100);
	assert_int_equal(open_connections(), 1);
}

/* The third segment had bytes in it, and the server is silent: that its kernel has taken them opens it. */
static void test_opened_by_what_is_taken(void **state)
{
	static const struct {
		const char *name;
		struct segment sent;
		int open;
	} rows[] = {
		{"the bytes are acknowledged", {FLAG_ACK, ISN + 1, CLIENT_ISN + 2}, 1},
		{"many of them", {FLAG_ACK, ISN + 1, CLIENT_ISN + 1461}, 1},
		{"none", {FLAG_ACK, ISN + 1, CLIENT_ISN + 1}, 0},
		{"of another opening", {FLAG_ACK, ISN + 2, CLIENT_ISN + 2}, 0},
		{"of another opening by its bit 23", {FLAG_ACK, (ISN + 1) ^ 1U << 23, CLIENT_ISN + 2}, 0},
		{"nothing is acknowledged", {FLAG_PSH, ISN + 1, CLIENT_ISN + 2}, 0},
		{"none, but the server speaks first", {FLAG_ACK | FLAG_PSH, ISN + 1, CLIENT_ISN + 1, 5}, 1},
		{"a FIN", {FLAG_ACK | FLAG_FIN, ISN + 1, CLIENT_ISN + 2}, 0},
		{"a RST", {FLAG_ACK | FLAG_RST, ISN + 1, CLIENT_ISN + 2}, 0},
	};
	struct lab *lab = *state;
	struct connections count;

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct segment *sent = &rows[i].sent;

		way_forget();
		syn_ack(&(struct line){.port = 1});
		client_sends(&(struct line){.port = 1}, FLAG_ACK | FLAG_PSH, CLIENT_ISN + 1, ISN + 1, 1);
		server_sends(&(struct line){.port = 1}, sent->flags, sent->sequence, sent->acknowledged,
			     sent->bytes);
		connections_count(way.table[TABLE_CONNECTIONS].memory, SIPDAM_CONNECTION_LINES, &lab->in_force,
				  lab->now, &count);
		if (open_connections() != rows[i].open || words(TABLE_LEVELS, is_any) != rows[i].open ||
		    count.port[0].silent)
			fail_msg("%s: %d open", rows[i].name, open_connections());
	}
}

/* ---- what ends ---- */

enum side { CLIENT_SIDE, SERVER_SIDE };

struct ending {
	const char *name;
	int carried; /* bytes before */
	struct {
		enum side side;
		struct segment segment;
	} sent[3];
	int open, silent; /* afterwards */
};

#define FROM_CLIENT(flags, sequence)                                                                         \
	{                                                                                                    \
		CLIENT_SIDE, {flags, CLIENT_ISN + 1 + (sequence), ISN + 1, 0}                                \
	}
#define FROM_SERVER(flags, acknowledged)                                                                     \
	{                                                                                                    \
		SERVER_SIDE, {flags, ISN + 1, CLIENT_ISN + 1 + (acknowledged), 0}                            \
	}
#define FIN (FLAG_FIN | FLAG_ACK)
#define RST (FLAG_RST)

static void check_ending(struct lab *lab, const struct ending *row, int to)
{
	const struct line line = {.port = 1, .to = to};
	__u64 silent = events(SIPDAM_CONNECTION_SILENT);

	way_forget();
	lab_policy(lab, "connections: {per_source: 1}");
	opens(&line);
	if (row->carried)
		carries(&line, row->carried);
	for (size_t i = 0; i < COUNT(row->sent) && row->sent[i].segment.flags; i++) {
		const struct segment *sent = &row->sent[i].segment;

		if (row->sent[i].side == SERVER_SIDE)
			server_sends(&line, sent->flags, sent->sequence, sent->acknowledged, sent->bytes);
		else
			client_sends(&line, sent->flags, sent->sequence, sent->acknowledged, sent->bytes);
	}
	silent = events(SIPDAM_CONNECTION_SILENT) - silent;
	if (open_connections() != row->open || silent != (__u64)row->silent)
		fail_msg("%s: %d open, %llu silent", row->name, open_connections(), silent);
	if (client_sends(&(struct line){.port = 2, .to = to}, FLAG_SYN, 1, 0, 0).reason !=
	    (row->open ? SIPDAM_REASON_SOURCE_RATE : SIPDAM_REASON_WITHIN_LIMITS))
		fail_msg("%s: a SYN", row->name);
}

static void test_what_ends(void **state)
{
	static const struct ending rows[] = {
		{"nothing", 0, {}, 1, 0},
		{"the server's FIN", 100, {FROM_SERVER(FIN, 100)}, 0, 0},
		{"the server's FIN, nothing was carried", 0, {FROM_SERVER(FIN, 0)}, 0, 1},
		{"the server's FIN that acknowledges the first byte", 0, {FROM_SERVER(FIN, 1)}, 0, 0},
		{"the server's RST", 100, {FROM_SERVER(RST | FLAG_ACK, 100)}, 0, 0},
		{"the server's RST, nothing was carried", 0, {FROM_SERVER(RST | FLAG_ACK, 0)}, 0, 1},
		{"the server's RST without a number", 0, {FROM_SERVER(RST, 77)}, 0, 1},
		{"the client's FIN alone", 100, {FROM_CLIENT(FIN, 100)}, 1, 0},
		{"the client's FIN, acknowledged", 100, {FROM_CLIENT(FIN, 100), FROM_SERVER(FLAG_ACK, 101)}, 1, 0},
		{"both FINs",
		 100,
		 {FROM_CLIENT(FIN, 100), FROM_SERVER(FLAG_ACK, 101), FROM_SERVER(FIN, 101)},
		 0,
		 0},
		{"both FINs, nothing was carried",
		 0,
		 {FROM_CLIENT(FIN, 0), FROM_SERVER(FLAG_ACK, 1), FROM_SERVER(FIN, 1)},
		 0,
		 1},
		{"both FINs in two segments, nothing was carried",
		 0,
		 {FROM_CLIENT(FIN, 0), FROM_SERVER(FIN, 1)},
		 0,
		 1},
		{"the client's RST", 100, {FROM_CLIENT(RST, 100)}, 0, 0},
		{"the client's RST, nothing was carried", 0, {FROM_CLIENT(RST, 0)}, 0, 1},
		{"the client's RST that acknowledges", 100, {FROM_CLIENT(RST | FLAG_ACK, 100)}, 0, 0},
		{"a RST with a number before", 100, {FROM_CLIENT(RST, 99)}, 1, 0},
		{"a RST with a number behind", 100, {FROM_CLIENT(RST, 101)}, 1, 0},
		{"a RST half the numbers away", 100, {FROM_CLIENT(RST, 100 + 0x80000000U)}, 1, 0},
		{"a RST 65,536 numbers away", 100, {FROM_CLIENT(RST, 100 + 0x10000)}, 1, 0},
		{"a RST with the first number", 100, {FROM_CLIENT(RST, 0)}, 1, 0},
		{"the client's RST behind its FIN", 100, {FROM_CLIENT(FIN, 100), FROM_CLIENT(RST, 101)}, 0, 0},
		{"a RST that the server did not believe",
		 100,
		 {FROM_CLIENT(RST, 100), FROM_SERVER(FLAG_ACK, 101)},
		 1,
		 0},
		{"a RST, and the server's own",
		 100,
		 {FROM_CLIENT(RST, 100), FROM_SERVER(RST, 0), FROM_SERVER(FLAG_ACK, 101)},
		 0,
		 0},
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		check_ending(lab, &rows[i], SIP_PORT);
		check_ending(lab, &rows[i], TLS_PORT);
	}
}

/* Opens one, and its client resets it. Is it taken for open still? */
static bool outlives_a_reset(int port)
{
	const struct line line = {.port = port};
	int before = open_connections();

	client_sends(&line, FLAG_SYN, CLIENT_ISN, 0, 0);
	syn_ack(&line);
	ack(&line);
	client_sends(&line, RST, CLIENT_ISN + 1, ISN + 1, 0);
	return open_connections() != before;
}

/*
 * A server that has nothing to say does not tell of a RST that it did not take: by his word alone nobody ends more
 * connections than he may have, in the time in which they are forgotten. What the server says counts always.
 */
static void test_resets_are_bounded(void **state)
{
	struct lab *lab = *state;

	lab->now = 10 * SPAN;
	lab_policy(lab, TWO);
	assert_false(outlives_a_reset(1));
	assert_false(outlives_a_reset(2));
	assert_true(outlives_a_reset(3));
	assert_true(outlives_a_reset(4));
	syn(&(struct line){.port = 5}, (struct expect)REFUSED_SYN);
	syn(&(struct line){.client = OTHER, .port = 5}, (struct expect)A_SYN);
	server_sends(&(struct line){.port = 3}, RST | FLAG_ACK, ISN + 1, CLIENT_ISN + 1, 0);
	server_sends(&(struct line){.port = 4}, FIN, ISN + 1, CLIENT_ISN + 1, 0);
	assert_int_equal(open_connections(), 0);
	lab->now += HOUR / 8 - SECOND;
	assert_true(outlives_a_reset(6));
	lab->now += 2 * SECOND;
	assert_false(outlives_a_reset(7));
	/* Who is trusted may have three, who is allowed as many as he likes; and so may all where there is no cap. */
	way_forget();
	lab_policy(lab, TWO);
	assert_int_equal(lab_know(lab, CLIENT, true, 0, HOUR), 0);
	for (int port = 1; port <= 4; port++)
		assert_int_equal(outlives_a_reset(port), port > 3);
	way_forget();
	lab_policy(lab, "limits: {unknown: {tcp_syn: unlimited}}\nconnections: {per_source: 0}");
	for (int port = 1; port <= 9; port++)
		assert_false(outlives_a_reset(port));
	way_forget();
	lab_policy(lab, TWO "\nallow: [" CLIENT "]");
	for (int port = 1; port <= 9; port++)
		assert_false(outlives_a_reset(port));
}

/* A connection that ends where none is known takes nothing from those of its source. */
static void test_ends_of_others(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, TWO);
	opens(&(struct line){.port = 1});
	opens(&(struct line){.port = 2});
	for (int port = 3; port < 9; port++) {
		const struct line line = {.port = port};

		server_sends(&line, RST | FLAG_ACK, 0, 1, 0);
		server_sends(&line, FIN, ISN, 1, 0);
		client_sends(&line, RST, 1, 1, 0);
	}
	syn(&(struct line){.port = 9}, (struct expect)REFUSED_SYN);
	server_sends(&(struct line){.port = 2}, RST | FLAG_ACK, 0, 1, 0);
	server_sends(&(struct line){.port = 2}, RST | FLAG_ACK, 0, 1, 0);
	syn(&(struct line){.port = 9}, (struct expect)A_SYN);
	assert_int_equal(open_connections(), 1);
}

/* A connection that is opened anew, from the same port, is one. */
static void test_opened_anew(void **state)
{
	struct lab *lab = *state;
	const struct line line = {.port = 1};

	lab_policy(lab, TWO);
	for (int times = 0; times < 4; times++) {
		syn(&line, (struct expect)A_SYN);
		syn_ack(&line);
		syn_ack(&line);
		assert_int_equal(words(TABLE_CONNECTIONS, is_half), 1);
		ack(&line);
		ack(&line);
	}
	assert_int_equal(open_connections(), 1);
	assert_int_equal(words(TABLE_CONNECTIONS, is_half), 0);
	opens(&(struct line){.port = 2});
	syn(&(struct line){.port = 3}, (struct expect)REFUSED_SYN);
}

/* And it counts from then on, whenever it was that it was opened before. */
static void test_opened_anew_later(void **state)
{
	struct lab *lab = *state;
	const struct line line = {.port = 1};

	lab_policy(lab, "connections: {per_source: 1}");
	lab->now = 10 * SPAN;
	opens(&line);
	lab->now = 11 * SPAN;
	syn_ack(&line);
	ack(&line);
	lab->now = 12 * SPAN;
	syn(&(struct line){.port = 2}, (struct expect)REFUSED_SYN);
}

/* Ends are told apart by each of their four numbers: what is said of one connection is said of no other. */
static void test_ends_that_differ(void **state)
{
	static const struct line lines[] = {
		{.port = 1},
		{.port = 2},
		{.port = 1, .to = TLS_PORT},
		{.port = 1, .server = "198.51.100.2"},
		{.port = 1, .server = "198.51.200.1"},
		{.client = OTHER, .port = 1},
		{.client = CLIENT6, .port = 1},
		{.client = CLIENT6, .port = 1, .server = "2001:db8:ffff::2"},
		{.client = CLIENT6, .port = 1, .server = "2001:db8:fffe::1"},
		{.client = "2001:db8:1::2", .port = 1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		opens(&lines[i]);
		assert_int_equal(open_connections(), i + 1);
	}
	for (size_t i = 0; i < COUNT(lines); i++) {
		server_sends(&lines[i], RST | FLAG_ACK, ISN + 1, CLIENT_ISN + 1, 0);
		assert_int_equal(open_connections(), COUNT(lines) - 1 - i);
	}
	assert_int_equal(words(TABLE_LEVELS, is_any), 0);
	assert_int_equal(words(TABLE_CONNECTIONS, is_any), 0); /* nothing comes behind a RST */
}

/*
 * However the first of two connections between the same ends has ended, and wherever its word lies: when the second
 * one has ended as well, nothing that is left of either is taken for a connection.
 */
static void test_ended_twice(void **state)
{
	struct sipdam_line *lines = way.table[TABLE_CONNECTIONS].memory;
	const struct line line = {.port = 1};
	struct lab *lab = *state;

	for (int i = 0; i < 4; i++) {
		bool reset = i & 1, far = i & 2;

		way_forget();
		lab_policy(lab, "connections: {per_source: 1}");
		opens(&line);
		if (reset)
			client_sends(&line, RST, CLIENT_ISN + 1, ISN + 1, 0);
		else
			server_sends(&line, FIN, ISN + 1, CLIENT_ISN + 1, 0);
		for (size_t at = 0; far && at < SIPDAM_CONNECTION_LINES; at++) {
			lines[at].word[SIPDAM_WAYS - 1] = lines[at].word[0];
			lines[at].word[0] = 0;
		}
		opens(&line);
		assert_int_equal(words(TABLE_CONNECTIONS, is_any), 1);
		server_sends(&line, FIN, ISN + 1, CLIENT_ISN + 1, 0);
		client_sends(&line, FIN, CLIENT_ISN + 1, ISN + 2, 0);
		server_sends(&line, FLAG_ACK, ISN + 2, CLIENT_ISN + 2, 0);
		assert_int_equal(open_connections(), 0);
		assert_int_equal(words(TABLE_LEVELS, is_any), 0);
		syn(&(struct line){.port = 2}, (struct expect)A_SYN);
	}
}

/* ---- time ---- */

static void test_forgotten(void **state)
{
	static const struct {
		__u64 opened, asked;
		bool counts;
	} rows[] = {
		{10 * SPAN, 10 * SPAN, true},
		{10 * SPAN, 12 * SPAN - 1, true},
		{10 * SPAN, 12 * SPAN, false},
		{11 * SPAN - 1, 12 * SPAN - 1, true},
		{11 * SPAN - 1, 12 * SPAN, false},
		{10 * SPAN, 500 * SPAN, false},
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		way_forget();
		lab_policy(lab, "connections: {per_source: 1}");
		lab->now = rows[i].opened;
		opens(&(struct line){.port = 1});
		lab->now = rows[i].asked;
		syn(&(struct line){.port = 2},
		    rows[i].counts ? (struct expect)REFUSED_SYN : (struct expect)A_SYN);
	}
}

/* The clocks of CPUs are a tick apart: what another one has written may lie ahead, of a unit and of a span too. */
static void test_a_clock_that_is_behind(void **state)
{
	static const __u64 units[] = {1ULL << SIPDAM_CONNECTION_UNIT_SHIFT, SPAN, 1ULL << OPENING_UNIT_SHIFT};
	struct lab *lab = *state;
	struct connections count;

	for (size_t i = 0; i < COUNT(units); i++) {
		way_forget();
		lab_policy(lab, TWO);
		lab->now = (10 * SPAN / units[i] + 1) * units[i];
		opens(&(struct line){.port = 1});
		syn_ack(&(struct line){.port = 2});
		lab->now -= CLOCK_TICK;
		ack(&(struct line){.port = 2});
		assert_int_equal(open_connections(), 2);
		syn(&(struct line){.port = 3}, (struct expect)REFUSED_SYN);
		connections_count(way.table[TABLE_CONNECTIONS].memory, SIPDAM_CONNECTION_LINES, &lab->in_force,
				  lab->now, &count);
		assert_int_equal(connections_open(&count), 2);
		/* And nothing that it writes makes others forget. */
		lab->now += CLOCK_TICK;
		syn(&(struct line){.port = 3}, (struct expect)REFUSED_SYN);
		lab->now -= CLOCK_TICK;
		server_sends(&(struct line){.port = 1}, FIN, ISN + 1, CLIENT_ISN + 1, 0);
		syn(&(struct line){.port = 3}, (struct expect)A_SYN);
		lab_policy(lab, "connections: {per_source: 1}");
		syn(&(struct line){.port = 3}, (struct expect)REFUSED_SYN);
	}
}

/* A connection on which the server sends is never forgotten, counts once, and is given back once. */
static void test_kept_by_what_the_server_sends(void **state)
{
	struct lab *lab = *state;
	const struct line line = {.port = 1};

	lab_policy(lab, TWO);
	lab->now = 10 * SPAN;
	opens(&line);
	for (int step = 1; step < 40; step++) {
		lab->now += SPAN / 3;
		server_sends(&line, FLAG_ACK | FLAG_PSH, ISN + step, CLIENT_ISN + 1, 1);
		syn(&(struct line){.port = 2}, (struct expect)A_SYN);
		lab_policy(lab, "connections: {per_source: 1}");
		syn(&(struct line){.port = 2}, (struct expect)REFUSED_SYN);
		lab_policy(lab, TWO);
	}
	lab->now += 3 * SPAN;
	lab_policy(lab, "connections: {per_source: 1}");
	syn(&(struct line){.port = 2}, (struct expect)A_SYN);
	server_sends(&line, FLAG_ACK | FLAG_PSH, ISN + 99, CLIENT_ISN + 1, 1); /* it is there all the same */
	syn(&(struct line){.port = 2}, (struct expect)REFUSED_SYN);
	server_sends(&line, FIN, ISN + 99, CLIENT_ISN + 1, 1);
	syn(&(struct line){.port = 2}, (struct expect)A_SYN);
	assert_int_equal(words(TABLE_LEVELS, is_any), 0);
}

/* Two connections where two may be, of which the first is forgotten in the span after this. */
static void opens_one_to_forget(struct lab *lab)
{
	lab_policy(lab, TWO);
	lab->now = 10 * SPAN;
	opens(&(struct line){.port = 1});
	lab->now = 12 * SPAN;
	opens(&(struct line){.port = 2});
}

/* One that was forgotten, and sends again, is one more: those that were counted before it stay. */
static void test_remembered_again(void **state)
{
	struct lab *lab = *state;

	opens_one_to_forget(lab);
	lab->now = 13 * SPAN;
	syn(&(struct line){.port = 3}, (struct expect)A_SYN);
	server_sends(&(struct line){.port = 1}, FLAG_ACK | FLAG_PSH, ISN + 1, CLIENT_ISN + 1, 1);
	syn(&(struct line){.port = 3}, (struct expect)REFUSED_SYN);
}

/* The end of one that is forgotten takes none from those that are not. */
static void test_end_of_a_forgotten_one(void **state)
{
	struct lab *lab = *state;

	opens_one_to_forget(lab);
	opens(&(struct line){.port = 3});
	lab->now = 13 * SPAN;
	server_sends(&(struct line){.port = 1}, FIN, ISN + 1, CLIENT_ISN + 1, 0);
	syn(&(struct line){.port = 4}, (struct expect)REFUSED_SYN);
	server_sends(&(struct line){.port = 2}, FIN, ISN + 1, CLIENT_ISN + 1, 0);
	syn(&(struct line){.port = 4}, (struct expect)A_SYN);
}

/* ---- counts ---- */

/* What the tool counts is what is open, port by port, and who has carried nothing. */
static void test_counts_of_ports(void **state)
{
	struct lab *lab = *state;
	struct connections count;

	lab->now = 10 * SPAN;
	lab_policy(lab, "ports: {tcp: [5060, 6084], wss: [5062]}");
	opens(&(struct line){.port = 1});
	opens(&(struct line){.client = OTHER, .port = 1});
	opens(&(struct line){.port = 2});
	opens(&(struct line){.port = 3, .to = TLS_PORT});
	opens(&(struct line){.port = 4, .to = 6084});
	syn_ack(&(struct line){.port = 5});
	carries(&(struct line){.port = 1}, 10);
	carries(&(struct line){.port = 3, .to = TLS_PORT}, 1);
	connections_count(way.table[TABLE_CONNECTIONS].memory, SIPDAM_CONNECTION_LINES, &lab->in_force, lab->now,
			  &count);
	assert_int_equal(count.ports, 4);
	assert_int_equal(count.port[0].port, 5060);
	assert_int_equal(count.port[0].kind, SIPDAM_PORTS_TCP);
	assert_int_equal(count.port[0].open, 3);
	assert_int_equal(count.port[0].silent, 2);
	assert_int_equal(count.port[1].port, 6084);
	assert_int_equal(count.port[1].open, 1);
	assert_int_equal(count.port[1].silent, 1);
	assert_int_equal(count.port[2].port, TLS_PORT);
	assert_int_equal(count.port[2].open, 1);
	assert_int_equal(count.port[2].silent, 0);
	assert_int_equal(count.port[3].open, 0);
	assert_int_equal(connections_open(&count), 5);
	connections_count(way.table[TABLE_CONNECTIONS].memory, SIPDAM_CONNECTION_LINES, &lab->in_force,
			  12 * SPAN - 1, &count);
	assert_int_equal(connections_open(&count), 5);
	connections_count(way.table[TABLE_CONNECTIONS].memory, SIPDAM_CONNECTION_LINES, &lab->in_force, 12 * SPAN,
			  &count);
	assert_int_equal(connections_open(&count), 0);
}

/* With another policy the ports have other numbers, and each connection is still of its own. */
static void test_ports_that_change(void **state)
{
	static const struct {
		const char *ports;
		int port[4], open[4];
	} rows[] = {
		{"{tcp: [5060, 6084], wss: [5062]}", {5060, 6084, TLS_PORT, 5062}, {2, 1, 1, 0}},
		{"{tcp: [6084, 5060]}", {6084, 5060, TLS_PORT}, {1, 2, 1}},
		{"{tcp: [6084], tls: [7000, 5060]}", {6084, 7000, 5060}, {1, 0, 2}},
		{"{tcp: [7000], tls: [5060], wss: [6084]}", {7000, 5060, 6084}, {0, 2, 1}},
	};
	struct lab *lab = *state;
	struct sipdam_policy before;
	struct connections count;
	char policy[80];

	for (size_t i = 0; i < COUNT(rows); i++) {
		before = lab->in_force;
		snprintf(policy, sizeof(policy), "ports: %s", rows[i].ports);
		lab_policy(lab, policy);
		if (!i) {
			opens(&(struct line){.port = 1});
			opens(&(struct line){.port = 2});
			opens(&(struct line){.port = 1, .to = 6084});
			opens(&(struct line){.port = 1, .to = TLS_PORT});
			syn_ack(&(struct line){.port = 9});
		} else {
			connections_renumber(way.table[TABLE_CONNECTIONS].memory, SIPDAM_CONNECTION_LINES, &before,
					     &lab->in_force);
		}
		connections_count(way.table[TABLE_CONNECTIONS].memory, SIPDAM_CONNECTION_LINES, &lab->in_force,
				  lab->now, &count);
		for (size_t port = 0; port < count.ports; port++)
			if (count.port[port].port != rows[i].port[port] ||
			    (int)count.port[port].open != rows[i].open[port])
				fail_msg("%s: %u has %llu", policy, count.port[port].port, count.port[port].open);
		assert_int_equal(words(TABLE_CONNECTIONS, is_half), 1);
	}
}

/* Sixteen ports of each kind, and the last of the last kind is none of the others. */
static void test_all_ports(void **state)
{
	char policy[700], *at = policy;
	struct lab *lab = *state;
	struct connections count;

	at += sprintf(at, "ports: {udp: [5060]");
	for (int kind = 0; kind < 4; kind++) {
		static const char *const names[] = {"tcp", "tls", "ws", "wss"};

		at += sprintf(at, ", %s: [", names[kind]);
		for (int i = 0; i < SIPDAM_PORTS_PER_KIND; i++)
			at += sprintf(at, "%d%s", 20000 + 1000 * kind + i, i < 15 ? ", " : "]");
	}
	sprintf(at, "}\nlimits: {unknown: {tcp_syn: unlimited}, network: unlimited}");
	lab_policy(lab, policy);
	for (int kind = 0; kind < 4; kind++)
		for (int i = 0; i < SIPDAM_PORTS_PER_KIND; i++)
			for (int port = 1; port <= 1 + (i + kind) % 3; port++)
				opens(&(struct line){.port = port, .to = 20000 + 1000 * kind + i});
	connections_count(way.table[TABLE_CONNECTIONS].memory, SIPDAM_CONNECTION_LINES, &lab->in_force, lab->now,
			  &count);
	assert_int_equal(count.ports, 4 * SIPDAM_PORTS_PER_KIND);
	for (int i = 0; i < 4 * SIPDAM_PORTS_PER_KIND; i++)
		assert_int_equal(count.port[i].open, 1 + (i % 16 + i / 16) % 3);
}

/* ---- older than the filter ---- */

static void test_met_under_way(void **state)
{
	struct lab *lab = *state;
	const struct line line = {.port = 1};

	lab_policy(lab, "connections: {per_source: 1}");
	server_sends(&line, FLAG_ACK, ISN, 1, 0);
	server_sends(&line, RST | FLAG_ACK, ISN, 1, 5);
	server_sends(&line, FIN, ISN, 1, 5);
	assert_int_equal(open_connections(), 0);
	server_sends(&line, FLAG_ACK | FLAG_PSH, ISN, 1, 5);
	server_sends(&line, FLAG_ACK | FLAG_PSH, ISN + 5, 1, 5);
	assert_int_equal(open_connections(), 1);
	syn(&(struct line){.port = 2}, (struct expect)REFUSED_SYN);
	/* What is sent again after the server's FIN is no connection. */
	server_sends(&line, FIN, ISN + 10, 1, 0);
	server_sends(&line, FLAG_ACK | FLAG_PSH, ISN + 5, 1, 5);
	assert_int_equal(open_connections(), 0);
	syn(&(struct line){.port = 2}, (struct expect)A_SYN);
	/* But one that is opened anew between the same ends is one. */
	opens(&line);
	assert_int_equal(open_connections(), 1);
	server_sends(&line, FLAG_ACK | FLAG_PSH, ISN + 1, CLIENT_ISN + 1, 5);
	assert_int_equal(open_connections(), 1);
}

/* ---- SYN cookies ---- */

#define COOKIES "connections: {syn_cookies: on}\nlimits: {cookies: {rate: 1, burst: 2}, "
#define POOL_OF_ONE "pool: {tcp_syn: {rate: 0.1, burst: 1}}"

static void send_syns(const int reasons[5], int bytes, const char *policy)
{
	way_forget();
	lab_policy(way.lab, policy);
	for (int i = 0; i < 5; i++) {
		char client[32];

		snprintf(client, sizeof(client), "198.51.100.%d", 10 + i);
		if (client_sends(&(struct line){.client = client, .port = 1}, FLAG_SYN, 1, 0, bytes).reason !=
		    reasons[i])
			fail_msg("%s: SYN %d: %s", policy, i, reason_label(way.lab->trial->reason));
	}
}

/* Beyond pool and network SYNs are left to cookies, where they are on, and no more than is left to them. */
static void test_left_to_cookies(void **state)
{
#define PASS SIPDAM_REASON_WITHIN_LIMITS
#define POOL SIPDAM_REASON_POOL_RATE
#define NET  SIPDAM_REASON_NETWORK_RATE
	static const int cookies[] = {PASS, PASS, PASS, POOL, POOL}, none[] = {PASS, POOL, POOL, POOL, POOL},
			 network[] = {PASS, PASS, PASS, NET, NET}, all[] = {PASS, PASS, PASS, PASS, PASS};
	struct lab *lab = *state;

	send_syns(cookies, 0, COOKIES POOL_OF_ONE "}");
	send_syns(none, 0, "limits: {" POOL_OF_ONE "}"); /* a trial's auto */
	send_syns(none, 0, "connections: {syn_cookies: off}\nlimits: {" POOL_OF_ONE "}");
	send_syns(none, 1, COOKIES POOL_OF_ONE "}"); /* with bytes in it */
	send_syns(network, 0, COOKIES "network: {rate: 0.1, burst: 1}}");
	send_syns(all, 0,
		  "connections: {syn_cookies: on}\nlimits: {cookies: unlimited, " POOL_OF_ONE "}");
	lab->now += 10 * SECOND;
	/* A source's own limit stays, and its cap. */
	way_forget();
	lab_policy(lab, COOKIES "unknown: {tcp_syn: {rate: 0.1, burst: 1}}, " POOL_OF_ONE "}");
	syn(&(struct line){.port = 1}, (struct expect)A_SYN);
	syn(&(struct line){.port = 2}, (struct expect)REFUSED_SYN);
}

/* ---- forged segments that hold requests ---- */

#define EXHAUSTED "limits: {pool: {invite: {rate: 0.1, burst: 1}}}"

/* The same at a place of its stream, and with so many words of TCP's options. */
static int sends_at(const struct line *line, __u32 sequence, __u32 acknowledged, const char *text, int options)
{
	struct recipe recipe = {.source = line->client ? line->client : CLIENT,
				.destination = line->server ? line->server : SERVER,
				.protocol = IPPROTO_TCP,
				.port = (__u16)line->to,
				.tcp_options = options,
				.payload = text};
	__u8 *tcp;

	frame_build(&way.lab->frame, &recipe);
	tcp = way.lab->frame.data + way.lab->frame.at[LAYER_TRANSPORT];
	put16(tcp, line->port);
	put32(tcp + 4, sequence);
	put32(tcp + 8, acknowledged);
	*way.lab->trial = (struct sipdam_trial){.now = way.lab->now};
	assert_int_equal(filter_trial_run(way.lab->filter, way.lab->frame.data, way.lab->frame.length), 0);
	return way.lab->trial->reason;
}

static int sends_text(const struct line *line, __u32 acknowledged, const char *text)
{
	return sends_at(line, 0, acknowledged, text, 0);
}

/* Two INVITEs over UDP: with the second one the pool has refused, and strangers must send twice. */
static void exhaust(void)
{
	const struct recipe recipe = {.source = OTHER, .payload = INVITE_TEXT};

	assert_int_equal(lab_try(way.lab, &recipe), SIPDAM_REASON_WITHIN_LIMITS);
	lab_try(way.lab, &recipe);
}

/* INVITEs over UDP, each of a stranger in a network of its own. */
static void invites_of_strangers(int invites)
{
	for (int invite = 0; invite < invites; invite++) {
		char client[32];

		snprintf(client, sizeof(client), "10.8.%d.1", invite);
		lab_try(way.lab, &(struct recipe){.source = client, .payload = INVITE_TEXT});
	}
}

static void test_requests_of_no_connection(void **state)
{
	static const char *const filler = "Via: x\r\nContent-Length: 0\r\n\r\n" INVITE_TEXT;
	static const char *const reply = "SIP/2.0 200 OK\r\n\r\n", *const other = "OPTIONS sip:a@b SIP/2.0\r\n\r\n";
	const struct line open = {.port = 1, .to = SIP_PORT}, half = {.port = 2, .to = SIP_PORT},
			  none = {.port = 3, .to = SIP_PORT}, tls = {.port = 4, .to = TLS_PORT},
			  later = {.port = 5, .to = SIP_PORT};
	struct lab *lab = *state;

	lab_policy(lab, EXHAUSTED "\nverify: {hold: 20s}");
	opens(&open);
	syn_ack(&half);
	assert_int_equal(sends_text(&none, 1, INVITE_TEXT), SIPDAM_REASON_WITHIN_LIMITS); /* not yet */
	way_forget();
	opens(&open);
	syn_ack(&half);
	exhaust();
	assert_int_equal(sends_text(&none, 1, INVITE_TEXT), SIPDAM_REASON_UNVERIFIED);
	assert_int_equal(sends_text(&none, 1, filler), SIPDAM_REASON_UNVERIFIED);
	assert_int_equal(sends_text(&none, 1, reply), SIPDAM_REASON_WITHIN_LIMITS);
	assert_int_equal(sends_text(&none, 1, other), SIPDAM_REASON_WITHIN_LIMITS);
	assert_int_equal(sends_text(&tls, 1, INVITE_TEXT), SIPDAM_REASON_WITHIN_LIMITS);
	assert_int_equal(sends_text(&open, 1, INVITE_TEXT), SIPDAM_REASON_POOL_RATE);
	assert_int_equal(sends_text(&half, ISN + 1, INVITE_TEXT), SIPDAM_REASON_POOL_RATE);
	assert_int_equal(sends_text(&half, ISN + 2, INVITE_TEXT), SIPDAM_REASON_UNVERIFIED);
	lab->now += 10 * SECOND; /* the pool has one, and for its refusals above it goes on */
	assert_int_equal(sends_text(&later, 1, INVITE_TEXT), SIPDAM_REASON_UNVERIFIED);
	assert_int_equal(sends_text(&open, 1, INVITE_TEXT), SIPDAM_REASON_WITHIN_LIMITS);
	lab->now += 30 * SECOND; /* over */
	assert_int_equal(sends_text(&none, 1, INVITE_TEXT), SIPDAM_REASON_WITHIN_LIMITS);
}

/* What begins a ClientHello, in a record of TLS. */
#define HELLO_TEXT "\x16\3\1\1\1\1"

/* Who asks for TLS or a WebSocket while others have used their pool up must be of a connection; nobody else. */
static void test_handshakes_of_no_connection(void **state)
{
	static const struct {
		const char *class, *text, *other;
		int to;
	} rows[] = {{"tls_hello", HELLO_TEXT, "\x17\3\1\1\1\1", TLS_PORT},
		    {"ws_upgrade", "GET / HTTP/1.1\r\n", "PUT / HTTP/1.1\r\n", 8080}};
	struct lab *lab = *state;
	char policy[160];

	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct line open = {.port = 1, .to = rows[i].to}, half = {.port = 2, .to = rows[i].to},
				  none = {.port = 3, .to = rows[i].to}, clear = {.port = 3, .to = SIP_PORT},
				  later = {.port = 5, .to = rows[i].to},
				  elsewhere = {.client = OTHER, .port = 3, .to = rows[i].to};

		lab_forget(lab);
		snprintf(policy, sizeof(policy),
			 "ports: {ws: [8080]}\nlimits: {pool: {%s: {rate: 0.1, burst: 1}}}\nverify: {hold: 20s}",
			 rows[i].class);
		lab_policy(lab, policy);
		/* Whether there is a connection is not to be known: answers are not seen here. */
		way_forget();
		assert_int_equal(sends_text(&none, 1, rows[i].text), SIPDAM_REASON_WITHIN_LIMITS);
		assert_int_equal(sends_text(&none, 1, rows[i].text), SIPDAM_REASON_POOL_RATE);
		assert_int_equal(sends_text(&none, 1, rows[i].text), SIPDAM_REASON_POOL_RATE);
		way_forget();
		opens(&open);
		syn_ack(&half);
		/* Until the pool refuses for the first time it has no reason to ask. */
		assert_int_equal(sends_text(&none, 1, rows[i].text), SIPDAM_REASON_WITHIN_LIMITS);
		assert_int_equal(sends_text(&none, 1, rows[i].text), SIPDAM_REASON_POOL_RATE);
		assert_int_equal(sends_text(&none, 1, rows[i].text), SIPDAM_REASON_UNVERIFIED);
		assert_int_equal(sends_text(&elsewhere, ISN + 1, rows[i].text), SIPDAM_REASON_UNVERIFIED);
		assert_int_equal(sends_text(&half, ISN + 2, rows[i].text), SIPDAM_REASON_UNVERIFIED);
		assert_int_equal(sends_text(&half, ISN + 1, rows[i].text), SIPDAM_REASON_POOL_RATE);
		assert_int_equal(sends_text(&open, 1, rows[i].text), SIPDAM_REASON_POOL_RATE);
		assert_int_equal(sends_text(&none, 1, rows[i].other), SIPDAM_REASON_WITHIN_LIMITS);
		assert_int_equal(sends_text(&clear, 1, INVITE_TEXT), SIPDAM_REASON_WITHIN_LIMITS);
		lab->now += 10 * SECOND; /* the pool has one, which those of no connection leave to others */
		assert_int_equal(sends_text(&later, 1, rows[i].text), SIPDAM_REASON_UNVERIFIED);
		assert_int_equal(sends_text(&open, 1, rows[i].text), SIPDAM_REASON_WITHIN_LIMITS);
		assert_int_equal(lab_know(lab, CLIENT, true, 0, HOUR), 0);
		assert_int_equal(sends_text(&none, 1, rows[i].text), SIPDAM_REASON_TRUSTED);
		lab_disown(lab);
		lab->now += 10 * SECOND; /* over */
		assert_int_equal(sends_text(&none, 1, rows[i].text), SIPDAM_REASON_WITHIN_LIMITS);
	}
}

/*
 * Data as well, once its own pool has refused: what is forged is not to drain it. The opening of a connection, and
 * what the kernel needs to complete it, are no data.
 */
static void test_data_of_no_connection(void **state)
{
	static const char data[] = "\x17\3\1\1\1\1";
	static char request[700];
	const struct line open = {.port = 1, .to = TLS_PORT}, half = {.port = 2, .to = TLS_PORT},
			  none = {.port = 3, .to = TLS_PORT}, clear = {.port = 3, .to = SIP_PORT},
			  clear_open = {.port = 4, .to = SIP_PORT}, later = {.port = 5, .to = TLS_PORT};
	const struct recipe syn = {.protocol = IPPROTO_TCP, .port = TLS_PORT, .payload = data, .flags = 2};
	const struct recipe large = {.protocol = IPPROTO_TCP, .port = TLS_PORT, .payload = data, .fill = 1025};
	struct lab *lab = *state;

	snprintf(request, sizeof(request), "%-600s", INVITE_TEXT);
	lab_policy(lab, "limits: {pool: {tcp_data: {rate: 0.1, burst: 2}}}\nverify: {hold: 20s}");
	way_forget();
	assert_int_equal(sends_text(&none, 1, data), SIPDAM_REASON_WITHIN_LIMITS);
	assert_int_equal(lab_try(lab, &large), SIPDAM_REASON_POOL_RATE); /* three tokens, of one */
	assert_int_equal(sends_text(&none, 1, data), SIPDAM_REASON_WITHIN_LIMITS); /* answers are not seen here */
	way_forget();
	opens(&open);
	opens(&clear_open);
	syn_ack(&half);
	lab->now += 20 * SECOND; /* two tokens, after the acknowledgements of those who opened */
	assert_int_equal(sends_text(&none, 1, data), SIPDAM_REASON_WITHIN_LIMITS);
	assert_int_equal(lab_try(lab, &large), SIPDAM_REASON_POOL_RATE);
	assert_int_equal(sends_text(&none, 1, data), SIPDAM_REASON_UNVERIFIED);
	assert_int_equal(sends_text(&half, ISN + 2, data), SIPDAM_REASON_UNVERIFIED);
	assert_int_equal(sends_text(&clear, 1, request), SIPDAM_REASON_UNVERIFIED);
	assert_int_equal(sends_text(&clear, 1, INVITE_TEXT), SIPDAM_REASON_WITHIN_LIMITS); /* costs no data */
	assert_int_equal(sends_text(&open, 1, data), SIPDAM_REASON_WITHIN_LIMITS); /* what forged ones have left */
	assert_int_equal(sends_text(&open, 1, data), SIPDAM_REASON_POOL_RATE);
	assert_int_equal(lab_try(lab, &syn), SIPDAM_REASON_POOL_RATE);
	lab->now += 10 * SECOND;
	assert_int_equal(sends_text(&later, 1, data), SIPDAM_REASON_UNVERIFIED);
	assert_int_equal(sends_text(&half, ISN + 1, data), SIPDAM_REASON_WITHIN_LIMITS);
	assert_int_equal(lab_know(lab, CLIENT, true, 0, HOUR), 0);
	assert_int_equal(sends_text(&none, 1, data), SIPDAM_REASON_TRUSTED);
	lab_disown(lab);
	lab->now += 10 * SECOND; /* over */
	assert_int_equal(sends_text(&none, 1, data), SIPDAM_REASON_WITHIN_LIMITS);
}

/* Who is known needs no proof; nor does anybody where none can be had, or none is asked for. */
static void test_who_needs_no_connection(void **state)
{
	const struct line none = {.port = 3, .to = SIP_PORT}, later = {.port = 5, .to = SIP_PORT};
	struct lab *lab = *state;

	lab_policy(lab, EXHAUSTED);
	exhaust();
	assert_int_equal(sends_text(&none, 1, INVITE_TEXT), SIPDAM_REASON_POOL_RATE); /* answers are not seen */
	syn_ack(&(struct line){.port = 9});
	assert_int_equal(sends_text(&none, 1, INVITE_TEXT), SIPDAM_REASON_UNVERIFIED);
	assert_int_equal(lab_know(lab, CLIENT, true, 0, HOUR), 0);
	assert_int_equal(sends_text(&none, 1, INVITE_TEXT), SIPDAM_REASON_TRUSTED);
	lab_disown(lab);
	lab_policy(lab, EXHAUSTED "\nverify: {enabled: false}");
	assert_int_equal(sends_text(&none, 1, INVITE_TEXT), SIPDAM_REASON_POOL_RATE);
	lab_policy(lab, EXHAUSTED "\nverify: {hold: 2h}");
	lab->now += HOUR - 1;
	assert_int_equal(sends_text(&later, 1, INVITE_TEXT), SIPDAM_REASON_UNVERIFIED);
	lab->now += 1;
	assert_int_equal(sends_text(&later, 1, INVITE_TEXT), SIPDAM_REASON_WITHIN_LIMITS);
}

/* ---- on a router, connections that the table has forgotten ---- */

#define MILLISECOND (SECOND / 1000)

/*
 * Their segments go on to the pools when they come again, as TCP sends them: known by both ends and the sequence
 * number, for what is sent again may be more, or less, with other options; and not sooner, or much later.
 */
static void test_sent_again_on_a_forgotten_connection(void **state)
{
	static const char *const shorter = "INVITE sip:a@b SIP/2.0\r\n",
				 *const longer = INVITE_TEXT "X: x\r\n" INVITE_TEXT INVITE_TEXT INVITE_TEXT;
	static const struct line old = {.port = 3, .to = SIP_PORT};
	static const struct {
		const char *name;
		struct line line;
		__u32 sequence, acknowledged;
		const char *text;
		int options, after; /* milliseconds */
		int reason;
	} rows[] = {
		{"the same", old, 1000, 1, INVITE_TEXT, 0, 250, SIPDAM_REASON_WITHIN_LIMITS},
		{"more of it", old, 1000, 1, longer, 0, 250, SIPDAM_REASON_WITHIN_LIMITS},
		{"less of it", old, 1000, 1, shorter, 0, 250, SIPDAM_REASON_WITHIN_LIMITS},
		{"with options", old, 1000, 1, INVITE_TEXT, 3, 250, SIPDAM_REASON_WITHIN_LIMITS},
		{"what the client has got since", old, 1000, 777, INVITE_TEXT, 0, 250, SIPDAM_REASON_WITHIN_LIMITS},
		{"what comes next", old, 1001, 1, INVITE_TEXT, 0, 250, SIPDAM_REASON_UNVERIFIED},
		{"far behind it", old, 1000 + (1 << 16), 1, INVITE_TEXT, 0, 250, SIPDAM_REASON_UNVERIFIED},
		{"another port", {.port = 4, .to = SIP_PORT}, 1000, 1, INVITE_TEXT, 0, 250, SIPDAM_REASON_UNVERIFIED},
		{"another client", {.client = OTHER, .port = 3, .to = SIP_PORT}, 1000, 1, INVITE_TEXT, 0, 250,
		 SIPDAM_REASON_UNVERIFIED},
		{"another server", {.server = "198.51.100.7", .port = 3, .to = SIP_PORT}, 1000, 1, INVITE_TEXT, 0, 250,
		 SIPDAM_REASON_UNVERIFIED},
		{"another service", {.port = 3, .to = 5070}, 1000, 1, INVITE_TEXT, 0, 250, SIPDAM_REASON_UNVERIFIED},
		{"at once", old, 1000, 1, INVITE_TEXT, 0, 0, SIPDAM_REASON_UNVERIFIED},
		{"too soon", old, 1000, 1, INVITE_TEXT, 0, 180, SIPDAM_REASON_UNVERIFIED},
		{"soon", old, 1000, 1, INVITE_TEXT, 0, 201, SIPDAM_REASON_WITHIN_LIMITS},
		{"late", old, 1000, 1, INVITE_TEXT, 0, 31990, SIPDAM_REASON_WITHIN_LIMITS},
		{"too late", old, 1000, 1, INVITE_TEXT, 0, 32010, SIPDAM_REASON_UNVERIFIED},
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(rows); i++) {
		way_forget();
		lab->now = LAB_START;
		lab_policy(lab, "ports: {tcp: [5060, 5070]}\nverify: {hold: 2h}\n"
				"limits: {network: unlimited, pool: {invite: {rate: 1, burst: 100}}}");
		syn_ack(&(struct line){.port = 9});
		invites_of_strangers(101);
		lab->now += 100 * SECOND;
		assert_int_equal(sends_at(&old, 1000, 1, INVITE_TEXT, 0), SIPDAM_REASON_UNVERIFIED);
		lab->now += rows[i].after * MILLISECOND;
		if (sends_at(&rows[i].line, rows[i].sequence, rows[i].acknowledged, rows[i].text, rows[i].options) !=
		    rows[i].reason)
			fail_msg("%s: %s", rows[i].name, reason_label(lab->trial->reason));
	}
}

/* What is asked is on while the pool has refused within this time, of a class as strangers have it. */
#define HALVES "limits: {network: unlimited, unknown: {%s: unlimited}, pool: {%s: {rate: 10, burst: 20}}}\n"          \
	       "ports: {ws: [8080]}\nverify: {hold: 2h}"

/* Segments of connections that nobody knows, as many as there are; how many passed. */
static int forged_pass(int port, const char *text)
{
	int passed = 0;

	for (int host = 1; host <= 25; host++) {
		struct line forged = {.port = host, .to = port};
		char client[32];

		snprintf(client, sizeof(client), "10.6.0.%d", host);
		forged.client = client;
		passed += sends_text(&forged, 1, text) == SIPDAM_REASON_WITHIN_LIMITS;
	}
	return passed;
}

/* What a known connection has of the pool, which refuses it then. */
static int known_pass(const struct line *line, const char *text)
{
	int passed = 0;

	while (sends_text(line, 1, text) == SIPDAM_REASON_WITHIN_LIMITS)
		passed++;
	assert_int_equal(way.lab->trial->reason, SIPDAM_REASON_POOL_RATE);
	return passed;
}

/*
 * Who forges segments can send each of them twice, and then as often and as fast as he likes: he has half of the
 * burst and half of the rate, and known connections have the other half, or all where nobody does.
 */
static void test_half_is_for_known_connections(void **state)
{
	static char request[700];
	static const struct {
		const char *class, *text;
		int to;
	} rows[] = {{"tcp_data", "\x17\3\1\1\1\1", TLS_PORT},
		    {"tls_hello", HELLO_TEXT, TLS_PORT},
		    {"ws_upgrade", "GET / HTTP/1.1\r\n", 8080},
		    {"invite", INVITE_TEXT, SIP_PORT},
		    {"invite", request, SIP_PORT}};
	struct lab *lab = *state;
	char policy[256];

	snprintf(request, sizeof(request), "%-600s", INVITE_TEXT);
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct line open = {.port = 1, .to = rows[i].to};
		int known = 0, forged = 0;

		way_forget();
		lab->now = LAB_START;
		snprintf(policy, sizeof(policy), HALVES, rows[i].class, rows[i].class);
		lab_policy(lab, policy);
		opens(&open);
		known_pass(&open, rows[i].text);
		assert_int_equal(forged_pass(rows[i].to, rows[i].text), 0);
		lab->now += 10 * SECOND;
		assert_int_equal(forged_pass(rows[i].to, rows[i].text), 10);
		assert_int_equal(known_pass(&open, rows[i].text), 10);
		for (int tick = 0; tick < 1000; tick++) {
			lab->now += 10 * MILLISECOND;
			forged += forged_pass(rows[i].to, rows[i].text);
			known += known_pass(&open, rows[i].text);
		}
		if (forged != 50 || known != 50)
			fail_msg("%s: %d forged, %d known", rows[i].class, forged, known);
		for (int tick = 0; tick < 100; tick++) {
			lab->now += 10 * MILLISECOND;
			known += known_pass(&open, rows[i].text);
		}
		assert_int_equal(known, 60);
	}
}

/* Of several pools it draws on half of each, or on none. */
static void test_half_of_each_pool(void **state)
{
	static char request[700];
	const struct line open = {.port = 1, .to = SIP_PORT}, old = {.port = 3, .to = SIP_PORT};
	struct lab *lab = *state;

	snprintf(request, sizeof(request), "%-600s", INVITE_TEXT);
	lab_policy(lab, "limits: {pool: {invite: {rate: 0.01, burst: 4}, tcp_data: {rate: 0.01, burst: 2}}}\n"
			"verify: {hold: 2h}");
	opens(&open);
	known_pass(&open, INVITE_TEXT);
	lab->now += 1000 * SECOND;
	assert_int_equal(sends_text(&old, 1, request), SIPDAM_REASON_UNVERIFIED);
	lab->now += 250 * MILLISECOND;
	assert_int_equal(sends_text(&old, 1, request), SIPDAM_REASON_WITHIN_LIMITS);
	assert_int_equal(sends_text(&old, 1, request), SIPDAM_REASON_POOL_RATE); /* half of the data */
	assert_int_equal(sends_text(&old, 1, INVITE_TEXT), SIPDAM_REASON_WITHIN_LIMITS);
	assert_int_equal(sends_text(&old, 1, INVITE_TEXT), SIPDAM_REASON_POOL_RATE); /* half of the INVITEs */
	assert_int_equal(sends_text(&open, 1, request), SIPDAM_REASON_WITHIN_LIMITS);
	assert_int_equal(known_pass(&open, INVITE_TEXT), 1);
}

/* The refusal that begins verification remembers no segment: TCP's second copy is the first that is, its third goes on. */
static void test_sent_again_since_verification_began(void **state)
{
	const struct line old = {.port = 3, .to = SIP_PORT};
	struct lab *lab = *state;

	lab_policy(lab, "limits: {pool: {invite: {rate: 1, burst: 4}}}\nverify: {hold: 20s}");
	syn_ack(&(struct line){.port = 9});
	invites_of_strangers(4);
	assert_int_equal(sends_text(&old, 1, INVITE_TEXT), SIPDAM_REASON_POOL_RATE);
	lab->now += 250 * MILLISECOND;
	assert_int_equal(sends_text(&old, 1, INVITE_TEXT), SIPDAM_REASON_UNVERIFIED);
	lab->now += SECOND;
	assert_int_equal(sends_text(&old, 1, INVITE_TEXT), SIPDAM_REASON_WITHIN_LIMITS);
}

/* The network's limit is asked before, as of all strangers. */
static void test_sent_again_in_a_loud_network(void **state)
{
	const struct line old = {.port = 3, .to = SIP_PORT}, other = {.port = 4, .to = SIP_PORT},
			  elsewhere = {.client = "10.7.0.1", .port = 3, .to = SIP_PORT};
	struct lab *lab = *state;

	lab_policy(lab, "limits: {network: {rate: 0.1, burst: 1}, pool: {invite: {rate: 0.1, burst: 4}}}\n"
			"verify: {hold: 2h}");
	syn_ack(&(struct line){.port = 9});
	invites_of_strangers(5);
	lab->now += 100 * SECOND;
	assert_int_equal(sends_text(&old, 1, INVITE_TEXT), SIPDAM_REASON_UNVERIFIED);
	assert_int_equal(sends_text(&other, 1, INVITE_TEXT), SIPDAM_REASON_UNVERIFIED);
	assert_int_equal(sends_text(&elsewhere, 1, INVITE_TEXT), SIPDAM_REASON_UNVERIFIED);
	lab->now += 250 * MILLISECOND;
	assert_int_equal(sends_text(&old, 1, INVITE_TEXT), SIPDAM_REASON_WITHIN_LIMITS);
	assert_int_equal(sends_text(&other, 1, INVITE_TEXT), SIPDAM_REASON_NETWORK_RATE);
	assert_int_equal(sends_text(&elsewhere, 1, INVITE_TEXT), SIPDAM_REASON_WITHIN_LIMITS); /* of half */
	assert_int_equal(sends_text(&elsewhere, 1, INVITE_TEXT), SIPDAM_REASON_NETWORK_RATE);
}

/* A pool that refuses what came again has refused; a half of one that has tokens left has not. */
static void test_what_prolongs_the_proof(void **state)
{
	const struct line old = {.port = 3, .to = SIP_PORT}, later = {.port = 5, .to = SIP_PORT};
	struct lab *lab = *state;

	for (int half = 0; half < 2; half++) {
		__u64 from;

		way_forget();
		lab->now = LAB_START;
		lab_policy(lab, half ? "limits: {pool: {invite: {rate: 1, burst: 4}}}\nverify: {hold: 20s}"
				     : "limits: {pool: {invite: {rate: 0.01, burst: 4}}}\nverify: {hold: 20s}");
		syn_ack(&(struct line){.port = 9});
		invites_of_strangers(5);
		from = lab->now;
		lab->now = from + 10 * SECOND;
		assert_int_equal(sends_text(&old, 1, INVITE_TEXT), SIPDAM_REASON_UNVERIFIED);
		lab->now = from + 11 * SECOND;
		for (int times = 0; times < 2 * half; times++)
			assert_int_equal(sends_text(&old, 1, INVITE_TEXT), SIPDAM_REASON_WITHIN_LIMITS);
		assert_int_equal(sends_text(&old, 1, INVITE_TEXT), SIPDAM_REASON_POOL_RATE);
		lab->now = from + 21 * SECOND;
		assert_int_equal(sends_text(&later, 1, INVITE_TEXT),
				 half ? SIPDAM_REASON_WITHIN_LIMITS : SIPDAM_REASON_UNVERIFIED);
	}
}

/* The server's data tells that it is one. */
static void test_remembered_by_what_the_server_sends(void **state)
{
	const struct line old = {.port = 3, .to = TLS_PORT}, open = {.port = 1, .to = TLS_PORT};
	static const char data[] = "\x17\3\1\1\1\1";
	struct lab *lab = *state;
	char policy[256];

	snprintf(policy, sizeof(policy), HALVES, "tcp_data", "tcp_data");
	lab_policy(lab, policy);
	opens(&open);
	known_pass(&open, data);
	lab->now += 10 * SECOND;
	assert_int_equal(sends_at(&old, 1000, 1, data, 0), SIPDAM_REASON_UNVERIFIED);
	assert_int_equal(client_sends(&old, FLAG_ACK, 2000, 1, 0).reason, SIPDAM_REASON_UNVERIFIED);
	lab->now += 250 * MILLISECOND;
	assert_int_equal(client_sends(&old, FLAG_ACK, 2000, 1, 0).reason, SIPDAM_REASON_WITHIN_LIMITS);
	assert_int_equal(sends_at(&old, 1000, 1, data, 0), SIPDAM_REASON_WITHIN_LIMITS);
	assert_int_equal(sends_at(&old, 1006, 1, data, 0), SIPDAM_REASON_UNVERIFIED);
	server_sends(&old, FLAG_ACK | FLAG_PSH, ISN, 1006, 5);
	assert_int_equal(sends_at(&old, 1006, 1, data, 0), SIPDAM_REASON_WITHIN_LIMITS);
}

/* ---- full tables ---- */

static __u64 keyed(__u64 high, __u64 low)
{
	return sipdam_hash(&way.lab->known.table.secret, high, low);
}

static __u64 hash_of(const char *client, int port)
{
	struct {
		__u64 high, low;
	} from = {}, to = {};
	__u8 mapped[2] = {0xff, 0xff};

	memcpy((char *)&from.low + 2, mapped, 2);
	memcpy((char *)&to.low + 2, mapped, 2);
	inet_pton(AF_INET, SERVER, (char *)&from.low + 4);
	inet_pton(AF_INET, client, (char *)&to.low + 4);
	return keyed(((__u64)port << 16 | SIP_PORT) ^ keyed(from.high, from.low), to.low);
}

/* Which line a connection has. */
static __u32 line_of(const char *client, int port)
{
	return hash_of(client, port) & (SIPDAM_CONNECTION_LINES - 1);
}

/* The next port of a client whose connections have this line, or 0. */
static int port_of_line(const char *client, __u32 line, int after)
{
	for (int port = after + 1; port < 65536; port++)
		if (line_of(client, port) == line)
			return port;
	return 0;
}

/*
 * Openings never push an open connection out, however many. One more than its line holds is not remembered,
 * and that is counted.
 */
static void test_full_line(void **state)
{
	__u32 line = line_of(CLIENT, 1);
	__u64 refused = events(SIPDAM_CONNECTION_REFUSED);
	int opened = 0, flood = 0;
	char client[32];

	(void)state;
	for (int host = 1; opened < SIPDAM_WAYS; host++) {
		int port;

		snprintf(client, sizeof(client), "10.0.%d.%d", host / 250, host % 250 + 1);
		port = port_of_line(client, line, 0);
		if (!port)
			continue;
		opens(&(struct line){.client = client, .port = port});
		opened++;
		assert_int_equal(open_connections(), opened);
		/* As many openings again, of the same line. */
		for (int forged = 1; flood < 8 * opened; forged++) {
			snprintf(client, sizeof(client), "10.1.%d.%d", flood, forged % 250 + 1);
			port = port_of_line(client, line, 0);
			if (!port)
				continue;
			syn_ack(&(struct line){.client = client, .port = port});
			flood++;
		}
		assert_int_equal(open_connections(), opened);
		assert_int_equal(words(TABLE_CONNECTIONS, is_half), SIPDAM_WAYS - opened);
	}
	assert_int_equal(events(SIPDAM_CONNECTION_REFUSED) - refused, 8);
	assert_int_equal(words(TABLE_LEVELS, is_any), SIPDAM_WAYS);
}

/*
 * What is left of a connection outlives a flood of openings: what the server sends again before its FIN is none.
 * When it can send nothing more, it gives way before any opening.
 */
static void test_end_in_a_flood(void **state)
{
	const struct line line = {.port = 1};
	__u32 at = line_of(CLIENT, 1);
	struct lab *lab = *state;
	int forged = 0;

	for (int times = 0; times < 2; times++) {
		way_forget();
		lab->now = LAB_START;
		opens(&line);
		server_sends(&line, FIN, ISN + 6, CLIENT_ISN + 1, 0);
		lab->now += (times ? 130 : 127) * SECOND;
		for (int flood = 0; flood < (times ? SIPDAM_WAYS : 40); forged++) {
			char client[32];
			int port;

			snprintf(client, sizeof(client), "10.2.%d.%d", forged / 250, forged % 250 + 1);
			port = port_of_line(client, at, 0);
			if (!port)
				continue;
			syn_ack(&(struct line){.client = client, .port = port});
			flood++;
		}
		assert_int_equal(words(TABLE_CONNECTIONS, is_half), SIPDAM_WAYS - !times);
		server_sends(&line, FLAG_ACK | FLAG_PSH, ISN + 1, CLIENT_ISN + 1, 5); /* again */
		assert_int_equal(open_connections(), times);
	}
}

/* So many connections of other clients that lie in one line, the first being that of port 1 of CLIENT. */
static void lie_in_a_line(struct line *lines, char clients[][32], int count)
{
	__u32 at = line_of(CLIENT, 1);
	int found = 1;

	lines[0] = (struct line){.port = 1};
	for (int host = 1; found < count; host++) {
		int port;

		snprintf(clients[found], 32, "10.3.%d.%d", host / 250, host % 250 + 1);
		port = port_of_line(clients[found], at, 0);
		if (!port)
			continue;
		lines[found] = (struct line){.client = clients[found], .port = port};
		found++;
	}
}

/* Which of them are open once all have sent the third segment: a bit each. */
static int open_of(const struct line *lines, int count)
{
	int open = 0, before = 0;

	for (int i = 0; i < count; i++) {
		ack(&lines[i]);
		open |= (open_connections() != before) << i;
		before = open_connections();
	}
	return open;
}

/* What gives way to an opening: what is left of others, then connections that are forgotten, then the oldest opening. */
static void test_what_gives_way(void **state)
{
	static char clients[2 * SIPDAM_WAYS][32];
	static struct line lines[2 * SIPDAM_WAYS];
	const struct line *more = lines + SIPDAM_WAYS;
	struct lab *lab = *state;
	__u64 silent;

	lie_in_a_line(lines, clients, COUNT(lines));
	/* The oldest opening, and neither the first nor the last one. */
	for (int i = 0; i < SIPDAM_WAYS; i++) {
		lab->now = LAB_START + (i == 3 ? 0 : 10 + i) * SECOND;
		syn_ack(&lines[i]);
	}
	lab->now = LAB_START + 20 * SECOND;
	syn_ack(&more[0]);
	assert_int_equal(open_of(lines, SIPDAM_WAYS + 1), 0x1ff & ~(1 << 3));
	/* One that was reset, before openings that are older. */
	way_forget();
	for (int i = 0; i < SIPDAM_WAYS - 1; i++)
		syn_ack(&lines[i]);
	lab->now += 10 * SECOND;
	opens(&lines[SIPDAM_WAYS - 1]);
	client_sends(&lines[SIPDAM_WAYS - 1], RST, CLIENT_ISN + 1, ISN + 1, 0);
	syn_ack(&more[0]);
	assert_int_equal(words(TABLE_CONNECTIONS, is_half), SIPDAM_WAYS);
	/* One that has ended, the longest ago, before it cannot be told any more; and none that is open. */
	way_forget();
	for (int i = 0; i < SIPDAM_WAYS; i++)
		opens(&lines[i]);
	for (int i = 1; i < 4; i++) {
		lab->now = LAB_START + (i == 2 ? 30 : 40 + i) * SECOND;
		server_sends(&lines[i], FIN, ISN + 6, CLIENT_ISN + 1, 0);
	}
	syn_ack(&more[0]);
	assert_int_equal(words(TABLE_CONNECTIONS, is_half), 1);
	server_sends(&lines[1], FLAG_ACK | FLAG_PSH, ISN + 1, CLIENT_ISN + 1, 5); /* again: their end is known */
	server_sends(&lines[3], FLAG_ACK | FLAG_PSH, ISN + 1, CLIENT_ISN + 1, 5);
	assert_int_equal(open_connections(), SIPDAM_WAYS - 3);
	server_sends(&lines[2], FLAG_ACK | FLAG_PSH, ISN + 1, CLIENT_ISN + 1, 5);
	assert_int_equal(words(TABLE_CONNECTIONS, is_half), 0);
	assert_int_equal(open_connections(), SIPDAM_WAYS - 3 + 1);
	/* Nor does one that is open give way to one that is met. */
	way_forget();
	for (int i = 0; i < SIPDAM_WAYS; i++)
		opens(&lines[i]);
	server_sends(&more[0], FLAG_ACK | FLAG_PSH, ISN + 1, CLIENT_ISN + 1, 5);
	for (int i = 0; i < SIPDAM_WAYS; i++)
		server_sends(&lines[i], RST | FLAG_ACK, ISN + 1, CLIENT_ISN + 1, 0);
	assert_int_equal(open_connections(), 0);
	/* Connections that are forgotten, and those that never carried a byte are counted. */
	way_forget();
	lab->now = 10 * SPAN;
	for (int i = 0; i < SIPDAM_WAYS; i++) {
		opens(&lines[i]);
		if (i < 3)
			carries(&lines[i], 10);
	}
	lab->now = 12 * SPAN - 1;
	syn_ack(&more[0]);
	assert_int_equal(words(TABLE_CONNECTIONS, is_half), 0);
	lab->now = 12 * SPAN;
	silent = events(SIPDAM_CONNECTION_SILENT);
	for (int i = 0; i < SIPDAM_WAYS; i++)
		syn_ack(&more[i]);
	assert_int_equal(words(TABLE_CONNECTIONS, is_half), SIPDAM_WAYS);
	assert_int_equal(events(SIPDAM_CONNECTION_SILENT) - silent, SIPDAM_WAYS - 3);
	/* Whose openings give way once more. */
	lab->now += SECOND;
	for (int i = 0; i < SIPDAM_WAYS; i++)
		syn_ack(&lines[i]);
	assert_int_equal(events(SIPDAM_CONNECTION_SILENT) - silent, SIPDAM_WAYS - 3);
}

/* A connection whose words have a tag of 0, which a free one has too. */
static void test_tag_of_none(void **state)
{
	struct line line = {};
	char client[32];

	(void)state;
	for (int host = 1; !line.port; host++) {
		snprintf(client, sizeof(client), "10.4.%d.%d", host / 250, host % 250 + 1);
		for (int port = 1; port < 65536 && !line.port; port++)
			if (!(hash_of(client, port) >> SIPDAM_CONNECTION_TAG_SHIFT))
				line = (struct line){.client = client, .port = port};
	}
	server_sends(&line, FLAG_ACK | FLAG_PSH, ISN, 1, 5);
	assert_int_equal(open_connections(), 1);
	server_sends(&line, FIN, ISN + 5, 1, 0);
	assert_int_equal(open_connections(), 0);
	opens(&line);
	assert_int_equal(open_connections(), 1);
	assert_int_equal(words(TABLE_CONNECTIONS, is_any), 1);
}

/* What lies in one line is told apart: nobody opens, ends or proves a connection with another one's numbers. */
static void test_others_of_a_line(void **state)
{
	static char clients[2][32];
	static struct line lines[2];
	struct lab *lab = *state;

	lie_in_a_line(lines, clients, COUNT(lines));
	syn_ack(&lines[0]);
	ack(&lines[1]);
	assert_int_equal(open_connections(), 0);
	lab_policy(lab, EXHAUSTED);
	exhaust();
	assert_int_equal(sends_text(&lines[1], ISN + 1, INVITE_TEXT), SIPDAM_REASON_UNVERIFIED);
	assert_int_equal(sends_text(&lines[0], ISN + 1, INVITE_TEXT), SIPDAM_REASON_POOL_RATE);
	ack(&lines[0]);
	assert_int_equal(open_connections(), 1);
	client_sends(&lines[1], RST, CLIENT_ISN + 1, ISN + 1, 0);
	assert_int_equal(open_connections(), 1);
	client_sends(&lines[0], RST, CLIENT_ISN + 1, ISN + 1, 0);
	assert_int_equal(open_connections(), 0);
}

/* A source whose count gave way to others takes nothing from theirs when its connection ends. */
static void test_end_of_a_displaced_count(void **state)
{
	struct sipdam_line *line = way.table[TABLE_LEVELS].memory, others = {};
	const struct line one = {.port = 1};
	struct lab *lab = *state;
	size_t at = 0;

	opens(&one);
	while (!line[at].word[0])
		at++;
	for (int place = 0; place < SIPDAM_WAYS; place++)
		others.word[place] = line[at].word[0] ^ (__u64)(place + 1) << 48;
	line[at] = others;
	server_sends(&one, RST | FLAG_ACK, ISN + 1, CLIENT_ISN + 1, 0);
	assert_int_equal(open_connections(), 0);
	assert_memory_equal(&line[at], &others, sizeof(others));
	lab_policy(lab, TWO);
	opens(&one); /* and one more of it takes a place, which is counted */
	assert_int_equal(events(SIPDAM_CONNECTION_DISPLACED), 1);
	assert_int_equal(words(TABLE_LEVELS, is_any), SIPDAM_WAYS);
	syn(&(struct line){.port = 2}, (struct expect)A_SYN); /* it has one, and not those of who gave way */
}

/* Where in the counts a source's word is. */
static size_t level_at(void)
{
	const struct sipdam_line *line = way.table[TABLE_LEVELS].memory;
	size_t at = 0;

	while (!memcmp(&line[at], &(struct sipdam_line){}, sizeof(*line)))
		at++;
	return at;
}

/* An address of a source whose words have a tag of 0, which a free one has too. */
static void find_tagless(char client[32])
{
	__u64 low = 0;

	for (__u32 host = 1; !low; host++) {
		__u8 bytes[8] = {0, 0, 0xff, 0xff, 10, host >> 16, host >> 8, host};

		memcpy(&low, bytes, sizeof(low));
		snprintf(client, 32, "10.%u.%u.%u", host >> 16, host >> 8 & 0xff, host & 0xff);
		if (keyed(0, low) >> 48)
			low = 0;
	}
}

/* A source's count is its own, wherever in its line: behind those of others, and behind free places. */
static void test_counts_of_one_line(void **state)
{
	static const char *const clients[] = {CLIENT, NULL};
	struct sipdam_line *line = way.table[TABLE_LEVELS].memory;
	struct lab *lab = *state;
	char tagless[32];

	find_tagless(tagless);
	for (int i = 0; i < 4; i++) {
		const char *client = clients[i & 1] ? clients[i & 1] : tagless;
		size_t at;

		way_forget();
		lab_policy(lab, TWO);
		opens(&(struct line){.client = client, .port = 1});
		at = level_at();
		line[at].word[SIPDAM_WAYS - 1] = line[at].word[0];
		line[at].word[0] = i & 2 ? 0 : line[at].word[0] ^ 1ULL << 63;
		opens(&(struct line){.client = client, .port = 2});
		syn(&(struct line){.client = client, .port = 3}, (struct expect)REFUSED_SYN);
		assert_int_equal(words(TABLE_LEVELS, is_any), i & 2 ? 1 : 2);
	}
}

/* A count never goes below none, or over what it has room for. */
static void test_ends_of_counts(void **state)
{
	struct sipdam_line *line = way.table[TABLE_LEVELS].memory;
	struct lab *lab = *state;
	size_t at;

	lab_policy(lab, TWO);
	lab->now = 10 * SPAN;
	opens(&(struct line){.port = 1});
	memset(line, 0, way.table[TABLE_LEVELS].bytes); /* it gave way */
	lab->now = 11 * SPAN;
	opens(&(struct line){.port = 2});
	server_sends(&(struct line){.port = 1}, FIN, ISN + 1, CLIENT_ISN + 1, 0);
	syn(&(struct line){.port = 3}, (struct expect)A_SYN);
	lab_policy(lab, "connections: {per_source: 1}");
	syn(&(struct line){.port = 3}, (struct expect)REFUSED_SYN);
	at = level_at();
	line[at].word[0] |= (__u64)SIPDAM_LEVEL_MAX << 33;
	lab_policy(lab, "connections: {per_source: 0}");
	opens(&(struct line){.port = 3});
	lab_policy(lab, "connections: {per_source: 1}");
	syn(&(struct line){.port = 4}, (struct expect)REFUSED_SYN);
	assert_int_equal(words(TABLE_LEVELS, is_any), 1);
}

/* A flood of SYNs with forged sources: those who have connections keep them, and nobody else has any. */
static void test_flood_of_openings(void **state)
{
	struct lab *lab = *state;
	char client[32];

	lab_policy(lab, TWO);
	for (int port = 1; port <= 2; port++)
		opens(&(struct line){.port = port});
	for (int forged = 0; forged < 5000; forged++) {
		snprintf(client, sizeof(client), "10.%d.%d.1", forged >> 4 & 0xff, forged & 0xff);
		server_sends(&(struct line){.client = client, .port = 1 + (forged >> 16)}, FLAG_SYN | FLAG_ACK,
			     (__u32)forged * 2654435761U, 1, 0);
		if (forged % 4 == 0) /* a guess */
			client_sends(&(struct line){.client = client, .port = 1 + (forged >> 16)}, FLAG_ACK, 1,
				     0x1234567, 0);
	}
	assert_in_range(open_connections(), 2, 3);
	assert_in_range(words(TABLE_LEVELS, is_any), 1, 2);
	syn(&(struct line){.port = 3}, (struct expect)REFUSED_SYN);
	ledger_read(lab, &lab->expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		way_test(test_cap),
		way_test(test_cap_is_of_syns_alone),
		way_test(test_cap_is_not_remembered),
		way_test(test_cap_of_tiers),
		way_test(test_refused_syn_is_free),
		way_test(test_monitor),
		way_test(test_source_of_ipv6_is_its_prefix),
		way_test(test_what_opens),
		way_test(test_one_way),
		way_test(test_dropped_segments_open_nothing),
		way_test(test_opened_by_the_servers_data),
		way_test(test_opened_by_what_is_taken),
		way_test(test_what_ends),
		way_test(test_resets_are_bounded),
		way_test(test_ends_of_others),
		way_test(test_opened_anew),
		way_test(test_opened_anew_later),
		way_test(test_ends_that_differ),
		way_test(test_ended_twice),
		way_test(test_forgotten),
		way_test(test_kept_by_what_the_server_sends),
		way_test(test_remembered_again),
		way_test(test_end_of_a_forgotten_one),
		way_test(test_a_clock_that_is_behind),
		way_test(test_counts_of_ports),
		way_test(test_ports_that_change),
		way_test(test_all_ports),
		way_test(test_met_under_way),
		way_test(test_left_to_cookies),
		way_test(test_requests_of_no_connection),
		way_test(test_handshakes_of_no_connection),
		way_test(test_data_of_no_connection),
		way_test(test_who_needs_no_connection),
		way_test(test_sent_again_on_a_forgotten_connection),
		way_test(test_half_is_for_known_connections),
		way_test(test_half_of_each_pool),
		way_test(test_sent_again_since_verification_began),
		way_test(test_sent_again_in_a_loud_network),
		way_test(test_what_prolongs_the_proof),
		way_test(test_remembered_by_what_the_server_sends),
		way_test(test_full_line),
		way_test(test_end_in_a_flood),
		way_test(test_what_gives_way),
		way_test(test_others_of_a_line),
		way_test(test_tag_of_none),
		way_test(test_end_of_a_displaced_count),
		way_test(test_counts_of_one_line),
		way_test(test_ends_of_counts),
		way_test(test_flood_of_openings),
	};

	return cmocka_run_group_tests(tests, begin_all, way_close);
}
