/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
// libs: openssl gnutls
/*
 * Ports of TLS and WebSocket: what opens a connection and what it costs, the gate of tls.min_version over
 * every version and tier, the meter of what is offered, and what a live filter makes of a packet that the
 * gate refuses. Hellos are real ones.
 */
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "egress.h"
#include "prog/lab.h"
#include "unit/hello.h"

#define TCP      6
#define WS_PORT  8080
#define WSS_PORT 8443
#define PORTS    "ports: {ws: [8080], wss: [8443]}\n"
#define GATE_12  "tls: {min_version: 1.2}\n"
#define GATE_13  "tls: {min_version: 1.3}\n"
#define ALLOW    "allow: [" SOURCE "]\n"
#define UPGRADE  "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"

#define HELLO_IS(verdict, reason) ((struct expect)EXPECT(verdict, reason, TLS_HELLO, NONE))

/* Three suites, no session, a challenge of 16 bytes; and one byte of a length changed. */
#define OLD_HELLO   "\x80\x22\1\3\3\0\x9\0\0\0\x10\0\0\x2f\0\0\x9c\0\0\xff" "challenge of 16.", 36
#define OTHER_BYTES "\x80\x23\1\3\3\0\x9\0\0\0\x10\0\0\x2f\0\0\x9c\0\0\xff" "challenge of 16.", 36
#define EMPTY_RECORD "\x16\3\1\0\0"

static const struct expect data = PASSES(WITHIN_LIMITS, TCP_DATA, NONE);
static const struct expect opened = PASSES(WITHIN_LIMITS, WS_UPGRADE, NONE);

enum { V10, V11, V12, V13, VERSIONS };

static struct hello hellos[VERSIONS], older[VERSIONS]; /* of OpenSSL and GnuTLS */
static const int rows_of[VERSIONS] = {SIPDAM_TLS_1_0, SIPDAM_TLS_1_1, SIPDAM_TLS_1_2, SIPDAM_TLS_1_3};

/* A network of our own, with its loopback device up. */
static void leave_the_host(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
}

static int make_hellos(void **state)
{
	static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION};
	static const char *const words[] = {"NORMAL:-VERS-ALL:+VERS-TLS1.0", "NORMAL:-VERS-ALL:+VERS-TLS1.1",
					    "NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"};

	for (int i = 0; i < VERSIONS; i++) {
		hellos[i] = hello_openssl(TLS1_VERSION, versions[i], HELLO_NAME, true);
		older[i] = hello_gnutls(words[i], NULL);
	}
	leave_the_host();
	return lab_open(state);
}

static struct recipe segment(int port, const void *payload, size_t bytes)
{
	return (struct recipe){
		.protocol = TCP, .port = (__u16)port, .payload = payload, .payload_bytes = (int)bytes};
}

/* One segment whose hello, where it comes to the gate, offers what a row of the meter counts; -1: none does.
 */
static void sends(struct lab *lab, const char *name, const struct recipe *recipe, struct expect expect,
		  int row)
{
	if (row >= 0)
		lab->expected.hellos.offered[row]++;
	lab_send(lab, name, recipe, expect);
}

static void sends_hello(struct lab *lab, const char *name, const struct hello *hello, struct expect expect,
			int row)
{
	struct recipe recipe = segment(TLS_PORT, hello->data, hello->bytes);

	sends(lab, name, &recipe, expect, row);
}

/* ---- classes ---- */

static void test_what_a_hello_is(void **state)
{
	struct lab *lab = *state;
	struct hello hello = hellos[V13];
	struct recipe recipe = segment(TLS_PORT, hello.data, hello.bytes);

	lab_policy(lab, PORTS "limits: {unknown: {tls_hello: unlimited}}");
	sends(lab, "TLS", &recipe, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_1_3);
	recipe.port = WSS_PORT;
	sends(lab, "secure WebSocket", &recipe, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_1_3);
	recipe.family = 6;
	recipe.tags = 2;
	recipe.tcp_options = 3;
	sends(lab, "IPv6 with tags", &recipe, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_1_3);
	recipe = segment(WS_PORT, hello.data, hello.bytes);
	sends(lab, "WebSocket", &recipe, data, -1);
	recipe.port = SIP_PORT;
	sends(lab, "clear SIP", &recipe, data, -1);
	recipe = segment(TLS_PORT, hello.data, 6);
	sends(lab, "its type and no more", &recipe, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_UNSEEN);
	for (size_t bytes = 1; bytes < 6; bytes++) {
		recipe = segment(TLS_PORT, hello.data, bytes);
		sends(lab, "without its type", &recipe, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_UNSEEN);
	}
	recipe = segment(TLS_PORT, "\x16\2", 2);
	sends(lab, "a beginning of something else", &recipe, data, -1);
	recipe = segment(TLS_PORT, "\x17", 1);
	sends(lab, "a byte of data", &recipe, data, -1);
	recipe = segment(TLS_PORT, "\x16\3\1\2\0", 5);
	recipe.padding = 20;
	sends(lab, "the beginning of a record, padded", &recipe, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_UNSEEN);
	recipe.payload_bytes = 1;
	sends(lab, "a byte of it, padded", &recipe, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_UNSEEN);
	recipe = segment(TLS_PORT, OLD_HELLO);
	sends(lab, "as SSL 2.0 had it", &recipe, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_1_2);
	recipe.port = SIP_PORT;
	sends(lab, "the same in clear", &recipe, data, -1);
	recipe = segment(TLS_PORT, OLD_HELLO);
	recipe.payload_bytes = 10;
	sends(lab, "cut", &recipe, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_UNSEEN);
	recipe = segment(TLS_PORT, OTHER_BYTES);
	sends(lab, "whose lengths do not agree", &recipe, data, -1);
	recipe = segment(TLS_PORT, EMPTY_RECORD "\x16\3\1\2\0\1", 11);
	sends(lab, "behind an empty record", &recipe, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_UNSEEN);
	recipe = segment(TLS_PORT, "\x16\3\1\0\1\1\x16\3\1\0\1\0", 12);
	sends(lab, "in records of a byte", &recipe, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_UNSEEN);
	recipe = segment(TLS_PORT, hello.data + 1, hello.bytes - 1);
	sends(lab, "not at the beginning", &recipe, data, -1);
	recipe = segment(TLS_PORT, hello.data, hello.bytes);
	recipe.flags = FLAG_SYN;
	sends(lab, "with a SYN", &recipe, (struct expect)PASSES(WITHIN_LIMITS, TCP_SYN, NONE), SIPDAM_TLS_1_3);
	recipe.port = SIP_PORT;
	sends(lab, "with a SYN, in clear", &recipe, (struct expect)PASSES(WITHIN_LIMITS, TCP_SYN, NONE), -1);
	recipe = segment(TLS_PORT, "\x17\3\3\0\1\1", 6);
	recipe.flags = FLAG_SYN;
	sends(lab, "data with a SYN", &recipe, (struct expect)PASSES(WITHIN_LIMITS, TCP_SYN, NONE), -1);
	hello.data[5] = 2;
	sends_hello(lab, "a ServerHello", &hello, data, -1);
	hello.data[5] = 1;
	hello.data[0] = 23;
	sends_hello(lab, "another record", &hello, data, -1);
}

