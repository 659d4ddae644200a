/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The configuration: defaults, what is taken and what is refused with which words, what is derived, and
 * that a refusal changes nothing. Assignments lie in heap buffers of their exact size.
 */
// uses: user/settings.c user/settings_default.c user/settings_fields.c user/settings_value.c
// uses: user/settings_yaml.c user/settings_list.c user/settings_derive.c user/settings_print.c
// uses: user/settings_json.c user/address.c user/nearest.c user/problem.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "settings.h"
#include "settings_json.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define TICKS       SIPDAM_TICKS_PER_SECOND

static char directory[] = "/tmp/sipdam-settings-XXXXXX";
static char file[64]; /* the configuration under test */

static void write_file(const char *path, const void *bytes, size_t length)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_int_equal(fwrite(bytes, 1, length, out), length);
	assert_int_equal(fclose(out), 0);
}

static void write_beside(const char *name, const char *text)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	write_file(path, text, strlen(text));
}

static int load_bytes(struct settings *settings, const void *bytes, size_t length, struct problem *problem)
{
	write_file(file, bytes, length);
	return settings_load(settings, file, problem);
}

static int load(struct settings *settings, const char *yaml, struct problem *problem)
{
	return load_bytes(settings, yaml, strlen(yaml), problem);
}

static int assign(struct settings *settings, const char *assignment, struct problem *problem)
{
	char *exact = strdup(assignment);
	int error = settings_assign(settings, exact, problem);

	free(exact);
	return error;
}

/* The value of a key, as settings_field_format writes it; the next call overwrites it. */
static const char *value_of(const struct settings *settings, const char *key)
{
	static char text[SETTINGS_VALUE];
	int field = settings_field_find(key);

	assert_true(field >= 0);
	settings_field_format(settings, (size_t)field, text, sizeof(text));
	return text;
}

static const char *origin_of(const struct settings *settings, const char *key)
{
	return settings_field_origin(settings, (size_t)settings_field_find(key));
}

static const struct sipdam_limit *unknown_invite(const struct settings *settings)
{
	return &settings->policy.limits[SIPDAM_TIER_UNKNOWN][SIPDAM_CLASS_INVITE];
}

static int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(file, sizeof(file), "%s/sipdam.yaml", directory);
	return 0;
}

static int remove_directory(void **state)
{
	static const char *const names[] = {"sipdam.yaml", "feed", "bad"};
	char path[96];

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	return rmdir(directory);
}

static void test_defaults_are_those_of_the_design(void **state)
{
	static const struct {
		const char *key, *value;
	} rows[] = {
		{"mode", "enforce"},
		{"ports.udp", "[5060]"},
		{"ports.tcp", "[5060]"},
		{"ports.tls", "[5061]"},
		{"ports.ws", "[]"},
		{"ports.wss", "[]"},
		{"addresses", "[]"},
		{"allow", "[]"},
		{"deny", "[]"},
		{"source_key.ipv4", "32"},
		{"source_key.ipv6", "64"},
		{"network_key.ipv4", "24"},
		{"network_key.ipv6", "48"},
		{"sources", "1048576"},
		{"limits.unknown.register.rate", "10"},
		{"limits.unknown.register.burst", "200"},
		{"limits.unknown.tcp_data.rate", "5000"},
		{"limits.trusted.tls_hello.rate", "20"},
		{"limits.trusted.tls_hello.burst", "200"},
		{"limits.unknown.ws_upgrade.rate", "5"},
		{"limits.unknown.ws_upgrade.burst", "50"},
		{"limits.trusted.ws_upgrade.rate", "50"},
		{"limits.pool.ws_upgrade.rate", "200"},
		{"limits.pool.ws_upgrade.burst", "400"},
		{"limits.peer.response.rate", "2000"},
		{"limits.peer.response.burst", "16000"},
		{"limits.peer.dialog.burst", "4000"},
		{"limits.peer.invite.rate", "10"},
		{"limits.peer.invite.burst", "50"},
		{"limits.allowed.invite.rate", "unlimited"},
		{"limits.allowed.malformed.burst", "unlimited"},
		{"limits.network.rate", "300"},
		{"limits.network.burst", "1200"},
		{"limits.pool.invite.rate", "200"},
		{"limits.pool.dialog.burst", "4000"},
		{"limits.pool.keepalive.burst", "8000"},
		{"limits.pool.tcp_data.rate", "50000"},
		{"verify.enabled", "true"},
		{"verify.min", "200ms"},
		{"verify.max", "32s"},
		{"verify.hold", "10s"},
		{"trust.learn", "true"},
		{"trust.ttl", "1h"},
		{"ban.enabled", "true"},
		{"ban.drops", "0"},
		{"ban.within", "10s"},
		{"ban.failures", "20"},
		{"ban.for", "5m"},
		{"ban.max", "1h"},
		{"tls.min_version", "none"},
		{"reflection.rate", "20000000"},
		{"reflection.burst", "40000000"},
		{"connections.per_source", "1000"},
		{"connections.trusted", "10000"},
		{"connections.forget", "15m"},
		{"connections.syn_cookies", "auto"},
		{"limits.cookies.rate", "50000"},
		{"limits.cookies.burst", "50000"},
	};
	struct settings settings;
	struct problem problem = {0};

	(void)state;
	settings_default(&settings);
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_string_equal(value_of(&settings, rows[i].key), rows[i].value);
		assert_string_equal(origin_of(&settings, rows[i].key), "default");
	}
	assert_int_equal(settings_finish(&settings, &problem), 0);
	assert_string_equal(problem.text, "");
	settings_free(&settings);
}

/* 14 before the limits, two for each class of four tiers and the pools and for networks, 21 after them. */
static void test_table_of_fields_is_whole(void **state)
{
	(void)state;
	assert_int_equal(settings_field_count(), 14 + 2 * (5 * 13 + 1) + 21);
	for (size_t i = 0; i < settings_field_count(); i++) {
		const char *help = settings_field_help(i);

		assert_int_equal(settings_field_find(settings_field_name(i)), i);
		assert_true(strlen(help) > 10);
		assert_int_equal(help[strlen(help) - 1], '.');
		assert_true(strlen(settings_field_type(i)) > 3);
	}
	assert_int_equal(settings_field_find("limits.unknown"), -ENOENT);
	assert_int_equal(settings_field_find(""), -ENOENT);
	assert_int_equal(settings_field_find("mode.x"), -ENOENT);
}

static void test_every_value_is_taken_back(void **state)
{
	struct settings settings, changed;
	struct problem problem = {0};

	(void)state;
	settings_default(&settings);
	settings_default(&changed);
	for (size_t i = 0; i < settings_field_count(); i++) {
		char assignment[256];

		if (!strcmp(settings_field_name(i), "sources"))
			continue;
		snprintf(assignment, sizeof(assignment), "%s=%s", settings_field_name(i),
			 value_of(&settings, settings_field_name(i)));
		if (assign(&changed, assignment, &problem))
			fail_msg("%s", problem.text);
		assert_string_equal(settings_field_origin(&changed, i), "set");
	}
	assert_int_equal(settings_finish(&changed, &problem), 0);
	memset(changed.policy.origin, 0, sizeof(changed.policy.origin));
	assert_memory_equal(&changed.policy, &settings.policy, sizeof(settings.policy));
	settings_free(&settings);
	settings_free(&changed);
}

