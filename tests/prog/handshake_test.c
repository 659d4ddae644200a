/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
// libs: openssl gnutls
/*
 * Handshakes of TLS that are begun and never finished: which ones are, whom they are held against, and who is banned
 * for them. Both programs over the same maps, one packet at a time. Real clients and servers say what is said where
 * it matters what a handshake is; else it is by its bytes alone.
 */
#include "prog/both.h"

#include "unit/hello.h"

#define HOUR (3600 * SECOND)

#define SERVER   DESTINATION
#define CLIENT   SOURCE
#define OFFICE   "192.0.2.50"
#define WSS_PORT 8443

#define ISN        0x89abcdefU
#define CLIENT_ISN 0xffffff00U /* turns within a hello */
#define HELLO      300         /* bytes of one */
#define FLIGHT     1200        /* of what follows a ServerHello */

enum { TABLE_CONNECTIONS, TABLE_LEVELS, TABLE_BUDGETS, TABLE_FAILURES };

static int begin_all(void **state)
{
	static const char *const names[] = {"connections", "conn_levels", "budgets", "failures"};

	return way_open(state, names, COUNT(names));
}

static __u64 unfinished(void)
{
	__u64 sum[SIPDAM_CONNECTION_EVENTS];

	read_all_summed(filter_map(way.lab->filter, "conn_events"), SIPDAM_CONNECTION_EVENTS, sum, sizeof(*sum));
	return sum[SIPDAM_CONNECTION_UNFINISHED];
}

static bool is_banned(const char *address)
{
	struct sipdam_prefix source = lab_source(way.lab, address);

	return bans_hold(&way.lab->bans, &source, way.lab->now);
}

/* ---- segments ---- */

/* A connection as its ends see it: what each of them sends next. */
struct call {
	const char *client; /* NULL: CLIENT */
	int port, to;       /* 0: 40000, TLS_PORT */
	__u32 client_next, server_next;
	__u32 lost; /* of what the server has sent, from the first byte on that has not arrived */
};