static void test_what_an_upgrade_is(void **state)
{
	static const struct {
		const char *payload;
		int port;
		bool opens;
	} rows[] = {
		{UPGRADE, WS_PORT, true},
		{"GET ", WS_PORT, true}, /* the rest comes with the next segment */
		{"\r\n\r\n" UPGRADE, WS_PORT, true},
		{"\n" UPGRADE, WS_PORT, true},
		{UPGRADE, WSS_PORT, false},
		{UPGRADE, TLS_PORT, false},
		{UPGRADE, SIP_PORT, false},
		{"GET", WS_PORT, false},
		{"\r\nGET", WS_PORT, false},
		{"\r\n\r\n", WS_PORT, false},
		{"get / HTTP/1.1\r\n", WS_PORT, false},
		{"GETS / HTTP/1.1\r\n", WS_PORT, false},
		{" GET / HTTP/1.1\r\n", WS_PORT, false},
		{"POST / HTTP/1.1\r\n", WS_PORT, false},
		{"\x81\xfe" UPGRADE, WS_PORT, false}, /* a frame */
	};
	struct lab *lab = *state;

	lab_policy(lab, PORTS);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct recipe recipe = segment(rows[i].port, rows[i].payload, strlen(rows[i].payload));

		lab_forget(lab);
		lab_send(lab, rows[i].payload, &recipe, rows[i].opens ? opened : data);
	}
}

/* SIP comes in frames there: what looks like its messages is none, and only an upgrade is charged. */
static void test_no_messages_over_websocket(void **state)
{
	struct recipe recipe = segment(WS_PORT, INVITE_TEXT "\r\n" INVITE_TEXT, 2 * strlen(INVITE_TEXT) + 2);
	struct lab *lab = *state;

	lab_policy(lab, PORTS "limits: {unknown: {invite: {rate: 0, burst: 1}}}");
	lab_send(lab, "SIP", &recipe, data);
}

/* ---- what it costs ---- */

/* A token of its class, and one of tcp_data for each further started 512 bytes. */
static void check_cost(struct lab *lab, const char *class, const struct recipe *opens, struct expect passes,
		       int row, size_t bytes)
{
	struct expect drops = {SIPDAM_VERDICT_DROP, SIPDAM_REASON_SOURCE_RATE, passes.class, 0, 0};
	struct recipe piece = segment(opens->port, "x", 1), sized = *opens;
	char policy[256];

	for (int pieces = 0; pieces < 3; pieces++) {
		lab_forget(lab);
		sized.fill = pieces ? pieces * 512 + 1 : 0;
		if ((size_t)sized.fill < bytes)
			sized.fill = 0;
		snprintf(policy, sizeof(policy),
			 PORTS
			 "limits: {unknown: {%s: {rate: 1, burst: 2}, tcp_data: {rate: 100, burst: 8}}}",
			 class);
		lab_policy(lab, policy);
		for (int i = 0; i < 2; i++)
			sends(lab, "opens", &sized, passes, row);
		lab_send(lab, "once too often", &sized, drops);
		lab_send_many(lab, "what is left",
			      8 - 2 * (int)(((size_t)sized.fill > bytes ? (size_t)sized.fill : bytes) - 1) /
					      512,
			      &piece, data);
		lab_send(lab, "nothing left", &piece, (struct expect)DROPS(SOURCE_RATE, TCP_DATA, NONE));
		lab->now += SECOND;
		sends(lab, "a second later", &sized, passes, row);
		lab_send(lab, "and no more", &sized, drops);
	}
}

static void test_what_it_costs(void **state)
{
	struct recipe hello = segment(TLS_PORT, hellos[V12].data, hellos[V12].bytes);
	struct recipe upgrade = segment(WS_PORT, UPGRADE, strlen(UPGRADE));

	check_cost(*state, "tls_hello", &hello, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_1_2,
		   hellos[V12].bytes);
	check_cost(*state, "ws_upgrade", &upgrade, opened, -1, strlen(UPGRADE));
}

