/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a payload is: methods, responses, keepalives, what no grammar allows, over UDP and TCP. Ends with
 * the test that every method and every class was expected by some row.
 */
#include "prog/lab.h"

#define TCP 6

#define REQUEST(class, method) PASSES(WITHIN_LIMITS, class, method)
#define AN_EXTENSION           REQUEST(OTHER, OTHER)
#define AN_ODD_ONE             REQUEST(MALFORMED, NONE)
#define A_KEEPALIVE            REQUEST(KEEPALIVE, NONE)
#define A_SEGMENT              REQUEST(TCP_DATA, NONE)
#define A_SYN                  REQUEST(TCP_SYN, NONE)

#define URI  " sip:alice@example.org SIP/2.0\r\n"
#define STUN "\x00\x01\x00\x00\x21\x12\xa4\x42transactn-id"

/* Every method the program knows by name, from the list of them. */
static void test_methods_by_name(void **state)
{
	static const struct row rows[] = {
#define X(name, number, label, class) {label, {.payload = label URI}, .expect = REQUEST(class, name)},
		SIPDAM_METHODS(X)
#undef X
	};
	struct lab *lab = *state;

	assert_int_equal(COUNT(rows), SIPDAM_METHOD_RESPONSE);
	for (size_t i = 0; i < SIPDAM_METHOD_OTHER - 1; i++)
		lab_row(lab, &rows[i]);
	assert_int_equal(lab->failures, 0);
}

/* The same over TCP; then one letter more, one less, one other: extension methods all. */
static void test_methods_over_tcp_and_their_near_misses(void **state)
{
	static const struct {
		const char *name;
		struct expect expect;
	} methods[] = {
#define X(name, number, label, class) {label, REQUEST(class, name)},
		SIPDAM_METHODS(X)
#undef X
	};
	struct lab *lab = *state;
	char text[100];

	for (size_t i = 0; i < SIPDAM_METHOD_OTHER - 1; i++) {
		const char *name = methods[i].name;
		struct row row = {name, {.protocol = TCP, .payload = text}, .expect = methods[i].expect};
		static const struct row near_miss = {"near miss", {}, .expect = AN_EXTENSION};

		snprintf(text, sizeof(text), "%s" URI, name);
		lab_row(lab, &row);
		row = near_miss;
		row.packet.payload = text;
		snprintf(text, sizeof(text), "%sX" URI, name);
		lab_row(lab, &row);
		snprintf(text, sizeof(text), "%.*s" URI, (int)strlen(name) - 1, name);
		lab_row(lab, &row);
		snprintf(text, sizeof(text), "%s" URI, name);
		text[strlen(name) - 1] |= 0x20;
		lab_row(lab, &row);
	}
	assert_int_equal(lab->failures, 0);
}

