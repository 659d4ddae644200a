/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A policy as text for later versions: what is written is read back to the byte, what another version does not
 * know is named and does no harm.
 */
// uses: user/settings.c user/settings_default.c user/settings_fields.c user/settings_value.c
// uses: user/settings_yaml.c user/settings_list.c user/settings_derive.c user/settings_print.c
// uses: user/settings_text.c user/address.c user/nearest.c user/problem.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "settings_text.h"

static void assign(struct settings *settings, const char *assignment)
{
	struct problem problem = {""};

	if (settings_assign(settings, assignment, &problem))
		fail_msg("%s: %s", assignment, problem.text);
}

/* Values of every kind, origins of every kind, and what is no key. */
static void make_settings(struct settings *settings)
{
	static const char *const assignments[] = {
		"mode=monitor",
		"ports.udp=5060,5080",
		"ports.wss=[443]",
		"ports.tls=[]",
		"source_key.ipv4=24",
		"limits.unknown.invite={rate: 0.1, burst: 3}",
		"limits.unknown.register.rate=0",
		"limits.unknown.options=unlimited",
		"limits.unknown.other.burst=77",
		"limits.allowed.invite={rate: 5, burst: 9}",
		"limits.network=unlimited",
		"limits.pool.dialog.rate=123.456789",
		"verify.enabled=false",
		"verify.min=1500us",
		"trust.ttl=36h",
		"tls.min_version=1.2",
		"reflection.rate=123456789",
	};

	settings_default(settings);
	for (size_t i = 0; i < sizeof(assignments) / sizeof(*assignments); i++)
		assign(settings, assignments[i]);
	settings->policy.sources = 4096;
	settings->policy.origin[settings_field_find("sources")] = SIPDAM_ORIGIN_FILE;
	settings->policy.origin[settings_field_find("deny")] = SIPDAM_ORIGIN_FILE;
	assert_int_equal(settings_finish(settings, NULL), 0);
	settings->policy.deadline = 123456789012345;
}

static char *write_text(const struct settings *settings)
{
	char *text = malloc(sizeof(struct sipdam_text));

	assert_int_equal(settings_text_write(&settings->policy, text, sizeof(struct sipdam_text)), 0);
	return text;
}

/* text lies in a buffer of its exact size while it is read. */
static int read_text(struct settings *settings, const char *text, struct settings_text_rest *rest)
{
	char *exact = strdup(text);
	struct problem problem = {""};
	int error = settings_text_read(settings, exact, rest, &problem);

	free(exact);
	return error;
}

static void test_what_is_written_is_read_back(void **state)
{
	struct settings settings, read;
	struct settings_text_rest rest;
	char *text;

	(void)state;
	for (int much = 0; much < 2; much++) {
		settings_default(&settings);
		if (much)
			make_settings(&settings);
		text = write_text(&settings);
		settings_default(&read);
		assert_int_equal(read_text(&read, text, &rest), 0);
		assert_int_equal(rest.keys, 0);
		assert_memory_equal(&read.policy, &settings.policy, sizeof(read.policy));
		free(text);
	}
}

static void test_a_deeper_horizon_is_remembered(void **state)
{
	struct settings settings, read;
	struct settings_text_rest rest;
	char *text;

	(void)state;
	settings_default(&settings);
	settings.policy.horizon += 5;
	text = write_text(&settings);
	settings_default(&read);
	assert_int_equal(read_text(&read, text, &rest), 0);
	assert_int_equal(read.policy.horizon, settings.policy.horizon);
	settings.policy.horizon = 7; /* of shallow buckets: those that there are now are deeper */
	free(text);
	text = write_text(&settings);
	settings_default(&read);
	settings = read;
	assert_int_equal(read_text(&read, text, &rest), 0);
	assert_int_equal(read.policy.horizon, settings.policy.horizon);
	free(text);
}

static void test_what_is_not_known_is_named(void **state)
{
	static const struct {
		const char *line, *first;
	} rows[] = {
		{"set limits.unknown.teleport.rate=5\n", "limits.unknown.teleport.rate"},
		{"set mode=panic\n", "mode"},
		{"set mode\n", "mode"},
		{"set deny=[192.0.2.1]\n", "deny"},
		{"moon mode=monitor\n", "mode"},
		{"set limits.pool=unlimited\n", "limits.pool"},
		{"set verify.min=400 years\n", "verify.min"},
		{"state phase=7\n", "phase"},
		{"gibberish\n", "gibberish"},
		{"set ports.udp=[1, 2, x]\n", "ports.udp"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct settings settings, defaults;
		struct settings_text_rest rest;
		char text[256];

		settings_default(&settings);
		settings_default(&defaults);
		snprintf(text, sizeof(text), "%sset trust.ttl=5h\n", rows[i].line);
		if (read_text(&settings, text, &rest) || rest.keys != 1 || strcmp(rest.first, rows[i].first))
			fail_msg("%s: %zu, the first \"%s\"", rows[i].line, rest.keys, rest.first);
		assign(&defaults, "trust.ttl=5h");
		assert_memory_equal(&settings.policy, &defaults.policy, sizeof(settings.policy));
	}
}

/* A whole that cannot be is refused, and nothing is changed. */
static void test_what_does_not_go_together_is_refused(void **state)
{
	struct settings settings, before;
	struct settings_text_rest rest;

	(void)state;
	settings_default(&settings);
	settings_default(&before);
	assert_int_equal(read_text(&settings, "set verify.min=40s\nset verify.max=1s\n", &rest), -EINVAL);
	assert_memory_equal(&settings, &before, sizeof(settings));
}

static void test_cut_anywhere_it_does_no_harm(void **state)
{
	struct settings settings, read;
	struct settings_text_rest rest;
	char *text;

	(void)state;
	make_settings(&settings);
	text = write_text(&settings);
	for (size_t length = strlen(text); length > 0; length -= length > 200 ? 97 : 1) {
		text[length] = '\0';
		settings_default(&read);
		if (!read_text(&read, text, &rest))
			assert_true(rest.keys <= 1);
	}
	free(text);
}

static void test_too_little_room_is_told(void **state)
{
	struct settings settings;
	char *text;
	size_t length;

	(void)state;
	make_settings(&settings);
	text = write_text(&settings);
	length = strlen(text);
	assert_true(length < sizeof(struct sipdam_text) / 4); /* there is room for many more keys */
	free(text);
	for (size_t size = 0; size < 3; size++) {
		text = malloc(length + size);
		assert_int_equal(settings_text_write(&settings.policy, text, length + size), size ? 0 : -E2BIG);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read_back),
		cmocka_unit_test(test_a_deeper_horizon_is_remembered),
		cmocka_unit_test(test_what_is_not_known_is_named),
		cmocka_unit_test(test_what_does_not_go_together_is_refused),
		cmocka_unit_test(test_cut_anywhere_it_does_no_harm),
		cmocka_unit_test(test_too_little_room_is_told),
	};

	return cmocka_run_group_tests_name("settings_text", tests, NULL, NULL);
}
