/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Walks YAML events along the table of fields. Only what the table knows is entered, so depth is bounded
 * by the longest key; anchors, aliases, tags and further documents are refused before they can cost
 * anything. Every refusal names the position and the key.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <yaml.h>

#include "settings_derive.h"
#include "settings_list.h"
#include "settings_value.h"
#include "settings_yaml.h"

#define PATH_ROOM 64 /* the longest dotted key has 27 characters */
#define SHOWN     48 /* characters of a refused text in a message */

struct walk {
	yaml_parser_t parser;
	const struct yaml_source *source;
	struct settings *draft;
	struct problem *problem;
	char at[PATH_ROOM];       /* the key whose value is being read, for refusals of the text itself */
	const struct field *list; /* the list whose entries are being read */
	bool given[SIPDAM_FIELDS_MAX];
	yaml_mark_t mark[SIPDAM_FIELDS_MAX]; /* where a given field's value is */
};

#define _cleanup_event_ __attribute__((cleanup(yaml_event_delete)))

/* Places where a file is wrong count lines and columns from 1. key may be "". */
static int refuse(struct walk *walk, const yaml_mark_t *mark, const char *key, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int refuse(struct walk *walk, const yaml_mark_t *mark, const char *key, const char *format, ...)
{
	const char *colon = key[0] ? ": " : "";
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (!walk->source->file)
		return problem_set(walk->problem, -EINVAL, "%s%s%s", key, colon, text);
	return problem_set(walk->problem, -EINVAL, "%s:%zu:%zu: %s%s%s", walk->source->file, mark->line + 1,
			   mark->column + 1, key, colon, text);
}

/* libyaml gives bytes that are no text an offset instead of a mark. */
static yaml_mark_t mark_of_offset(const struct yaml_source *source, size_t offset)
{
	yaml_mark_t mark = {0};

	for (size_t i = 0; i < offset && i < source->length; i++) {
		bool line = source->text[i] == '\n';

		mark.line += line;
		mark.column = line ? 0 : mark.column + 1;
	}
	return mark;
}

static int refuse_syntax(struct walk *walk)
{
	const yaml_parser_t *parser = &walk->parser;
	const char *what = parser->problem ? parser->problem : "cannot be parsed";
	yaml_mark_t mark = parser->problem_mark;

	if (parser->error == YAML_MEMORY_ERROR)
		return problem_set(walk->problem, -ENOMEM, "%s: out of memory",
				   walk->source->file ? walk->source->file : walk->source->path);
	if (parser->error == YAML_READER_ERROR) {
		mark = mark_of_offset(walk->source, parser->problem_offset);
		return refuse(walk, &mark, walk->at, "not UTF-8 text: %s", what);
	}
	if (walk->list && walk->list->kind != FIELD_PORTS)
		return refuse(walk, &mark, walk->at,
			      "not valid YAML: %s (an address that begins or ends with a colon needs quotes)",
			      what);
	return refuse(walk, &mark, walk->at, "not valid YAML: %s%s%s", parser->context ? parser->context : "",
		      parser->context ? ", " : "", what);
}

/* Whether an event carries what this configuration has no use for: anchors and tags. */
static bool is_decorated(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return event->data.scalar.anchor || event->data.scalar.tag;
	case YAML_SEQUENCE_START_EVENT:
		return event->data.sequence_start.anchor || event->data.sequence_start.tag;
	case YAML_MAPPING_START_EVENT:
		return event->data.mapping_start.anchor || event->data.mapping_start.tag;
	default:
		return event->type == YAML_ALIAS_EVENT;
	}
}

static int next_event(struct walk *walk, yaml_event_t *event)
{
	if (!yaml_parser_parse(&walk->parser, event))
		return refuse_syntax(walk);
	if (is_decorated(event))
		return refuse(walk, &event->start_mark, walk->at,
			      "anchors, aliases and tags are not taken, expected the value itself");
	return 0;
}

/* The text of a scalar, or NULL where it holds a NUL. */
static const char *scalar_text(const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;

	return strlen(text) == event->data.scalar.length ? text : NULL;
}

