/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
// uses: user/address.c user/nearest.c user/problem.c user/settings.c user/settings_default.c
// uses: user/settings_derive.c user/settings_fields.c user/settings_json.c user/settings_list.c
// uses: user/settings_print.c user/settings_value.c user/settings_yaml.c
/*
 * The configuration: YAML as a file, or, behind a '=', dotted assignments one a line. What is refused must
 * leave everything as it was; what is accepted must be printed as YAML that says the same.
 */
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "settings.h"
#include "tests/fuzz/harness.h"
#include "tests/fuzz/seeds.h"

static bool same_lists(const struct settings *one, const struct settings *other)
{
	for (int list = 0; list < SIPDAM_LISTS; list++) {
		const struct prefix_set *a = &one->lists[list], *b = &other->lists[list];

		if (a->count != b->count ||
		    (a->count && memcmp(a->prefix, b->prefix, a->count * sizeof(*a->prefix))))
			return false;
	}
	return true;
}

/* But for whence a value comes. */
static bool same_values(const struct settings *one, const struct settings *other)
{
	return !memcmp(&one->policy, &other->policy, offsetof(struct sipdam_policy, origin)) &&
	       same_lists(one, other);
}

/* What is printed is read back as the same. */
static void check_print(const struct settings *settings)
{
	struct problem problem = {""};
	struct settings again;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	settings_print_yaml(settings, out);
	fclose(out);
	settings_default(&again);
	if (settings_load(&again, file_of(text, size), &problem) || !same_values(settings, &again)) {
		fprintf(stderr, "%s\n%s\n", problem.text, text);
		abort();
	}
	settings_free(&again);
	free(text);
}

static void check_problem(const struct problem *problem)
{
	require(problem->text[0] && memchr(problem->text, 0, sizeof(problem->text)) &&
		!strchr(problem->text, '\n'));
}

static void read_yaml(const uint8_t *data, size_t size)
{
	struct problem problem = {""};
	struct settings settings, before;

	settings_default(&settings);
	settings_default(&before);
	if (settings_load(&settings, file_of(data, size), &problem)) {
		require(!memcmp(&settings, &before, sizeof(before)));
		check_problem(&problem);
	} else {
		check_print(&settings);
	}
	settings_free(&settings);
}

static void assign(struct settings *settings, const char *assignment)
{
	struct problem problem = {""};
	struct settings before;

	require(!settings_copy(&before, settings));
	if (settings_assign(settings, assignment, &problem)) {
		require(same_values(settings, &before));
		check_problem(&problem);
	}
	settings_free(&before);
}

static void read_assignments(char *text)
{
	struct problem problem = {""};
	struct settings settings;
	char *line;

	settings_default(&settings);
	while ((line = strsep(&text, "\n")))
		assign(&settings, line);
	if (settings_finish(&settings, &problem))
		check_problem(&problem);
	else
		check_print(&settings);
	settings_free(&settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (!size || *data != '=') {
		read_yaml(data, size);
		return 0;
	}
	text = strndup((const char *)data + 1, size - 1);
	read_assignments(text);
	free(text);
	return 0;
}

/* Each field alone, as an assignment and as YAML; and all of them. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *folder = seeds_folder(*argc, *argv);
	static const char odd[] = "allow: [10.0.0.0/8, \"2001:db8::/32\"]\nports: {udp: [5060, 5062]}\n"
				  "limits: {unknown: {invite: unlimited}, allowed: unlimited}\n";
	char line[SETTINGS_VALUE + 128], value[SETTINGS_VALUE];
	struct settings settings;
	char *text = NULL;
	size_t size = 0;
	FILE *out;

	if (!folder)
		return 0;
	settings_default(&settings);
	for (size_t i = 0; i < settings_field_count(); i++) {
		settings_field_format(&settings, i, value, sizeof(value));
		snprintf(line, sizeof(line), "=%s=%s", settings_field_name(i), value);
		seed_write_number(folder, i, line, strlen(line));
	}
	out = open_memstream(&text, &size);
	settings_print_yaml(&settings, out);
	fclose(out);
	seed_write(folder, "all", text, size);
	seed_write(folder, "odd", odd, strlen(odd));
	free(text);
	return 0;
}