/* Both open something: network and pool are charged. */
static void test_network_and_pool(void **state)
{
	static const struct {
		int port, class, row;
		const char *label;
	} rows[] = {{TLS_PORT, SIPDAM_CLASS_TLS_HELLO, SIPDAM_TLS_1_2, "tls_hello"},
		    {WS_PORT, SIPDAM_CLASS_WS_UPGRADE, -1, "ws_upgrade"}};
	struct lab *lab = *state;
	char policy[160];

	for (size_t i = 0; i < COUNT(rows); i++) {
		bool web = rows[i].port == WS_PORT;
		struct recipe recipe = segment(rows[i].port, web ? UPGRADE : (void *)hellos[V12].data,
					       web ? strlen(UPGRADE) : hellos[V12].bytes);
		struct expect expect = {SIPDAM_VERDICT_PASS, SIPDAM_REASON_WITHIN_LIMITS, (__u8)rows[i].class,
					0, 0};

		lab_forget(lab);
		lab_policy(lab, PORTS "limits: {network: {rate: 1, burst: 1}}");
		sends(lab, rows[i].label, &recipe, expect, rows[i].row);
		recipe.source = "192.0.2.2";
		expect.verdict = SIPDAM_VERDICT_DROP;
		expect.reason = SIPDAM_REASON_NETWORK_RATE;
		lab_send(lab, "over the network's", &recipe, expect);
		snprintf(policy, sizeof(policy), PORTS "limits: {pool: {%s: {rate: 1, burst: 1}}}",
			 rows[i].label);
		lab_forget(lab);
		lab_policy(lab, policy);
		expect.verdict = SIPDAM_VERDICT_PASS;
		expect.reason = SIPDAM_REASON_WITHIN_LIMITS;
		sends(lab, rows[i].label, &recipe, expect, rows[i].row);
		recipe.source = "10.0.0.1";
		expect.verdict = SIPDAM_VERDICT_DROP;
		expect.reason = SIPDAM_REASON_POOL_RATE;
		lab_send(lab, "over the pool", &recipe, expect);
	}
}

/* ---- the gate ---- */

/* Every version at every gate, as OpenSSL and GnuTLS offer it, with and without GREASE. */
static void test_every_version_at_every_gate(void **state)
{
	static const struct {
		const char *policy;
		int least;
	} gates[] = {{"tls: {min_version: none}", V10}, {GATE_12, V12}, {GATE_13, V13}};
	struct lab *lab = *state;

	for (size_t gate = 0; gate < COUNT(gates); gate++)
		for (int version = 0; version < VERSIONS; version++) {
			struct expect expect = version < gates[gate].least ? HELLO_IS(DROP, TLS_VERSION)
									   : HELLO_IS(PASS, WITHIN_LIMITS);
			struct hello greased = hellos[version];

			lab_forget(lab);
			lab_policy(lab, gates[gate].policy);
			hello_grease(&greased);
			sends_hello(lab, "OpenSSL", &hellos[version], expect, rows_of[version]);
			sends_hello(lab, "GnuTLS", &older[version], expect, rows_of[version]);
			sends_hello(lab, "GREASE", &greased, expect, rows_of[version]);
		}
}

/* Who would pass is refused, whoever it is; who would be dropped is dropped for what comes before the gate.
 */
static void test_everybody_at_the_gate(void **state)
{
	const struct hello *old = &hellos[V12], *new = &hellos[V13];
	struct lab *lab = *state;

	lab_policy(lab, GATE_13 ALLOW);
	sends_hello(lab, "allowed", old, HELLO_IS(DROP, TLS_VERSION), SIPDAM_TLS_1_2);
	sends_hello(lab, "allowed, TLS 1.3", new, HELLO_IS(PASS, ALLOWED), SIPDAM_TLS_1_3);
	lab_policy(lab, GATE_13);
	lab_know(lab, SOURCE, true, 0, SECOND);
	sends_hello(lab, "trusted", old, HELLO_IS(DROP, TLS_VERSION), SIPDAM_TLS_1_2);
	sends_hello(lab, "trusted, TLS 1.3", new, HELLO_IS(PASS, TRUSTED), SIPDAM_TLS_1_3);
	lab_forget(lab);
	lab_know(lab, SOURCE, false, 0, SECOND);
	sends_hello(lab, "a peer", old, HELLO_IS(DROP, TLS_VERSION), SIPDAM_TLS_1_2);
	sends_hello(lab, "a peer, TLS 1.3", new, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_1_3);
	assert_int_equal(lab_ban(lab, SOURCE, SECOND), 0);
	sends_hello(lab, "banned", old, HELLO_IS(DROP, BANNED), -1);
	lab_forget(lab);
	lab_policy(lab, GATE_13 "deny: [" SOURCE "]");
	sends_hello(lab, "denied", old, HELLO_IS(DROP, DENIED), -1);
	lab_policy(lab, GATE_13 "limits: {unknown: {tls_hello: {rate: 0, burst: 1}}}");
	sends_hello(lab, "over its limit", old, HELLO_IS(DROP, SOURCE_RATE), -1);
	lab_policy(lab, GATE_13 "limits: {pool: {tls_hello: {rate: 0, burst: 1}}}");
	sends_hello(lab, "over the pool", old, HELLO_IS(DROP, POOL_RATE), -1);
	lab_policy(lab, GATE_13 "mode: monitor");
	sends_hello(lab, "monitor", old, HELLO_IS(WOULD_DROP, TLS_VERSION), SIPDAM_TLS_1_2);
	sends_hello(lab, "monitor, TLS 1.3", new, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_1_3);
}

