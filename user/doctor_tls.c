/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See doctor_tls.h: what was asked, what came of it, and what to change. */
#include "doctor_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INDENT       20
#define DAYS_WARNING 30

/* --- the target --- */

static bool is_address(const char *text)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static int bad_target(const char *text, struct problem *problem)
{
	return problem_set(
		problem, -EINVAL,
		"\"%.64s\" is not ADDRESS or ADDRESS:PORT such as 192.0.2.1:5061, [2001:db8::1]:5061 or "
		"sip.example.com",
		text);
}

/* Copies a port, 1 to 65535. */
static bool take_port(const char *text, char *port, size_t size)
{
	size_t digits = strspn(text, "0123456789");
	long number = digits && digits <= 5 && !text[digits] ? strtol(text, NULL, 10) : 0;

	if (number < 1 || number > 65535)
		return false;
	snprintf(port, size, "%ld", number);
	return true;
}

static bool is_name(const char *text)
{
	size_t length = strlen(text);

	return length && length < 254 && text[0] != '-' && text[0] != '.' &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == length;
}

/* Where the host ends, and the port that follows ("" for none). NULL if it is neither. */
static const char *split(const char *text, const char **begin, size_t *length)
{
	const char *colon = strchr(text, ':'), *bracket = strchr(text, ']');

	*begin = text;
	*length = strlen(text);
	if (text[0] == '[') {
		if (!bracket || (bracket[1] && bracket[1] != ':'))
			return NULL;
		*begin = text + 1;
		*length = (size_t)(bracket - text - 1);
		return bracket[1] ? bracket + 2 : NULL;
	}
	if (!colon || strchr(colon + 1, ':'))
		return NULL; /* a name, or IPv6 without brackets and port */
	*length = (size_t)(colon - text);
	return colon + 1;
}

int tls_parse_target(const char *text, const char *name, struct tls_target *target, struct problem *problem)
{
	struct tls_target parsed = {.port = DOCTOR_TLS_PORT};
	const char *begin, *port;
	size_t length;

	port = split(text, &begin, &length);
	if (length >= sizeof(parsed.host) || (port && !take_port(port, parsed.port, sizeof(parsed.port))))
		return bad_target(text, problem);
	memcpy(parsed.host, begin, length);
	if (!is_address(parsed.host) && (text[0] == '[' || !is_name(parsed.host)))
		return bad_target(text, problem);
	if (name && !is_address(name) && !is_name(name))
		return problem_set(problem, -EINVAL, "--name: \"%.64s\" is not the name of a host", name);
	snprintf(parsed.name, sizeof(parsed.name), "%s", name ? name : parsed.host);
	parsed.by_address = is_address(parsed.name);
	*target = parsed;
	return 0;
}

/* --- judging --- */

const char *tls_version_name(enum tls_version version)
{
	static const char *const names[TLS_VERSIONS] = {"1.0", "1.1", "1.2", "1.3"};

	return names[version];
}

static void judge_old(const struct tls_report *report, enum tls_version version, struct doctor *doctor)
{
	static const char *const topics[TLS_VERSIONS] = {"tls 1.0", "tls 1.1", "tls 1.2", "tls 1.3"};

	switch (report->version[version].answer) {
	case TLS_ACCEPTED:
		doctor_add(doctor, DOCTOR_FAULT, topics[version], NULL, NULL,
			   "accepted: forbidden since 2021 (RFC 8996), and of no use but to attackers and "
			   "very old phones");
		break;
	case TLS_UNTESTED:
		doctor_add(doctor, DOCTOR_UNSEEN, topics[version], NULL, NULL,
			   "not tested: %s cannot offer it", report->library);
		break;
	case TLS_REFUSED:
	case TLS_SILENT:
		doctor_add(doctor, DOCTOR_OK, topics[version], NULL, NULL, "not accepted%s",
			   report->version[version].answer == TLS_SILENT ? " (no answer)" : "");
	}
}