static void test_request_lines(void **state)
{
	static const struct row rows[] = {
		{"an extension method", {.payload = "PING" URI}, .expect = AN_EXTENSION},
		{"of one letter", {.payload = "A" URI}, .expect = AN_EXTENSION},
		{"of all that a token may hold", {.payload = "aZ09-.!%*_+`'~" URI}, .expect = AN_EXTENSION},
		{"in lower case", {.payload = "invite" URI}, .expect = AN_EXTENSION},
		{"not of a token: slash", {.payload = "INVITE/" URI}, .expect = AN_ODD_ONE},
		{"not of a token: at", {.payload = "IN@VITE" URI}, .expect = AN_ODD_ONE},
		{"not of a token: parenthesis", {.payload = "(INVITE" URI}, .expect = AN_ODD_ONE},
		{"not of a token: beyond ASCII", {.payload = "INVIT\xc3\x89" URI}, .expect = AN_ODD_ONE},
		{"not of a token: NUL",
		 {.payload = "INVITE\0 sip:alice@example.org", .payload_bytes = 29},
		 .expect = AN_ODD_ONE},
		{"two spaces",
		 {.payload = "INVITE  sip:alice@example.org SIP/2.0\r\n"},
		 .expect = AN_ODD_ONE},
		{"no space", {.payload = "INVITEsip:alice@example.org SIP/2.0\r\n"}, .expect = AN_ODD_ONE},
		{"a tab", {.payload = "INVITE\tsip:alice@example.org SIP/2.0\r\n"}, .expect = AN_ODD_ONE},
		{"a space in front", {.payload = " INVITE" URI}, .expect = AN_ODD_ONE},
		{"nothing after the space", {.payload = "INVITE \r\n\r\n"}, .expect = AN_ODD_ONE},
		{"sip", {.payload = "INVITE sip:a@b SIP/2.0\r\n"}, .expect = AN_INVITE},
		{"sips", {.payload = "INVITE sips:a@b SIP/2.0\r\n"}, .expect = AN_INVITE},
		{"tel", {.payload = "INVITE tel:+15550100 SIP/2.0\r\n"}, .expect = AN_INVITE},
		{"SIP", {.payload = "INVITE SIP:a@b SIP/2.0\r\n"}, .expect = AN_INVITE},
		{"urn", {.payload = "INVITE urn:service:sos SIP/2.0\r\n"}, .expect = AN_INVITE},
		{"http", {.payload = "INVITE http://a SIP/2.0\r\n"}, .expect = AN_INVITE},
		{"a scheme with signs", {.payload = "INVITE a1+-.:x SIP/2.0\r\n"}, .expect = AN_INVITE},
		{"a scheme that begins with a digit",
		 {.payload = "INVITE 1sip:a@b SIP/2.0\r\n"},
		 .expect = AN_ODD_ONE},
		{"a scheme that holds an underscore",
		 {.payload = "INVITE si_p:a@b SIP/2.0\r\n"},
		 .expect = AN_ODD_ONE},
		{"no scheme", {.payload = "INVITE alice SIP/2.0\r\n"}, .expect = AN_ODD_ONE},
		{"no scheme, at", {.payload = "INVITE alice@example.org SIP/2.0\r\n"}, .expect = AN_ODD_ONE},
		{"an empty scheme", {.payload = "INVITE :a@b SIP/2.0\r\n"}, .expect = AN_ODD_ONE},
		{"a star", {.payload = "OPTIONS * SIP/2.0\r\n"}, .expect = AN_ODD_ONE},
		{"a URI in brackets", {.payload = "INVITE <sip:a@b> SIP/2.0\r\n"}, .expect = AN_ODD_ONE},
		{"a URI of 49 characters", {.payload = "INVITE sip:", .fill = 7 + 49}, .expect = AN_INVITE},
		{"a URI of 100 characters", {.payload = "INVITE sip:", .fill = 7 + 100}, .expect = AN_INVITE},
		{"a URI of 1,000 characters",
		 {.payload = "INVITE sip:", .fill = 7 + 1000},
		 .expect = AN_INVITE},
		{"ends at the method", {.payload = "INVITE"}, .expect = AN_ODD_ONE},
		{"ends at the space", {.payload = "INVITE "}, .expect = AN_ODD_ONE},
		{"ends within the scheme", {.payload = "INVITE sip"}, .expect = AN_ODD_ONE},
		{"ends at the colon", {.payload = "INVITE sip:"}, .expect = AN_INVITE},
		{"ends at the colon, short", {.payload = "ACK s:"}, .expect = REQUEST(DIALOG, ACK)},
		{"ends at the colon, longest",
		 {.payload = "SUBSCRIBE sips:"},
		 .expect = REQUEST(OTHER, SUBSCRIBE)},
		{"ends before the colon, longest", {.payload = "SUBSCRIBE sips"}, .expect = AN_ODD_ONE},
	};

	lab_rows(*state, rows, COUNT(rows));
}

