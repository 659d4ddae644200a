// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* `sipdam doctor tls`: which servers can be named, what is made of the answers, the exact words. */
// uses: user/doctor_tls.c user/doctor.c user/problem.c user/utf8.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "doctor_tls.h"

static struct tls_report report;
static struct doctor doctor;

/* A server with nothing to complain of. */
static int begin(void **state)
{
	(void)state;
	memset(&doctor, 0, sizeof(doctor));
	report = (struct tls_report){
		.target = {.host = "192.0.2.1", .port = "5061", .name = "sip.example.com"},
		.library = "OpenSSL 3.0.19",
		.version = {[TLS_1_0] = {.answer = TLS_REFUSED},
			    [TLS_1_1] = {.answer = TLS_REFUSED},
			    [TLS_1_2] = {.answer = TLS_REFUSED},
			    [TLS_1_3] = {.answer = TLS_ACCEPTED,
					 .ciphers = 1,
					 .cipher = {"TLS_AES_256_GCM_SHA384"}}},
		.groups = 1,
		.group = {"X25519"},
		.certificate = {.seen = true,
				.subject = "CN=sip.example.com",
				.issuer = "CN=ca",
				.names = 1,
				.name = {"sip.example.com"},
				.matches = true,
				.key = "RSA",
				.bits = 2048,
				.signature = "RSA-SHA256",
				.expires = "2027-01-31",
				.days = 300},
	};
	return 0;
}

/* --- targets --- */

static void target(const char *text, const char *host, const char *port, bool by_address)
{
	struct tls_target parsed;
	struct problem problem = {};

	if (tls_parse_target(text, NULL, &parsed, &problem))
		fail_msg("%s: %s", text, problem.text);
	assert_string_equal(parsed.host, host);
	assert_string_equal(parsed.port, port);
	assert_string_equal(parsed.name, host);
	assert_int_equal(parsed.by_address, by_address);
}

static void test_targets(void **state)
{
	(void)state;
	target("192.0.2.1", "192.0.2.1", "5061", true);
	target("192.0.2.1:5071", "192.0.2.1", "5071", true);
	target("192.0.2.1:65535", "192.0.2.1", "65535", true);
	target("sip.example.com", "sip.example.com", "5061", false);
	target("sip.example.com:0443", "sip.example.com", "443", false);
	target("localhost:1", "localhost", "1", false);
	target("2001:db8::1", "2001:db8::1", "5061", true);
	target("[2001:db8::1]", "2001:db8::1", "5061", true);
	target("[2001:db8::1]:443", "2001:db8::1", "443", true);
}

static void test_names(void **state)
{
	struct tls_target parsed;
	struct problem problem = {};

	(void)state;
	assert_int_equal(tls_parse_target("192.0.2.1:5061", "sip.example.com", &parsed, &problem), 0);
	assert_string_equal(parsed.host, "192.0.2.1");
	assert_string_equal(parsed.name, "sip.example.com");
	assert_false(parsed.by_address);
	assert_int_equal(tls_parse_target("sip.example.com", "192.0.2.1", &parsed, &problem), 0);
	assert_true(parsed.by_address);
	assert_int_equal(tls_parse_target("192.0.2.1", "a b", &parsed, &problem), -EINVAL);
	assert_non_null(strstr(problem.text, "--name"));
}

static void test_no_targets(void **state)
{
	static const char *const bad[] = {
		"",          ":5061",        "192.0.2.1:",      "192.0.2.1:0", "192.0.2.1:65536",
		"a:5061x",   "a:-1",         "[2001:db8::1",    "[]:5061",     "[2001:db8::1]5061",
		"[host]:80", "2001:db8::g",  "sip:example",     "-x",          "a b",
		"a/b",       "[192.0.2.1]x", "192.0.2.1:5061:1"};
	char long_name[300];
	struct tls_target parsed = {.host = "untouched"};
	struct problem problem;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (tls_parse_target(bad[i], NULL, &parsed, &problem) != -EINVAL)
			fail_msg("%s was taken for %s port %s", bad[i], parsed.host, parsed.port);
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = 0;
	assert_int_equal(tls_parse_target(long_name, NULL, &parsed, &problem), -EINVAL);
	assert_string_equal(parsed.host, "untouched");
}

/* --- judging --- */

static void found(const char *topic, enum doctor_level level, const char *words)
{
	for (size_t i = 0; i < doctor.count; i++)
		if (!strcmp(doctor.finding[i].topic, topic) && doctor.finding[i].level == level &&
		    strstr(doctor.finding[i].text, words))
			return;
	fail_msg("no finding %s %s with \"%s\"", doctor_level_name(level), topic, words);
}

static void judged(size_t faults, size_t warnings, size_t unseen)
{
	doctor.count = 0;
	tls_judge(&report, &doctor);
	for (size_t i = 0; i < doctor.count; i++)
		if (doctor.finding[i].level != DOCTOR_OK)
			print_message("%s: %s\n", doctor.finding[i].topic, doctor.finding[i].text);
	assert_int_equal(doctor_count(&doctor, DOCTOR_FAULT), faults);
	assert_int_equal(doctor_count(&doctor, DOCTOR_WARNING), warnings);
	assert_int_equal(doctor_count(&doctor, DOCTOR_UNSEEN), unseen);
}