static void judge_versions(const struct tls_report *report, struct doctor *doctor)
{
	enum tls_answer newest = report->version[TLS_1_3].answer, before = report->version[TLS_1_2].answer;

	judge_old(report, TLS_1_0, doctor);
	judge_old(report, TLS_1_1, doctor);
	if (before == TLS_ACCEPTED)
		doctor_add(doctor, newest == TLS_ACCEPTED ? DOCTOR_WARNING : DOCTOR_OK, "tls 1.2", NULL, NULL,
			   "accepted: right as long as phones need it; not where TLS 1.3 alone is wanted");
	else
		doctor_add(doctor, DOCTOR_OK, "tls 1.2", NULL, NULL, "not accepted%s",
			   before == TLS_SILENT ? " (no answer)" : "");
	if (newest == TLS_ACCEPTED)
		doctor_add(doctor, DOCTOR_OK, "tls 1.3", NULL, NULL, "accepted");
	else if (newest == TLS_UNTESTED)
		doctor_add(doctor, DOCTOR_UNSEEN, "tls 1.3", NULL, NULL, "not tested: %s cannot offer it",
			   report->library);
	else
		doctor_add(doctor, before == TLS_ACCEPTED ? DOCTOR_WARNING : DOCTOR_FAULT, "tls 1.3", NULL,
			   NULL, "not accepted%s", newest == TLS_SILENT ? " (no answer)" : "");
}

/* What an accepted cipher is worth, by its name in OpenSSL. */
static enum doctor_level rate_cipher(const char *name)
{
	static const char *const broken[] = {"NULL", "EXP", "RC4", "DES-", "ADH-", "AECDH-", "MD5", "RC2"};

	for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++)
		if (strstr(name, broken[i]))
			return DOCTOR_FAULT;
	if (strncmp(name, "TLS_", 4) && strncmp(name, "ECDHE-", 6) && strncmp(name, "DHE-", 4))
		return DOCTOR_WARNING;
	return DOCTOR_OK;
}

static bool is_listed_before(const struct tls_report *report, enum tls_version version, const char *cipher)
{
	for (int newer = version + 1; newer < TLS_VERSIONS; newer++)
		for (size_t i = 0; i < report->version[newer].ciphers; i++)
			if (!strcmp(report->version[newer].cipher[i], cipher))
				return true;
	return false;
}

/* Names of the accepted ciphers of a level, the newest version's first, each once. */
static size_t list_ciphers(const struct tls_report *report, enum doctor_level level, char *text, size_t size)
{
	size_t count = 0, length = 0;

	text[0] = 0;
	for (int version = TLS_1_3; version >= TLS_1_0; version--)
		for (size_t i = 0; i < report->version[version].ciphers; i++) {
			const char *name = report->version[version].cipher[i];

			if (rate_cipher(name) != level || is_listed_before(report, version, name))
				continue;
			if (count++ < 4 && length < size)
				length += (size_t)snprintf(text + length, size - length, " %s", name);
		}
	return count;
}

static void judge_ciphers(const struct tls_report *report, struct doctor *doctor)
{
	char broken[200], weak[200];
	size_t faults = list_ciphers(report, DOCTOR_FAULT, broken, sizeof(broken)),
	       warnings = list_ciphers(report, DOCTOR_WARNING, weak, sizeof(weak));

	if (faults)
		doctor_add(doctor, DOCTOR_FAULT, "ciphers", NULL, NULL,
			   "%zu that are broken or protect nothing:%s%s", faults, broken,
			   faults > 4 ? " ..." : "");
	if (warnings)
		doctor_add(doctor, DOCTOR_WARNING, "ciphers", NULL, NULL,
			   "%zu without forward secrecy (who gets the key later can read all):%s%s", warnings,
			   weak, warnings > 4 ? " ..." : "");
	if (!faults && !warnings)
		doctor_add(doctor, DOCTOR_OK, "ciphers", NULL, NULL, "none that is weak");
	for (int version = TLS_1_0; version < TLS_VERSIONS; version++)
		if (report->version[version].cut) {
			doctor_add(doctor, DOCTOR_UNSEEN, "ciphers", NULL, NULL,
				   "not all could be asked for: the server, or a limit before it, answers "
				   "slowly");
			break;
		}
	if (report->lacks_rc4 || report->lacks_3des)
		doctor_add(doctor, DOCTOR_UNSEEN, "ciphers", NULL, NULL,
			   "not tested, as %s cannot offer them: SSL 3%s%s", report->library,
			   report->lacks_rc4 ? ", RC4" : "", report->lacks_3des ? ", 3DES" : "");
}