/* A window of 64 bytes shows a method of 62 and the beginning of its URI, 24 of them one of 1,534. */
static void test_long_methods(void **state)
{
	struct lab *lab = *state;
	static const int lengths[] = {60,  61,  62,  63,   64,	 65,   66,   126,  127, 128,
				      129, 200, 999, 1472, 1533, 1534, 1535, 1536, 2000};
	static char text[2100];

	for (size_t i = 0; i < COUNT(lengths); i++) {
		static const struct expect well = AN_EXTENSION, odd = AN_ODD_ONE;
		struct row row = {"method", {.payload = text}, .expect = lengths[i] <= 1534 ? well : odd};

		memset(text, 'M', lengths[i]);
		strcpy(text + lengths[i], URI);
		lab_row(lab, &row);
		row.expect = odd;
		strcpy(text + lengths[i], "@ sip:a@b");
		lab_row(lab, &row);
		strcpy(text + lengths[i], " @ip:a@b");
		lab_row(lab, &row);
		strcpy(text + lengths[i], "  sip:a@b");
		lab_row(lab, &row);
		strcpy(text + lengths[i], "");
		lab_row(lab, &row);
	}
	assert_int_equal(lab->failures, 0);
}

/* CRLFs before an INVITE (RFC 3261 7.5), and as many alone. More than 9,216 bytes of them are no message. */
static void test_leading_crlfs(void **state)
{
	static const int lengths[] = {2,   4,   60,  62,  63,  64,  65,   66,   100,  126,
				      127, 128, 129, 190, 192, 194, 1000, 1536, 1537, 3000, 9215, 9216};
	static const int too_long[] = {9217, 9218, 9280, 10000};
	struct lab *lab = *state;
	static char text[10100];
	struct row row = {.name = "CRLFs", .packet = {.payload = text}};

	for (size_t i = 0; i < COUNT(lengths) + COUNT(too_long); i++) {
		bool well = i < COUNT(lengths);
		int length = well ? lengths[i] : too_long[i - COUNT(lengths)];

		for (int at = 0; at < length; at++)
			text[at] = at % 2 ? '\n' : '\r';
		strcpy(text + length, INVITE_TEXT);
		row.expect = well ? (struct expect)AN_INVITE : (struct expect)AN_ODD_ONE;
		lab_row(lab, &row);
		strcpy(text + length, "@@@");
		row.expect = (struct expect)AN_ODD_ONE;
		lab_row(lab, &row);
		text[length] = '\0';
		row.expect = well ? (struct expect)A_KEEPALIVE : (struct expect)AN_ODD_ONE;
		lab_row(lab, &row);
	}
	assert_int_equal(lab->failures, 0);
}

static void test_crlfs_before_others(void **state)
{
	static const struct row rows[] = {
		{"CRLF and a response", {.payload = "\r\n\r\nSIP/2.0 200 OK\r\n"}, .expect = ANSWERS(200)},
		{"LFs and a request", {.payload = "\n\nACK" URI}, .expect = REQUEST(DIALOG, ACK)},
		{"CRs and a request", {.payload = "\r\rACK" URI}, .expect = REQUEST(DIALOG, ACK)},
		{"CRLF and a method at the window's end",
		 {.payload =
			  "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"
			  "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nREGISTER" URI},
		 .expect = REQUEST(REGISTER, REGISTER)},
		{"CRLF and a space", {.payload = "\r\n INVITE" URI}, .expect = AN_ODD_ONE},
		{"CRLF over TCP and a request",
		 {.protocol = TCP, .payload = "\r\n\r\nINVITE" URI},
		 .expect = AN_INVITE},
		{"CRLF over TCP", {.protocol = TCP, .payload = "\r\n\r\n"}, .expect = A_SEGMENT},
	};

	lab_rows(*state, rows, COUNT(rows));
}

