/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which known word was meant by an unknown one. Pure. */
#ifndef NEAREST_H
#define NEAREST_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Whether the candidate is near enough to the word to be what was meant, and nearer than *best edits,
 * which is then lowered. Start with *best = SIZE_MAX and offer every known word.
 */
bool nearest_improves(const char *word, const char *candidate, size_t *best);

#endif
