/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * See upgrade.h. The old filter runs until the new one is put into the array of entry programs, which both
 * share; then the two directories change places in one step. Whenever this is killed one of the two filters
 * runs, whole, and the next attach goes on from there.
 */
#include "upgrade.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "filter.h"
#include "lists.h"
#include "live.h"
#include "pins.h"
#include "settings_text.h"
#include "slots.h"

/* The filter's own pin, there only while an upgrade is under way. */
#define MARK "filter"

/* The first layout that keeps its settings as text, and lists as this version does. */
#define LAYOUT_OF_TEXT 2

/*
 * What of another layout goes on: the map of this name, if its shape is the same and it has meant the same
 * since that layout. A change of meaning raises the number. Whatever is not here is written anew.
 */
static const struct {
	const char *map;
	__u32 since;
	const char *called; /* where it cannot go on; NULL: no loss */
	bool keyed;         /* goes by the secret */
} kept[] = {
	{"secrets", 1, NULL, false},
	{"sources", 1, "buckets of sources", true},
	{"networks", 1, "buckets of networks", true},
	{"pools", 1, "pools", false},
	{"stamps", 2, NULL, true},
	{"verified", 2, NULL, true},
	{"verified_gate", 3, NULL, true},
	{"copies", 3, NULL, true},
	{"fragments", 1, "fragments on their way", true},
	{"bans", 2, "bans", true},
	{"ban_records", 2, "records of bans", true},
	{"ban_gate", 2, NULL, false},
	{"known", 2, "trusted sources and peers", true},
	{"known_records", 2, "records of trusted sources and peers", true},
	{"known_gate", 2, NULL, false},
	{"budgets", 2, NULL, false},
	{"failures", 2, "failed attempts to register and call", true},
	{"streams", 2, NULL, true},
	{"refused", 2, NULL, true},
	{"spent", 3, NULL, true},
	{"connections", 3, "open connections", true},
	{"conn_levels", 3, "open connections of sources", true},
	{"conn_events", 3, "counts of connections", false},
	{"table_events", 1, "counts of full tables", false},
	{"tls_meter", 3, "counts of TLS versions", false},
	{"interfaces", 1, NULL, false},
	{"counters", 1, NULL, false},
	{"carried", 2, NULL, false},
};
#define KEPT (sizeof(kept) / sizeof(kept[0]))
_Static_assert(KEPT <= UPGRADE_MAPS, "room for what is kept");

/* What is written anew from what was read: nothing of it is lost. */
static const char *const rewritten[] = {"policy", "active", "settings", "lists", "meta"};

/* Had the old state a map of this name, whatever it meant? What was not there is not lost. */
static bool was_there(const char *map)
{
	char path[300];

	return !pins_stage_path(path, sizeof(path), map) && !access(path, F_OK);
}

static size_t kept_named(const char *map)
{
	size_t i = 0;

	while (i < KEPT && strcmp(kept[i].map, map))
		i++;
	return i;
}

static void begins_anew(struct upgrade *upgrade, const char *what)
{
	size_t used = strlen(upgrade->anew);

	snprintf(upgrade->anew + used, sizeof(upgrade->anew) - used, "%s%s", used ? ", " : "", what);
}

/* ---- what is attached ---- */

static int pin_again(const char *from, const char *name)
{
	_cleanup_close_ int fd = bpf_obj_get(from);
	struct stat status;
	char to[300];
	int error = pins_path(to, sizeof(to), name);

	if (error || fd < 0)
		return error ? error : -errno;
	error = bpf_obj_pin(fd, to);
	if (error || stat(from, &status))
		return error ? error : -errno;
	return chmod(to, status.st_mode & 07777) ? -errno : 0;
}

