/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Settings as a whole: copies, and changes that happen entirely or not at all. What the keys are is
 * settings_fields.c's, how YAML is read settings_yaml.c's, what is there before settings_default.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "settings_derive.h"
#include "settings_value.h"
#include "settings_yaml.h"

#define FILE_MAX (16UL << 20)

void settings_free(struct settings *settings)
{
	for (int list = 0; list < SIPDAM_LISTS; list++)
		prefix_set_free(&settings->lists[list]);
}

static int copy_list(struct prefix_set *to, const struct prefix_set *from)
{
	if (!from->count)
		return 0;
	to->prefix = reallocarray(NULL, from->count, sizeof(*from->prefix));
	if (!to->prefix)
		return -ENOMEM;
	memcpy(to->prefix, from->prefix, from->count * sizeof(*from->prefix));
	to->count = to->room = from->count;
	return 0;
}

int settings_copy(struct settings *to, const struct settings *from)
{
	struct settings copy = *from;

	memset(copy.lists, 0, sizeof(copy.lists));
	for (int list = 0; list < SIPDAM_LISTS; list++) {
		if (copy_list(&copy.lists[list], &from->lists[list])) {
			settings_free(&copy);
			return -ENOMEM;
		}
	}
	*to = copy;
	return 0;
}

/* A draft borrows the lists until a change names them: list_given tells whose a list is. */
static void draft_begin(struct settings *draft, const struct settings *settings)
{
	*draft = *settings;
	memset(draft->list_given, 0, sizeof(draft->list_given));
}

static void draft_abandon(struct settings *draft)
{
	for (int list = 0; list < SIPDAM_LISTS; list++) {
		if (draft->list_given[list])
			prefix_set_free(&draft->lists[list]);
	}
}

static void draft_commit(struct settings *draft, struct settings *settings)
{
	for (int list = 0; list < SIPDAM_LISTS; list++) {
		if (draft->list_given[list])
			prefix_set_free(&settings->lists[list]);
		draft->list_given[list] |= settings->list_given[list];
	}
	*settings = *draft;
}

/* A regular file only: a device has no end, and a pipe may have no writer. */
static int open_regular(const char *path, struct problem *problem)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;

	if (fd < 0 || fstat(fd, &status)) {
		int error = -errno;

		return problem_set(problem, error, "cannot read %s: %s", path, strerror(-error));
	}
	if (!S_ISREG(status.st_mode))
		return problem_set(problem, -EINVAL, "%s is not a regular file", path);
	return take_fd(&fd);
}

struct bytes {
	char *text;
	size_t length, room;
};

static int make_room(struct bytes *bytes)
{
	size_t room = bytes->room ? bytes->room * 2 : 16384;
	char *grown;

	if (bytes->length < bytes->room)
		return 0;
	grown = realloc(bytes->text, room);
	if (!grown)
		return -ENOMEM;
	bytes->text = grown;
	bytes->room = room;
	return 0;
}

/* To the end of the file, or a little past the most that a file may have. 0 or -errno. */
static int read_bytes(int fd, struct bytes *bytes)
{
	while (bytes->length <= FILE_MAX) {
		ssize_t got;

		if (make_room(bytes))
			return -ENOMEM;
		got = read(fd, bytes->text + bytes->length, bytes->room - bytes->length);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (!got)
			return 0;
		bytes->length += got > 0 ? (size_t)got : 0;
	}
	return -EFBIG;
}

static int read_file(const char *path, struct bytes *bytes, struct problem *problem)
{
	_cleanup_close_ int fd = open_regular(path, problem);
	int error;

	if (fd < 0)
		return fd;
	error = read_bytes(fd, bytes);
	if (error == -EFBIG)
		return problem_set(problem, error,
				   "%s has more than 16 MiB: name long lists as files in allow or deny",
				   path);
	return error ? problem_set(problem, error, "cannot read %s: %s", path, strerror(-error)) : 0;
}

static void free_bytes(struct bytes *bytes)
{
	free(bytes->text);
}

int settings_load(struct settings *settings, const char *path, struct problem *problem)
{
	__attribute__((cleanup(free_bytes))) struct bytes bytes = {0};
	struct yaml_source source = {.file = path, .path = ""};
	struct settings draft;
	int error = read_file(path, &bytes, problem);

	if (error)
		return error;
	source.text = bytes.text;
	source.length = bytes.length;
	draft_begin(&draft, settings);
	error = settings_yaml_apply(&draft, &source, problem);
	if (error) {
		draft_abandon(&draft);
		return error;
	}
	settings_derive(&draft);
	draft_commit(&draft, settings);
	return 0;
}

