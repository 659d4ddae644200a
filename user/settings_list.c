/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One entry of a list: a prefix, or the name of a file that holds one a line. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "settings_list.h"

/* 0 or -ENAMETOOLONG. */
static int resolve(const char *base, const char *name, char *path, size_t size)
{
	const char *slash = base ? strrchr(base, '/') : NULL;
	int directory = slash && name[0] != '/' ? (int)(slash - base) + 1 : 0;
	int length = snprintf(path, size, "%.*s%s", directory, directory ? base : "", name);

	return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

static int refuse_file(const char *path, int error, size_t line, const struct field *field,
		       struct problem *problem)
{
	switch (error) {
	case -EINVAL:
		if (!line)
			return problem_set(problem, error, "%s is not a regular file", path);
		return problem_set(problem, error,
				   "%s:%zu: not a prefix, expected one a line such as 192.0.2.0/24", path,
				   line);
	case -EFBIG:
		return problem_set(problem, -EINVAL, "%s: more entries than a list takes (%llu)", path,
				   (unsigned long long)field->most);
	case -ENOMEM:
		return error;
	default:
		return problem_set(problem, -EINVAL, "cannot read %s: %s", path, strerror(-error));
	}
}

static int add_file(struct prefix_set *set, const struct field *field, const char *base, const char *name,
		    struct problem *problem)
{
	char path[PATH_MAX];
	size_t line = 0;
	int error = resolve(base, name, path, sizeof(path));

	if (!error)
		error = prefix_set_read(set, path, field->most, &line);
	if (error == -ENOENT || error == -ENOTDIR || error == -ENAMETOOLONG)
		return problem_set(
			problem, -EINVAL,
			"\"%.64s\" is neither a prefix such as 192.0.2.0/24 nor a file that exists", name);
	return error ? refuse_file(path, error, line, field, problem) : 0;
}

int settings_list_add(struct prefix_set *set, const struct field *field, const char *base, const char *text,
		      struct problem *problem)
{
	struct sipdam_prefix prefix;

	if (address_parse_prefix(text, &prefix)) {
		if (field->kind == FIELD_LIST && text[0])
			return add_file(set, field, base, text, problem);
		return problem_set(problem, -EINVAL,
				   "\"%.64s\" given, expected a prefix such as 192.0.2.0/24", text);
	}
	if (set->count >= field->most)
		return problem_set(problem, -EINVAL, "more than %llu entries",
				   (unsigned long long)field->most);
	return prefix_set_add(set, &prefix);
}