/* The array that entry programs jump through, and the entry programs by which we know our own. */
static int pin_entries_again(void)
{
	char path[300], from[600];
	struct dirent *entry;
	int error = pins_stage_path(path, sizeof(path), "");
	DIR *directory = error ? NULL : opendir(path);

	if (!directory)
		return error ? error : -errno;
	while (!error && (entry = readdir(directory))) {
		if (strncmp(entry->d_name, "entry_", 6) && strcmp(entry->d_name, FILTER_ARRAY_PIN))
			continue;
		snprintf(from, sizeof(from), "%s%s", path, entry->d_name);
		error = pin_again(from, entry->d_name);
	}
	closedir(directory);
	return error;
}

/* ---- maps ---- */

static bool has_shape(int fd, const struct bpf_map *map)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &length) && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) && info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map) && info.map_flags == bpf_map__map_flags(map);
}

static size_t value_size(int fd)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &length) ? 0 : info.value_size;
}

static int old_map(const struct upgrade *upgrade, const char *map)
{
	size_t place = kept_named(map);

	return place < KEPT ? upgrade->map[place] : -1;
}

static void open_maps(struct upgrade *upgrade)
{
	for (size_t i = 0; i < KEPT; i++)
		if (upgrade->before.layout >= kept[i].since)
			upgrade->map[i] = pins_open(kept[i].map, false, NULL);
}

int upgrade_secret(struct upgrade *upgrade, struct sipdam_secret *secret)
{
	int fd = old_map(upgrade, "secrets");
	__u32 zero = 0;

	if (fd >= 0 && value_size(fd) == sizeof(*secret))
		return bpf_map_lookup_elem(fd, &zero, secret) ? -errno : 0;
	return -ENOENT;
}

/* Counters of another shape still begin with the counts: those are carried over when the old filter is done. */
static bool has_counts(const struct upgrade *upgrade)
{
	int fd = old_map(upgrade, "counters");

	return fd >= 0 && value_size(fd) >= SIPDAM_COUNT_WORDS * sizeof(__u64);
}

static bool goes_on(const struct upgrade *upgrade, size_t place, const struct bpf_map *map, bool same_keys)
{
	int fd = upgrade->map[place];

	/* Its counts are added to, and the old filter's must not change before it is replaced. */
	if (upgrade->counts_apart && !strcmp(kept[place].map, "carried"))
		return false;
	return fd >= 0 && has_shape(fd, map) && (same_keys || !kept[place].keyed);
}

/* A map that nobody has put into the table above begins anew: that is said by its name. */
static void note_others(struct upgrade *upgrade, struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map (map, object) {
		const char *name = pins_name(map);
		bool known = !name || kept_named(name) < KEPT;

		for (size_t i = 0; i < sizeof(rewritten) / sizeof(rewritten[0]); i++)
			known = known || !strcmp(rewritten[i], name);
		if (!known && was_there(name))
			begins_anew(upgrade, name);
	}
}

int upgrade_take_maps(struct upgrade *upgrade, struct bpf_object *object, struct problem *problem)
{
	struct bpf_map *counters = pins_find_map(object, "counters");
	struct sipdam_secret secret;
	bool same_keys = !upgrade_secret(upgrade, &secret);
	int error = pin_entries_again();

	if (!counters || !goes_on(upgrade, kept_named("counters"), counters, true)) {
		upgrade->counts_apart = has_counts(upgrade);
		if (!upgrade->counts_apart)
			begins_anew(upgrade, "counters");
	}
	for (size_t i = 0; !error && i < KEPT; i++) {
		struct bpf_map *map = pins_find_map(object, kept[i].map);

		if (map && goes_on(upgrade, i, map, same_keys))
			error = bpf_map__reuse_fd(map, upgrade->map[i]);
		else if (kept[i].called && was_there(kept[i].map))
			begins_anew(upgrade, kept[i].called);
	}
	note_others(upgrade, object);
	return error ? problem_set(problem, error, "taking over the running filter's tables: %s",
				   strerror(-error))
		     : 0;
}

/* ---- reading the old state ---- */

