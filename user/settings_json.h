/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Settings as JSON, for `config show` and `get`. */
#ifndef SETTINGS_JSON_H
#define SETTINGS_JSON_H

#include <jansson.h>

#include "settings.h"

/* How to dump it: decimals as they were written, 0.1 and not 0.10000000000000001. */
#define SETTINGS_JSON_FLAGS (JSON_INDENT(2) | JSON_REAL_PRECISION(15))

/*
 * {"value": ..., "origin": "file"}: numbers, booleans and arrays as such; durations, words and
 * "unlimited" as text. New reference; NULL when out of memory.
 */
json_t *settings_json_field(const struct settings *settings, size_t field);

/* {"dotted.key": {"value": ..., "origin": ...}, ...} in the order of the table. As above. */
json_t *settings_json(const struct settings *settings);

#endif
