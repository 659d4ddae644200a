/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of commands and the way into one of them; sets up nothing else. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "nearest.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{"attach", cmd_attach, "load the filter and attach it to interfaces"},
	{"confirm", cmd_confirm, "keep what attach --confirm put in force"},
	{"detach", cmd_detach, "take it off again, leaving nothing behind"},
	{"status", cmd_status, "what is attached and how"},
	{"stats", cmd_stats, "packets by reason, method and verdict"},
	{"set", cmd_set, "change the running filter, all or nothing"},
	{"get", cmd_get, "print what the running filter goes by"},
	{"reload", cmd_reload, "put the configuration file in force"},
	{"config", cmd_config, "check a configuration file, show the whole"},
	{"allow", cmd_allow, "list of sources that are always let in"},
	{"deny", cmd_deny, "list of sources that are always dropped"},
	{"ban", cmd_ban, "sources that are dropped for a time"},
	{"trust", cmd_trust, "sources that floods of others do not stop"},
	{"explain", cmd_explain, "would a packet from an address pass now, and why"},
	{"top", cmd_top, "the loudest sources whose packets are dropped"},
	{"serve", cmd_serve, "daemon: metrics for Prometheus"},
	{"replay", cmd_replay, "run a capture through the filter, live untouched"},
	{"doctor", cmd_doctor, "what works here, what does not, what to change"},
	{"version", cmd_version, "print the version"},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int help(void)
{
	printf("Usage: sipdam COMMAND [OPTION...]\n"
	       "A dam against SIP floods: drops them at the network card.\n\n"
	       "Commands:\n");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("  %-9s %s\n", commands[i].name, commands[i].summary);
	printf("\n`sipdam COMMAND --help` explains one, with examples. To begin with:\n"
	       "  sipdam config show           the settings and where each comes from\n"
	       "  sipdam attach eth0 --monitor counts what would be dropped, drops nothing\n"
	       "  sipdam stats                 what came of it\n");
	return EXIT_DONE;
}

static int unknown_command(const char *name)
{
	const char *nearest = NULL;
	size_t best = SIZE_MAX;

	for (size_t i = 0; i < COMMANDS; i++) {
		if (nearest_improves(name, commands[i].name, &best))
			nearest = commands[i].name;
	}
	if (nearest)
		fprintf(stderr, "sipdam: unknown command \"%.40s\", did you mean %s?\n", name, nearest);
	else
		fprintf(stderr, "sipdam: unknown command \"%.40s\"; see sipdam --help\n", name);
	return EXIT_USAGE;
}

static int run(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "sipdam: no command given; see sipdam --help\n");
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-?") || !strcmp(argv[1], "-h") ||
	    !strcmp(argv[1], "help"))
		return help();
	if (!strcmp(argv[1], "--version"))
		argv[1] += 2;
	for (size_t i = 0; i < COMMANDS; i++) {
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	}
	return unknown_command(argv[1]);
}

/* Output that could not be written, to a full disk for instance, is a failure too. */
int main(int argc, char **argv)
{
	int code = run(argc, argv);

	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "sipdam: cannot write the output: %s\n", strerror(errno));
		return code == EXIT_DONE ? EXIT_FAILED : code;
	}
	return code;
}
