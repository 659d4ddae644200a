/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Commands that begin with what to do, `sipdam ban add ...`: their first word, their operands, --for and
 * --json, read and refused alike. What each action does is its command's own.
 */
#ifndef ACTION_H
#define ACTION_H

#include <argp.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "problem.h"

/* Operands of one command; more come by an import. */
#define ACTION_OPERANDS_MAX 256

enum action { ACTION_ADD, ACTION_DEL, ACTION_LIST, ACTION_IMPORT, ACTION_FLUSH, ACTIONS };

/* What a command takes with one action. */
struct action_rule {
	const char *operand; /* what is missing where there are too few: "an ADDRESS" */
	size_t least, most;  /* operands */
	bool known;          /* the command has this action */
	bool lasting;        /* takes --for */
};

struct action_arguments {
	const struct action_rule *rules; /* ACTIONS of them, by enum action */
	__u64 longest;                   /* of --for, nanoseconds; 0: no bound */
	enum action action;              /* ACTIONS until it is read */
	const char *operand[ACTION_OPERANDS_MAX];
	size_t operands;
	__u64 lasting; /* --for, nanoseconds; 0: not given */
	bool json;
};

/* An argp parser whose input is a struct action_arguments: options 'f' and 'j', the action, its operands. */
error_t action_parse(int key, char *argument, struct argp_state *state);

/* pins_check, as one who changes something where the action does. 0 or -errno with a problem. */
int action_check(const struct action_arguments *arguments, struct problem *problem);

/* Takes pins_lock where the action changes something, which is all but list: *lock, to be closed, is -1 where
 * not. 0 or -errno with a problem. */
int action_lock(const struct action_arguments *arguments, int *lock, struct problem *problem);

#endif