static void test_keepalives(void **state)
{
	static const struct row rows[] = {
		{"empty", {.payload = ""}, .expect = A_KEEPALIVE},
		{"a NUL", {.payload = "\0", .payload_bytes = 1}, .expect = A_KEEPALIVE},
		{"CRLF", {.payload = "\r\n"}, .expect = A_KEEPALIVE},
		{"three bytes", {.payload = "abc"}, .expect = A_KEEPALIVE},
		{"two CRLFs", {.payload = "\r\n\r\n"}, .expect = A_KEEPALIVE},
		{"four NULs", {.payload = "\0\0\0\0", .payload_bytes = 4}, .expect = A_KEEPALIVE},
		{"jaK", {.payload = "jaK\0", .payload_bytes = 4}, .expect = A_KEEPALIVE},
		{"five NULs", {.payload = "\0\0\0\0\0", .payload_bytes = 5}, .expect = AN_ODD_ONE},
		{"jaK and one more", {.payload = "jaK\0\0", .payload_bytes = 5}, .expect = AN_ODD_ONE},
		{"three LFs and two CRs", {.payload = "\n\n\n\r\r"}, .expect = A_KEEPALIVE},
		{"CRLFs and a NUL", {.payload = "\r\n\r\n\0", .payload_bytes = 5}, .expect = AN_ODD_ONE},
		{"STUN", {.payload = STUN, .payload_bytes = 20}, .expect = A_KEEPALIVE},
		{"STUN with attributes",
		 {.payload = STUN, .payload_bytes = 20, .fill = 100},
		 .expect = A_KEEPALIVE},
		{"STUN success",
		 {.payload = STUN, .payload_bytes = 20, .change = PAYLOAD_BYTE(0, 0x01)},
		 .expect = A_KEEPALIVE},
		{"STUN one byte short", {.payload = STUN, .payload_bytes = 19}, .expect = AN_ODD_ONE},
		{"STUN, cookie's first byte",
		 {.payload = STUN, .payload_bytes = 20, .change = PAYLOAD_BYTE(4, 0x20)},
		 .expect = AN_ODD_ONE},
		{"STUN, cookie's last byte",
		 {.payload = STUN, .payload_bytes = 20, .change = PAYLOAD_BYTE(7, 0x43)},
		 .expect = AN_ODD_ONE},
		{"STUN, first bit set",
		 {.payload = STUN, .payload_bytes = 20, .change = PAYLOAD_BYTE(0, 0x80)},
		 .expect = AN_ODD_ONE},
		{"STUN, second bit set",
		 {.payload = STUN, .payload_bytes = 20, .change = PAYLOAD_BYTE(0, 0x40)},
		 .expect = AN_ODD_ONE},
		{"STUN over TCP",
		 {.protocol = TCP, .payload = STUN, .payload_bytes = 20},
		 .expect = A_SEGMENT},
	};

	lab_rows(*state, rows, COUNT(rows));
}

static void check_status(struct lab *lab, int status)
{
	struct row row = {.name = "status", .expect = ANSWERS(status)};
	char text[40];

	snprintf(text, sizeof(text), "SIP/2.0 %03d Reason\r\n", status);
	row.packet = (struct recipe){.payload = text, .protocol = status % 2 ? TCP : 0};
	lab_row(lab, &row);
}

/* RFC 3261 25.1: beside the classes 1xx to 6xx, any three digits are an extension code. */
static void test_statuses(void **state)
{
	static const int extension_codes[] = {0, 1, 99, 700, 999};
	struct lab *lab = *state;

	for (int status = 100; status < 700; status++)
		check_status(lab, status);
	for (size_t i = 0; i < COUNT(extension_codes); i++)
		check_status(lab, extension_codes[i]);
	assert_int_equal(lab->failures, 0);
}