/* What servers take though few clients say it so. */
static void test_odd_hellos_at_the_gate(void **state)
{
	struct lab *lab = *state;
	struct recipe recipe = segment(TLS_PORT, hellos[V12].data, hellos[V12].bytes);
	struct expect refused = DROPS(TLS_VERSION, TCP_SYN, NONE);

	lab_policy(lab, GATE_13 ALLOW);
	recipe.flags = FLAG_SYN;
	sends(lab, "with a SYN", &recipe, refused, SIPDAM_TLS_1_2);
	recipe.source = "10.0.0.1";
	sends(lab, "with a stranger's SYN", &recipe, refused, SIPDAM_TLS_1_2);
	recipe = segment(TLS_PORT, hellos[V13].data, hellos[V13].bytes);
	recipe.flags = FLAG_SYN;
	sends(lab, "TLS 1.3 with a SYN", &recipe, (struct expect)PASSES(ALLOWED, TCP_SYN, NONE),
	      SIPDAM_TLS_1_3);
	recipe = segment(TLS_PORT, OLD_HELLO);
	sends(lab, "as SSL 2.0 had it", &recipe, HELLO_IS(DROP, TLS_VERSION), SIPDAM_TLS_1_2);
	lab_policy(lab, GATE_12 ALLOW);
	sends(lab, "as SSL 2.0 had it, of TLS 1.2", &recipe, HELLO_IS(PASS, ALLOWED), SIPDAM_TLS_1_2);
}

/* Who is refused by the gate has paid as others do. */
static void test_who_is_refused_has_paid(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, GATE_13 "limits: {unknown: {tls_hello: {rate: 1, burst: 2}}}");
	sends_hello(lab, "first", &hellos[V12], HELLO_IS(DROP, TLS_VERSION), SIPDAM_TLS_1_2);
	sends_hello(lab, "second", &hellos[V12], HELLO_IS(DROP, TLS_VERSION), SIPDAM_TLS_1_2);
	sends_hello(lab, "third", &hellos[V13], HELLO_IS(DROP, SOURCE_RATE), -1);
}

/* The gate goes by what it sees, and lets pass where it does not. */
static void test_what_cannot_be_seen(void **state)
{
	struct lab *lab = *state;
	struct hello spanning = hellos[V13], lying = hellos[V12];
	struct recipe recipe;

	lab_policy(lab, GATE_13 "limits: {unknown: {tls_hello: unlimited}}");
	recipe = segment(TLS_PORT, hellos[V12].data, hellos[V12].bytes - 1);
	hello_post_quantum(&spanning, true);
	hello_add_extension(&spanning, 21, 200);
	sends_hello(lab, "both segments as one", &spanning, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_1_3);
	recipe = segment(TLS_PORT, spanning.data, 1400);
	sends(lab, "the first of two", &recipe, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_UNSEEN);
	recipe = segment(TLS_PORT, spanning.data + 1400, spanning.bytes - 1400);
	sends(lab, "the second", &recipe, data, -1);
	spanning = hellos[V13];
	hello_post_quantum(&spanning, false);
	recipe = segment(TLS_PORT, spanning.data, 1400);
	sends(lab, "the first, which shows it", &recipe, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_1_3);
	lying.data[7]++;
	sends_hello(lab, "a length that lies", &lying, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_UNSEEN);
	lying = hellos[V12];
	lying.data[6] = 1;
	sends_hello(lab, "64 KiB", &lying, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_UNSEEN);
	lying = hellos[V12];
	hello_put(lying.data + 9, 0x0300);
	sends_hello(lab, "SSL 3.0", &lying, HELLO_IS(DROP, TLS_VERSION), SIPDAM_TLS_SSL3);
	hello_put(lying.data + 9, 0x0002);
	sends_hello(lab, "no version that is known", &lying, HELLO_IS(DROP, TLS_VERSION), SIPDAM_TLS_UNKNOWN);
}

/*
 * Jumbo frames: what does not fit the first buffer, of a page less what the kernel keeps of it, lies in others. A
 * list of versions that ends at each byte around there, as the last of its segment, and before what comes behind.
 */
static void test_over_the_first_buffer(void **state)
{
	static const int behind[] = {0, 1, 700};
	struct lab *lab = *state;
	struct hello base = hellos[V13];
	size_t headers = 14 + 20 + 20;

	lab_policy(lab, GATE_13 "limits: {unknown: {tls_hello: unlimited}}");
	hello_remove_extension(&base, 43);
	for (size_t end = 3490; end <= 3550; end++)
		for (size_t i = 0; i < COUNT(behind); i++) {
			struct hello hello = base;
			struct recipe recipe;

			hello_add_extension(&hello, 21, end - headers - base.bytes - 4 - 7);
			hello_insert(&hello, hello.bytes, "\0\53\0\3\2\3\4", 7);
			recipe = segment(TLS_PORT, hello.data, hello.bytes);
			recipe.fill = behind[i] ? (int)hello.bytes + behind[i] : 0;
			sends(lab, "over the border", &recipe, HELLO_IS(PASS, WITHIN_LIMITS), SIPDAM_TLS_1_3);
		}
}

/* In a replay what a capture lacks is not guessed, once the gate asks for it. */
static void test_what_a_capture_lacks(void **state)
{
	struct recipe recipe = segment(TLS_PORT, hellos[V12].data, hellos[V12].bytes);
	struct row row = {"cut", .expect = PASSES(TRUNCATED, TLS_HELLO, NONE)};
	struct lab *lab = *state;

	frame_build(&lab->frame, &recipe);
	row.wire_length = (__u32)lab->frame.length;
	row.packet = recipe;
	row.packet.keep = 34 + 20 + 60;
	lab_policy(lab, GATE_13);
	lab->expected.hellos.offered[SIPDAM_TLS_UNSEEN]++;
	lab_run(lab, &row);
	row.expect = HELLO_IS(PASS, WITHIN_LIMITS);
	lab_policy(lab, "");
	lab->expected.hellos.offered[SIPDAM_TLS_UNSEEN]++;
	lab_run(lab, &row);
	assert_int_equal(lab->failures, 0);
}