static void test_a_good_server(void **state)
{
	(void)state;
	judged(0, 0, 0);
	assert_false(tls_wants_advice(&report));
	found("name", DOCTOR_OK, "sip.example.com");
	found("key", DOCTOR_OK, "RSA, 2048 bits");
}

static void test_versions(void **state)
{
	(void)state;
	report.version[TLS_1_2].answer = TLS_ACCEPTED;
	judged(0, 1, 0);
	found("tls 1.2", DOCTOR_WARNING, "accepted");
	assert_true(tls_wants_advice(&report));
	report.version[TLS_1_3].answer = TLS_REFUSED; /* then TLS 1.2 is the best there is */
	judged(0, 1, 0);
	found("tls 1.3", DOCTOR_WARNING, "not accepted");
	report.version[TLS_1_1].answer = TLS_ACCEPTED;
	judged(1, 1, 0);
	found("tls 1.1", DOCTOR_FAULT, "RFC 8996");
	report.version[TLS_1_0].answer = TLS_ACCEPTED;
	report.version[TLS_1_2].answer = TLS_SILENT;
	judged(3, 0, 0); /* and nothing that is not old */
	found("tls 1.3", DOCTOR_FAULT, "not accepted");
	found("tls 1.2", DOCTOR_OK, "no answer");
}

static void test_what_cannot_be_tested(void **state)
{
	(void)state;
	report.version[TLS_1_0].answer = report.version[TLS_1_1].answer = TLS_UNTESTED;
	report.lacks_rc4 = true;
	judged(0, 0, 3);
	found("tls 1.0", DOCTOR_UNSEEN, "OpenSSL 3.0.19 cannot offer it");
	found("ciphers", DOCTOR_UNSEEN, "SSL 3, RC4");
	report.version[TLS_1_3].cut = true;
	judged(0, 0, 4);
}

static void cipher(enum tls_version version, const char *name)
{
	struct tls_offer *offer = &report.version[version];

	snprintf(offer->cipher[offer->ciphers++], sizeof(offer->cipher[0]), "%s", name);
}

static void test_ciphers(void **state)
{
	(void)state;
	cipher(TLS_1_2, "ECDHE-RSA-AES256-GCM-SHA384");
	cipher(TLS_1_2, "DHE-RSA-AES128-SHA");
	judged(0, 0, 0);
	cipher(TLS_1_2, "AES128-SHA");
	cipher(TLS_1_0, "AES128-SHA"); /* the same once more */
	judged(0, 1, 0);
	found("ciphers", DOCTOR_WARNING, "1 without forward secrecy");
	cipher(TLS_1_2, "ADH-AES128-SHA");
	cipher(TLS_1_2, "ECDHE-RSA-RC4-SHA");
	cipher(TLS_1_2, "DES-CBC3-SHA");
	cipher(TLS_1_2, "NULL-SHA256");
	cipher(TLS_1_2, "ECDHE-RSA-DES-CBC3-SHA");
	judged(1, 1, 0);
	found("ciphers", DOCTOR_FAULT,
	      "5 that are broken or protect nothing: ADH-AES128-SHA ECDHE-RSA-RC4-SHA "
	      "DES-CBC3-SHA NULL-SHA256 ...");
}

static void test_expiry(void **state)
{
	(void)state;
	report.certificate.days = 30;
	judged(0, 0, 0);
	report.certificate.days = 29;
	judged(0, 1, 0);
	found("expiry", DOCTOR_WARNING, "on 2027-01-31, in 29 days");
	report.certificate.days = 0;
	judged(0, 1, 0);
	report.certificate.days = -1;
	judged(1, 0, 0);
	found("expiry", DOCTOR_FAULT, "expired on 2027-01-31, 1 day ago");
	report.certificate.days = 300;
	report.certificate.not_yet = true;
	judged(1, 0, 0);
}

static void test_certificates(void **state)
{
	(void)state;
	report.certificate.matches = false;
	judged(1, 0, 0);
	found("name", DOCTOR_FAULT, "is not for sip.example.com but for sip.example.com");
	report.certificate.matches = true;
	report.certificate.self_signed = true;
	snprintf(report.certificate.verify, sizeof(report.certificate.verify), "self-signed certificate");
	judged(0, 1, 0);
	found("chain", DOCTOR_WARNING, "signed by itself");
	report.certificate.self_signed = false;
	judged(0, 1, 0);
	found("chain", DOCTOR_WARNING, "not trusted");
	report.certificate.verify[0] = 0;
	report.certificate.bits = 2047;
	judged(1, 0, 0);
	found("key", DOCTOR_FAULT, "RSA of 2047 bits");
	snprintf(report.certificate.key, sizeof(report.certificate.key), "EC");
	report.certificate.bits = 224;
	judged(0, 0, 0);
	snprintf(report.certificate.signature, sizeof(report.certificate.signature), "RSA-SHA1");
	judged(0, 1, 0);
	report.certificate.seen = false;
	judged(0, 0, 1);
}