static void test_files_are_taken(void **state)
{
	static const struct {
		const char *yaml, *key, *value;
	} rows[] = {
		{"", "mode", "enforce"},
		{"# nothing\n", "mode", "enforce"},
		{"---\n...\n", "mode", "enforce"},
		{"{}", "mode", "enforce"},
		{"\xef\xbb\xbfmode: monitor\n", "mode", "monitor"},
		{"mode: 'monitor'", "mode", "monitor"},
		{"ports: {udp: [5060, 65535, 1]}", "ports.udp", "[5060, 65535, 1]"},
		{"ports: {udp: []}", "ports.udp", "[]"},
		{"ports:\n  ws:\n  - 80\n  - 8080\n", "ports.ws", "[80, 8080]"},
		{"ports: {udp: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]}", "ports.udp",
		 "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]"},
		{"allow: [192.0.2.9/24, \"::1\", 2001:db8::/32]", "allow",
		 "[192.0.2.0/24, \"::1\", 2001:db8::/32]"},
		{"addresses: [192.0.2.9]", "addresses", "[192.0.2.9]"},
		{"limits: {unknown: {invite: {rate: 0.1}}}", "limits.unknown.invite.rate", "0.1"},
		{"limits: {unknown: {invite: {rate: 999999.999999, burst: 10000}}}",
		 "limits.unknown.invite.rate", "999999.999999"},
		{"limits: {unknown: {invite: {rate: 1000000.000000, burst: 10000}}}",
		 "limits.unknown.invite.rate", "1000000"},
		{"limits: {unknown: {invite: {rate: 0}}}", "limits.unknown.invite.rate", "0"},
		{"limits: {unknown: {invite: {rate: 0, burst: 4294967294}}}", "limits.unknown.invite.burst",
		 "4294967294"},
		{"limits: {unknown: {invite: {rate: 0, burst: 0}}}", "limits.unknown.invite.burst", "0"},
		{"limits: {unknown: {invite: {burst: 0, rate: 0}}}", "limits.unknown.invite.burst", "0"},
		{"limits: {allowed: {invite: {rate: 0, burst: 0}}}", "limits.allowed.invite.burst", "0"},
		{"limits: {unknown: {invite: {rate: 0.000004, burst: 1}}}", "limits.unknown.invite.rate",
		 "0.000004"},
		{"limits: {unknown: {invite: {rate: 1, burst: 259200}}}", "limits.unknown.invite.burst",
		 "259200"},
		{"limits: {unknown: {invite: {rate: 5000}}}", "limits.unknown.invite.burst", "50"},
		{"limits: {unknown: {invite: {burst: 7}}}", "limits.unknown.invite.rate", "10"},
		{"limits: {unknown: unlimited}", "limits.unknown.tls_hello.rate", "unlimited"},
		{"limits: {unknown: {invite: unlimited}}", "limits.unknown.invite.rate", "unlimited"},
		{"limits: {unknown: {invite: {rate: unlimited}}}", "limits.unknown.invite.rate", "unlimited"},
		{"limits: {network: unlimited}", "limits.network.rate", "unlimited"},
		{"limits: {allowed: {invite: {rate: 2.5}}}", "limits.allowed.invite.burst", "3"},
		{"limits: {allowed: {invite: {rate: 0}}}", "limits.allowed.invite.burst", "1"},
		{"limits: {allowed: {invite: {rate: 5, burst: 9}}}", "limits.allowed.invite.burst", "9"},
		{"limits: {allowed: {invite: {burst: 9, rate: 5}}}", "limits.allowed.invite.burst", "9"},
		{"verify: {min: 1.5s}", "verify.min", "1500ms"},
		{"verify: {enabled: false}", "verify.enabled", "false"},
		{"ban: {for: 0.5d, max: 7d}", "ban.for", "12h"},
		{"tls: {min_version: 1.2}", "tls.min_version", "1.2"},
		{"tls: {min_version: \"1.3\"}", "tls.min_version", "1.3"},
		{"sources: 1024", "sources", "1024"},
		{"sources: 16777216", "sources", "16777216"},
		{"source_key: {ipv4: 24}", "source_key.ipv4", "24"},
		{"network_key: {ipv4: 32, ipv6: 64}", "network_key.ipv6", "64"},
		{"reflection: {rate: 100, burst: 1}", "reflection.burst", "1"},
		{"connections: {per_source: 0, trusted: 30000}", "connections.trusted", "30000"},
		{"connections: {forget: 5m}", "connections.forget", "5m"},
		{"connections: {syn_cookies: off}", "connections.syn_cookies", "off"},
		{"limits: {cookies: unlimited}", "limits.cookies.rate", "unlimited"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct settings settings;
		struct problem problem = {0};

		settings_default(&settings);
		if (load(&settings, rows[i].yaml, &problem))
			fail_msg("%s: %s", rows[i].yaml, problem.text);
		assert_string_equal(value_of(&settings, rows[i].key), rows[i].value);
		settings_free(&settings);
	}
}

#define RATE_EXPECTED                                                                                        \
	"given, expected packets a second from 0 to 1000000 with at most 6 decimals, or unlimited"
#define BURST_EXPECTED  "given, expected a whole number from 0 to 4294967294"
#define IN_INVITE(pair) "limits: {unknown: {invite: {" pair "}}}"
#define NOT_TAKEN       "anchors, aliases and tags are not taken, expected the value itself"

/* Text without the name of the file: LINE:COLUMN: KEY: what was expected. */
struct refusal {
	const char *yaml, *text;
};

static void assert_refused(const struct refusal *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct settings settings, before;
		struct problem problem = {0};
		char expected[sizeof(problem.text)];

		settings_default(&settings);
		before = settings;
		snprintf(expected, sizeof(expected), "%s:%s", file, rows[i].text);
		assert_int_equal(load(&settings, rows[i].yaml, &problem), -EINVAL);
		assert_string_equal(problem.text, expected);
		assert_memory_equal(&settings, &before, sizeof(settings));
		settings_free(&settings);
	}
}