/* ---- a filter that lives ---- */

/* A frame through a filter that is no trial. Returns its verdict; the frame becomes what it made of it. */
static int lives(struct filter *filter, struct frame *frame)
{
	static __u8 made[FRAME_BYTES_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->data, .data_size_in = frame->length,
		    .data_out = made, .data_size_out = sizeof(made), .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(filter_program(filter), &opts), 0);
	assert_int_equal(opts.data_size_out, frame->length);
	memcpy(frame->data, made, frame->length);
	return (int)opts.retval;
}

static unsigned int sum_of(const __u8 *bytes, size_t count)
{
	unsigned int sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += i % 2 ? bytes[i] : bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

struct connection {
	int listening, client, server;
	int from, to; /* ports */
};

/* A connection of this host with itself; to: 0, or a port to listen on. */
static struct connection connect_here(int family)
{
	struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in name4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr *address = family == AF_INET6 ? (void *)&name : (void *)&name4;
	socklen_t size = family == AF_INET6 ? sizeof(name) : sizeof(name4);
	struct connection connection = {.listening = socket(family, SOCK_STREAM, 0),
					.client = socket(family, SOCK_STREAM, 0)};

	assert_int_equal(bind(connection.listening, address, size), 0);
	assert_int_equal(listen(connection.listening, 1), 0);
	assert_int_equal(getsockname(connection.listening, address, &size), 0);
	connection.to = ntohs(name4.sin_port ? name4.sin_port : name.sin6_port);
	assert_int_equal(connect(connection.client, address, size), 0);
	connection.server = accept(connection.listening, NULL, NULL);
	assert_true(connection.server >= 0);
	assert_int_equal(getsockname(connection.client, address, &size), 0);
	connection.from = ntohs(family == AF_INET6 ? name.sin6_port : name4.sin_port);
	return connection;
}

static void disconnect(struct connection *connection)
{
	close(connection->client);
	close(connection->server);
	close(connection->listening);
}

static struct filter *open_live(int port, bool gate)
{
	struct problem problem = {""};
	struct settings settings;
	struct filter *filter;
	char policy[160];

	snprintf(policy, sizeof(policy), "ports: {tcp: [], tls: [%d]}\nallow: [\"::1\", 127.0.0.1]\n%s", port,
		 gate ? GATE_13 : "");
	lab_settings(&settings, policy);
	if (filter_open_private(&filter, &settings, true, &problem))
		fail_msg("%s", problem.text);
	if (filter_trial_configure(filter, &settings, &problem))
		fail_msg("%s", problem.text);
	settings_free(&settings);
	return filter;
}

/* A hello of this connection as it arrives, or of another one to the same port. */
static void build_hello(struct frame *frame, const struct connection *connection, int family,
			const struct hello *hello, int from)
{
	const char *here = family == AF_INET6 ? "::1" : "127.0.0.1";
	struct recipe recipe = segment(connection->to, hello->data, hello->bytes);

	recipe.family = family == AF_INET6 ? 6 : 4;
	recipe.source = recipe.destination = here;
	frame_build(frame, &recipe);
	put16(frame->data + frame->at[LAYER_TRANSPORT], from);
}

static void check_live(int family)
{
	static struct frame before, frame;
	struct connection connection = connect_here(family);
	struct filter *filter = open_live(connection.to, true), *open = open_live(connection.to, false);
	size_t tcp, length;

	/* A connection of this host: the segment ends it, and nothing else of it has changed. */
	build_hello(&before, &connection, family, &hellos[V12], connection.from);
	frame = before;
	tcp = frame.at[LAYER_TRANSPORT];
	length = frame.length - tcp;
	assert_int_equal(lives(filter, &frame), 2 /* XDP_PASS */);
	assert_int_equal(frame.data[tcp + 13], FLAG_ACK | FLAG_RST);
	assert_int_equal(sum_of(frame.data + tcp, length), sum_of(before.data + tcp, length));
	assert_memory_equal(frame.data + frame.at[LAYER_PAYLOAD], hellos[V12].data, hellos[V12].bytes);
	/* Of no connection, though the port is listened on: a hello that no server accepts. */
	build_hello(&before, &connection, family, &hellos[V12], connection.from ^ 1);
	frame = before;
	assert_int_equal(lives(filter, &frame), 2);
	assert_int_equal(frame.data[tcp + 13], FLAG_ACK | FLAG_PSH);
	assert_int_equal(sum_of(frame.data + tcp, length), sum_of(before.data + tcp, length));
	assert_int_equal(hello_number(frame.data + frame.at[LAYER_PAYLOAD] + 9), 0x0300);
	assert_memory_equal(frame.data + frame.at[LAYER_PAYLOAD] + 43, hellos[V12].data + 43,
			    hellos[V12].bytes - 43);
	/* Where nothing is refused nothing is changed. */
	build_hello(&before, &connection, family, &hellos[V13], connection.from);
	frame = before;
	assert_int_equal(lives(filter, &frame), 2);
	assert_memory_equal(frame.data, before.data, frame.length);
	build_hello(&before, &connection, family, &hellos[V12], connection.from);
	frame = before;
	assert_int_equal(lives(open, &frame), 2);
	assert_memory_equal(frame.data, before.data, frame.length);
	filter_free(filter);
	filter_free(open);
	disconnect(&connection);
}

static void test_live(void **state)
{
	(void)state;
	check_live(AF_INET);
	check_live(AF_INET6);
}

/* A trial says that it would drop, and alters nothing. */
static void test_a_trial_alters_nothing(void **state)
{
	static struct frame before, frame;
	struct recipe recipe = segment(TLS_PORT, hellos[V12].data, hellos[V12].bytes);
	struct lab *lab = *state;

	lab_policy(lab, GATE_13);
	frame_build(&before, &recipe);
	frame = before;
	*lab->trial = (struct sipdam_trial){.now = lab->now};
	assert_int_equal(lives(lab->filter, &frame), 1 /* XDP_DROP */);
	assert_int_equal(lab->trial->reason, SIPDAM_REASON_TLS_VERSION);
	assert_memory_equal(frame.data, before.data, frame.length);
	ledger_read(lab, &lab->expected);
}

/* What the list of versions becomes; a fragment is not altered but dropped. */
static void test_live_lists_and_fragments(void **state)
{
	static const struct hello *hello;
	static struct frame frame;
	struct connection connection = connect_here(AF_INET);
	struct filter *filter = open_live(connection.to, true);
	struct hello listed = hellos[V13];
	size_t list = hello_extension(&listed, 43);

	(void)state;
	/* A client of TLS 1.3 that may not speak it: only its list tells. */
	for (size_t at = list + 5; at < list + 4 + hello_number(listed.data + list + 2); at += 2)
		hello_put(listed.data + at, 0x0303);
	hello = &listed;
	build_hello(&frame, &connection, AF_INET, hello, connection.from ^ 1);
	assert_int_equal(lives(filter, &frame), 2);
	assert_int_equal(hello_number(frame.data + frame.at[LAYER_PAYLOAD] + list), 0xff2b);
	build_hello(&frame, &connection, AF_INET, &hellos[V12], connection.from ^ 1);
	frame.data[frame.at[LAYER_TRANSPORT] + 13] = FLAG_SYN;
	assert_int_equal(lives(filter, &frame), 2);
	assert_int_equal(frame.data[frame.at[LAYER_TRANSPORT] + 13], FLAG_SYN);
	assert_int_equal(hello_number(frame.data + frame.at[LAYER_PAYLOAD] + 9), 0x0300);
	build_hello(&frame, &connection, AF_INET, hello, connection.from ^ 1);
	put16(frame.data + frame.at[LAYER_IP] + 6, 0x2000);
	assert_int_equal(lives(filter, &frame), 1 /* XDP_DROP */);
	filter_free(filter);
	disconnect(&connection);
}

/* ---- what the server sends ---- */

static struct egress *egress;

/* A frame through the program of the way out: what it returns. The frame becomes what it made of it. */
static int goes_out(struct egress *program, struct frame *frame)
{
	static __u8 made[FRAME_BYTES_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->data, .data_size_in = frame->length,
		    .data_out = made, .data_size_out = sizeof(made), .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(egress_program(program), &opts), 0);
	assert_int_equal(opts.data_size_out, frame->length);
	memcpy(frame->data, made, frame->length);
	return (int)opts.retval;
}

/* A segment from one of the server's ports; row: of the meter, which counts it, or -1. verdict: on it. */
static void leaves_so(struct lab *lab, const char *name, const struct recipe *recipe, int from, int row,
		      int verdict, int reason)
{
	static struct frame before;

	frame_build(&lab->frame, recipe);
	put16(lab->frame.data + lab->frame.at[LAYER_TRANSPORT], from);
	before = lab->frame;
	*lab->trial = (struct sipdam_trial){.now = lab->now};
	assert_int_equal(goes_out(egress, &lab->frame),
			 verdict == SIPDAM_VERDICT_DROP ? 2 /* TC_ACT_SHOT */ : -1 /* TC_ACT_UNSPEC */);
	assert_int_equal(lab->trial->reason, reason);
	assert_int_equal(lab->trial->dropped, verdict == SIPDAM_VERDICT_DROP);
	assert_memory_equal(lab->frame.data, before.data, before.length); /* a trial alters nothing */
	count_up(&lab->expected.slot[0].reason[verdict == SIPDAM_VERDICT_WOULD_DROP][reason],
		 (__u32)lab->frame.length);
	if (row >= 0)
		lab->expected.hellos.chosen[row]++;
	lab_compare(lab, name);
	if (lab->failures)
		fail_msg("%s", name);
}

static void leaves(struct lab *lab, const char *name, const struct recipe *recipe, int from, int row)
{
	leaves_so(lab, name, recipe, from, row, SIPDAM_VERDICT_PASS, SIPDAM_REASON_EGRESS);
}

static void open_egress(struct lab *lab)
{
	struct problem problem = {""};

	if (egress_open_private(&egress, lab->filter, false, &problem))
		fail_msg("%s", problem.text);
}

static void test_what_the_server_chooses(void **state)
{
	static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION};
	struct lab *lab = *state;
	struct hello answer, again;
	struct recipe recipe;

	lab_policy(lab, PORTS);
	open_egress(lab);
	for (int i = 0; i < VERSIONS; i++) {
		answer = hello_answer(&hellos[V13], TLS1_VERSION, versions[i], NULL);
		recipe = segment(40000, answer.data, answer.bytes < 1400 ? answer.bytes : 1400);
		leaves(lab, "an answer", &recipe, TLS_PORT, rows_of[i]);
		recipe.family = 6;
		recipe.tags = 1;
		leaves(lab, "an answer of secure WebSocket", &recipe, WSS_PORT, rows_of[i]);
	}
	recipe = segment(40000, answer.data, answer.bytes);
	leaves(lab, "from a port of WebSocket", &recipe, WS_PORT, -1);
	leaves(lab, "from a port of clear SIP", &recipe, SIP_PORT, -1);
	recipe = segment(40000, answer.data, 60);
	leaves(lab, "cut", &recipe, TLS_PORT, SIPDAM_TLS_UNSEEN);
	recipe = segment(40000, answer.data, 5);
	leaves(lab, "cut before its type", &recipe, TLS_PORT, SIPDAM_TLS_UNSEEN);
	recipe = segment(40000, "\x17\3\3\0\5", 5);
	leaves(lab, "a little of something else", &recipe, TLS_PORT, -1);
	recipe = segment(40000, answer.data + 1, 100);
	leaves(lab, "not at the beginning", &recipe, TLS_PORT, -1);
	recipe = segment(40000, hellos[V13].data, hellos[V13].bytes);
	leaves(lab, "a ClientHello", &recipe, TLS_PORT, -1);
	again = hello_answer(&hellos[V13], TLS1_3_VERSION, TLS1_3_VERSION, "P-384");
	recipe = segment(40000, again.data, again.bytes);
	leaves(lab, "asks for another key", &recipe, TLS_PORT, -1);
	egress_free(egress);
}