/* --- how it looks --- */

static void test_text(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	tls_judge(&report, &doctor);
	tls_print(&report, &doctor, out);
	fclose(out);
	assert_string_equal(text, "192.0.2.1:5061 by OpenSSL 3.0.19\n\n"
				  "Ciphers of TLS 1.3  TLS_AES_256_GCM_SHA384\n"
				  "Key exchange        X25519\n"
				  "Certificate         CN=sip.example.com\n"
				  "  for               sip.example.com\n"
				  "  issued by         CN=ca\n\n"
				  "ok       tls 1.0    not accepted\n"
				  "ok       tls 1.1    not accepted\n"
				  "ok       tls 1.2    not accepted\n"
				  "ok       tls 1.3    accepted\n"
				  "ok       ciphers    none that is weak\n"
				  "ok       name       is for sip.example.com\n"
				  "ok       expiry     on 2027-01-31, in 300 days\n"
				  "ok       key        RSA, 2048 bits, signed by RSA-SHA256\n"
				  "ok       chain      trusted by this system's store\n"
				  "\n0 faults, 0 warnings\n");
	free(text);
}

/* With what to change; no line is longer than a screen is wide. */
static void test_advice(void **state)
{
	char *text = NULL, *line;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	report.version[TLS_1_2].answer = TLS_ACCEPTED;
	for (int i = 0; i < TLS_CIPHERS_MAX; i++)
		cipher(TLS_1_2, "ECDHE-ECDSA-CAMELLIA256-SHA384");
	tls_judge(&report, &doctor);
	tls_print(&report, &doctor, out);
	fclose(out);
	assert_non_null(strstr(text, "    method = TLSv1.3+\n"));
	assert_non_null(strstr(text, "    modparam(\"tls_mgm\", \"tls_method\", \"[dom]TLSv1_3\")\n"));
	assert_non_null(strstr(text, "    method = tlsv1_3\n"));
	assert_non_null(strstr(text, "    MinProtocol = TLSv1.3\n"));
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		assert_true(strlen(line) <= 80);
	free(text);
}

static void test_json(void **state)
{
	char *text;
	json_t *object;

	(void)state;
	report.certificate.seen = false;
	report.groups = 0;
	tls_judge(&report, &doctor);
	object = tls_json(&report, &doctor);
	json_object_del(object, "findings");
	text = json_dumps(object, JSON_COMPACT);
	assert_string_equal(
		text,
		"{\"faults\":0,\"warnings\":0,\"unseen\":1,\"address\":\"192.0.2.1\",\"port\":5061,"
		"\"name\":\"sip.example.com\",\"library\":\"OpenSSL 3.0.19\",\"versions\":{\"1.0\":"
		"\"refused\",\"1.1\":\"refused\",\"1.2\":\"refused\",\"1.3\":\"accepted\"},\"ciphers\":{"
		"\"1.0\":[],\"1.1\":[],\"1.2\":[],\"1.3\":[\"TLS_AES_256_GCM_SHA384\"]},\"groups\":[],"
		"\"asks_certificate\":false,\"certificate\":null,\"advice\":[]}");
	free(text);
	json_decref(object);
	begin(NULL);
	report.version[TLS_1_2].answer = TLS_ACCEPTED;
	object = tls_json(&report, &doctor);
	assert_int_equal(json_array_size(json_object_get(object, "advice")), 5);
	text = json_dumps(json_object_get(object, "certificate"), JSON_COMPACT);
	assert_string_equal(
		text,
		"{\"subject\":\"CN=sip.example.com\",\"names\":[\"sip.example.com\"],\"issuer\":\"CN=ca\","
		"\"self_signed\":false,\"matches\":true,\"key\":\"RSA\",\"bits\":2048,\"signature\":"
		"\"RSA-SHA256\",\"expires\":\"2027-01-31\",\"days\":300,\"trusted\":true,"
		"\"untrusted_because\":null}");
	free(text);
	json_decref(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_targets, begin),
		cmocka_unit_test_setup(test_names, begin),
		cmocka_unit_test_setup(test_no_targets, begin),
		cmocka_unit_test_setup(test_a_good_server, begin),
		cmocka_unit_test_setup(test_versions, begin),
		cmocka_unit_test_setup(test_what_cannot_be_tested, begin),
		cmocka_unit_test_setup(test_ciphers, begin),
		cmocka_unit_test_setup(test_expiry, begin),
		cmocka_unit_test_setup(test_certificates, begin),
		cmocka_unit_test_setup(test_text, begin),
		cmocka_unit_test_setup(test_advice, begin),
		cmocka_unit_test_setup(test_json, begin),
	};

	return cmocka_run_group_tests_name("doctor_tls", tests, NULL, NULL);
}