/* Names the first part of a dotted key that is wrong, and what was meant where that is plain. */
static int refuse_path(const char *path, struct problem *problem)
{
	char group[64] = "", part[64];
	const char *word = path, *name;
	size_t length;

	for (const char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.')) {
		char longer[64];

		snprintf(longer, sizeof(longer), "%.*s", (int)(dot - path), path);
		if (settings_path_find(longer) < 0)
			break;
		memcpy(group, longer, sizeof(group));
		word = dot + 1;
	}
	snprintf(part, sizeof(part), "%.*s", (int)strcspn(word, "."), word);
	length = settings_path_nearest(group, part, &name);
	if (length)
		return problem_set(problem, -EINVAL, "%.100s: unknown key, did you mean %s%s%.*s?", path,
				   group, group[0] ? "." : "", (int)length, name);
	return problem_set(problem, -EINVAL, "%.100s: unknown key, `sipdam config show` prints all there are",
			   path);
}

/*
 * A list without brackets, "5060,5062": as YAML. Prefixes are quoted on the way, since "2001:db8::" is
 * the beginning of a mapping otherwise. NULL when out of memory.
 */
static char *bracket(const char *list, bool quote)
{
	char *text = malloc(3 * strlen(list) + 5), *to = text;

	if (!text)
		return NULL;
	to = stpcpy(to, quote ? "['" : "[");
	for (; *list; list++) {
		if (*list == ',')
			to = stpcpy(to, quote ? "','" : ",");
		else if (*list == '\'' && quote)
			to = stpcpy(to, "''");
		else
			*to++ = *list;
	}
	strcpy(to, quote ? "']" : "]");
	return text;
}

static bool is_bare_list(size_t first, const char *path, const char *value)
{
	enum field_kind kind = settings_field(first)->kind;
	bool list = kind == FIELD_PORTS || kind == FIELD_PREFIXES || kind == FIELD_LIST;

	return list && !strcmp(settings_field_name(first), path) && value[0] &&
	       !strchr("[{\"'&*!| ", value[0]);
}

static int assign_value(struct settings *settings, const char *path, const char *value,
			struct problem *problem)
{
	struct yaml_source source = {.text = value, .path = path};
	_cleanup_free_ char *bracketed = NULL;
	int first = settings_path_find(path), error;
	struct settings draft;

	if (first < 0)
		return refuse_path(path, problem);
	if (settings_field(first)->kind == FIELD_SOURCES)
		return problem_set(
			problem, -EINVAL,
			"%s: the table cannot change its size while it runs: write it in the configuration "
			"file and run `sipdam reload`",
			path);
	if (is_bare_list((size_t)first, path, value)) {
		bracketed = bracket(value, settings_field(first)->kind != FIELD_PORTS);
		if (!bracketed)
			return problem_set(problem, -ENOMEM, "%s: out of memory", path);
		source.text = bracketed;
	}
	source.length = strlen(source.text);
	draft_begin(&draft, settings);
	error = settings_yaml_apply(&draft, &source, problem);
	if (error)
		draft_abandon(&draft);
	else
		draft_commit(&draft, settings);
	return error;
}

int settings_assign(struct settings *settings, const char *assignment, struct problem *problem)
{
	const char *equals = strchr(assignment, '=');
	_cleanup_free_ char *path = NULL;

	if (!equals || equals == assignment)
		return problem_set(
			problem, -EINVAL,
			"\"%.64s\" given, expected KEY=VALUE such as limits.unknown.invite.rate=20",
			assignment);
	path = strndup(assignment, (size_t)(equals - assignment));
	if (!path)
		return problem_set(problem, -ENOMEM, "out of memory");
	return assign_value(settings, path, equals + 1, problem);
}

int settings_finish(struct settings *settings, struct problem *problem)
{
	struct complaint complaint;

	if (settings_check(settings, &complaint))
		return problem_set(problem, -EINVAL, "%s: %s", settings_field_name(complaint.field),
				   complaint.text);
	settings_derive(settings);
	return 0;
}