/* Every version that a server may choose, at every gate: whoever the client is, and however he asked. */
static void test_what_the_server_may_choose(void **state)
{
	static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION};
	static const struct {
		const char *policy;
		int least;
	} gates[] = {{"tls: {min_version: none}", V10}, {GATE_12, V12}, {GATE_13, V13}, {GATE_13 ALLOW, V13}};
	struct lab *lab = *state;
	struct recipe recipe;
	struct hello answer, again = hello_answer(&hellos[V13], TLS1_3_VERSION, TLS1_3_VERSION, "P-384");

	open_egress(lab);
	for (int i = 0; i < VERSIONS; i++) {
		answer = hello_answer(&hellos[V13], TLS1_VERSION, versions[i], NULL);
		recipe = segment(40000, answer.data, answer.bytes);
		recipe.destination = SOURCE;
		for (size_t gate = 0; gate < COUNT(gates); gate++) {
			lab_policy(lab, gates[gate].policy);
			if (i >= gates[gate].least)
				leaves(lab, "at the gate", &recipe, TLS_PORT, rows_of[i]);
			else
				leaves_so(lab, "below the gate", &recipe, TLS_PORT, -1, SIPDAM_VERDICT_DROP,
					  SIPDAM_REASON_TLS_VERSION);
		}
		lab_policy(lab, GATE_13 "mode: monitor");
		if (i < V13)
			leaves_so(lab, "monitor", &recipe, TLS_PORT, rows_of[i], SIPDAM_VERDICT_WOULD_DROP,
				  SIPDAM_REASON_TLS_VERSION);
		lab_policy(lab, GATE_13);
		leaves(lab, "from another port", &recipe, SIP_PORT, -1);
	}
	recipe = segment(40000, again.data, again.bytes);
	leaves(lab, "asks for another key", &recipe, TLS_PORT, -1);
	recipe = segment(40000, answer.data, 60);
	leaves(lab, "cut", &recipe, TLS_PORT, SIPDAM_TLS_UNSEEN);
	hello_put(answer.data + 43 + 1 + answer.data[43] + 3 + 2 + 4, 0x0305);
	recipe = segment(40000, answer.data, answer.bytes);
	leaves(lab, "a version to come", &recipe, TLS_PORT, SIPDAM_TLS_UNKNOWN);
	egress_free(egress);
}

