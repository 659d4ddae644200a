/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whence a list's entry comes, in words. Pure. */
#ifndef ORIGIN_H
#define ORIGIN_H

#include <jansson.h>

#include "sipdam/state.h"

/* Origins, by the number of their bit (SIPDAM_ENTRY_*). */
#define ORIGINS (2 + SIPDAM_FEEDS_MAX)

/* "config", "manual", and feeds by their file's name: "feed drop.txt". New reference, NULL without memory. */
json_t *origin_label(const struct sipdam_meta *meta, int number);

#endif