static void test_rates_and_bursts_are_refused(void **state)
{
	static const struct refusal rows[] = {
		{IN_INVITE("rate: -1"), "1:35: limits.unknown.invite.rate: \"-1\" " RATE_EXPECTED},
		{IN_INVITE("rate: +1"), "1:35: limits.unknown.invite.rate: \"+1\" " RATE_EXPECTED},
		{IN_INVITE("rate: .nan"), "1:35: limits.unknown.invite.rate: \".nan\" " RATE_EXPECTED},
		{IN_INVITE("rate: inf"), "1:35: limits.unknown.invite.rate: \"inf\" " RATE_EXPECTED},
		{IN_INVITE("rate: 0x10"), "1:35: limits.unknown.invite.rate: \"0x10\" " RATE_EXPECTED},
		{IN_INVITE("rate: 010"), "1:35: limits.unknown.invite.rate: \"010\" " RATE_EXPECTED},
		{IN_INVITE("rate: 1e3"), "1:35: limits.unknown.invite.rate: \"1e3\" " RATE_EXPECTED},
		{IN_INVITE("rate: 1.2.3"), "1:35: limits.unknown.invite.rate: \"1.2.3\" " RATE_EXPECTED},
		{IN_INVITE("rate: 5."), "1:35: limits.unknown.invite.rate: \"5.\" " RATE_EXPECTED},
		{IN_INVITE("rate: 0.1234567"),
		 "1:35: limits.unknown.invite.rate: \"0.1234567\" " RATE_EXPECTED},
		{IN_INVITE("rate: 1000000.000001"),
		 "1:35: limits.unknown.invite.rate: \"1000000.000001\" " RATE_EXPECTED},
		{IN_INVITE("rate: 18446744073709551626"),
		 "1:35: limits.unknown.invite.rate: \"18446744073709551626\" " RATE_EXPECTED},
		{IN_INVITE("rate: \"10\""), "1:35: limits.unknown.invite.rate: quoted \"10\" " RATE_EXPECTED},
		{IN_INVITE("rate: "), "1:35: limits.unknown.invite.rate: nothing " RATE_EXPECTED},
		{IN_INVITE("rate: [1]"), "1:35: limits.unknown.invite.rate: a list " RATE_EXPECTED},
		{IN_INVITE("rate: {a: 1}"), "1:35: limits.unknown.invite.rate: a mapping " RATE_EXPECTED},
		{IN_INVITE("burst: 0"), "1:36: limits.unknown.invite.burst: 0 is too short for a rate of 10 a "
					"second: give a burst of at least 1 (10 ms of the rate) or a lower "
					"rate"},
		{"limits: {allowed: {invite: {burst: 0, rate: 0.5}}}",
		 "1:36: limits.allowed.invite.burst: 0 is too short for a rate of 0.5 a second: give a burst of at "
		 "least 1 (10 ms of the rate) or a lower rate"},
		{IN_INVITE("burst: 1.5"), "1:36: limits.unknown.invite.burst: \"1.5\" " BURST_EXPECTED},
		{IN_INVITE("burst: 4294967295"),
		 "1:36: limits.unknown.invite.burst: \"4294967295\" " BURST_EXPECTED},
		{IN_INVITE("burst: unlimited"),
		 "1:36: limits.unknown.invite.burst: \"unlimited\" " BURST_EXPECTED},
		{IN_INVITE("rate: 5000.000001"), "1:35: limits.unknown.invite.burst: 50 is too short for a "
						 "rate of 5000.000001 a second: give a burst "
						 "of at least 51 (10 ms of the rate) or a lower rate"},
		{IN_INVITE("rate: 1000, burst: 9"), "1:48: limits.unknown.invite.burst: 9 is too short for a "
						    "rate of 1000 a second: give a burst of at "
						    "least 10 (10 ms of the rate) or a lower rate"},
		{IN_INVITE("rate: 1, burst: 259201"), "1:45: limits.unknown.invite.burst: 259201 at 1 a "
						      "second takes more than 3 days to refill: give a "
						      "burst of at most 259200 or a higher rate"},
		{IN_INVITE("rate: 0.000003, burst: 1"), "1:35: limits.unknown.invite.rate: 0.000003 a second "
							"is too slow to tell from 0: expected 0 or at "
							"least 0.000004"},
		{"reflection: {rate: 1000, burst: 9}", "1:33: reflection.burst: 9 is too short for a rate of "
						       "1000 a second: give a burst of at least 10 (10 "
						       "ms of the rate) or a lower rate"},
	};

	(void)state;
	assert_refused(rows, COUNT(rows));
}

static void test_values_are_refused(void **state)
{
	static const struct refusal rows[] = {
		{"mode: off", "1:7: mode: \"off\" given, expected enforce or monitor"},
		{"mode: Enforce", "1:7: mode: \"Enforce\" given, expected enforce or monitor"},
		{"mode: \"enforce\\0\"", "1:7: mode: text with a NUL given, expected enforce or monitor"},
		{"tls: {min_version: 1.1}",
		 "1:20: tls.min_version: \"1.1\" given, expected none, 1.2 or 1.3"},
		{"verify: {enabled: yes}", "1:19: verify.enabled: \"yes\" given, expected true or false"},
		{"verify: {enabled: \"true\"}",
		 "1:19: verify.enabled: quoted \"true\" given, expected true or false"},
		{"verify: {hold: 10}",
		 "1:16: verify.hold: \"10\" given, expected a duration from 0s to 1d, such as "
		 "10s (units ns us ms s m h d)"},
		{"trust: {ttl: 366d}",
		 "1:14: trust.ttl: \"366d\" given, expected a duration from 1s to 365d, such as "
		 "10s (units ns us ms s m h d)"},
		{"verify: {min: 33s}",
		 "1:15: verify.min: 33s is longer than verify.max (32s): expected at most 32s"},
		{"verify: {max: 100ms}",
		 "1:15: verify.min: 200ms is longer than verify.max (100ms): expected at most "
		 "100ms"},
		{"ban: {drops: 15626, within: 1ms}",
		 "1:14: ban.drops: 15626 within 1ms (ban.within) cannot be: expected at most 15625"},
		{"ban: {for: 2h}", "1:12: ban.for: 2h is longer than ban.max (1h): expected at most 1h"},
		{"sources: 1000000",
		 "1:10: sources: \"1000000\" given, expected a power of two from 1024 to 16777216, "
		 "the nearest is 1048576"},
		{"sources: 1600",
		 "1:10: sources: \"1600\" given, expected a power of two from 1024 to 16777216, the "
		 "nearest is 2048"},
		{"sources: 512",
		 "1:10: sources: \"512\" given, expected a power of two from 1024 to 16777216, the "
		 "nearest is 1024"},
		{"sources: 33554432",
		 "1:10: sources: \"33554432\" given, expected a power of two from 1024 to "
		 "16777216, the nearest is 16777216"},
		{"source_key: {ipv4: 33}",
		 "1:20: source_key.ipv4: \"33\" given, expected a whole number from 8 to 32"},
		{"source_key: {ipv6: 15}",
		 "1:20: source_key.ipv6: \"15\" given, expected a whole number from 16 to "
		 "128"},
		{"source_key: {ipv4: 16}",
		 "1:20: network_key.ipv4: 24 is longer than source_key.ipv4 (16): a network "
		 "holds its sources, expected at most 16"},
		{"ports: {udp: [0]}", "1:15: ports.udp: \"0\" given, expected a port from 1 to 65535"},
		{"ports: {udp: [65536]}",
		 "1:15: ports.udp: \"65536\" given, expected a port from 1 to 65535"},
		{"ports: {udp: ['5060']}",
		 "1:15: ports.udp: quoted \"5060\" given, expected a port from 1 to 65535"},
		{"ports: {udp: 5060}",
		 "1:14: ports.udp: \"5060\" given, expected a list of at most 16 ports from 1 to "
		 "65535, such as [5060, 5062]"},
		{"ports: {udp: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}",
		 "1:54: ports.udp: more than 16 ports given, expected at most 16"},
		{"ports: {udp: [5060, 5062, 5060]}",
		 "1:14: ports.udp: port 5060 is there twice, expected once"},
		{"ports:\n  wss: [5061]\n",
		 "2:8: ports.wss: port 5061 is in ports.tls already, and both are TCP: give "
		 "it one place"},
		{"ports: {tcp: [5061]}",
		 "1:14: ports.tls: port 5061 is in ports.tcp already, and both are TCP: give "
		 "it one place"},
		{"addresses: [feed]",
		 "1:13: addresses: \"feed\" given, expected a prefix such as 192.0.2.0/24"},
		{"allow: [[1.2.3.4]]",
		 "1:9: allow: a list given, expected a list of prefixes or of files with one a "
		 "line, such as [192.0.2.0/24, \"2001:db8::/32\"]"},
		{"allow: [2001:db8::]",
		 "1:18: allow: not valid YAML: found unexpected ':' (an address that begins or "
		 "ends with a colon needs quotes)"},
		{"allow: [/dev/zero]", "1:9: allow: /dev/zero is not a regular file"},
		{"allow: [192.0.2.0/33]", "1:9: allow: \"192.0.2.0/33\" is neither a prefix such as "
					  "192.0.2.0/24 nor a file that exists"},
	};

	(void)state;
	assert_refused(rows, COUNT(rows));
}