/* Of a capture that cut an answer short: what it lacks matters at a gate, and where the version is not in sight. */
static void test_what_a_capture_lacks_of_a_choice(void **state)
{
	struct hello answer = hello_answer(&hellos[V13], TLS1_VERSION, TLS1_3_VERSION, NULL);
	static const struct {
		const char *name, *policy;
		int lacks; /* bytes of the hello, or of what follows it */
		int row, reason;
	} rows[] = {
		{"its end, at a gate", GATE_13, 50, SIPDAM_TLS_UNSEEN, SIPDAM_REASON_TRUNCATED},
		{"its end, and nobody asks", "", 50, SIPDAM_TLS_UNSEEN, SIPDAM_REASON_EGRESS},
		{"what follows it", GATE_13, -1, SIPDAM_TLS_1_3, SIPDAM_REASON_EGRESS},
		{"nothing", GATE_13, 0, SIPDAM_TLS_1_3, SIPDAM_REASON_EGRESS},
	};
	struct recipe recipe = segment(40000, answer.data, answer.bytes);
	size_t hello_ends = 5 + hello_number(answer.data + 3);
	struct lab *lab = *state;

	open_egress(lab);
	for (size_t i = 0; i < COUNT(rows); i++) {
		__u32 whole;

		lab_policy(lab, rows[i].policy);
		frame_build(&lab->frame, &recipe);
		put16(lab->frame.data + lab->frame.at[LAYER_TRANSPORT], TLS_PORT);
		whole = (__u32)lab->frame.length;
		if (rows[i].lacks)
			lab->frame.length = lab->frame.at[LAYER_PAYLOAD] + hello_ends -
					    (rows[i].lacks > 0 ? (size_t)rows[i].lacks : 0);
		*lab->trial = (struct sipdam_trial){.now = lab->now, .wire_length = whole};
		assert_int_equal(goes_out(egress, &lab->frame), -1);
		if (lab->trial->reason != rows[i].reason)
			fail_msg("%s: %s", rows[i].name, reason_label(lab->trial->reason));
		count_up(&lab->expected.slot[0].reason[0][rows[i].reason], whole);
		lab->expected.hellos.chosen[rows[i].row]++;
		lab_compare(lab, rows[i].name);
	}
	assert_int_equal(lab->failures, 0);
	egress_free(egress);
}