static bool scalar_quoted(const yaml_event_t *event)
{
	return event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
}

/* What an event is, for "X given, expected Y". */
static void describe(const yaml_event_t *event, char *text, size_t size)
{
	const char *value = event->type == YAML_SCALAR_EVENT ? scalar_text(event) : NULL;

	if (event->type == YAML_SEQUENCE_START_EVENT)
		snprintf(text, size, "a list");
	else if (event->type == YAML_MAPPING_START_EVENT)
		snprintf(text, size, "a mapping");
	else if (!value)
		snprintf(text, size, "text with a NUL");
	else if (!value[0] && !scalar_quoted(event))
		snprintf(text, size, "nothing");
	else
		snprintf(text, size, "%s\"%.*s\"%s", scalar_quoted(event) ? "quoted " : "", SHOWN, value,
			 strlen(value) > SHOWN ? "..." : "");
}

static int refuse_value(struct walk *walk, const struct field *field, const yaml_event_t *event)
{
	const char *given = event->type == YAML_SCALAR_EVENT ? scalar_text(event) : NULL;
	char expected[EXPECTED_TEXT], what[SHOWN + 24];

	settings_expected(field, given, expected, sizeof(expected));
	describe(event, what, sizeof(what));
	return refuse(walk, &event->start_mark, field->key, "%s given, expected %s", what, expected);
}

static void mark_given(struct walk *walk, size_t field, const yaml_mark_t *mark)
{
	walk->given[field] = true;
	walk->mark[field] = *mark;
	walk->draft->policy.origin[field] = walk->source->file ? SIPDAM_ORIGIN_FILE : SIPDAM_ORIGIN_SET;
}

static bool is_list(const struct field *field)
{
	return field->kind == FIELD_PORTS || field->kind == FIELD_PREFIXES || field->kind == FIELD_LIST;
}

/* Ports and lists are replaced as a whole. */
static void begin_list(struct walk *walk, const struct field *field)
{
	if (field->kind == FIELD_PORTS) {
		memset(field_place(&walk->draft->policy, field), 0, sizeof(struct sipdam_ports));
		return;
	}
	walk->draft->lists[field->offset] = (struct prefix_set){0};
	walk->draft->list_given[field->offset] = true;
}

static int apply_port(struct walk *walk, const struct field *field, const yaml_event_t *event,
		      const char *text)
{
	struct sipdam_ports *ports = field_place(&walk->draft->policy, field);
	int error = scalar_quoted(event) ? -EINVAL : settings_parse_port(ports, text);
	char what[SHOWN + 24];

	if (error == -EFBIG)
		return refuse(walk, &event->start_mark, field->key,
			      "more than %u ports given, expected at most %u", ports->count, ports->count);
	if (!error)
		return 0;
	describe(event, what, sizeof(what));
	return refuse(walk, &event->start_mark, field->key, "%s given, expected a port from 1 to 65535",
		      what);
}

static int apply_entry(struct walk *walk, const struct field *field, const yaml_event_t *event)
{
	const char *text = event->type == YAML_SCALAR_EVENT ? scalar_text(event) : NULL;
	struct problem why;
	int error;

	if (!text)
		return refuse_value(walk, field, event);
	if (field->kind == FIELD_PORTS)
		return apply_port(walk, field, event, text);
	error = settings_list_add(&walk->draft->lists[field->offset], field, walk->source->file, text, &why);
	if (error == -ENOMEM)
		return problem_set(walk->problem, error, "%s: out of memory", field->key);
	return error ? refuse(walk, &event->start_mark, field->key, "%s", why.text) : 0;
}

static int walk_list(struct walk *walk, const struct field *field)
{
	begin_list(walk, field);
	walk->list = field;
	for (;;) {
		_cleanup_event_ yaml_event_t event = {0};
		int error = next_event(walk, &event);

		if (error)
			return error;
		if (event.type == YAML_SEQUENCE_END_EVENT)
			break;
		error = apply_entry(walk, field, &event);
		if (error)
			return error;
	}
	walk->list = NULL;
	return 0;
}