/*
 * Layout 1 kept its policy as the program read it alone. What every one of them begins with is taken from it,
 * the rest from the file; the origins, at its end, tell how much of it came from `set`.
 */
static int read_first_policy(struct upgrade *upgrade, struct problem *problem)
{
	enum { ORIGINS = 192, HORIZON = 16 };
	_cleanup_close_ int active = pins_open("active", true, problem);
	_cleanup_close_ int policies = active < 0 ? -1 : pins_open("policy", true, problem);
	size_t size = policies < 0 ? 0 : value_size(policies);
	_cleanup_free_ __u8 *policy = size > ORIGINS ? malloc(size) : NULL;
	__u32 zero = 0, slot, monitor, set = 0;
	char text[96];

	if (!policy || bpf_map_lookup_elem(active, &zero, &slot) || bpf_map_lookup_elem(policies, &slot, policy))
		return problem_set(problem, -EIO, "reading the policy of the running filter failed");
	memcpy(&monitor, policy, sizeof(monitor));
	memcpy(&upgrade->settings.policy.horizon, policy + HORIZON, sizeof(__u64));
	for (size_t i = size - ORIGINS; i < size; i++)
		set += policy[i] == SIPDAM_ORIGIN_SET;
	if (monitor)
		settings_assign(&upgrade->settings, "mode=monitor", NULL);
	if (set > monitor) {
		snprintf(text, sizeof(text), "%u settings made by `set`", set - monitor);
		begins_anew(upgrade, text);
	}
	return 0;
}

static int read_first_settings(struct upgrade *upgrade, struct problem *problem)
{
	struct settings *settings = &upgrade->settings;
	const char *config = upgrade->before.config;
	__u64 horizon;
	int error = 0;

	upgrade->file_again = true;
	if (config[0])
		error = settings_load(settings, config, problem) ? -EINVAL : 0;
	if (!error)
		error = read_first_policy(upgrade, problem);
	horizon = settings->policy.horizon;
	if (!error)
		error = settings_finish(settings, problem);
	if (settings->policy.horizon < horizon)
		settings->policy.horizon = horizon;
	settings->policy.sources = upgrade->before.sources;
	return error;
}

static int read_text(struct upgrade *upgrade, struct problem *problem)
{
	_cleanup_free_ struct sipdam_text *text = calloc(1, sizeof(*text));
	struct settings_text_rest rest;
	char what[128];
	int error = text ? live_text(text->text, sizeof(text->text), problem) : -ENOMEM;

	if (!error)
		error = settings_text_read(&upgrade->settings, text->text, &rest, problem);
	if (!error && rest.keys) {
		snprintf(what, sizeof(what), "%zu settings that this version does not know (%s)", rest.keys,
			 rest.first);
		begins_anew(upgrade, what);
	}
	return error;
}

/* An entry of a trie of layout 1, whose key was a struct sipdam_prefix. */
struct first_entry {
	__u64 expires;
	__u32 origins, bits;
};

static int read_trie(int trie, struct book *book)
{
	struct sipdam_prefix key, next;
	struct first_entry entry;
	int error = value_size(trie) == sizeof(entry) ? bpf_map_get_next_key(trie, NULL, &next) : -EPROTO;

	while (!error) {
		key = next;
		/* A look-up finds the longest match, which is the very prefix. */
		if (!bpf_map_lookup_elem(trie, &key, &entry) && entry.bits == key.bits &&
		    book_append(book, &key, entry.origins, entry.expires))
			return -ENOMEM;
		error = bpf_map_get_next_key(trie, &key, &next);
	}
	book_sort(book);
	return error == -ENOENT ? 0 : error;
}

