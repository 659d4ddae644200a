/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `sipdam doctor`: what of this host, its interfaces and the filter on them works, what does not, and what to
 * change. Changes nothing itself and needs no privilege; says what it could not see without.
 */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "command.h"
#include "doctor.h"
#include "doctor_device.h"
#include "doctor_host.h"
#include "filter.h"
#include "pins.h"
#include "settings.h"
#include "snapshot.h"

#define _cleanup_settings_ __attribute__((cleanup(settings_free)))

struct arguments {
	const char *word[SIPDAM_INTERFACES_MAX]; /* interfaces */
	size_t words;
	bool json;
};

/* What is looked at, and how far the filter's own state could be read. */
struct visit {
	struct doctor *doctor;
	struct snapshot *snapshot;
	bool running;                       /* the filter's state was read */
	const struct sipdam_policy *policy; /* in force, or that would be by an `attach` now */
	const char *interface[SIPDAM_INTERFACES_MAX];
	size_t interfaces;
	char found[IF_NAMESIZE];
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'j':
		arguments->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->words == SIPDAM_INTERFACES_MAX)
			argp_error(state, "at most %d interfaces", SIPDAM_INTERFACES_MAX);
		arguments->word[arguments->words++] = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{"json", 'j', NULL, 0, "Print one JSON object", 0},
	{0},
};

static const struct argp parser = {
	.options = options,
	.parser = parse_option,
	.args_doc = "[IFACE...]",
	.doc = "Looks over this host and its network interfaces (those that the filter is on; else the one "
	       "of the "
	       "default route) and says of each thing that matters whether it is ok, with the command that "
	       "mends it. "
	       "Changes nothing. Exit status 1 if something is at fault.\v"
	       "Examples:\n"
	       "  sipdam doctor\n"
	       "  sipdam doctor eth0\n"
	       "  sipdam doctor --json | jq '.findings[] | select(.level != \"ok\")'",
};

static void read_config(struct visit *visit, struct settings *settings)
{
	struct problem problem = {0};
	int error = settings_load(settings, SETTINGS_PATH, &problem);

	if (!error)
		doctor_add(visit->doctor, DOCTOR_OK, "config", NULL, NULL, SETTINGS_PATH " would be taken");
	else if (error == -EACCES)
		doctor_add(visit->doctor, DOCTOR_UNSEEN, "config", NULL, NULL, "%s", problem.text);
	else
		doctor_add(visit->doctor, DOCTOR_FAULT, "config", NULL, "sipdam config check " SETTINGS_PATH,
			   "%s", problem.text);
}

/* The policy in force; where there is none, that of the configuration. */
static void read_filter(struct visit *visit, struct settings *settings)
{
	struct problem problem = {0};
	int error = snapshot_read(visit->snapshot, &problem);

	visit->running = !error;
	visit->policy = error ? &settings->policy : &visit->snapshot->policy;
	if (error == -EACCES || error == -EPERM)
		doctor_add(visit->doctor, DOCTOR_UNSEEN, "filter", NULL, NULL, "whether it runs: %s",
			   problem.text);
	else if (error && error != -ENOENT && error != -ENODEV)
		doctor_add(visit->doctor, DOCTOR_WARNING, "filter", NULL, NULL, "%s", problem.text);
	if (error && !access(SETTINGS_PATH, F_OK))
		read_config(visit, settings);
}

/* Those named; else those that the filter is on; else the one that a default route leaves by. */
static int choose_interfaces(struct visit *visit, const struct arguments *arguments, struct problem *problem)
{
	int error;

	visit->interfaces = arguments->words;
	for (size_t i = 0; i < arguments->words; i++) {
		visit->interface[i] = arguments->word[i];
		error = interface_check(arguments->word[i], problem);
		if (error == -ENODEV)
			return error;
	}
	if (arguments->words)
		return 0;
	for (; visit->running && visit->interfaces < visit->snapshot->interfaces; visit->interfaces++)
		visit->interface[visit->interfaces] = visit->snapshot->interface[visit->interfaces].name;
	if (!visit->interfaces && !doctor_route_default("", visit->found))
		visit->interface[visit->interfaces++] = visit->found;
	return 0;
}

static void look_at_host(struct visit *visit)
{
	struct doctor_host host = {.missing = filter_missing_capability(),
				   .sources = (long long)visit->policy->sources,
				   .attached = visit->running && visit->snapshot->interfaces};
	char *end;

	snprintf(host.bpffs, sizeof(host.bpffs), "%s", pins_directory());
	end = strrchr(host.bpffs, '/');
	if (end)
		*end = 0;
	doctor_host_read("", visit->policy, &host);
	doctor_host_judge(&host, visit->policy, visit->doctor);
}

static bool is_attached(const struct visit *visit, const char *name)
{
	for (size_t i = 0; visit->running && i < visit->snapshot->interfaces; i++)
		if (!strcmp(visit->snapshot->interface[i].name, name) &&
		    strcmp(visit->snapshot->interface[i].mode, "none"))
			return true;
	return false;
}

static void look_at_interface(struct visit *visit, const char *name)
{
	bool one_way = visit->running && snapshot_is_one_way(visit->snapshot);
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	struct doctor_device device;
	struct problem problem = {0};
	char other[IF_NAMESIZE] = "";
	enum doctor_route route = doctor_route_read("", name, other);

	if (interface_check(name, &problem)) {
		doctor_add(visit->doctor, DOCTOR_FAULT, "link", NULL, NULL, "%s", problem.text);
		return;
	}
	doctor_device_read(name, is_attached(visit, name), &device);
	doctor_device_judge(&device, cpus, visit->doctor);
	if (route == DOCTOR_ROUTE_ELSEWHERE && is_attached(visit, other) && !one_way)
		route = DOCTOR_ROUTE_HERE; /* the filter is on both */
	doctor_route_judge(&device, route, other, one_way, visit->doctor);
}

static void look(struct visit *visit)
{
	look_at_host(visit);
	for (size_t i = 0; i < visit->interfaces; i++)
		look_at_interface(visit, visit->interface[i]);
	if (!visit->interfaces)
		doctor_add(visit->doctor, DOCTOR_UNSEEN, "link", NULL, NULL,
			   "no default route says which interface is meant: name one, `sipdam doctor eth0`");
}

static int print(const struct doctor *doctor, bool json)
{
	json_t *object;
	int error;

	if (!json) {
		doctor_print(doctor, stdout);
		return 0;
	}
	object = doctor_json(doctor);
	error = object && !json_dumpf(object, stdout, JSON_COMPACT) ? 0 : -ENOMEM;
	json_decref(object);
	printf("\n");
	return error;
}

int cmd_doctor(int argc, char **argv)
{
	_cleanup_free_ struct doctor *doctor = calloc(1, sizeof(*doctor));
	_cleanup_free_ struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	_cleanup_settings_ struct settings settings = {};
	struct visit visit = {.doctor = doctor, .snapshot = snapshot};
	struct arguments arguments = {};
	struct problem problem = {0};
	int error;

	if (command_parse(&parser, argc, argv, &arguments))
		return EXIT_USAGE;
	if (!doctor || !snapshot)
		return command_fail("doctor", -ENOMEM, NULL);
	settings_default(&settings);
	filter_silence_libraries();
	read_filter(&visit, &settings);
	error = choose_interfaces(&visit, &arguments, &problem);
	if (!error) {
		look(&visit);
		error = print(doctor, arguments.json);
	}
	if (error)
		return command_fail("doctor", error, &problem);
	return doctor_count(doctor, DOCTOR_FAULT) ? EXIT_FAILED : EXIT_DONE;
}