static int apply_field(struct walk *walk, size_t number, const yaml_event_t *event)
{
	const struct field *field = settings_field(number);
	const char *text;

	mark_given(walk, number, &event->start_mark);
	if (is_list(field))
		return event->type == YAML_SEQUENCE_START_EVENT ? walk_list(walk, field)
								: refuse_value(walk, field, event);
	text = event->type == YAML_SCALAR_EVENT ? scalar_text(event) : NULL;
	if (!text || settings_parse_scalar(&walk->draft->policy, field, text, scalar_quoted(event)))
		return refuse_value(walk, field, event);
	return 0;
}

/* How many fields from first on lie below the group. */
static size_t group_size(size_t first, const char *path)
{
	size_t length = strlen(path), count = 0;

	while (first + count < settings_field_count()) {
		const char *key = settings_field_name(first + count);

		if (strncmp(key, path, length) || (length && key[length] != '.'))
			break;
		count++;
	}
	return count;
}

/* Below "limits.", a limit and a whole tier take the word "unlimited". */
static bool takes_unlimited(size_t first, const char *path)
{
	return settings_field(first)->kind == FIELD_RATE && strchr(path, '.');
}

static void apply_unlimited(struct walk *walk, size_t first, const char *path, const yaml_mark_t *mark)
{
	size_t end = first + group_size(first, path);

	for (size_t i = first; i < end; i++) {
		settings_make_unlimited(field_place(&walk->draft->policy, settings_field(i)));
		mark_given(walk, i, mark);
	}
}

static int refuse_group(struct walk *walk, size_t first, const char *path, const yaml_event_t *event)
{
	const char *example = settings_field_name(first) + strlen(path) + (path[0] != 0);
	const char *word = path[0] && takes_unlimited(first, path) ? ", or unlimited" : "";
	char what[SHOWN + 24];

	describe(event, what, sizeof(what));
	return refuse(walk, &event->start_mark, path, "%s given, expected a mapping of keys such as %.*s%s",
		      what, (int)strcspn(example, "."), example, word);
}

static int refuse_key(struct walk *walk, const char *group, const yaml_event_t *event, const char *word)
{
	const char *dot = group[0] ? "." : "", *name;
	size_t length = settings_path_nearest(group, word, &name);
	char key[PATH_ROOM + SHOWN];

	snprintf(key, sizeof(key), "%s%s%.*s", group, dot, SHOWN, word);
	if (strchr(word, '.'))
		return refuse(walk, &event->start_mark, key,
			      "unknown key, dotted keys are for `sipdam set`: in YAML, nest them");
	if (length)
		return refuse(walk, &event->start_mark, key, "unknown key, did you mean %s%s%.*s?", group,
			      dot, (int)length, name);
	return refuse(walk, &event->start_mark, key,
		      "unknown key, `sipdam config show` prints all there are");
}

/* Reads a key of the group into path and the number of the first field below it; each key only once. */
static int take_key(struct walk *walk, const char *group, const yaml_event_t *event, bool *seen, char *path,
		    size_t *first)
{
	const char *word = event->type == YAML_SCALAR_EVENT ? scalar_text(event) : NULL;
	int found = -ENOENT;

	if (!word)
		return refuse(walk, &event->start_mark, group, "a key must be a word");
	if (!strchr(word, '.') && word[0] &&
	    snprintf(path, PATH_ROOM, "%s%s%s", group, group[0] ? "." : "", word) < PATH_ROOM)
		found = settings_path_find(path);
	if (found < 0)
		return refuse_key(walk, group, event, word);
	if (seen[found])
		return refuse(walk, &event->start_mark, path, "the key is there twice, expected once");
	seen[found] = true;
	*first = (size_t)found;
	snprintf(walk->at, sizeof(walk->at), "%s", path);
	return 0;
}

static int apply_value(struct walk *walk, size_t first, const char *path, const yaml_event_t *event);

