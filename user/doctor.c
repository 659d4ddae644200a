/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See doctor.h. */
#include "doctor.h"

#include <stdarg.h>
#include <string.h>

#include "utf8.h"

#define COLUMNS 80
#define INDENT  20 /* "warning  privileges  " is 21 long at most, with one blank */

void doctor_add(struct doctor *doctor, enum doctor_level level, const char *topic, const char *interface,
		const char *fix, const char *format, ...)
{
	struct doctor_finding *finding = &doctor->finding[doctor->count];
	const char *name = fix ? strstr(fix, "%s") : NULL;
	va_list arguments;

	if (doctor->count >= DOCTOR_FINDINGS_MAX)
		return;
	*finding = (struct doctor_finding){.level = level, .topic = topic};
	snprintf(finding->interface, sizeof(finding->interface), "%s", interface ? interface : "");
	if (name && interface)
		snprintf(finding->fix, sizeof(finding->fix), "%.*s%s%s", (int)(name - fix), fix, interface,
			 name + 2);
	else
		snprintf(finding->fix, sizeof(finding->fix), "%s", fix ? fix : "");
	va_start(arguments, format);
	vsnprintf(finding->text, sizeof(finding->text), format, arguments);
	va_end(arguments);
	doctor->count++;
}

size_t doctor_count(const struct doctor *doctor, enum doctor_level level)
{
	size_t count = 0;

	for (size_t i = 0; i < doctor->count; i++)
		count += doctor->finding[i].level == level;
	return count;
}

const char *doctor_level_name(enum doctor_level level)
{
	static const char *const names[DOCTOR_LEVELS] = {"ok", "warning", "fault", "unseen"};

	return names[level];
}

void doctor_wrap(const char *text, int indent, FILE *out)
{
	int column = indent;

	while (*text) {
		int word = (int)strcspn(text, " ");

		if (column > indent && column + 1 + word > COLUMNS) {
			fprintf(out, "\n%*s", indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', out);
			column++;
		}
		fprintf(out, "%.*s", word, text);
		column += word;
		text += word;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

static void print_finding(const struct doctor_finding *finding, FILE *out)
{
	char line[sizeof(finding->text) + IF_NAMESIZE + 2];

	snprintf(line, sizeof(line), "%s%s%s", finding->interface, finding->interface[0] ? ": " : "",
		 finding->text);
	fprintf(out, "%-8s %-10s ", doctor_level_name(finding->level), finding->topic);
	doctor_wrap(line, INDENT, out);
	if (finding->fix[0])
		fprintf(out, "%*s  %s\n", INDENT, "", finding->fix);
}

void doctor_print(const struct doctor *doctor, FILE *out)
{
	size_t faults = doctor_count(doctor, DOCTOR_FAULT), warnings = doctor_count(doctor, DOCTOR_WARNING),
	       unseen = doctor_count(doctor, DOCTOR_UNSEEN);

	for (size_t i = 0; i < doctor->count; i++)
		print_finding(&doctor->finding[i], out);
	fprintf(out, "\n%zu fault%s, %zu warning%s", faults, faults == 1 ? "" : "s", warnings,
		warnings == 1 ? "" : "s");
	if (unseen)
		fprintf(out, "; %zu not seen", unseen);
	fprintf(out, "\n");
}

/* Null where there is none. */
static json_t *text_json(const char *text)
{
	return *text ? utf8_json(text) : json_null();
}

static json_t *finding_json(const struct doctor_finding *finding)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:o}", "level", doctor_level_name(finding->level), "topic",
			 finding->topic, "interface", text_json(finding->interface), "text",
			 utf8_json(finding->text), "fix", text_json(finding->fix));
}

json_t *doctor_json(const struct doctor *doctor)
{
	json_t *findings = json_array();

	for (size_t i = 0; i < doctor->count; i++)
		json_array_append_new(findings, finding_json(&doctor->finding[i]));
	return json_pack("{s:I, s:I, s:I, s:o}", "faults", (json_int_t)doctor_count(doctor, DOCTOR_FAULT),
			 "warnings", (json_int_t)doctor_count(doctor, DOCTOR_WARNING), "unseen",
			 (json_int_t)doctor_count(doctor, DOCTOR_UNSEEN), "findings", findings);
}
