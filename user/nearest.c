/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Edit distance between short words, for "did you mean". */
#include <string.h>

#include "nearest.h"

#define WORD_MAX 32 /* no known word is longer */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Whether the letters that end here are those of the other word, exchanged. */
static bool swapped(const char *a, size_t i, const char *b, size_t j)
{
	return i && j && a[i] == b[j - 1] && a[i - 1] == b[j];
}

/* Letters put in, left out, replaced, or exchanged with the next. At most WORD_MAX in each word. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[WORD_MAX + 1][WORD_MAX + 1], i, j;

	for (i = 0; i <= strlen(a); i++)
		rows[i][0] = i;
	for (j = 0; j <= strlen(b); j++)
		rows[0][j] = j;
	for (i = 0; a[i]; i++) {
		for (j = 0; b[j]; j++) {
			size_t edits = rows[i][j] + (a[i] != b[j]);

			edits = least(edits, least(rows[i][j + 1], rows[i + 1][j]) + 1);
			if (swapped(a, i, b, j))
				edits = least(edits, rows[i - 1][j - 1] + 1);
			rows[i + 1][j + 1] = edits;
		}
	}
	return rows[i][j];
}

bool nearest_improves(const char *word, const char *candidate, size_t *best)
{
	size_t edits, longer;

	if (strnlen(word, WORD_MAX + 1) > WORD_MAX || strnlen(candidate, WORD_MAX + 1) > WORD_MAX)
		return false;
	longer = strlen(word) > strlen(candidate) ? strlen(word) : strlen(candidate);
	edits = distance(word, candidate);
	/* Two slips, or one in a short word: more would be a guess. */
	if (edits > (longer > 4 ? 2 : 1) || edits >= *best)
		return false;
	*best = edits;
	return true;
}