static void put32(__u8 *at, __u32 value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

static void build(const struct call *call, bool from_server, __u8 flags, const void *data, int bytes)
{
	const char *client = call->client ? call->client : CLIENT;
	int port = call->port ? call->port : 40000, to = call->to ? call->to : TLS_PORT;
	struct recipe recipe = {.source = from_server ? SERVER : client,
				.destination = from_server ? client : SERVER,
				.protocol = IPPROTO_TCP,
				.flags = flags,
				.payload = data ? data : "",
				.payload_bytes = data ? bytes : 0,
				.fill = data ? 0 : bytes};
	__u8 *tcp;

	frame_build(&way.lab->frame, &recipe);
	tcp = way.lab->frame.data + way.lab->frame.at[LAYER_TRANSPORT];
	put16(tcp, from_server ? to : port);
	put16(tcp + 2, from_server ? port : to);
	put32(tcp + 4, from_server ? call->server_next : call->client_next);
	put32(tcp + 8, from_server ? call->client_next : call->server_next - call->lost);
}

/* data NULL: so many bytes that say nothing. A FIN or SYN counts as one. */
static void server_sends(struct call *call, __u8 flags, const void *data, int bytes)
{
	build(call, true, flags, data, bytes);
	*way.lab->trial = (struct sipdam_trial){.now = way.lab->now};
	assert_int_equal(egress_trial_run(way.egress, way.lab->frame.data, way.lab->frame.length), 0);
	call->server_next += bytes + !!(flags & (FLAG_SYN | FLAG_FIN));
}

static int client_sends(struct call *call, __u8 flags, const void *data, int bytes)
{
	build(call, false, flags, data, bytes);
	*way.lab->trial = (struct sipdam_trial){.now = way.lab->now};
	assert_int_equal(filter_trial_run(way.lab->filter, way.lab->frame.data, way.lab->frame.length), 0);
	call->client_next += bytes + !!(flags & (FLAG_SYN | FLAG_FIN));
	return way.lab->trial->reason;
}

static void server_acknowledges(struct call *call)
{
	server_sends(call, FLAG_ACK, NULL, 0);
}

static void opens(struct call *call)
{
	call->client_next = CLIENT_ISN;
	call->server_next = ISN;
	client_sends(call, FLAG_SYN, NULL, 0);
	server_sends(call, FLAG_SYN | FLAG_ACK, NULL, 0);
	client_sends(call, FLAG_ACK, NULL, 0);
}

/* ---- what a handshake is made of ---- */

#define SERVER_HELLO                                                                                         \
	"\x16\3\3\0\x2c\2\0\0\x28\3\3"                                                                       \
	"random random random random rand\0\xc0\x2f\0\0\0"
#define RETRY                                                                                                \
	"\x16\3\3\0\x2c\2\0\0\x28\3\3\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91"       \
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c\0\xc0\x2f\0\0\0"
#define ALERT "\x15\3\3\0\2\2\x28"
#define SAYS(text) text, (int)sizeof(text) - 1

/*
 * A step: `h`, the client's hello, acknowledged; `H`, not yet. `S`, the server's first flight; `s`, its hello alone;
 * `r`, that it be asked again; `a`, an alert of its; `d`, data. `A`, the client's alert, `B`, the same before it is
 * acknowledged, `C`, one behind a ChangeCipherSpec, `F`, the least that finishes; `f`, what does not; `k`, all is
 * acknowledged. `X`, the client's FIN; `D`, one with an alert in it; `R`, its RST; `O`, a RST out of order; `x` and
 * `q`, the server's FIN and RST; `z`, its hello with a FIN. `L`, the server's first flight, which does not arrive; `l`,
 * of which its hello alone does; `u` and `U`, that hello, or what follows it, once more; `e` and `E`, 39 and 40 bytes.
 * Figures: tenths of seconds that pass.
 */
static bool server_steps(struct call *call, char what)
{
	switch (what) {
	case 'S':
		server_sends(call, FLAG_ACK, SAYS(SERVER_HELLO));
		server_sends(call, FLAG_ACK | FLAG_PSH, NULL, FLIGHT);
		client_sends(call, FLAG_ACK, NULL, 0);
		break;
	case 's':
		server_sends(call, FLAG_ACK | FLAG_PSH, SAYS(SERVER_HELLO));
		break;
	case 'L':
	case 'l':
		server_sends(call, FLAG_ACK, SAYS(SERVER_HELLO));
		call->lost = what == 'L' ? sizeof(SERVER_HELLO) - 1 : 0;
		server_sends(call, FLAG_ACK | FLAG_PSH, NULL, FLIGHT);
		call->lost += FLIGHT;
		if (what == 'l')
			client_sends(call, FLAG_ACK, NULL, 0);
		break;
	case 'u':
		call->server_next -= FLIGHT + sizeof(SERVER_HELLO) - 1;
		server_sends(call, FLAG_ACK, SAYS(SERVER_HELLO));
		call->server_next += FLIGHT;
		break;
	case 'U':
		call->server_next -= FLIGHT;
		server_sends(call, FLAG_ACK | FLAG_PSH, NULL, FLIGHT);
		break;
	case 'e':
	case 'E':
		server_sends(call, FLAG_ACK | FLAG_PSH, NULL, what == 'e' ? 39 : 40);
		break;
	case 'r':
		server_sends(call, FLAG_ACK | FLAG_PSH, SAYS(RETRY));
		break;
	case 'a':
		server_sends(call, FLAG_ACK | FLAG_PSH, SAYS(ALERT));
		break;
	case 'd':
		server_sends(call, FLAG_ACK | FLAG_PSH, NULL, 200);
		break;
	case 'k':
		server_acknowledges(call);
		break;
	case 'x':
		server_sends(call, FLAG_FIN | FLAG_ACK, NULL, 0);
		break;
	case 'z':
		server_sends(call, FLAG_FIN | FLAG_ACK | FLAG_PSH, SAYS(SERVER_HELLO));
		break;
	case 'q':
		server_sends(call, FLAG_RST | FLAG_ACK, NULL, 0);
		break;
	default:
		return false;
	}
	return true;
}

static void client_steps(struct call *call, char what)
{
	static const int said[] = {['h'] = HELLO, ['A'] = 7, ['C'] = 30, ['F'] = 40, ['f'] = 39};

	switch (what) {
	case 'h':
	case 'A':
	case 'C':
	case 'F':
	case 'f':
		client_sends(call, FLAG_PSH | FLAG_ACK, NULL, said[(int)what]);
		server_acknowledges(call);
		break;
	case 'H':
		client_sends(call, FLAG_PSH | FLAG_ACK, NULL, HELLO);
		break;
	case 'B':
		client_sends(call, FLAG_PSH | FLAG_ACK, NULL, 7);
		break;
	case 'X':
		client_sends(call, FLAG_FIN | FLAG_ACK, NULL, 0);
		break;
	case 'D':
		client_sends(call, FLAG_FIN | FLAG_ACK, NULL, 7);
		break;
	case 'R':
		client_sends(call, FLAG_RST, NULL, 0);
		break;
	case 'O':
		call->client_next++;
		client_sends(call, FLAG_RST, NULL, 0);
		call->client_next--;
		break;
	default:
		fail_msg("step %c", what);
	}
}

static void step(struct call *call, char what)
{
	if (!server_steps(call, what))
		client_steps(call, what);
}

static void goes(struct call *call, const char *steps)
{
	for (; *steps; steps++) {
		if (*steps >= '0' && *steps <= '9')
			way.lab->now += strtoul(steps, (char **)&steps, 10) * SECOND / 10, steps--;
		else if (*steps != ' ')
			step(call, *steps);
	}
}

/* ---- which ones are left ---- */

static const struct {
	const char *name, *steps;
	int to, left;
} rows[] = {
	{"finished, and closed", "hSFdXkx", 0, 0},
	{"finished with one byte less", "hSfXkx", 0, 0},
	{"the client closes", "hSXkx", 0, 1},
	{"the client closes, on a WebSocket", "hSXkx", WSS_PORT, 1},
	{"the client resets", "hSR", 0, 1},
	{"the client closes, then resets", "hSXkR", 0, 1},
	{"a RST that is not of it", "hSO", 0, 0},
	{"the hello alone, not yet acknowledged", "HsX", 0, 1},
	{"closed before the server could answer, and reset by its answer", "HXsR", 0, 1},
	{"it refuses with an alert", "hSAXkx", 0, 0},
	{"it refuses with an encrypted alert", "hSCXkx", 0, 0},
	{"it refuses with an alert that is not yet acknowledged", "hSBXkx", 0, 0},
	{"it refuses, and all is acknowledged with the server's FIN", "hSBXx", 0, 0},
	{"it refuses, and that is acknowledged with the server's FIN, late", "hSB220x", 0, 0},
	{"it refuses with its FIN", "hSDx", 0, 0},
	{"the server says its hello, and closes", "hz", 0, 0},
	{"its answer comes in two, the first short", "hSAFXkx", 0, 0},
	{"no ServerHello: the server is silent", "hXkx", 0, 0},
	{"no ServerHello: the server resets", "hq", 0, 0},
	{"no ServerHello: an alert", "haXkx", 0, 0},
	{"no ServerHello: it is to be asked again", "hrXkx", 0, 0},
	{"asked again, and left behind that", "hrhSXkx", 0, 1},
	{"asked again, and finished", "hrhSFXkx", 0, 0},
	{"the server is prompt", "h20SXkx", 0, 1},
	{"the server is late", "h43SXkx", 0, 0},
	{"the server is late, and it is finished all the same", "h43SFXkx", 0, 0},
	{"the server is late, and acknowledges meanwhile", "h40k3SXkx", 0, 0},
	{"the hello waited, and not the server", "600h1SXkx", 0, 1},
	{"a ServerHello comes twice", "hs3sXkx", 0, 0},
	{"nothing of the answer arrives, and the client closes", "hL3u50Xkx", 0, 0},
	{"nothing of the answer arrives, and the client resets", "hL3u50R", 0, 0},
	{"nothing of the answer arrives, and the server has waited", "hL3u220x", 0, 0},
	{"nothing of the answer arrives, and the server has waited, and resets", "hL3u220q", 0, 0},
	{"nothing of the answer arrives, on a WebSocket", "hL3u50Xkx", WSS_PORT, 0},
	{"nothing of the answer arrives, and the hello was not yet acknowledged", "HL3u50R", 0, 0},
	{"left before the answer could be sent again", "hL2Xkx", 0, 1},
	{"the hello alone arrives, and the rest is sent again", "hl3U7U15U30UXkx", 0, 0},
	{"the hello alone arrives, and the server has waited", "hl3U7U15U30U60U120Ux", 0, 0},
	{"the rest is sent again at once", "hl3UXkx", 0, 1},
	{"the answer arrives when it is sent again, and is answered", "hL3uFXkx", 0, 0},
	{"the server says as little as an alert has, later", "hS60eXkx", 0, 1},
	{"the server says more than an alert has, later", "hS60EXkx", 0, 0},
	{"the server says an alert before it ends it", "hS220ax", 0, 1},
	{"the server ends it, soon", "hS100x", 0, 0},
	{"the server ends it with a RST, soon", "hS100q", 0, 0},
	{"the server has waited", "hS220x", 0, 1},
	{"the server has waited, and resets", "hS220q", 0, 1},
	{"the server has waited for five of its units", "hS180x", 0, 1}, /* of 4.3 s, as they lie at LAB_START */
	{"the server has waited for four", "hS170x", 0, 0},
	{"the server has waited, and acknowledged meanwhile", "hS110k110x", 0, 1},
	{"a RST that the server did not take, and has waited since", "hSRd220x", 0, 1},
	{"the server has waited for minutes", "hS6000x", 0, 1},
	{"the server has waited for an alert", "hSA220x", 0, 0},
	{"the server has waited for more behind a finish", "hSF220x", 0, 0},
	{"the client leaves after a minute", "hS600Xkx", 0, 1},
	{"clear", "hSXkx", SIP_PORT, 0},
	{"nothing but connections", "Xkx", 0, 0},
};

static void test_which_are_left(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "ports: {wss: [8443]}");
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct call call = {.to = rows[i].to};
		__u64 before = unfinished();

		way_forget();
		lab->now = LAB_START;
		opens(&call);
		goes(&call, rows[i].steps);
		if (unfinished() - before != (__u64)rows[i].left)
			fail_msg("%s: %llu", rows[i].name, unfinished() - before);
	}
}

