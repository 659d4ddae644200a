/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Both programs over the same maps: what the filter says after what the server has sent. */
#ifndef PROG_BOTH_H
#define PROG_BOTH_H

#include "prog/lab.h"

#include "egress.h"

#define WAY_TABLES_MAX 4

struct way {
	struct lab *lab;
	struct egress *egress;
	struct table table[WAY_TABLES_MAX]; /* that the test looks into, and that are empty before each */
	int tables;
};

static struct way way;

/* names: of maps of lines, beside those of the lab. */
static inline int way_open(void **state, const char *const *names, int count)
{
	struct problem problem = {""};

	assert_in_range(count, 0, WAY_TABLES_MAX);
	lab_open(state);
	way = (struct way){.lab = *state, .tables = count};
	if (egress_open_private(&way.egress, way.lab->filter, false, &problem))
		fail_msg("%s", problem.text);
	for (int i = 0; i < count; i++)
		map_table(way.lab, &way.table[i], names[i]);
	return 0;
}

static inline int way_close(void **state)
{
	for (int i = 0; i < way.tables; i++)
		munmap(way.table[i].memory, way.table[i].bytes);
	egress_free(way.egress);
	return lab_close(state);
}

static inline void way_forget(void)
{
	lab_forget(way.lab);
	for (int i = 0; i < way.tables; i++)
		memset(way.table[i].memory, 0, way.table[i].bytes);
}

/* Before each test. */
static inline int way_clean(void **state)
{
	lab_clean(state);
	way_forget();
	return 0;
}

#define way_test(function) cmocka_unit_test_setup(function, way_clean)

#endif