/* Lists of layout 1: tries, pinned as NAME_SLOT. */
static int read_first_list(struct upgrade *upgrade, int list, struct problem *problem)
{
	_cleanup_close_ int active = pins_open("active", true, problem);
	_cleanup_close_ int trie = -1;
	__u32 zero = 0, slot;
	char name[32];

	if (active < 0 || bpf_map_lookup_elem(active, &zero, &slot))
		return active < 0 ? active : -errno;
	snprintf(name, sizeof(name), "%s_%u", lists_name(list), slot & 1);
	trie = pins_open(name, true, problem);
	return trie < 0 ? trie : read_trie(trie, &upgrade->list[list]);
}

static int read_list(struct upgrade *upgrade, int list, struct problem *problem)
{
	int error = lists_read_book(list, upgrade->settings.policy.index[list].half & 1, &upgrade->list[list]);

	if (!error || error == -ENOENT)
		return 0;
	return problem_set(problem, error, "reading the %s list: %s", lists_name(list), strerror(-error));
}

static int read_lists(struct upgrade *upgrade, struct problem *problem)
{
	int error = 0;

	for (int list = 0; !error && list < SIPDAM_LISTS; list++)
		error = upgrade->before.layout < LAYOUT_OF_TEXT
				? read_first_list(upgrade, list, problem)
				: read_list(upgrade, list, problem);
	return error;
}

int upgrade_read(struct upgrade *upgrade, const struct sipdam_meta *before, struct problem *problem)
{
	int error;

	*upgrade = (struct upgrade){.before = *before};
	memset(upgrade->map, -1, sizeof(upgrade->map));
	settings_default(&upgrade->settings);
	error = before->layout < LAYOUT_OF_TEXT ? read_first_settings(upgrade, problem)
						: read_text(upgrade, problem);
	if (!error)
		error = read_lists(upgrade, problem);
	if (!error)
		open_maps(upgrade);
	return error;
}

void upgrade_free(struct upgrade *upgrade)
{
	for (size_t i = 0; i < KEPT; i++)
		if (upgrade->map[i] >= 0)
			close(upgrade->map[i]);
	for (int list = 0; list < SIPDAM_LISTS; list++)
		book_free(&upgrade->list[list]);
	settings_free(&upgrade->settings);
}

/* ---- filling the new one ---- */

/* The record grows at its end. */
static int fill_interfaces(const struct upgrade *upgrade)
{
	int old = old_map(upgrade, "interfaces");
	_cleanup_close_ int fd = pins_open("interfaces", false, NULL);
	size_t size = old < 0 ? 0 : value_size(old);
	_cleanup_free_ void *before = size ? malloc(size) : NULL;
	struct sipdam_interfaces known = {};
	__u32 zero = 0;

	if (fd < 0 || !before || bpf_map_lookup_elem(old, &zero, before))
		return -EIO;
	memcpy(&known, before, size < sizeof(known) ? size : sizeof(known));
	slots_complete(&known);
	return bpf_map_update_elem(fd, &zero, &known, BPF_ANY);
}

int upgrade_fill(struct upgrade *upgrade, struct problem *problem)
{
	int error = fill_interfaces(upgrade);

	if (error)
		return problem_set(problem, error, "taking over the list of interfaces: %s", strerror(-error));
	for (int list = 0; !error && list < SIPDAM_LISTS; list++)
		error = live_list_restore(list, &upgrade->list[list], problem);
	return error;
}

/* ---- the end of it ---- */

int upgrade_mark(int program, struct problem *problem)
{
	char path[300];
	int error = pins_path(path, sizeof(path), MARK);

	if (!error && unlink(path) && errno != ENOENT)
		error = -errno;
	if (!error)
		error = bpf_obj_pin(program, path);
	return error ? problem_set(problem, error, "preparing %s: %s", pins_directory(), strerror(-error)) : 0;
}