/* Whenever in the units of the words' times it begins: a handshake lasts as long as it does. */
static void test_whenever_it_begins(void **state)
{
	static const struct {
		const char *steps;
		int left;
	} times[] = {{"h20SXkx", 1}, {"h43SXkx", 0}, {"hS128x", 0}, {"hS220x", 1}, {"h1SFXkx", 0}, {"hSXkx", 1}, {"h1z", 0},
		     {"hL3u1Xkx", 0}, {"hl3U7U15U60UXkx", 0}, {"hS220ax", 1}};
	struct lab *lab = *state;

	for (int tenth = 0; tenth < 10 * 36; tenth += 7) {
		for (size_t i = 0; i < COUNT(times); i++) {
			struct call call = {};
			__u64 before = unfinished();

			way_forget();
			lab->now = LAB_START + (__u64)tenth * SECOND / 10;
			opens(&call);
			goes(&call, times[i].steps);
			if (unfinished() - before != (__u64)times[i].left)
				fail_msg("%s after %d tenths: %llu", times[i].steps, tenth, unfinished() - before);
		}
	}
}

/* The hello came with the third segment of the opening. */
static void test_hello_in_the_third_segment(void **state)
{
	static const char *const steps[] = {"hSXkx", "HsX", "hSR"};

	(void)state;
	for (size_t i = 0; i < COUNT(steps); i++) {
		struct call call = {.client_next = CLIENT_ISN, .server_next = ISN};
		__u64 before = unfinished();

		way_forget();
		client_sends(&call, FLAG_SYN, NULL, 0);
		server_sends(&call, FLAG_SYN | FLAG_ACK, NULL, 0);
		goes(&call, steps[i]);
		assert_int_equal(unfinished() - before, 1);
	}
}