static void test_status_lines(void **state)
{
	static const struct row rows[] = {
		{"no reason phrase, CR", {.payload = "SIP/2.0 200\r\n"}, .expect = ANSWERS(200)},
		{"no reason phrase, LF", {.payload = "SIP/2.0 200\n"}, .expect = ANSWERS(200)},
		{"no reason phrase, space", {.payload = "SIP/2.0 200 \r\n"}, .expect = ANSWERS(200)},
		{"ends after the space", {.payload = "SIP/2.0 200 "}, .expect = ANSWERS(200)},
		{"ends after the status", {.payload = "SIP/2.0 200"}, .expect = AN_ODD_ONE},
		{"two digits", {.payload = "SIP/2.0 20 OK\r\n"}, .expect = AN_ODD_ONE},
		{"four digits", {.payload = "SIP/2.0 2000 OK\r\n"}, .expect = AN_ODD_ONE},
		{"letters", {.payload = "SIP/2.0 2OO OK\r\n"}, .expect = AN_ODD_ONE},
		{"colon is next to nine", {.payload = "SIP/2.0 20: OK\r\n"}, .expect = AN_ODD_ONE},
		{"slash is next to zero", {.payload = "SIP/2.0 /00 OK\r\n"}, .expect = AN_ODD_ONE},
		{"a tab after the status", {.payload = "SIP/2.0 200\tOK\r\n"}, .expect = AN_ODD_ONE},
		{"two spaces", {.payload = "SIP/2.0  200 OK\r\n"}, .expect = AN_ODD_ONE},
		{"SIP/3.0", {.payload = "SIP/3.0 200 OK\r\n"}, .expect = AN_ODD_ONE},
		{"SIP/2.1", {.payload = "SIP/2.1 200 OK\r\n"}, .expect = AN_ODD_ONE},
		{"SIP/2.0 alone", {.payload = "SIP/2.0 "}, .expect = AN_ODD_ONE},
		{"SIP/2.0 without its space", {.payload = "SIP/2.0\r\n"}, .expect = AN_ODD_ONE},
		{"HTTP's", {.payload = "HTTP/1.1 200 OK\r\n"}, .expect = AN_ODD_ONE},
	};

	lab_rows(*state, rows, COUNT(rows));
}