static void test_shapes_are_refused(void **state)
{
	static const struct refusal rows[] = {
		{"mod: x", "1:1: mod: unknown key, did you mean mode?"},
		{"\nlimits:\n  unknwon: {}\n",
		 "3:3: limits.unknwon: unknown key, did you mean limits.unknown?"},
		{IN_INVITE("rte: 1"), "1:29: limits.unknown.invite.rte: unknown key, did you mean "
				      "limits.unknown.invite.rate?"},
		{"colour: red", "1:1: colour: unknown key, `sipdam config show` prints all there are"},
		{"\"\": 1", "1:1: unknown key, `sipdam config show` prints all there are"},
		{"\"a\\e[31m\\n\": 1",
		 "1:1: a [31m : unknown key, `sipdam config show` prints all there are"},
		{"limits.unknown: 5",
		 "1:1: limits.unknown: unknown key, dotted keys are for `sipdam set`: in YAML, "
		 "nest them"},
		{"<<: {}", "1:1: <<: unknown key, `sipdam config show` prints all there are"},
		{"mode: monitor\nmode: enforce", "2:1: mode: the key is there twice, expected once"},
		{"limits: {}\nlimits: {}", "2:1: limits: the key is there twice, expected once"},
		{IN_INVITE("rate: 1, rate: 1"),
		 "1:38: limits.unknown.invite.rate: the key is there twice, expected "
		 "once"},
		{"? [a]\n: b", "1:3: a key must be a word"},
		{"[]", "1:1: a list given, expected a mapping of keys such as mode"},
		{"null", "1:1: \"null\" given, expected a mapping of keys such as mode"},
		{"\"\"", "1:1: quoted \"\" given, expected a mapping of keys such as mode"},
		{"ports:\n", "1:7: ports: nothing given, expected a mapping of keys such as udp"},
		{"limits: unlimited",
		 "1:9: limits: \"unlimited\" given, expected a mapping of keys such as unknown"},
		{"limits: {unknown: 5}",
		 "1:19: limits.unknown: \"5\" given, expected a mapping of keys such as "
		 "invite, or unlimited"},
		{"mode: {a: b}", "1:7: mode: a mapping given, expected enforce or monitor"},
		{"mode: [[[[[[[[[[[[[[[[[[[[[[[[", "1:7: mode: a list given, expected enforce or monitor"},
		{"mode: &a enforce", "1:7: mode: " NOT_TAKEN},
		{"mode: *a", "1:7: mode: " NOT_TAKEN},
		{"ports: &a {}", "1:8: ports: " NOT_TAKEN},
		{"allow: &a []", "1:8: allow: " NOT_TAKEN},
		{"mode: !!str enforce", "1:7: mode: " NOT_TAKEN},
		{"mode: enforce\n---\nmode: enforce\n", "2:1: a second YAML document begins, expected one"},
		{"mode: enforce\n...\nmode: [",
		 "3:1: not valid YAML: did not find expected <document start>"},
		{"ports: {udp: [5060",
		 "2:1: ports.udp: not valid YAML: while parsing a flow sequence, did not find "
		 "expected ',' or ']'"},
		{"# \xff", "1:3: not UTF-8 text: invalid leading UTF-8 octet"},
		{"mode: monitor\n# \xc0\xaf\n", "2:3: not UTF-8 text: invalid length of a UTF-8 sequence"},
		{"# \x01", "1:3: not UTF-8 text: control characters are not allowed"},
	};

	(void)state;
	assert_refused(rows, COUNT(rows));
}

static void test_bytes_that_are_no_text_are_refused(void **state)
{
	static const char nul[] = "mode: monitor\n# \0\n", utf16[] = "\xff\xfem\0o\0";
	struct settings settings;
	struct problem problem;

	(void)state;
	settings_default(&settings);
	assert_int_equal(load_bytes(&settings, nul, sizeof(nul) - 1, &problem), -EINVAL);
	assert_non_null(strstr(problem.text, ":2:3: not UTF-8 text: control characters"));
	assert_int_equal(load_bytes(&settings, utf16, sizeof(utf16) - 1, &problem), -EINVAL);
	assert_non_null(strstr(problem.text, ":1:1: not UTF-8 text"));
	assert_string_equal(value_of(&settings, "mode"), "enforce");
	settings_free(&settings);
}

static void test_files_that_are_none_are_refused(void **state)
{
	struct settings settings;
	struct problem problem;
	char pipe[96];

	(void)state;
	settings_default(&settings);
	assert_int_equal(settings_load(&settings, directory, &problem), -EINVAL);
	assert_int_equal(settings_load(&settings, "/dev/zero", &problem), -EINVAL);
	assert_string_equal(problem.text, "/dev/zero is not a regular file");
	snprintf(pipe, sizeof(pipe), "%s/pipe", directory);
	assert_int_equal(mkfifo(pipe, 0600), 0);
	assert_int_equal(settings_load(&settings, pipe, &problem), -EINVAL);
	unlink(pipe);
	assert_int_equal(settings_load(&settings, pipe, &problem), -ENOENT);
	assert_non_null(strstr(problem.text, "No such file or directory"));
	settings_free(&settings);
}

static void test_files_have_a_size(void **state)
{
	size_t most = 16 << 20;
	char *bytes = malloc(most + 1);
	struct settings settings;
	struct problem problem;

	(void)state;
	settings_default(&settings);
	memset(bytes, '\n', most + 1);
	assert_int_equal(load_bytes(&settings, bytes, most, &problem), 0);
	assert_int_equal(load_bytes(&settings, bytes, most + 1, &problem), -EFBIG);
	free(bytes);
	settings_free(&settings);
}

