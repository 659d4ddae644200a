/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One row a command in main.c; one file a command (cmd_NAME.c) that holds its argp parser. A command
 * prints its own errors by command_fail and returns an exit code: 0 done, 1 failed, 2 usage or
 * configuration.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include <stddef.h>

#include "problem.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int cmd_attach(int argc, char **argv);
int cmd_confirm(int argc, char **argv);
int cmd_detach(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_set(int argc, char **argv);
int cmd_get(int argc, char **argv);
int cmd_reload(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_allow(int argc, char **argv);
int cmd_deny(int argc, char **argv);
int cmd_ban(int argc, char **argv);
int cmd_trust(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_version(int argc, char **argv);

/* Prints "sipdam COMMAND: TEXT" on stderr in one line. Returns EXIT_USAGE for EINVAL, else EXIT_FAILED. */
int command_fail(const char *command, int error, const struct problem *problem);

/*
 * Prints a JSON object on a line of its own, by jansson's flags, and gives it back. 0; -ENOMEM where it is NULL
 * or could not be made into text. An output that cannot be written is main's to find.
 */
struct json_t;
int command_print(struct json_t *object, size_t flags);

/*
 * argp with the project's habits: exit code 2 on usage errors, `--help` on stdout, messages prefixed
 * "sipdam COMMAND". Returns 0, or -EINVAL after the message has been printed.
 */
struct argp;
int command_parse(const struct argp *argp, int argc, char **argv, void *input);

#endif