/* A ServerHello that the gate of tls.min_version refuses on its way out is none: the client has no choice. */
static void test_refused_by_the_gate(void **state)
{
	static const struct {
		const char *policy;
		int left;
	} gates[] = {{"tls: {min_version: 1.3}", 0},
		     {"mode: monitor\ntls: {min_version: 1.3}", 0},
		     {"tls: {min_version: 1.2}", 1}};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(gates); i++) {
		struct call call = {};
		__u64 before = unfinished();

		way_forget();
		lab_policy(lab, gates[i].policy);
		opens(&call);
		goes(&call, "hsXkx");
		assert_int_equal(unfinished() - before, gates[i].left);
	}
}

/* ---- real ones ---- */

/* What a side has to say, on the wire; whether the other acknowledges it at once. */
static bool speaks(struct call *call, SSL *from, SSL *to, bool is_server)
{
	char bytes[16384];
	int count = BIO_read(SSL_get_wbio(from), bytes, sizeof(bytes));

	if (count <= 0)
		return false;
	HELLO_NEED(BIO_write(SSL_get_rbio(to), bytes, count) == count);
	for (int at = 0; at < count; at += 1460) {
		int size = count - at < 1460 ? count - at : 1460;

		if (is_server)
			server_sends(call, FLAG_ACK | FLAG_PSH, bytes + at, size);
		else
			client_sends(call, FLAG_ACK | FLAG_PSH, bytes + at, size);
	}
	if (is_server)
		client_sends(call, FLAG_ACK, NULL, 0);
	else
		server_acknowledges(call);
	return true;
}