/* Recursion ends with the table: a key below a field is not found. */
static int walk_mapping(struct walk *walk, const char *group)
{
	bool seen[SIPDAM_FIELDS_MAX] = {0};

	for (;;) {
		_cleanup_event_ yaml_event_t key = {0};
		_cleanup_event_ yaml_event_t value = {0};
		char path[PATH_ROOM];
		size_t first = 0;
		int error;

		snprintf(walk->at, sizeof(walk->at), "%s", group);
		error = next_event(walk, &key);
		if (error || key.type == YAML_MAPPING_END_EVENT)
			return error;
		error = take_key(walk, group, &key, seen, path, &first);
		if (!error)
			error = next_event(walk, &value);
		if (!error)
			error = apply_value(walk, first, path, &value);
		if (error)
			return error;
	}
}

/* first: the first field at or below the path. */
static int apply_value(struct walk *walk, size_t first, const char *path, const yaml_event_t *event)
{
	const char *text = event->type == YAML_SCALAR_EVENT ? scalar_text(event) : NULL;

	if (!strcmp(settings_field_name(first), path))
		return apply_field(walk, first, event);
	if (event->type == YAML_MAPPING_START_EVENT)
		return walk_mapping(walk, path);
	if (!text || strcmp(text, "unlimited") || !takes_unlimited(first, path))
		return refuse_group(walk, first, path, event);
	apply_unlimited(walk, first, path, &event->start_mark);
	return 0;
}

/* An empty file is a valid one; an empty value is not. */
static int walk_root(struct walk *walk, const yaml_event_t *event)
{
	const char *path = walk->source->path;
	bool empty = event->type == YAML_SCALAR_EVENT && !event->data.scalar.length && !scalar_quoted(event);

	if (!path[0] && empty)
		return 0;
	return apply_value(walk, path[0] ? (size_t)settings_path_find(path) : 0, path, event);
}

/* The end of the one document: explicit end, then the end of the text and nothing else. */
static int walk_end(struct walk *walk)
{
	snprintf(walk->at, sizeof(walk->at), "%s", walk->source->path);
	for (;;) {
		_cleanup_event_ yaml_event_t event = {0};
		int error = next_event(walk, &event);

		if (error || event.type == YAML_STREAM_END_EVENT)
			return error;
		if (event.type == YAML_DOCUMENT_START_EVENT)
			return refuse(walk, &event.start_mark, walk->source->path,
				      "a second YAML document begins, expected one");
	}
}

static int walk_text(struct walk *walk)
{
	for (;;) {
		_cleanup_event_ yaml_event_t event = {0};
		int error = next_event(walk, &event);

		if (error)
			return error;
		if (event.type == YAML_STREAM_START_EVENT || event.type == YAML_DOCUMENT_START_EVENT)
			continue;
		if (event.type == YAML_STREAM_END_EVENT)
			return walk->source->path[0] ? refuse(walk, &event.start_mark, walk->source->path,
							      "nothing given, expected a value")
						     : 0;
		error = walk_root(walk, &event);
		return error ? error : walk_end(walk);
	}
}

/* The key to change may be one that the file does not name: then the one it does not go with is there. */
static int check_whole(struct walk *walk)
{
	struct complaint complaint;
	yaml_mark_t start = {0}, *mark = &start;

	if (!settings_check(walk->draft, &complaint))
		return 0;
	if (walk->given[complaint.field])
		mark = &walk->mark[complaint.field];
	else if (walk->given[complaint.other])
		mark = &walk->mark[complaint.other];
	return refuse(walk, mark, settings_field_name(complaint.field), "%s", complaint.text);
}

int settings_yaml_apply(struct settings *draft, const struct yaml_source *source, struct problem *problem)
{
	struct walk walk = {.source = source, .draft = draft, .problem = problem};
	int error;

	if (!yaml_parser_initialize(&walk.parser))
		return problem_set(problem, -ENOMEM, "%s: out of memory",
				   source->file ? source->file : source->path);
	yaml_parser_set_encoding(&walk.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&walk.parser, (const unsigned char *)source->text, source->length);
	snprintf(walk.at, sizeof(walk.at), "%s", source->path);
	error = walk_text(&walk);
	if (!error && source->file)
		error = check_whole(&walk);
	yaml_parser_delete(&walk.parser);
	return error;
}