static int sum_counts(int counters, __u32 slot, size_t words, struct sipdam_carried *sum)
{
	int cpus = libbpf_num_possible_cpus();
	_cleanup_free_ __u64 *values = cpus > 0 ? calloc((size_t)cpus * words, sizeof(*values)) : NULL;

	if (!values)
		return -ENOMEM;
	if (bpf_map_lookup_elem(counters, &slot, values))
		return -errno;
	for (size_t i = 0; i < (size_t)cpus * words; i++)
		if (i % words < SIPDAM_COUNT_WORDS)
			sum->word[i % words] += values[i];
	return 0;
}

/*
 * What the old filter counted, now that no packet is on its way through it. A value of counters has always
 * begun with the counts themselves.
 */
static int carry_counts(int counters, int carried_before, int carried)
{
	size_t words = value_size(counters) / sizeof(__u64);
	int error = words < SIPDAM_COUNT_WORDS ? -EPROTO : 0;

	for (__u32 slot = 0; !error && slot < SIPDAM_INTERFACES_MAX; slot++) {
		struct sipdam_carried sum = {};

		if (carried_before >= 0 && bpf_map_lookup_elem(carried_before, &slot, &sum))
			return -errno;
		error = sum_counts(counters, slot, words, &sum);
		if (!error)
			error = bpf_map_update_elem(carried, &slot, &sum, BPF_ANY);
	}
	return error;
}

int upgrade_publish(const struct upgrade *upgrade, struct problem *problem)
{
	char mark[300];
	int error = pins_path(mark, sizeof(mark), MARK);

	if (!error && upgrade->counts_apart) {
		_cleanup_close_ int carried = pins_open("carried", false, problem);

		live_wait_for_packets();
		error = carried < 0 ? carried
				    : carry_counts(old_map(upgrade, "counters"), old_map(upgrade, "carried"),
						   carried);
	}
	if (error)
		return problem_set(problem, error, "carrying the counters over: %s", strerror(-error));
	error = pins_stage_publish(problem);
	if (!error && !pins_path(mark, sizeof(mark), MARK))
		unlink(mark);
	return error;
}

/* ---- after an upgrade that was killed ---- */

static __u32 program_id(int fd)
{
	struct bpf_prog_info info = {};
	__u32 length = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &length) ? 0 : info.id;
}

static __u32 map_id(int fd)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &length) ? 0 : info.id;
}

static int open_next(const char *map)
{
	char path[300];
	int error = pins_stage_path(path, sizeof(path), map);

	return error ? error : bpf_obj_get(path);
}

/* Is the second directory's state of this version's making? Another one's is left to that, or made again. */
static bool next_is_ours(void)
{
	_cleanup_close_ int fd = open_next("meta");
	struct sipdam_meta meta;
	__u32 zero = 0;

	return fd >= 0 && value_size(fd) == sizeof(meta) && !bpf_map_lookup_elem(fd, &zero, &meta) &&
	       meta.layout == SIPDAM_LAYOUT;
}

/* Is the filter of the second directory the one behind the entry programs? */
static bool next_runs(int mark)
{
	_cleanup_close_ int array = pins_open(FILTER_ARRAY_PIN, true, NULL);
	__u32 zero = 0, running;

	return array >= 0 && !bpf_map_lookup_elem(array, &zero, &running) && running == program_id(mark);
}

static int carry_killed(void)
{
	_cleanup_close_ int before = pins_open("counters", false, NULL), now = open_next("counters");
	_cleanup_close_ int carried_before = pins_open("carried", false, NULL), carried = open_next("carried");

	if (before < 0 || now < 0 || carried < 0)
		return -ENOENT;
	if (map_id(before) == map_id(now))
		return 0;
	return carry_counts(before, carried_before, carried);
}

int upgrade_mend(struct problem *problem)
{
	_cleanup_close_ int mark = open_next(MARK);
	char path[300];
	int error = 0;

	if (mark < 0 || !next_is_ours() || !next_runs(mark)) {
		pins_stage_abandon();
	} else {
		carry_killed();
		error = pins_stage_publish(problem);
	}
	if (!error && !pins_path(path, sizeof(path), MARK))
		unlink(path);
	return error;
}