/* A handshake between both, of which the client leaves after so many flights of its own. */
static void shakes(struct call *call, SSL *client, SSL *server, int flights)
{
	for (int flight = 0; flight < flights; flight++) {
		SSL_do_handshake(client);
		if (!speaks(call, client, server, false))
			break;
		SSL_do_handshake(server);
		speaks(call, server, client, true);
	}
	ERR_clear_error();
	client_sends(call, FLAG_FIN | FLAG_ACK, NULL, 0);
	server_sends(call, FLAG_FIN | FLAG_ACK, NULL, 0);
}

static int verified_badly(int fine, X509_STORE_CTX *store)
{
	(void)fine, (void)store;
	return 0;
}

static void real_handshake(int version, const char *groups, const char *ciphers, bool distrusts, int flights, int left)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *server = hello_server(version, version, groups), *client = hello_client(context, version, version, HELLO_NAME);
	__u64 before = unfinished();
	struct call call = {};

	way_forget();
	if (ciphers)
		HELLO_NEED(version == TLS1_3_VERSION ? SSL_set_ciphersuites(client, ciphers)
						     : SSL_set_cipher_list(client, ciphers));
	if (distrusts)
		SSL_set_verify(client, SSL_VERIFY_PEER, verified_badly);
	opens(&call);
	shakes(&call, client, server, flights);
	if (unfinished() - before != (__u64)left)
		fail_msg("version %x, groups %s, ciphers %s, %d flights: %llu", version, groups ? groups : "any",
			 ciphers ? ciphers : "any", flights, unfinished() - before);
	SSL_free(client);
	SSL_CTX_free(context);
	hello_end(server);
}

static void test_real_handshakes(void **state)
{
	static const int versions[] = {TLS1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION};

	(void)state;
	for (size_t i = 0; i < COUNT(versions); i++) {
		real_handshake(versions[i], NULL, NULL, false, 4, 0);
		real_handshake(versions[i], NULL, NULL, false, 1, 1);
		real_handshake(versions[i], NULL, NULL, true, 4, 0); /* an alert */
	}
	real_handshake(TLS1_2_VERSION, NULL, "ECDHE-ECDSA-CHACHA20-POLY1305", false, 4, 0);
	real_handshake(TLS1_2_VERSION, NULL, "ECDHE-ECDSA-AES128-CCM8", false, 4, 0);
	real_handshake(TLS1_3_VERSION, NULL, "TLS_AES_128_CCM_8_SHA256", false, 4, 0);
	/* Keys of a group that the client has not sent any of: a HelloRetryRequest. */
	real_handshake(TLS1_3_VERSION, "P-521", NULL, false, 1, 0);
	real_handshake(TLS1_3_VERSION, "P-521", NULL, false, 2, 1);
	real_handshake(TLS1_3_VERSION, "P-521", NULL, false, 4, 0);
}