static void test_lists_name_files(void **state)
{
	struct settings settings;
	struct problem problem;
	char expected[256];

	(void)state;
	settings_default(&settings);
	write_beside("feed", "# feed\n192.0.2.0/24\n2001:db8::\n");
	write_beside("bad", "192.0.2.1\nwrong\n");
	assert_int_equal(load(&settings, "deny: [198.51.100.1, feed]\nallow: []", &problem), 0);
	assert_string_equal(value_of(&settings, "deny"), "[198.51.100.1, 192.0.2.0/24, \"2001:db8::\"]");
	assert_int_equal(settings.policy.list_entries[SIPDAM_LIST_DENY], 3);
	assert_true(settings.list_given[SIPDAM_LIST_DENY]);
	assert_true(settings.list_given[SIPDAM_LIST_ALLOW]);
	assert_false(settings.list_given[SIPDAM_LIST_ADDRESSES]);
	assert_int_equal(load(&settings, "mode: monitor\ndeny: [bad]", &problem), -EINVAL);
	snprintf(expected, sizeof(expected),
		 "%s:2:8: deny: %s/bad:2: not a prefix, expected one a line such as 192.0.2.0/24", file,
		 directory);
	assert_string_equal(problem.text, expected);
	assert_int_equal(settings.lists[SIPDAM_LIST_DENY].count, 3);
	assert_string_equal(value_of(&settings, "mode"), "enforce");
	assert_int_equal(load(&settings, "deny: [absent]", &problem), -EINVAL);
	assert_non_null(strstr(problem.text, "neither a prefix such as 192.0.2.0/24 nor a file that exists"));
	settings_free(&settings);
}

static void test_protected_destinations_are_64_at_most(void **state)
{
	char yaml[1024] = "addresses: [";
	struct settings settings;
	struct problem problem;

	(void)state;
	settings_default(&settings);
	for (int i = 0; i < 63; i++)
		strcat(yaml, "192.0.2.1, ");
	strcat(yaml, "192.0.2.2]");
	assert_int_equal(load(&settings, yaml, &problem), 0);
	assert_int_equal(settings.policy.list_entries[SIPDAM_LIST_ADDRESSES], 64);
	strcpy(strchr(yaml, ']'), ", 192.0.2.3]");
	assert_int_equal(load(&settings, yaml, &problem), -EINVAL);
	assert_non_null(strstr(problem.text, "addresses: more than 64 entries"));
	settings_free(&settings);
}