/*
 * The bound of the gate: what the server chose is read of one segment. A client that has it sent in pieces, by a small
 * window, gets an old version through: all pieces pass, and the meter counts one hello that it did not see. In pieces
 * that show its version it is refused.
 */
static void test_a_choice_in_pieces(void **state)
{
	struct hello answer = hello_answer(&hellos[V13], TLS1_VERSION, TLS1_2_VERSION, NULL);
	size_t bytes = 5 + hello_number(answer.data + 3); /* its record holds the hello alone */
	const size_t pieces[] = {1, 2, 5, 6, 43, bytes - 1, bytes};
	struct lab *lab = *state;

	/* A byte of its random and its session's number may be one that a record begins with. */
	for (size_t at = 11; at < 11 + 32 + 1 + 32; at++)
		if (answer.data[at] == 22)
			answer.data[at]++;
	open_egress(lab);
	lab_policy(lab, GATE_13);
	for (size_t i = 0; i < COUNT(pieces); i++) {
		for (size_t at = 0; at < bytes; at += pieces[i]) {
			struct recipe recipe = segment(40000, answer.data + at,
						       bytes - at < pieces[i] ? bytes - at : pieces[i]);

			if (pieces[i] == bytes)
				leaves_so(lab, "whole", &recipe, TLS_PORT, -1, SIPDAM_VERDICT_DROP,
					  SIPDAM_REASON_TLS_VERSION);
			else
				leaves(lab, at ? "a piece more" : "its first piece", &recipe, TLS_PORT,
				       at ? -1 : SIPDAM_TLS_UNSEEN);
		}
	}
	egress_free(egress);
}

/* What goes out of a filter that lives: a ServerHello of which nobody can make anything, or what came. */
static void test_live_on_the_way_out(void **state)
{
	static struct frame before, frame;
	struct hello answer = hello_answer(&hellos[V13], TLS1_VERSION, TLS1_2_VERSION, NULL);
	struct recipe recipe = segment(40000, answer.data, answer.bytes);
	struct filter *gated = open_live(TLS_PORT, true), *open = open_live(TLS_PORT, false);
	struct egress *from_gated, *from_open;
	struct problem problem = {""};
	size_t tcp, payload;

	(void)state;
	assert_int_equal(egress_open_private(&from_gated, gated, true, &problem), 0);
	assert_int_equal(egress_open_private(&from_open, open, true, &problem), 0);
	frame_build(&before, &recipe);
	tcp = before.at[LAYER_TRANSPORT];
	payload = before.at[LAYER_PAYLOAD];
	put16(before.data + tcp, TLS_PORT);
	frame = before;
	assert_int_equal(goes_out(from_open, &frame), -1);
	assert_memory_equal(frame.data, before.data, frame.length);
	assert_int_equal(goes_out(from_gated, &frame), -1);
	assert_int_equal(sum_of(frame.data + tcp, frame.length - tcp),
			 sum_of(before.data + tcp, before.length - tcp));
	assert_memory_equal(frame.data, before.data, payload + 9);
	assert_int_equal(hello_number(frame.data + payload + 9), 0x0300);
	assert_int_equal(hello_number(frame.data + payload + 11), 0);
	assert_memory_equal(frame.data + payload + 43, before.data + payload + 43, frame.length - payload - 43);
	answer = hello_answer(&hellos[V13], TLS1_VERSION, TLS1_3_VERSION, NULL);
	recipe = segment(40000, answer.data, answer.bytes);
	frame_build(&before, &recipe);
	put16(before.data + tcp, TLS_PORT);
	frame = before;
	assert_int_equal(goes_out(from_gated, &frame), -1);
	assert_memory_equal(frame.data, before.data, frame.length);
	egress_free(from_gated);
	egress_free(from_open);
	filter_free(gated);
	filter_free(open);
}

/* Last. */
static void test_every_class_and_reason_had_a_row(void **state)
{
	struct lab *lab = *state;

	assert_true(lab->class_seen[SIPDAM_CLASS_TLS_HELLO] && lab->class_seen[SIPDAM_CLASS_WS_UPGRADE]);
	assert_true(lab->reason_seen[SIPDAM_REASON_TLS_VERSION]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		lab_test(test_what_a_hello_is),
		lab_test(test_what_an_upgrade_is),
		lab_test(test_no_messages_over_websocket),
		lab_test(test_what_it_costs),
		lab_test(test_network_and_pool),
		lab_test(test_every_version_at_every_gate),
		lab_test(test_everybody_at_the_gate),
		lab_test(test_odd_hellos_at_the_gate),
		lab_test(test_who_is_refused_has_paid),
		lab_test(test_what_cannot_be_seen),
		lab_test(test_over_the_first_buffer),
		lab_test(test_what_a_capture_lacks),
		lab_test(test_a_trial_alters_nothing),
		lab_test(test_live),
		lab_test(test_live_lists_and_fragments),
		lab_test(test_what_the_server_chooses),
		lab_test(test_what_the_server_may_choose),
		lab_test(test_what_a_capture_lacks_of_a_choice),
		lab_test(test_a_choice_in_pieces),
		lab_test(test_live_on_the_way_out),
		lab_test(test_every_class_and_reason_had_a_row),
	};

	return cmocka_run_group_tests(tests, make_hellos, lab_close);
}