static void judge_time(const struct tls_certificate *certificate, struct doctor *doctor)
{
	if (certificate->days < 0)
		doctor_add(doctor, DOCTOR_FAULT, "expiry", NULL, NULL, "expired on %s, %ld day%s ago",
			   certificate->expires, -certificate->days, certificate->days == -1 ? "" : "s");
	else if (certificate->not_yet)
		doctor_add(doctor, DOCTOR_FAULT, "expiry", NULL, NULL,
			   "not valid yet: is the clock of one of both hosts wrong?");
	else if (certificate->days < DAYS_WARNING)
		doctor_add(doctor, DOCTOR_WARNING, "expiry", NULL, NULL, "on %s, in %ld day%s",
			   certificate->expires, certificate->days, certificate->days == 1 ? "" : "s");
	else
		doctor_add(doctor, DOCTOR_OK, "expiry", NULL, NULL, "on %s, in %ld days",
			   certificate->expires, certificate->days);
}

static void judge_name(const struct tls_report *report, struct doctor *doctor)
{
	const struct tls_certificate *certificate = &report->certificate;

	if (certificate->matches)
		doctor_add(doctor, DOCTOR_OK, "name", NULL, NULL, "is for %s", report->target.name);
	else
		doctor_add(doctor, DOCTOR_FAULT, "name", NULL, NULL, "is not for %s but for %s%s%s",
			   report->target.name,
			   certificate->names ? certificate->name[0] : certificate->subject,
			   certificate->names > 1 ? " and others" : "",
			   report->target.by_address ? "; `--name sip.example.com` asks for a name" : "");
}

static void judge_certificate(const struct tls_report *report, struct doctor *doctor)
{
	const struct tls_certificate *certificate = &report->certificate;
	bool rsa = !strncmp(certificate->key, "RSA", 3);

	if (!certificate->seen) {
		doctor_add(doctor, DOCTOR_UNSEEN, "name", NULL, NULL, "the server showed no certificate");
		return;
	}
	judge_name(report, doctor);
	judge_time(certificate, doctor);
	if (certificate->bits < (rsa ? 2048 : 224))
		doctor_add(doctor, DOCTOR_FAULT, "key", NULL, NULL, "%s of %d bits can be broken",
			   certificate->key, certificate->bits);
	else
		doctor_add(doctor, DOCTOR_OK, "key", NULL, NULL, "%s, %d bits, signed by %s",
			   certificate->key, certificate->bits, certificate->signature);
	if (strcasestr(certificate->signature, "sha1") || strcasestr(certificate->signature, "md5"))
		doctor_add(doctor, DOCTOR_WARNING, "signature", NULL, NULL, "%s: new clients refuse it",
			   certificate->signature);
	if (certificate->self_signed)
		doctor_add(doctor, DOCTOR_WARNING, "chain", NULL, NULL,
			   "signed by itself: clients that check certificates refuse it, others can be "
			   "deceived");
	else if (certificate->verify[0])
		doctor_add(doctor, DOCTOR_WARNING, "chain", NULL, NULL,
			   "not trusted by this system's store: %s (issuer: %s)", certificate->verify,
			   certificate->issuer);
	else
		doctor_add(doctor, DOCTOR_OK, "chain", NULL, NULL, "trusted by this system's store");
}

void tls_judge(const struct tls_report *report, struct doctor *doctor)
{
	judge_versions(report, doctor);
	judge_ciphers(report, doctor);
	judge_certificate(report, doctor);
	if (report->asks_certificate)
		doctor_add(doctor, DOCTOR_OK, "client", NULL, NULL,
			   "the server asks clients for a certificate");
}

/* --- what to change --- */