/* The session of before goes on: the client's last words are few. */
static void test_real_resumption(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

	(void)state;
	for (size_t i = 0; i < COUNT(versions); i++) {
		SSL_CTX *context = SSL_CTX_new(TLS_client_method());
		SSL *server = hello_server(versions[i], versions[i], NULL),
		    *client = hello_client(context, versions[i], versions[i], HELLO_NAME), *again;
		SSL_SESSION *session;

		HELLO_NEED(hello_shake(client, server));
		session = SSL_get1_session(client);
		for (int flights = 1; flights <= 4; flights += 3) {
			SSL *other = SSL_new(SSL_get_SSL_CTX(server));
			__u64 before = unfinished();
			struct call call = {};

			SSL_set_bio(other, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
			SSL_set_accept_state(other);
			again = hello_client(context, versions[i], versions[i], HELLO_NAME);
			HELLO_NEED(SSL_set_session(again, session));
			way_forget();
			opens(&call);
			shakes(&call, again, other, flights);
			assert_int_equal(unfinished() - before, flights == 1);
			if (flights > 1)
				assert_true(SSL_session_reused(again));
			SSL_free(again);
			SSL_free(other);
		}
		SSL_SESSION_free(session);
		SSL_free(client);
		SSL_CTX_free(context);
		hello_end(server);
	}
}

/* ---- who is banned ---- */

/* So many connections one after the other, so far apart. */
static void repeats(const char *client, const char *steps, int times, __u64 apart)
{
	for (int i = 0; i < times; i++) {
		struct call call = {.client = client, .port = 1 + i};

		opens(&call);
		goes(&call, steps);
		way.lab->now += apart;
	}
}

static void test_who_is_banned(void **state)
{
	static const struct {
		const char *policy;
		int times;
		__u64 apart;
		bool banned;
	} cases[] = {
		{"", 20, SECOND, true},
		{"", 19, SECOND, false},
		{"", 20, 2 * SECOND / 10, false}, /* the first is not four seconds old */
		{"", 25, 2 * SECOND / 10, true},
		{"", 40, 190 * SECOND, false}, /* within an hour there are no twenty */
		{"ban: {failures: 5}", 5, SECOND, true},
		{"ban: {failures: 5}", 4, SECOND, false},
		{"ban: {failures: 0}", 60, SECOND, false},
		{"ban: {enabled: false}", 60, SECOND, false},
		{"trust: {learn: false}", 60, SECOND, false},
		{"mode: monitor", 20, SECOND, true},
		{"allow: [" CLIENT "]", 60, SECOND, false},
		{"limits: {unknown: {tcp_syn: unlimited}}", 20, SECOND, true},
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(cases); i++) {
		for (int ending = 0; ending < 2; ending++) {
			way_forget();
			lab->now = LAB_START;
			lab_policy(lab, cases[i].policy);
			repeats(CLIENT, ending ? "hS0X" : "hS220x", cases[i].times, cases[i].apart);
			if (!ending && cases[i].apart < SECOND)
				continue; /* the server waits for longer */
			if (is_banned(CLIENT) != cases[i].banned)
				fail_msg("%s: %d times, ending %d: %d", cases[i].policy, cases[i].times, ending,
					 is_banned(CLIENT));
		}
	}
}

/* And for what; what it sends from now on is dropped, on what is open too. */
static void test_the_ban(void **state)
{
	struct call open = {.port = 50000};
	struct ban_entries entries;
	struct lab *lab = *state;

	opens(&open);
	repeats(CLIENT, "hSX", 20, SECOND);
	assert_int_equal(bans_list(&lab->bans, &lab->in_force, lab->now, &entries), 0);
	assert_int_equal(entries.count, 1);
	assert_int_equal(entries.entry[0].ban.cause, SIPDAM_BAN_HANDSHAKES);
	assert_string_equal(ban_cause_name(entries.entry[0].ban.cause), "handshakes");
	ban_entries_free(&entries);
	assert_int_equal(client_sends(&open, FLAG_ACK | FLAG_PSH, NULL, 100), SIPDAM_REASON_BANNED);
	assert_false(is_banned(OFFICE));
}

static void test_who_is_known(void **state)
{
	struct lab *lab = *state;

	for (int trusted = 0; trusted < 2; trusted++)
		for (int ending = 0; ending < 2; ending++) {
			way_forget();
			assert_int_equal(lab_know(lab, CLIENT, trusted, 0, 8 * HOUR), 0);
			repeats(CLIENT, ending ? "hS220x" : "hSX", 40, SECOND);
			assert_false(is_banned(CLIENT));
			lab_disown(lab);
			repeats(CLIENT, ending ? "hS220x" : "hSX", 20, SECOND);
			assert_true(is_banned(CLIENT));
		}
}

/* The server's packets take another way: nothing is known, and nobody is struck. */
static void test_one_way(void **state)
{
	(void)state;
	for (int i = 0; i < 60; i++) {
		struct call call = {.port = 1 + i, .client_next = CLIENT_ISN, .server_next = ISN};

		client_sends(&call, FLAG_SYN, NULL, 0);
		call.server_next++;
		client_sends(&call, FLAG_ACK, NULL, 0);
		client_sends(&call, FLAG_ACK | FLAG_PSH, NULL, HELLO);
		call.server_next += 1400;
		client_sends(&call, i & 1 ? FLAG_RST : FLAG_FIN | FLAG_ACK, NULL, 0);
		way.lab->now += SECOND;
	}
	assert_false(is_banned(CLIENT));
}

/* ---- who is not ---- */

/* Fifty phones behind one address come back at once, and the server is late: all give up and try again. */
static void test_office_after_an_outage(void **state)
{
	struct call phone[50];
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {tcp_syn: unlimited, tls_hello: unlimited}}");
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 50; i++) {
			phone[i] = (struct call){.client = OFFICE, .port = 1 + 50 * round + i};
			opens(&phone[i]);
			step(&phone[i], 'h');
		}
		lab->now += 5 * SECOND;
		for (int i = 0; i < 50; i++) {
			if (i & 1) /* some wait for longer than the server needs, and then no more */
				step(&phone[i], 'X');
			goes(&phone[i], i & 1 ? "sR" : "sXkx");
		}
		lab->now += 30 * SECOND;
		assert_false(is_banned(OFFICE));
	}
	/* At last it is not late any more. */
	for (int i = 0; i < 50; i++) {
		phone[i] = (struct call){.client = OFFICE, .port = 1000 + i};
		opens(&phone[i]);
		goes(&phone[i], "hSF");
	}
	assert_false(is_banned(OFFICE));
}