static void test_what_no_grammar_allows(void **state)
{
	static const struct row rows[] = {
		{"HTTP request", {.payload = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"}, .expect = AN_ODD_ONE},
		{"TLS record",
		 {.payload = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		  .payload_bytes = 11,
		  .fill = 200},
		 .expect = AN_ODD_ONE},
		{"RTP", {.payload = "\x80\x00\x12\x34", .fill = 172}, .expect = AN_ODD_ONE},
		{"zeros", {.payload = "\0\0\0\0\0\0\0\0", .payload_bytes = 8}, .expect = AN_ODD_ONE},
		{"letters", {.fill = 500}, .expect = AN_ODD_ONE},
		{"DNS",
		 {.payload = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www", .payload_bytes = 16},
		 .expect = AN_ODD_ONE},
		{"a header first", {.payload = "Via: SIP/2.0/UDP a\r\n"}, .expect = AN_ODD_ONE},
	};

	lab_rows(*state, rows, COUNT(rows));
}

/* What a segment is; what it costs is rate_test.c's. */
static void test_segments(void **state)
{
	static const struct row rows[] = {
		{"SYN", {.protocol = TCP, .flags = FLAG_SYN}, .expect = A_SYN},
		{"SYN with data",
		 {.protocol = TCP, .flags = FLAG_SYN, .payload = INVITE_TEXT},
		 .expect = A_SYN},
		{"SYN to the TLS port",
		 {.protocol = TCP, .flags = FLAG_SYN, .port = TLS_PORT},
		 .expect = A_SYN},
		{"SYN and RST", {.protocol = TCP, .flags = FLAG_SYN | FLAG_RST}, .expect = A_SYN},
		{"SYN and ACK", {.protocol = TCP, .flags = FLAG_SYN | FLAG_ACK}, .expect = A_SEGMENT},
		{"ACK", {.protocol = TCP, .flags = FLAG_ACK}, .expect = A_SEGMENT},
		{"FIN", {.protocol = TCP, .flags = FLAG_FIN | FLAG_ACK}, .expect = A_SEGMENT},
		{"RST", {.protocol = TCP, .flags = FLAG_RST}, .expect = A_SEGMENT},
		{"RST and ACK", {.protocol = TCP, .flags = FLAG_RST | FLAG_ACK}, .expect = A_SEGMENT},
		{"response", {.protocol = TCP, .payload = "SIP/2.0 180 Ringing\r\n"}, .expect = ANSWERS(180)},
		{"ACK over IPv6",
		 {.family = 6, .protocol = TCP, .payload = "ACK" URI},
		 .expect = REQUEST(DIALOG, ACK)},
		{"an extension method", {.protocol = TCP, .payload = "PING" URI}, .expect = AN_EXTENSION},
		{"the middle of a message",
		 {.protocol = TCP, .payload = "=audio 4000 RTP/AVP 0\r\n"},
		 .expect = A_SEGMENT},
		{"garbage", {.protocol = TCP, .fill = 400}, .expect = A_SEGMENT},
		{"one byte", {.protocol = TCP, .payload = "I"}, .expect = A_SEGMENT},
		{"a start-line cut in the method", {.protocol = TCP, .payload = "INVI"}, .expect = A_SEGMENT},
		{"a start-line cut in the scheme",
		 {.protocol = TCP, .payload = "INVITE s"},
		 .expect = AN_INVITE},
		{"a start-line cut before the scheme",
		 {.protocol = TCP, .payload = "INVITE "},
		 .expect = A_SEGMENT},
		{"a status line cut", {.protocol = TCP, .payload = "SIP/2.0 20"}, .expect = A_SEGMENT},
		{"SIP to the TLS port",
		 {.protocol = TCP, .port = TLS_PORT, .payload = INVITE_TEXT},
		 .expect = A_SEGMENT},
		{"the beginning of a record longer than any",
		 {.protocol = TCP, .port = TLS_PORT, .payload = "\x16\x03\x01", .fill = 300},
		 .expect = A_SEGMENT},
	};

	lab_rows(*state, rows, COUNT(rows));
}

/* Classes that other rows here cannot show; those of TLS and WebSocket are tls_test.c's. */
static void test_refused_and_fragment_are_classes_too(void **state)
{
	static const struct row rows[] = {
		{"a length that lies", {.payload = INVITE_TEXT, .change = UDP_LENGTH(7)}, .expect = REFUSED},
		{"an orphan", {.offset = 1480, .fill = 100}, .expect = PASSES(WITHIN_LIMITS, FRAGMENT, NONE)},
	};

	lab_rows(*state, rows, COUNT(rows));
}

static bool class_is_absent(int class)
{
	return class == SIPDAM_CLASS_TLS_HELLO || class == SIPDAM_CLASS_WS_UPGRADE;
}

/* Last: fails when a method or class has no row above. */
static void test_every_method_and_class_had_a_row(void **state)
{
	static const int methods[] = {
#define X(name, number, label, class) number,
		SIPDAM_METHODS(X)
#undef X
	};
	static const int classes[] = {
#define X(name, number, label, network) number,
		SIPDAM_CLASSES(X)
#undef X
	};
	struct lab *lab = *state;

	for (size_t i = 0; i < COUNT(methods); i++)
		if (!lab->method_seen[methods[i]])
			fail_msg("no row expects method %s", method_label(methods[i]));
	for (size_t i = 0; i < COUNT(classes); i++)
		if (lab->class_seen[classes[i]] == class_is_absent(classes[i]))
			fail_msg("class %s: %s", class_label(classes[i]),
				 class_is_absent(classes[i]) ? "is absent, yet expected"
							     : "no row expects it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lab_test(test_methods_by_name),
		lab_test(test_methods_over_tcp_and_their_near_misses),
		lab_test(test_request_lines),
		lab_test(test_long_methods),
		lab_test(test_leading_crlfs),
		lab_test(test_crlfs_before_others),
		lab_test(test_keepalives),
		lab_test(test_statuses),
		lab_test(test_status_lines),
		lab_test(test_what_no_grammar_allows),
		lab_test(test_segments),
		lab_test(test_refused_and_fragment_are_classes_too),
		lab_test(test_every_method_and_class_had_a_row),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}