/*
 * By the sources of Kamailio 6.1 and 5.6 (tls_config.c), OpenSIPS 3.6 (tls_mgm), Asterisk 23
 * (pjsip_config.xml) and sofia-sip 1.13 (tport_tls.c): the last takes TLS 1.3 for granted and has no word for
 * it.
 */
static const struct advice {
	const char *server, *file, *lines[7], *then;
} advices[] = {
	{"Kamailio 5.7 or later",
	 "/etc/kamailio/tls.cfg",
	 {"[server:default]", "method = TLSv1.3+"},
	 "kamcmd tls.reload"},
	{"OpenSIPS 3.1 or later",
	 "opensips.cfg, for each server_domain (here: dom)",
	 {"modparam(\"tls_mgm\", \"tls_method\", \"[dom]TLSv1_3\")"},
	 "systemctl restart opensips"},
	{"Asterisk 18.20, 20.5, 21 or later",
	 "/etc/asterisk/pjsip.conf",
	 {"[transport-tls]", "type = transport", "protocol = tls", "method = tlsv1_3"},
	 "systemctl restart asterisk"},
	{"FreeSWITCH, whose tls-version has no word for 1.3: by OpenSSL's settings",
	 "/etc/ssl/tls13.cnf, with Environment=OPENSSL_CONF=/etc/ssl/tls13.cnf in its unit",
	 {"openssl_conf = begin", "[begin]", "ssl_conf = ssl", "[ssl]", "system_default = tls", "[tls]",
	  "MinProtocol = TLSv1.3"},
	 "systemctl restart freeswitch"},
	{"Kamailio 5.6 or earlier, by OpenSSL's settings too (as FreeSWITCH)",
	 "/etc/kamailio/tls.cfg, and OPENSSL_CONF in its unit",
	 {"[server:default]", "method = SSLv23"},
	 "systemctl restart kamailio"},
};

#define ADVICES (sizeof(advices) / sizeof(*advices))
#define LINES   (sizeof(advices->lines) / sizeof(*advices->lines))

bool tls_wants_advice(const struct tls_report *report)
{
	for (int version = TLS_1_0; version < TLS_1_3; version++)
		if (report->version[version].answer == TLS_ACCEPTED)
			return true;
	return false;
}

static void print_advice(FILE *out)
{
	fprintf(out, "\nFor TLS 1.3 alone, once every phone has it:\n");
	for (size_t i = 0; i < ADVICES; i++) {
		fprintf(out, "\n  ");
		doctor_wrap(advices[i].server, 2, out);
		fprintf(out, "  ");
		doctor_wrap(advices[i].file, 2, out);
		for (size_t line = 0; line < LINES && advices[i].lines[line]; line++)
			fprintf(out, "    %s\n", advices[i].lines[line]);
		fprintf(out, "  then: %s\n", advices[i].then);
	}
}

static json_t *advice_json(const struct tls_report *report)
{
	json_t *list = json_array();

	for (size_t i = 0; tls_wants_advice(report) && i < ADVICES; i++) {
		json_t *lines = json_array();

		for (size_t line = 0; line < LINES && advices[i].lines[line]; line++)
			json_array_append_new(lines, json_string(advices[i].lines[line]));
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:o, s:s}", "server", advices[i].server, "file",
						advices[i].file, "lines", lines, "then", advices[i].then));
	}
	return list;
}

/* --- how it looks --- */

static const char *answer_name(enum tls_answer answer)
{
	static const char *const names[] = {"untested", "accepted", "refused", "silent"};

	return names[answer];
}

static void print_words(const char *label, const char (*words)[40], size_t count, FILE *out)
{
	char text[TLS_CIPHERS_MAX * 41] = "";
	size_t length = 0;

	for (size_t i = 0; i < count; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s", i ? " " : "",
					   words[i]);
	fprintf(out, "%-*s", INDENT, label);
	doctor_wrap(text, INDENT, out);
}

static void print_groups(const struct tls_report *report, FILE *out)
{
	fprintf(out, "%-*s", INDENT, "Key exchange");
	for (size_t i = 0; i < report->groups; i++)
		fprintf(out, "%s%s", i ? " " : "", report->group[i]);
	fprintf(out, "\n");
}

