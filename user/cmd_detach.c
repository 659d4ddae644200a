/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `sipdam detach IFACE...|--all`: takes the filter off; with the last interface its state goes too. */
#include <argp.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "command.h"
#include "egress.h"
#include "filter.h"
#include "interface.h"
#include "pins.h"
#include "slots.h"

struct arguments {
	const char *interface[SIPDAM_INTERFACES_MAX];
	size_t interfaces;
	bool all;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'a':
		arguments->all = true;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->interfaces == SIPDAM_INTERFACES_MAX)
			argp_error(state, "at most %d interfaces", SIPDAM_INTERFACES_MAX);
		arguments->interface[arguments->interfaces++] = argument;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->interfaces == !arguments->all)
			argp_error(state, "name interfaces, or --all");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{"all", 'a', NULL, 0,
	 "Every interface it is attached to; also removes what a version that cannot be "
	 "read has left",
	 0},
	{0},
};

static const struct argp parser = {
	.options = options,
	.parser = parse_option,
	.args_doc = "IFACE...\n--all",
	.doc = "Takes the filter off interfaces. Traffic passes as before; other programs on the interface "
	       "stay. "
	       "With the last interface the filter's state (lists, counters) is removed. An interface that was "
	       "deleted while attached is forgotten, and not attached again when it is made again.\v"
	       "Examples:\n"
	       "  sipdam detach eth0\n"
	       "  sipdam detach --all",
};

/* Interfaces that still have a slot of the counters; devices that are gone do not count. */
static size_t count_attached(void)
{
	struct sipdam_interfaces known;
	size_t count = 0;

	if (slots_read(&known, NULL))
		return 0;
	for (__u32 slot = 0; slot < SIPDAM_INTERFACES_MAX; slot++)
		count += slots_state(&known, slot) == SLOT_PRESENT;
	return count;
}

/* Every interface of this network namespace is asked: the list of ours may be unreadable or gone. */
static int detach_all(struct problem *problem)
{
	enum interface_mode mode;
	struct if_nameindex *all = if_nameindex();
	int error = 0, result;

	if (!all)
		return problem_set(problem, -errno, "listing interfaces: %s", strerror(errno));
	for (size_t i = 0; all[i].if_index; i++) {
		if (interface_entry(all[i].if_index, &mode) == INTERFACE_ENTRY_NONE) {
			egress_detach(all[i].if_index);
			continue;
		}
		result = interface_detach(all[i].if_name, problem);
		if (!result)
			printf("%s: detached\n", all[i].if_name);
		else
			error = result;
	}
	if_freenameindex(all);
	return error ? error : pins_remove(problem);
}

static int detach_named(const struct arguments *arguments, struct problem *problem)
{
	int error = pins_check(NULL, problem);

	for (size_t i = 0; !error && i < arguments->interfaces; i++)
		if (!slots_remembers(arguments->interface[i]))
			error = interface_check(arguments->interface[i], problem);
	if (error)
		return error;
	for (size_t i = 0; !error && i < arguments->interfaces; i++) {
		error = interface_detach(arguments->interface[i], problem);
		if (!error)
			printf("%s: detached\n", arguments->interface[i]);
	}
	if (!count_attached()) {
		struct problem ignored;

		pins_remove(error ? &ignored : problem);
	}
	return error;
}

int cmd_detach(int argc, char **argv)
{
	struct arguments arguments = {};
	struct problem problem = {0};
	_cleanup_close_ int lock = -1;
	int error;

	if (command_parse(&parser, argc, argv, &arguments))
		return EXIT_USAGE;
	error = filter_check_privilege(&problem);
	if (!error) {
		lock = pins_lock(false, &problem);
		error = lock < 0 ? lock : 0;
	}
	if (error == -ENOENT && arguments.all) {
		printf("nothing is attached\n");
		return EXIT_DONE;
	}
	if (!error)
		error = arguments.all ? detach_all(&problem) : detach_named(&arguments, &problem);
	return error ? command_fail("detach", error, &problem) : EXIT_DONE;
}
