/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What spans fields: checks of the whole, and what the program needs computed. Private to settings*.c. */
#ifndef SETTINGS_DERIVE_H
#define SETTINGS_DERIVE_H

#include "settings_fields.h"

/* Why the whole cannot be: the key to change, and the one that it does not go with. */
struct complaint {
	size_t field;
	size_t other;
	char text[320]; /* without the key */
};

/* 0, or -EINVAL with the first complaint. */
int settings_check(const struct settings *settings, struct complaint *complaint);

/* The limits as they are built in, not derived. */
void settings_default_limits(struct sipdam_policy *policy);

/* Derived values of settings that passed settings_check. Also gives a burst to limits that have none. */
void settings_derive(struct settings *settings);

#endif