/*
 * An office whose tunnel loses large packets: the server's certificate never arrives, and every phone gives up, or the
 * server does. Those to whom it does arrive are banned for the same.
 */
static void test_way_that_loses_large_packets(void **state)
{
	static const struct {
		const char *lost, *arrived;
	} ways[] = {{"hL3u7u15u30X", "hS55X"},
		    {"hL3u7u15u30R", "hS55R"},
		    {"hL3u7u15u30u60u100x", "hS215x"},
		    {"hL3u7u15u30u60u100q", "hS215q"},
		    {"hl3U7U15U60UX", "hS85X"}};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(ways); i++) {
		way_forget();
		lab->now = LAB_START;
		repeats(OFFICE, ways[i].lost, 30, SECOND);
		if (is_banned(OFFICE))
			fail_msg("%s: banned", ways[i].lost);
		repeats(OFFICE, ways[i].arrived, 20, SECOND);
		if (!is_banned(OFFICE))
			fail_msg("%s: not banned", ways[i].arrived);
	}
}

/* The server falls over whenever phones come back, in the midst of their handshakes. */
static void test_server_that_falls_over(void **state)
{
	struct call phone[50];
	struct lab *lab = *state;

	lab_policy(lab, "limits: {unknown: {tcp_syn: unlimited, tls_hello: unlimited}}");
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 50; i++) {
			phone[i] = (struct call){.client = OFFICE, .port = 1 + 50 * round + i};
			opens(&phone[i]);
			goes(&phone[i], "hS");
		}
		lab->now += SECOND;
		for (int i = 0; i < 50; i++)
			step(&phone[i], i & 1 ? 'x' : 'q');
		lab->now += 30 * SECOND;
	}
	assert_false(is_banned(OFFICE));
}

/*
 * One phone of an office leaves every handshake without a word, for hours. The others have finished theirs long
 * ago, and are kept alive: they are no worse off.
 */
static void test_one_bad_phone_of_many(void **state)
{
	struct lab *lab = *state;

	for (int alive = 1; alive >= 0; alive--) {
		struct call good = {.client = OFFICE, .port = 60000};

		way_forget();
		lab->now = LAB_START;
		opens(&good);
		goes(&good, "hSFd");
		for (int i = 0; i < 600 && (alive || !is_banned(OFFICE)); i++) {
			repeats(OFFICE, "hSX", 1, 5 * SECOND);
			if (alive && i % 12 == 11) {
				client_sends(&good, FLAG_ACK | FLAG_PSH, NULL, 30);
				server_sends(&good, FLAG_ACK | FLAG_PSH, NULL, 30);
			}
		}
		assert_int_equal(is_banned(OFFICE), !alive);
	}
}