static void test_assignments_are_taken(void **state)
{
	static const struct {
		const char *assignment, *key, *value;
	} rows[] = {
		{"mode=monitor", "mode", "monitor"},
		{"limits.unknown.invite.rate=5", "limits.unknown.invite.rate", "5"},
		{"limits.unknown.invite={rate: 5, burst: 10}", "limits.unknown.invite.burst", "10"},
		{"limits.unknown={invite: {rate: 7}}", "limits.unknown.invite.rate", "7"},
		{"limits.unknown=unlimited", "limits.unknown.fragment.rate", "unlimited"},
		{"limits.unknown.invite=unlimited", "limits.unknown.invite.burst", "unlimited"},
		{"limits={network: {rate: 9}}", "limits.network.rate", "9"},
		{"ports.udp=5060,5062", "ports.udp", "[5060, 5062]"},
		{"ports.udp=5062", "ports.udp", "[5062]"},
		{"ports.udp=[]", "ports.udp", "[]"},
		{"ports={udp: [5070], tcp: []}", "ports.udp", "[5070]"},
		{"allow=[192.0.2.0/24]", "allow", "[192.0.2.0/24]"},
		{"allow=192.0.2.0/24,2001:db8::,::1", "allow", "[192.0.2.0/24, \"2001:db8::\", \"::1\"]"},
		{"trust.ttl=90m", "trust.ttl", "90m"},
		{"tls.min_version=1.3", "tls.min_version", "1.3"},
		{"ban.enabled=false", "ban.enabled", "false"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct settings settings;
		struct problem problem = {0};

		settings_default(&settings);
		if (assign(&settings, rows[i].assignment, &problem))
			fail_msg("%s: %s", rows[i].assignment, problem.text);
		assert_string_equal(value_of(&settings, rows[i].key), rows[i].value);
		assert_string_equal(origin_of(&settings, rows[i].key), "set");
		assert_string_equal(origin_of(&settings, "limits.pool.other.burst"), "default");
		assert_int_equal(settings_finish(&settings, &problem), 0);
		settings_free(&settings);
	}
}

static void test_assignments_are_refused(void **state)
{
	static const struct {
		const char *assignment, *text;
	} rows[] = {
		{"mode", "\"mode\" given, expected KEY=VALUE such as limits.unknown.invite.rate=20"},
		{"=5", "\"=5\" given, expected KEY=VALUE such as limits.unknown.invite.rate=20"},
		{"mode=", "mode: nothing given, expected a value"},
		{"mode=#x", "mode: nothing given, expected a value"},
		{"mode=off", "mode: \"off\" given, expected enforce or monitor"},
		{"mdoe=monitor", "mdoe: unknown key, did you mean mode?"},
		{"limits.unknwon.invite.rate=5", "limits.unknwon.invite.rate: unknown key, did you mean "
						 "limits.unknown?"},
		{"limits.unknown.invite.rat=5", "limits.unknown.invite.rat: unknown key, did you mean "
						"limits.unknown.invite.rate?"},
		{"mode.x=5", "mode.x: unknown key, `sipdam config show` prints all there are"},
		{"limits.=5", "limits.: unknown key, `sipdam config show` prints all there are"},
		{"limits.unknown.invite={rate: 5, brust: 10}",
		 "limits.unknown.invite.brust: unknown key, did you mean "
		 "limits.unknown.invite.burst?"},
		{"limits.unknown.invite=5",
		 "limits.unknown.invite: \"5\" given, expected a mapping of keys such as "
		 "rate, or unlimited"},
		{"limits.unknown.invite.rate=-5", "limits.unknown.invite.rate: \"-5\" " RATE_EXPECTED},
		{"mode=*a", "mode: " NOT_TAKEN},
		{"ports.udp=5060,x", "ports.udp: \"x\" given, expected a port from 1 to 65535"},
		{"allow=192.0.2.0/24,", "allow: \"\" given, expected a prefix such as 192.0.2.0/24"},
		{"allow={}",
		 "allow: a mapping given, expected a list of prefixes or of files with one a line, such as "
		 "[192.0.2.0/24, \"2001:db8::/32\"]"},
		{"sources=2048", "sources: the table cannot change its size while it runs: write it in the "
				 "configuration file and run `sipdam reload`"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct settings settings, before;
		struct problem problem = {0};

		settings_default(&settings);
		before = settings;
		assert_int_equal(assign(&settings, rows[i].assignment, &problem), -EINVAL);
		assert_string_equal(problem.text, rows[i].text);
		assert_memory_equal(&settings, &before, sizeof(settings));
		settings_free(&settings);
	}
}

static void test_unlimited_with_a_rate_gets_a_burst(void **state)
{
	struct settings settings;
	struct problem problem;

	(void)state;
	settings_default(&settings);
	assert_int_equal(assign(&settings, "limits.unknown.invite=unlimited", &problem), 0);
	assert_int_equal(settings_finish(&settings, &problem), 0);
	assert_int_equal(unknown_invite(&settings)->interval, 0);
	assert_true(unknown_invite(&settings)->depth == UINT64_MAX);
	assert_int_equal(assign(&settings, "limits.unknown.invite.rate=250.5", &problem), 0);
	assert_int_equal(settings_finish(&settings, &problem), 0);
	assert_string_equal(value_of(&settings, "limits.unknown.invite.burst"), "251");
	assert_string_equal(origin_of(&settings, "limits.unknown.invite.burst"), "set");
	settings_free(&settings);
}

static void test_a_failed_finish_changes_nothing(void **state)
{
	struct settings settings, before;
	struct problem problem;

	(void)state;
	settings_default(&settings);
	assert_int_equal(assign(&settings, "limits.unknown.invite.rate=100000", &problem), 0);
	before = settings;
	assert_int_equal(settings_finish(&settings, &problem), -EINVAL);
	assert_string_equal(problem.text,
			    "limits.unknown.invite.burst: 50 is too short for a rate of 100000 a second: "
			    "give a burst of at least 1000 (10 ms of the rate) or a lower rate");
	assert_memory_equal(&settings, &before, sizeof(settings));
	settings_free(&settings);
}

static void test_limits_become_ticks(void **state)
{
	static const struct {
		const char *limit;
		__u64 rate, interval, depth;
	} rows[] = {
		{"{rate: 10, burst: 50}", 10000000, TICKS / 10, TICKS * 5},
		{"{rate: 0.1, burst: 1}", 100000, TICKS * 10, TICKS * 10},
		{"{rate: 3, burst: 2}", 3000000, 5208333, 10416666},
		{"{rate: 1000000, burst: 10000}", 1000000000000, 15, 150000},
		{"{rate: 0.000004, burst: 1}", 4, 3906250000000, 3906250000000},
		{"{rate: 0, burst: 99}", 0, 1, 0},
		{"unlimited", 0, 0, UINT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct settings settings;
		struct problem problem;
		char assignment[96];

		settings_default(&settings);
		snprintf(assignment, sizeof(assignment), "limits.unknown.invite=%s", rows[i].limit);
		assert_int_equal(assign(&settings, assignment, &problem), 0);
		assert_int_equal(settings_finish(&settings, &problem), 0);
		assert_true(unknown_invite(&settings)->rate == rows[i].rate);
		assert_true(unknown_invite(&settings)->interval == rows[i].interval);
		assert_true(unknown_invite(&settings)->depth == rows[i].depth);
		settings_free(&settings);
	}
}

/* The deepest default is a registration's: 4000 at 100 a second. Pools have 64 bits and do not count. */
static void test_the_horizon_is_beyond_the_deepest_bucket(void **state)
{
	struct settings settings;
	struct problem problem;

	(void)state;
	settings_default(&settings);
	assert_true(settings.policy.horizon == 900 * TICKS + (1 << 24)); /* connections.forget */
	assert_int_equal(assign(&settings, "connections={per_source: 0, trusted: 1, forget: 7d}", &problem), 0);
	assert_int_equal(settings_finish(&settings, &problem), 0);
	assert_true(settings.policy.horizon == SIPDAM_DEPTH_MAX + (1 << 24));
	assert_int_equal(assign(&settings, "connections={per_source: 30000, trusted: 0, forget: 5m}", &problem), 0);
	assert_int_equal(settings_finish(&settings, &problem), 0);
	assert_true(settings.policy.horizon == 300 * TICKS + (1 << 24));
	assert_int_equal(assign(&settings, "connections={per_source: 0, trusted: 0}", &problem), 0);
	assert_int_equal(settings_finish(&settings, &problem), 0);
	assert_true(settings.policy.horizon == 40 * TICKS + (1 << 24));
	assert_int_equal(assign(&settings, "limits.pool.invite={rate: 1, burst: 259200}", &problem), 0);
	assert_int_equal(assign(&settings, "limits.network={rate: 1, burst: 50}", &problem), 0);
	assert_int_equal(settings_finish(&settings, &problem), 0);
	assert_true(settings.policy.horizon == 50 * TICKS + (1 << 24));
	assert_int_equal(assign(&settings, "limits.peer.other={rate: 1, burst: 60}", &problem), 0);
	assert_int_equal(settings_finish(&settings, &problem), 0);
	assert_true(settings.policy.horizon == 60 * TICKS + (1 << 24));
	settings_free(&settings);
}

/* The last of `drops` at one instant is the first that does not fit; what leaks is drops / within. */
static void test_drops_become_strikes(void **state)
{
	static const struct {
		const char *ban;
		__u64 interval, depth;
	} rows[] = {
		{"{drops: 0}", 0, 0},
		{"{drops: 5, enabled: false}", 0, 0},
		{"{drops: 5}", 2 * TICKS, 8 * TICKS},
		{"{drops: 1}", 10 * TICKS, 0},
		{"{drops: 3, within: 1s}", TICKS / 3, TICKS / 3 * 2},
		{"{drops: 15625, within: 1ms}", 1, 15624},
		{"{drops: 2, within: 1d}", 43200 * TICKS, 43200 * TICKS},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct settings settings;
		struct problem problem;
		char assignment[96];

		settings_default(&settings);
		snprintf(assignment, sizeof(assignment), "ban=%s", rows[i].ban);
		assert_int_equal(assign(&settings, assignment, &problem), 0);
		assert_int_equal(settings_finish(&settings, &problem), 0);
		assert_true(settings.policy.strikes.interval == rows[i].interval);
		assert_true(settings.policy.strikes.depth == rows[i].depth);
		assert_true(settings.policy.horizon > rows[i].depth);
		settings_free(&settings);
	}
}

/* Nobody loses by becoming known, and nothing stays of a limit that strangers had for a time. */
static void test_known_sources_have_no_less(void **state)
{
	struct settings settings;
	struct problem problem;
	const struct sipdam_limit(*limits)[SIPDAM_CLASSES_MAX] = settings.policy.limits;

	(void)state;
	settings_default(&settings);
	assert_int_equal(assign(&settings, "limits.unknown.invite={rate: 5000, burst: 60}", &problem), 0);
	assert_int_equal(assign(&settings, "limits.unknown.response=unlimited", &problem), 0);
	assert_int_equal(assign(&settings, "limits.peer.options.rate=3", &problem), 0);
	assert_int_equal(assign(&settings, "limits.unknown.options.rate=7", &problem), 0);
	assert_int_equal(settings_finish(&settings, &problem), 0);
	assert_true(limits[SIPDAM_TIER_PEER][SIPDAM_CLASS_INVITE].rate == 5000000000);
	assert_true(limits[SIPDAM_TIER_PEER][SIPDAM_CLASS_INVITE].burst == 60);
	assert_true(limits[SIPDAM_TIER_TRUSTED][SIPDAM_CLASS_INVITE].rate == 5000000000);
	assert_true(limits[SIPDAM_TIER_TRUSTED][SIPDAM_CLASS_INVITE].burst == 1000);
	assert_true(limits[SIPDAM_TIER_PEER][SIPDAM_CLASS_RESPONSE].unlimited);
	assert_true(limits[SIPDAM_TIER_PEER][SIPDAM_CLASS_OPTIONS].rate == 3000000);
	assert_true(limits[SIPDAM_TIER_PEER][SIPDAM_CLASS_REGISTER].rate == 10000000);
	assert_int_equal(assign(&settings, "limits.unknown.invite={rate: 1, burst: 1}", &problem), 0);
	assert_int_equal(settings_finish(&settings, &problem), 0);
	assert_true(limits[SIPDAM_TIER_PEER][SIPDAM_CLASS_INVITE].rate == 1000000);
	assert_true(limits[SIPDAM_TIER_TRUSTED][SIPDAM_CLASS_INVITE].rate == 100000000);
	settings_free(&settings);
}

/* What a byte takes of the rate, and the burst, in time. */
static void test_reflection_in_time(void **state)
{
	static const struct {
		const char *reflection;
		__u64 cost, depth; /* nanoseconds; 20 bits of fraction */
	} rows[] = {
		{"{}", 50ULL << 20, 2000000000},
		{"{rate: 1000000000000, burst: 1000000000000}", 1048, 1000000000},
		{"{rate: 1, burst: 3}", 1000000000ULL << 20, 3000000000},
		{"{rate: 3, burst: 777600}", (1000000000ULL << 20) / 3, 259200000000000},
		{"{rate: 0}", 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct settings settings;
		struct problem problem;
		char assignment[96];

		settings_default(&settings);
		snprintf(assignment, sizeof(assignment), "reflection=%s", rows[i].reflection);
		if (strcmp(rows[i].reflection, "{}") != 0)
			assert_int_equal(assign(&settings, assignment, &problem), 0);
		assert_int_equal(settings_finish(&settings, &problem), 0);
		assert_true(settings.policy.reflection_cost == rows[i].cost);
		assert_true(settings.policy.reflection_depth == rows[i].depth);
		assert_true(settings.policy.horizon > rows[i].depth / 64);
		settings_free(&settings);
	}
}

static void assert_mask(const struct sipdam_mask *mask, int bits)
{
	__u8 bytes[16];

	memcpy(bytes, mask, sizeof(bytes));
	for (int i = 0; i < 128; i++)
		assert_int_equal(bytes[i / 8] >> (7 - i % 8) & 1, i < bits);
}

static void test_prefix_lengths_become_masks(void **state)
{
	struct settings settings;
	struct problem problem;

	(void)state;
	settings_default(&settings);
	assert_mask(&settings.policy.source_mask[SIPDAM_FAMILY_IPV4], 128);
	assert_mask(&settings.policy.source_mask[SIPDAM_FAMILY_IPV6], 64);
	assert_mask(&settings.policy.network_mask[SIPDAM_FAMILY_IPV4], 120);
	assert_mask(&settings.policy.network_mask[SIPDAM_FAMILY_IPV6], 48);
	assert_int_equal(assign(&settings, "source_key={ipv4: 29, ipv6: 125}", &problem), 0);
	assert_int_equal(assign(&settings, "network_key={ipv4: 9, ipv6: 17}", &problem), 0);
	assert_int_equal(settings_finish(&settings, &problem), 0);
	assert_mask(&settings.policy.source_mask[SIPDAM_FAMILY_IPV4], 125);
	assert_mask(&settings.policy.source_mask[SIPDAM_FAMILY_IPV6], 125);
	assert_mask(&settings.policy.network_mask[SIPDAM_FAMILY_IPV4], 105);
	assert_mask(&settings.policy.network_mask[SIPDAM_FAMILY_IPV6], 17);
	settings_free(&settings);
}

static void test_ports_have_a_hint_and_no_gaps(void **state)
{
	struct settings settings;
	struct sipdam_ports *ports = &settings.policy.ports[SIPDAM_PORTS_UDP];
	struct problem problem;

	(void)state;
	settings_default(&settings);
	assert_int_equal(assign(&settings, "ports.udp=[5062, 64]", &problem), 0);
	assert_int_equal(settings_finish(&settings, &problem), 0);
	assert_true(ports->hint == (1ULL << (5062 & 63) | 1));
	assert_int_equal(ports->count, 2);
	assert_int_equal(ports->port[1], 64);
	for (int i = 2; i < SIPDAM_PORTS_PER_KIND; i++)
		assert_int_equal(ports->port[i], 5062);
	assert_int_equal(assign(&settings, "ports.udp=[]", &problem), 0);
	assert_int_equal(settings_finish(&settings, &problem), 0);
	assert_true(!ports->hint && !ports->count && !ports->port[0] && !ports->port[15]);
	settings_free(&settings);
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		__u64 nanoseconds;
		const char *written;
	} good[] = {
		{"0s", 0, "0s"},
		{"1ns", 1, "1ns"},
		{"200ms", 200000000, "200ms"},
		{"90s", 90000000000, "90s"},
		{"3600s", 3600000000000, "1h"},
		{"1.5h", 5400000000000, "90m"},
		{"36h", 129600000000000, "36h"},
		{"0.000000001s", 1, "1ns"},
		{"48h", 172800000000000, "2d"},
		{"1001us", 1001000, "1001us"},
		{"18446744073709551615ns", UINT64_MAX, "18446744073709551615ns"},
	};
	static const char *const bad[] = {
		"",
		"s",
		"1",
		"0",
		"1 s",
		" 1s",
		"1s ",
		"-1s",
		"+1s",
		"1S",
		"1h1m",
		"1.s",
		".5s",
		"0.5ns",
		"1e3s",
		"01s",
		"1.1.1s",
		"1sec",
		"18446744073709551616ns",
		"213504d",
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		__u64 nanoseconds;
		char *exact = strdup(good[i].text);

		assert_int_equal(settings_parse_duration(exact, &nanoseconds), 0);
		assert_true(nanoseconds == good[i].nanoseconds);
		settings_format_duration(nanoseconds, text, sizeof(text));
		assert_string_equal(text, good[i].written);
		free(exact);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		__u64 nanoseconds = 7;
		char *exact = strdup(bad[i]);

		if (settings_parse_duration(exact, &nanoseconds) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(nanoseconds, 7);
		free(exact);
	}
}

static char *printed(const struct settings *settings)
{
	char *text;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	settings_print_yaml(settings, out);
	fclose(out);
	return text;
}

/* Changes of every kind, so that what is printed differs from the defaults everywhere it can. */
static void change_much(struct settings *settings)
{
	static const char *const assignments[] = {
		"mode=monitor",
		"ports={udp: [10001,10002,10003,10004,10005,10006,10007,10008,10009,10010], ws: [80]}",
		"allow=192.0.2.0/24,2001:db8::,::1,::/3,198.51.100.0/25,203.0.113.255",
		"deny=[192.0.2.1]",
		"addresses=192.0.2.1",
		"limits.unknown.invite.rate=999999.999999",
		"limits.unknown.invite.burst=4294967294",
		"limits.trusted=unlimited",
		"limits.peer.other.rate=unlimited",
		"limits.peer.invite.burst=9",
		"limits.allowed.invite.rate=0.25",
		"limits.network=unlimited",
		"tls.min_version=1.3",
		"verify.enabled=false",
		"ban.for=1001ms",
	};
	struct problem problem;

	for (size_t i = 0; i < COUNT(assignments); i++) {
		if (assign(settings, assignments[i], &problem))
			fail_msg("%s", problem.text);
	}
	assert_int_equal(settings_finish(settings, &problem), 0);
}

static void test_what_is_printed_loads_back(void **state)
{
	struct settings settings, again;
	struct problem problem = {0};
	char *first, *line;

	(void)state;
	settings_default(&settings);
	settings_default(&again);
	change_much(&settings);
	first = printed(&settings);
	if (load(&again, first, &problem))
		fail_msg("%s", problem.text);
	for (size_t i = 0; i < settings_field_count(); i++) {
		char value[SETTINGS_VALUE];

		settings_field_format(&settings, i, value, sizeof(value));
		assert_string_equal(value_of(&again, settings_field_name(i)), value);
		assert_string_equal(settings_field_origin(&again, i), "file");
	}
	assert_non_null(strstr(first, "\n  trusted: unlimited "));
	assert_non_null(strstr(first, "\n      burst: 9 "));
	for (line = strtok(first, "\n"); line; line = strtok(NULL, "\n"))
		assert_true(strlen(line) <= 80);
	free(first);
	settings_free(&settings);
	settings_free(&again);
}

static void test_json_has_types(void **state)
{
	static const struct {
		const char *key, *json;
	} rows[] = {
		{"mode", "{\"value\":\"enforce\",\"origin\":\"default\"}"},
		{"ports.udp", "{\"value\":[5060],\"origin\":\"default\"}"},
		{"allow", "{\"value\":[\"192.0.2.0/24\",\"2001:db8::\"],\"origin\":\"set\"}"},
		{"limits.unknown.invite.rate", "{\"value\":0.1,\"origin\":\"set\"}"},
		{"limits.unknown.invite.burst", "{\"value\":50,\"origin\":\"default\"}"},
		{"limits.allowed.invite.rate", "{\"value\":\"unlimited\",\"origin\":\"default\"}"},
		{"verify.enabled", "{\"value\":true,\"origin\":\"default\"}"},
		{"verify.min", "{\"value\":\"200ms\",\"origin\":\"default\"}"},
		{"sources", "{\"value\":1048576,\"origin\":\"default\"}"},
	};
	struct settings settings;
	struct problem problem;
	json_t *object;

	(void)state;
	settings_default(&settings);
	assert_int_equal(assign(&settings, "allow=192.0.2.0/24,2001:db8::", &problem), 0);
	assert_int_equal(assign(&settings, "limits.unknown.invite.rate=0.1", &problem), 0);
	object = settings_json(&settings);
	assert_int_equal(json_object_size(object), settings_field_count());
	for (size_t i = 0; i < COUNT(rows); i++) {
		char *text = json_dumps(json_object_get(object, rows[i].key),
					JSON_COMPACT | JSON_REAL_PRECISION(15));

		assert_string_equal(text, rows[i].json);
		free(text);
	}
	json_decref(object);
	settings_free(&settings);
}

static void test_copies_are_deep(void **state)
{
	struct settings settings, copy = {0};
	struct problem problem;

	(void)state;
	settings_default(&settings);
	assert_int_equal(assign(&settings, "allow=192.0.2.1", &problem), 0);
	assert_int_equal(settings_copy(&copy, &settings), 0);
	assert_int_equal(assign(&settings, "allow=192.0.2.2", &problem), 0);
	assert_string_equal(value_of(&copy, "allow"), "[192.0.2.1]");
	assert_string_equal(value_of(&settings, "allow"), "[192.0.2.2]");
	settings_free(&settings);
	settings_free(&copy);
}

/* Long values are cut, never overrun. */
static void test_values_are_cut_to_the_room(void **state)
{
	struct settings settings;
	struct problem problem;
	int field = settings_field_find("allow");

	(void)state;
	settings_default(&settings);
	assert_int_equal(assign(&settings, "allow=192.0.2.1,192.0.2.2,192.0.2.3", &problem), 0);
	for (size_t size = 1; size < 40; size++) {
		char *text = malloc(size);

		settings_field_format(&settings, (size_t)field, text, size);
		assert_true(strlen(text) < size);
		assert_memory_equal(text, "[192.0.2.1, 192.0.2.2, 192.0.2.3]", strlen(text));
		free(text);
	}
	settings_free(&settings);
}

/* Every beginning of a file and every file with one byte changed is taken whole or refused whole. */
static void test_damaged_files_are_all_or_nothing(void **state)
{
	static const char good[] =
		"mode: monitor\nports: {udp: [5060, 5062], ws: []}\nallow: [192.0.2.0/24, \"::1\"]\n"
		"limits:\n  unknown:\n    invite: {rate: 0.5, burst: 9}\n  allowed: unlimited\n"
		"ban: {for: 10m}\n";
	static const char bytes[] = {0, '\n', ':', '[', '}', '&', '*', '"', '-', ' ', (char)0xc3};
	size_t length = sizeof(good) - 1, refused = 0;
	struct settings defaults, settings;
	struct problem problem;

	(void)state;
	settings_default(&defaults);
	for (size_t i = 0; i < length * (1 + sizeof(bytes)); i++) {
		char *damaged = malloc(length);
		size_t place = i % length, change = i / length, left = change ? length : place;

		memcpy(damaged, good, length);
		if (change)
			damaged[place] = bytes[change - 1];
		settings_default(&settings);
		problem.text[0] = 0;
		if (load_bytes(&settings, damaged, left, &problem)) {
			assert_memory_equal(&settings, &defaults, sizeof(settings));
			assert_memory_equal(problem.text, file, strlen(file));
			refused++;
		}
		settings_free(&settings);
		free(damaged);
	}
	assert_true(refused > length);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_are_those_of_the_design),
		cmocka_unit_test(test_table_of_fields_is_whole),
		cmocka_unit_test(test_every_value_is_taken_back),
		cmocka_unit_test(test_files_are_taken),
		cmocka_unit_test(test_rates_and_bursts_are_refused),
		cmocka_unit_test(test_values_are_refused),
		cmocka_unit_test(test_shapes_are_refused),
		cmocka_unit_test(test_bytes_that_are_no_text_are_refused),
		cmocka_unit_test(test_files_that_are_none_are_refused),
		cmocka_unit_test(test_files_have_a_size),
		cmocka_unit_test(test_lists_name_files),
		cmocka_unit_test(test_protected_destinations_are_64_at_most),
		cmocka_unit_test(test_assignments_are_taken),
		cmocka_unit_test(test_assignments_are_refused),
		cmocka_unit_test(test_unlimited_with_a_rate_gets_a_burst),
		cmocka_unit_test(test_a_failed_finish_changes_nothing),
		cmocka_unit_test(test_limits_become_ticks),
		cmocka_unit_test(test_drops_become_strikes),
		cmocka_unit_test(test_reflection_in_time),
		cmocka_unit_test(test_known_sources_have_no_less),
		cmocka_unit_test(test_the_horizon_is_beyond_the_deepest_bucket),
		cmocka_unit_test(test_prefix_lengths_become_masks),
		cmocka_unit_test(test_ports_have_a_hint_and_no_gaps),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_what_is_printed_loads_back),
		cmocka_unit_test(test_json_has_types),
		cmocka_unit_test(test_copies_are_deep),
		cmocka_unit_test(test_values_are_cut_to_the_room),
		cmocka_unit_test(test_damaged_files_are_all_or_nothing),
	};

	return cmocka_run_group_tests_name("settings", tests, make_directory, remove_directory);
}
