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
#include "doctor_tls.h"
#include "filter.h"
#include "pins.h"
#include "settings.h"
#include "snapshot.h"

#define _cleanup_settings_ __attribute__((cleanup(settings_free)))

struct arguments {
	const char *word[SIPDAM_INTERFACES_MAX]; /* interfaces, or "tls" and what it is asked of */
	size_t words;
	const char *name; /* that a TLS server is asked for */
	int patience;     /* milliseconds for a step with a TLS server; 0: not given */
	bool json;
};

#define PATIENCE_DEFAULT 5000
#define PATIENCE_LEAST   50
#define PATIENCE_MOST    60000

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

static int parse_patience(const char *text, struct argp_state *state)
{
	__u64 time = 0;

	if (settings_parse_duration(text, &time) || time / 1000000 < PATIENCE_LEAST ||
	    time / 1000000 > PATIENCE_MOST)
		argp_error(state, "--timeout takes a time from 50ms to 1m such as 5s, not \"%s\"", text);
	return (int)(time / 1000000);
}

static bool is_tls(const struct arguments *arguments)
{
	return arguments->words && !strcmp(arguments->word[0], "tls");
}

static void check_arguments(const struct arguments *arguments, struct argp_state *state)
{
	if (is_tls(arguments) && arguments->words != 2)
		argp_error(state, "tls: give one ADDRESS[:PORT] of a TLS server");
	if (!is_tls(arguments) && (arguments->name || arguments->patience))
		argp_error(state, "--name and --timeout are for `doctor tls`");
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'j':
		arguments->json = true;
		return 0;
	case 'n':
		arguments->name = argument;
		return 0;
	case 't':
		arguments->patience = parse_patience(argument, state);
		return 0;
	case ARGP_KEY_END:
		check_arguments(arguments, state);
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
	{"name", 'n', "NAME", 0, "tls: ask for this host, and look for it in the certificate", 0},
	{"timeout", 't', "TIME", 0, "tls: wait so long for each step (5s)", 0},
	{0},
};

static const struct argp parser = {
	.options = options,
	.parser = parse_option,
	.args_doc = "[IFACE...]\ntls ADDRESS[:PORT]",
	.doc = "Looks over this host and its network interfaces (those that the filter is on; else the one "
	       "of the "
	       "default route) and says of each thing that matters whether it is ok, with the command that "
	       "mends it. "
	       "Changes nothing. Exit status 1 if something is at fault.\v"
	       "Examples:\n"
	       "  sipdam doctor\n"
	       "  sipdam doctor eth0\n"
	       "  sipdam doctor tls sip.example.com\n"
	       "  sipdam doctor tls [2001:db8::1]:5061 --name sip.example.com\n"
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

static int visit_tls(const struct arguments *arguments, struct doctor *doctor, struct problem *problem)
{
	_cleanup_free_ struct tls_report *report = calloc(1, sizeof(*report));
	int error = report ? tls_parse_target(arguments->word[1], arguments->name, &report->target, problem)
			   : -ENOMEM;

	if (!error)
		error = tls_probe(report, arguments->patience ? arguments->patience : PATIENCE_DEFAULT,
				  problem);
	if (error)
		return error;
	tls_judge(report, doctor);
	if (arguments->json)
		return command_print(tls_json(report, doctor), JSON_COMPACT);
	tls_print(report, doctor, stdout);
	return 0;
}

static int visit_host(const struct arguments *arguments, struct doctor *doctor, struct problem *problem)
{
	_cleanup_free_ struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	_cleanup_settings_ struct settings settings = {};
	struct visit visit = {.doctor = doctor, .snapshot = snapshot};
	int error;

	if (!snapshot)
		return -ENOMEM;
	settings_default(&settings);
	filter_silence_libraries();
	read_filter(&visit, &settings);
	error = choose_interfaces(&visit, arguments, problem);
	if (error)
		return error;
	look(&visit);
	if (arguments->json)
		return command_print(doctor_json(doctor), JSON_COMPACT);
	doctor_print(doctor, stdout);
	return 0;
}

int cmd_doctor(int argc, char **argv)
{
	_cleanup_free_ struct doctor *doctor = calloc(1, sizeof(*doctor));
	struct arguments arguments = {};
	struct problem problem = {0};
	int error = -ENOMEM;

	if (command_parse(&parser, argc, argv, &arguments))
		return EXIT_USAGE;
	if (doctor)
		error = is_tls(&arguments) ? visit_tls(&arguments, doctor, &problem)
					   : visit_host(&arguments, doctor, &problem);
	if (error)
		return command_fail("doctor", error, &problem);
	return doctor_count(doctor, DOCTOR_FAULT) ? EXIT_FAILED : EXIT_DONE;
}