/* What the server sends forgives where a handshake was finished: not what it sends to be asked again, or an alert. */
static void test_what_forgives(void **state)
{
	static const struct {
		const char *steps;
		bool forgives;
	} between[] = {
		{"hSF", true}, {"hSFd", true}, {"hrhS", false}, {"hSA", false}, {"ha", false}, {"hSC", false},
		{"hSd", false}, {"hSf", false}, {"d", false}, {"h43Sd", false}, {"h43SF", true},
		{"hL3u", false}, {"hL3uF", true},
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(between); i++) {
		struct call other = {.port = 60000};

		way_forget();
		lab->now = LAB_START;
		repeats(CLIENT, "hSX", 19, SECOND);
		opens(&other);
		goes(&other, between[i].steps);
		repeats(CLIENT, "hSX", 1, SECOND);
		if (is_banned(CLIENT) == between[i].forgives)
			fail_msg("%s: banned %d", between[i].steps, is_banned(CLIENT));
	}
}

/* The server acknowledges what comes on a connection that was finished before: so it does of any. */
static void test_what_is_not_answered(void **state)
{
	for (int answered = 0; answered < 2; answered++) {
		struct call good = {.port = 60000};

		way_clean(state);
		opens(&good);
		goes(&good, "hSF");
		repeats(CLIENT, "hSX", 19, SECOND);
		goes(&good, answered ? "Fd" : "F");
		repeats(CLIENT, "hSX", 1, SECOND);
		assert_int_equal(is_banned(CLIENT), !answered);
	}
}

/* A connection older than the filter on which the server sends is one that was finished, if there is one. */
static void test_older_than_the_filter(void **state)
{
	static const struct {
		int to;
		const char *steps;
		bool forgives;
	} cases[] = {{TLS_PORT, "dd", true}, {TLS_PORT, "sd", false}, {SIP_PORT, "dd", false}};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct call old = {.port = 60000, .to = cases[i].to, .client_next = 1000, .server_next = 2000};

		way_clean(state);
		repeats(CLIENT, "hSX", 19, SECOND);
		goes(&old, cases[i].steps);
		repeats(CLIENT, "hSX", 1, SECOND);
		if (is_banned(CLIENT) == cases[i].forgives)
			fail_msg("%d, %s: banned %d", cases[i].to, cases[i].steps, is_banned(CLIENT));
	}
}

/* Refusals and handshakes are counted apart: who guesses passwords is not forgiven for a handshake, or struck. */
static void test_apart_from_refusals(void **state)
{
	struct lab *lab = *state;
	struct call call = {.port = 60000};
	char text[128];

	repeats(CLIENT, "hSX", 19, SECOND);
	for (int i = 0; i < 19; i++) {
		struct recipe recipe = {.source = SERVER, .destination = CLIENT, .payload = text};
		__u8 *udp;

		snprintf(text, sizeof(text), "SIP/2.0 403 No\r\nCSeq: %d INVITE\r\n\r\n", i + 1);
		frame_build(&lab->frame, &recipe);
		udp = lab->frame.data + lab->frame.at[LAYER_TRANSPORT];
		put16(udp, SIP_PORT);
		*lab->trial = (struct sipdam_trial){.now = lab->now};
		assert_int_equal(egress_trial_run(way.egress, lab->frame.data, lab->frame.length), 0);
		lab->now += SECOND;
	}
	assert_false(is_banned(CLIENT));
	opens(&call);
	goes(&call, "hSF");
	snprintf(text, sizeof(text), "SIP/2.0 403 No\r\nCSeq: 99 INVITE\r\n\r\n");
	frame_build(&lab->frame, &(struct recipe){.source = SERVER, .destination = CLIENT, .payload = text});
	put16(lab->frame.data + lab->frame.at[LAYER_TRANSPORT], SIP_PORT);
	assert_int_equal(egress_trial_run(way.egress, lab->frame.data, lab->frame.length), 0);
	assert_true(is_banned(CLIENT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		way_test(test_which_are_left),
		way_test(test_whenever_it_begins),
		way_test(test_hello_in_the_third_segment),
		way_test(test_refused_by_the_gate),
		way_test(test_real_handshakes),
		way_test(test_real_resumption),
		way_test(test_who_is_banned),
		way_test(test_the_ban),
		way_test(test_who_is_known),
		way_test(test_one_way),
		way_test(test_office_after_an_outage),
		way_test(test_way_that_loses_large_packets),
		way_test(test_server_that_falls_over),
		way_test(test_one_bad_phone_of_many),
		way_test(test_what_forgives),
		way_test(test_what_is_not_answered),
		way_test(test_older_than_the_filter),
		way_test(test_apart_from_refusals),
	};

	return cmocka_run_group_tests(tests, begin_all, way_close);
}