static void print_names(const struct tls_certificate *certificate, FILE *out)
{
	fprintf(out, "%-*s", INDENT, "Certificate");
	doctor_wrap(certificate->subject, INDENT, out);
	for (size_t i = 0; i < certificate->names; i++)
		fprintf(out, "%-*s%s\n", INDENT, i ? "" : "  for", certificate->name[i]);
	fprintf(out, "%-*s", INDENT, "  issued by");
	doctor_wrap(certificate->issuer, INDENT, out);
}

void tls_print(const struct tls_report *report, const struct doctor *doctor, FILE *out)
{
	char label[24];
	bool ipv6 = strchr(report->target.host, ':') != NULL;

	fprintf(out, "%s%s%s:%s by %s\n\n", ipv6 ? "[" : "", report->target.host, ipv6 ? "]" : "",
		report->target.port, report->library);
	for (int version = TLS_1_3; version >= TLS_1_0; version--) {
		snprintf(label, sizeof(label), "Ciphers of TLS %s", tls_version_name(version));
		if (report->version[version].ciphers)
			print_words(label, report->version[version].cipher, report->version[version].ciphers,
				    out);
	}
	if (report->groups)
		print_groups(report, out);
	if (report->certificate.seen)
		print_names(&report->certificate, out);
	fprintf(out, "\n");
	doctor_print(doctor, out);
	if (tls_wants_advice(report))
		print_advice(out);
}

static json_t *versions_json(const struct tls_report *report)
{
	json_t *versions = json_object();

	for (int version = TLS_1_0; version < TLS_VERSIONS; version++)
		json_object_set_new(versions, tls_version_name(version),
				    json_string(answer_name(report->version[version].answer)));
	return versions;
}

static json_t *ciphers_json(const struct tls_report *report)
{
	json_t *versions = json_object();

	for (int version = TLS_1_0; version < TLS_VERSIONS; version++) {
		json_t *ciphers = json_array();

		for (size_t i = 0; i < report->version[version].ciphers; i++)
			json_array_append_new(ciphers, json_string(report->version[version].cipher[i]));
		json_object_set_new(versions, tls_version_name(version), ciphers);
	}
	return versions;
}

static json_t *certificate_json(const struct tls_certificate *certificate)
{
	json_t *names = json_array();

	for (size_t i = 0; i < certificate->names; i++)
		json_array_append_new(names, json_string(certificate->name[i]));
	if (!certificate->seen) {
		json_decref(names);
		return json_null();
	}
	return json_pack("{s:s, s:o, s:s, s:b, s:b, s:s, s:i, s:s, s:s, s:I, s:b, s:s?}", "subject",
			 certificate->subject, "names", names, "issuer", certificate->issuer, "self_signed",
			 certificate->self_signed, "matches", certificate->matches, "key", certificate->key,
			 "bits", certificate->bits, "signature", certificate->signature, "expires",
			 certificate->expires, "days", (json_int_t)certificate->days, "trusted",
			 !certificate->verify[0], "untrusted_because",
			 certificate->verify[0] ? certificate->verify : NULL);
}

json_t *tls_json(const struct tls_report *report, const struct doctor *doctor)
{
	json_t *object = doctor_json(doctor), *groups = json_array();

	for (size_t i = 0; i < report->groups; i++)
		json_array_append_new(groups, json_string(report->group[i]));
	if (json_object_update_new(object,
				   json_pack("{s:s, s:i, s:s, s:s, s:o, s:o, s:o, s:b, s:o, s:o}", "address",
					     report->target.host, "port", atoi(report->target.port), "name",
					     report->target.name, "library", report->library, "versions",
					     versions_json(report), "ciphers", ciphers_json(report), "groups",
					     groups, "asks_certificate", report->asks_certificate,
					     "certificate", certificate_json(&report->certificate), "advice",
					     advice_json(report)))) {
		json_decref(object);
		return NULL;
	}
	return object;
}
