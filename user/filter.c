/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * See filter.h. The life of the two programs: the filter, which judges, and the small entry program on
 * each interface, which jumps to the filter through a pinned array.
 */
#include "filter.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <xdp/libxdp.h>

#include "cleanup.h"
#include "entry.skel.h"
#include "lists.h"
#include "live.h"
#include "pins.h"
#include "sipdam.skel.h"
#include "upgrade.h"

/* Networks have an eighth as many lines as sources: many sources share one. */
#define SOURCES_PER_NETWORK 8
#define NETWORK_LINES_MIN   1024

struct filter {
	struct sipdam_bpf *skeleton;
	struct sipdam_trial *trial; /* mapped; NULL in a live filter */
	__u64 sources;              /* of a live filter, to load it again */
	struct sipdam_secret secret;
	struct upgrade *upgrade; /* from an older version, until it takes over; NULL: none */
};

const char *filter_missing_capability(void)
{
	static const struct {
		int number;
		const char *name;
	} needed[] = {
		{CAP_BPF, "CAP_BPF"},
		{CAP_NET_ADMIN, "CAP_NET_ADMIN"},
		{CAP_PERFMON, "CAP_PERFMON"},
	};
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {};

	if (syscall(SYS_capget, &header, data))
		return NULL;
	if (data[0].effective & 1u << CAP_SYS_ADMIN)
		return data[0].effective & 1u << CAP_NET_ADMIN ? NULL : "CAP_NET_ADMIN";
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		if (!(data[needed[i].number / 32].effective & 1u << needed[i].number % 32))
			return needed[i].name;
	return NULL;
}

int filter_check_privilege(struct problem *problem)
{
	const char *missing = filter_missing_capability();

	return missing ? problem_set(problem, -EPERM, "this process lacks %s: run it as root", missing) : 0;
}

static int problem_of_load(int error, struct problem *problem)
{
	const char *missing = filter_missing_capability();

	if (missing)
		return problem_set(problem, -EPERM,
				   "loading the filter: this process lacks %s: run it as root", missing);
	if (error == -ENOMEM || error == -E2BIG)
		return problem_set(
			problem, error,
			"loading the filter: %s: not enough memory for its tables; a smaller `sources` "
			"needs less",
			strerror(-error));
	return problem_set(problem, error,
			   "loading the filter: the kernel refused it: %s (Linux 6.1 or later is needed)",
			   strerror(-error));
}

static int be_silent(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level, (void)format, (void)arguments;
	return 0;
}

static int xdp_be_silent(enum libxdp_print_level level, const char *format, va_list arguments)
{
	(void)level, (void)format, (void)arguments;
	return 0;
}

/* Parts are silent: a failure is one line of ours. SIPDAM_DEBUG lets the libraries speak. */
void filter_silence_libraries(void)
{
	if (getenv("SIPDAM_DEBUG"))
		return;
	libbpf_set_print(be_silent);
	libxdp_set_print(xdp_be_silent);
}

static __u32 network_lines(__u64 sources)
{
	__u64 lines = sources / SOURCES_PER_NETWORK;

	return lines < NETWORK_LINES_MIN ? NETWORK_LINES_MIN : lines;
}

/* Opens the filter with tables of this size and these keys; not loaded yet. NULL with errno set. */
static struct sipdam_bpf *open_skeleton(__u64 sources, const struct sipdam_secret *secret, bool trial)
{
	struct sipdam_bpf *skeleton;

	filter_silence_libraries();
	skeleton = sipdam_bpf__open();
	if (!skeleton)
		return NULL;
	bpf_map__set_max_entries(skeleton->maps.sources, sources);
	bpf_map__set_max_entries(skeleton->maps.networks, network_lines(sources));
	bpf_map__set_max_entries(skeleton->maps.stamps, sources);
	skeleton->rodata->source_mask = sources - 1;
	skeleton->rodata->network_mask = network_lines(sources) - 1;
	skeleton->rodata->stamp_mask = sources - 1;
	skeleton->rodata->is_trial = trial;
	memcpy((void *)&skeleton->rodata->secret, secret, sizeof(*secret));
	bpf_program__set_flags(skeleton->progs.sipdam_filter, BPF_F_XDP_HAS_FRAGS);
	return skeleton;
}

/* For whoever else is to find a source's line. */
static int write_secret(struct sipdam_bpf *skeleton, const struct sipdam_secret *secret)
{
	__u32 zero = 0;

	return bpf_map_update_elem(bpf_map__fd(skeleton->maps.secrets), &zero, secret, BPF_ANY);
}

/* ---- trial ---- */

static int trial_map_record(struct filter *filter)
{
	void *mapped = mmap(NULL, sizeof(struct sipdam_trial), PROT_READ | PROT_WRITE, MAP_SHARED,
			    bpf_map__fd(filter->skeleton->maps.trial), 0);

	if (mapped == MAP_FAILED)
		return -errno;
	filter->trial = mapped;
	return 0;
}

/* Always the same hashes, as with the keys of a trial. */
#define TRIAL_SEED 0x6a09e667f3bcc908ULL

static int trial_place(struct filter *filter, int list, const struct book *book, struct sipdam_policy *policy)
{
	__u64 ignored;

	policy->list_entries[list] = book_prefixes(book, 0, &ignored);
	if (!book->count)
		return 0;
	return lists_place(bpf_map__fd(filter->skeleton->maps.lists), list, 0, book, 0, TRIAL_SEED,
			   &policy->index[list]);
}

int filter_trial_configure(struct filter *filter, const struct settings *settings, struct problem *problem)
{
	struct sipdam_policy policy = settings->policy;
	__u32 zero = 0;
	int error = 0;

	for (int list = 0; !error && list < SIPDAM_LISTS; list++) {
		const struct book_change change = {.origin = SIPDAM_ENTRY_CONFIG,
						   .prefixes = &settings->lists[list]};
		struct book none = {}, book;

		error = book_apply(&none, &change, 0, &book);
		if (!error)
			error = trial_place(filter, list, &book, &policy);
		book_free(&book);
	}
	if (error)
		return problem_set(problem, error, "filling the lists: %s", strerror(-error));
	error = bpf_map_update_elem(bpf_map__fd(filter->skeleton->maps.policy), &zero, &policy, BPF_ANY);
	if (error)
		return problem_set(problem, error, "writing the policy: %s", strerror(-error));
	filter->skeleton->data_active->active = live_front(&policy, 0);
	return 0;
}

int filter_trial_list(struct filter *filter, int list, const struct book *book)
{
	int map = bpf_map__fd(filter->skeleton->maps.policy);
	struct sipdam_policy policy;
	__u32 zero = 0;
	int error = bpf_map_lookup_elem(map, &zero, &policy);

	if (!error)
		error = trial_place(filter, list, book, &policy);
	return error ? error : bpf_map_update_elem(map, &zero, &policy, BPF_ANY);
}

int filter_open_private(struct filter **filter, const struct settings *settings, bool own_clock,
			struct problem *problem)
{
	/* Always the same keys: a replay gives the same verdicts each time. */
	static const struct sipdam_secret secret = {
		{0x9e3779b97f4a7c15ULL, 0xbf58476d1ce4e5b9ULL, 0x94d049bb133111ebULL, 0xd6e8feb86659fd93ULL}};
	struct filter *opened = calloc(1, sizeof(*opened));
	int error;

	if (!opened)
		return problem_set(problem, -ENOMEM, "out of memory");
	opened->skeleton = open_skeleton(settings->policy.sources, &secret, !own_clock);
	error = opened->skeleton ? sipdam_bpf__load(opened->skeleton) : -errno;
	if (error)
		error = problem_of_load(error, problem);
	else if ((error = trial_map_record(opened)))
		problem_set(problem, error, "mapping the clock of a replay: %s", strerror(-error));
	else if ((error = write_secret(opened->skeleton, &secret)))
		problem_set(problem, error, "writing the keys: %s", strerror(-error));
	else
		error = filter_trial_configure(opened, settings, problem);
	if (error) {
		filter_free(opened);
		return error;
	}
	*filter = opened;
	return 0;
}

int filter_open_trial(struct filter **filter, const struct settings *settings, struct problem *problem)
{
	return filter_open_private(filter, settings, false, problem);
}

struct sipdam_trial *filter_trial(struct filter *filter)
{
	return filter->trial;
}

int filter_trial_run(struct filter *filter, const void *data, size_t length)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = length, .repeat = 1);

	return bpf_prog_test_run_opts(bpf_program__fd(filter->skeleton->progs.sipdam_filter), &opts);
}

int filter_program(struct filter *filter)
{
	return bpf_program__fd(filter->skeleton->progs.sipdam_filter);
}

int filter_map(struct filter *filter, const char *name)
{
	struct bpf_map *map = pins_find_map(filter->skeleton->obj, name);

	return map ? bpf_map__fd(map) : -ENOENT;
}

void filter_free(struct filter *filter)
{
	if (!filter)
		return;
	if (filter->trial)
		munmap(filter->trial, sizeof(*filter->trial));
	sipdam_bpf__destroy(filter->skeleton);
	free(filter);
}

/* ---- live ---- */

/* Maps of the trial and what the compiler adds are not pinned. */
static bool is_pinned(const struct bpf_map *map)
{
	return pins_name(map) && strcmp(pins_name(map), "trial");
}

/* Where a pin of this name exists libbpf takes that map, if its shape is the same; else it makes and pins
 * one. */
static int set_pin_paths(struct bpf_object *object)
{
	struct bpf_map *map;
	char path[300];
	int error;

	bpf_object__for_each_map (map, object) {
		if (!is_pinned(map))
			continue;
		error = pins_path(path, sizeof(path), pins_name(map));
		if (!error)
			error = bpf_map__set_pin_path(map, path);
		if (error)
			return error;
	}
	return 0;
}

/* Group-readable counters, keys for root alone. */
static int set_pin_modes(struct bpf_object *object)
{
	struct bpf_map *map;
	char path[300];

	bpf_object__for_each_map (map, object) {
		if (!is_pinned(map) || pins_path(path, sizeof(path), pins_name(map)))
			continue;
		if (chmod(path, strcmp(pins_name(map), "secrets") ? 0640 : 0600))
			return -errno;
	}
	return 0;
}

/* The keys of the tables that are there, or new ones. */
static int find_secret(bool running, struct sipdam_secret *secret, struct problem *problem)
{
	_cleanup_close_ int fd = -1;
	__u32 zero = 0;

	if (!running) {
		if (getrandom(secret, sizeof(*secret), 0) != sizeof(*secret))
			return problem_set(problem, -EIO, "drawing keys: %s", strerror(errno));
		return 0;
	}
	fd = pins_open("secrets", false, problem);
	if (fd < 0)
		return fd;
	if (bpf_map_lookup_elem(fd, &zero, secret))
		return problem_set(problem, -errno, "reading the keys of the running filter: %s",
				   strerror(errno));
	return 0;
}

/* Lines of a pinned table; 0 if there is none. */
static __u32 pinned_lines(const char *name)
{
	struct problem ignored;
	_cleanup_close_ int fd = pins_open(name, true, &ignored);
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	return fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) ? 0 : info.max_entries;
}

/*
 * A table of another size starts anew; the running program keeps the old one until it is replaced. The
 * tables themselves are asked for their size: a command that died before may have changed one of them.
 * Returns the table that has lost its pin, -1 if none has.
 */
static int unpin_other_size(const char *name, __u32 lines)
{
	char path[300];
	int fd = -1;

	if (pinned_lines(name) == lines || pins_path(path, sizeof(path), name))
		return -1;
	fd = pins_open(name, false, NULL);
	unlink(path);
	return fd;
}

/* Back to the table that is in use, when nothing came of the new one. */
static void pin_again(const char *name, int table)
{
	char path[300];

	if (table < 0 || pins_path(path, sizeof(path), name))
		return;
	unlink(path);
	if (!bpf_obj_pin(table, path))
		(void)!chmod(path, 0640);
}

/* Is everything there that a running filter has? A table without its pin would begin empty, and lists with it.
 */
static int check_whole(struct bpf_object *object, struct problem *problem)
{
	struct bpf_map *map;
	char path[300];

	bpf_object__for_each_map (map, object) {
		const char *name = pins_name(map);

		if (!is_pinned(map) || !strcmp(name, "sources") || !strcmp(name, "networks") ||
		    !strcmp(name, "stamps"))
			continue;
		if (!pins_path(path, sizeof(path), name) && access(path, F_OK))
			return problem_set(problem, -ENOENT,
					   "%s is missing, and without it the filter cannot be replaced: the "
					   "one that runs goes on; `sipdam detach --all`, then attach again",
					   path);
	}
	return 0;
}

static int write_meta(struct sipdam_bpf *skeleton, const struct sipdam_meta *before,
		      const struct settings *settings, const char *config)
{
	struct sipdam_meta meta = *before;
	__u32 zero = 0;

	meta.layout = SIPDAM_LAYOUT;
	meta.created = before->created ? before->created : (__u64)time(NULL);
	meta.sources = settings->policy.sources;
	if (!before->version[0] || before->layout != SIPDAM_LAYOUT)
		snprintf(meta.version, sizeof(meta.version), "%s", SIPDAM_VERSION);
	if (config && snprintf(meta.config, sizeof(meta.config), "%s", config) >= (int)sizeof(meta.config))
		return -ENAMETOOLONG;
	return bpf_map_update_elem(bpf_map__fd(skeleton->maps.meta), &zero, &meta, BPF_ANY);
}

/* The array that entry programs jump through, made with the first attach. */
static int make_array(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	_cleanup_close_ int fd = -1;
	char path[300];
	int error = pins_path(path, sizeof(path), FILTER_ARRAY_PIN);

	if (error || !access(path, F_OK))
		return error;
	fd = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, FILTER_ARRAY_PIN, sizeof(__u32), sizeof(__u32), 1,
			    &opts);
	if (fd < 0)
		return fd;
	error = bpf_obj_pin(fd, path);
	return error ? error : chmod(path, 0640) ? -errno : 0;
}

static int load_live(struct filter *filter, bool running, struct problem *problem)
{
	struct sipdam_bpf *skeleton = filter->skeleton;
	int error = set_pin_paths(skeleton->obj);

	if (!error && running && check_whole(skeleton->obj, problem))
		return -ENOENT;
	if (!error)
		error = sipdam_bpf__load(skeleton);
	if (error)
		return problem_of_load(error, problem);
	error = set_pin_modes(skeleton->obj);
	if (!error && !running)
		error = write_secret(skeleton, &filter->secret);
	if (!error)
		error = make_array();
	if (error)
		return problem_set(problem, error, "preparing %s: %s", pins_directory(), strerror(-error));
	return 0;
}

static int prepare(struct filter *filter, const struct sipdam_meta *meta, const struct settings *settings,
		   const char *config, bool keep_policy, struct problem *problem)
{
	bool running = meta->layout == SIPDAM_LAYOUT;
	struct settings change = *settings;
	int error = load_live(filter, running, problem);

	if (error)
		return error;
	if (!running)
		for (int list = 0; list < SIPDAM_LISTS; list++)
			change.list_given[list] = true;
	if (!running || !keep_policy)
		error = live_commit(&change, problem);
	if (error)
		return error;
	error = write_meta(filter->skeleton, meta, settings, keep_policy && running ? NULL : config);
	if (error)
		return problem_set(problem, error, "writing %s: %s", pins_directory(), strerror(-error));
	return 0;
}

static int open_live(struct filter *filter, bool running, struct problem *problem)
{
	int error = find_secret(running, &filter->secret, problem);

	if (error)
		return error;
	filter->skeleton = open_skeleton(filter->sources, &filter->secret, false);
	return filter->skeleton ? 0 : problem_of_load(-errno, problem);
}

int filter_prepare(struct filter **filter, const struct settings *settings, const char *config,
		   bool keep_policy, struct problem *problem)
{
	_cleanup_close_ int sources = -1, networks = -1, stamps = -1;
	struct sipdam_meta meta = {};
	struct filter *opened;
	int error = pins_check(&meta, problem);
	bool running = !error;

	if (error && error != -ENOENT)
		return error;
	if (filter_missing_capability())
		return problem_of_load(-EPERM, problem);
	error = running ? 0 : pins_clear(problem);
	if (error)
		return error;
	opened = calloc(1, sizeof(*opened));
	if (!opened)
		return problem_set(problem, -ENOMEM, "out of memory");
	opened->sources = settings->policy.sources;
	error = open_live(opened, running, problem);
	if (!error && running) {
		sources = unpin_other_size("sources", opened->sources);
		networks = unpin_other_size("networks", network_lines(opened->sources));
		stamps = unpin_other_size("stamps", opened->sources);
	}
	if (!error)
		error = prepare(opened, &meta, settings, config, keep_policy, problem);
	if (error) {
		pin_again("sources", sources);
		pin_again("networks", networks);
		pin_again("stamps", stamps);
		filter_free(opened);
		return error;
	}
	*filter = opened;
	return 0;
}

static int find_upgrade_secret(struct filter *filter, struct problem *problem)
{
	if (!upgrade_secret(filter->upgrade, &filter->secret))
		return 0;
	return find_secret(false, &filter->secret, problem);
}

static int prepare_upgrade(struct filter *filter, const struct settings *settings, const char *config,
			   struct problem *problem)
{
	int error = find_upgrade_secret(filter, problem);

	if (error)
		return error;
	filter->skeleton = open_skeleton(filter->sources, &filter->secret, false);
	if (!filter->skeleton)
		return problem_of_load(-errno, problem);
	error = upgrade_take_maps(filter->upgrade, filter->skeleton->obj, problem);
	if (!error)
		error = load_live(filter, false, problem);
	if (!error)
		error = upgrade_fill(filter->upgrade, problem);
	if (!error)
		error = live_commit(settings, problem);
	if (error)
		return error;
	error = write_meta(filter->skeleton, &filter->upgrade->before, settings, config);
	return error ? problem_set(problem, error, "writing %s: %s", pins_directory(), strerror(-error)) : 0;
}

int filter_prepare_upgrade(struct filter **filter, struct upgrade *upgrade, const struct settings *settings,
			   const char *config, struct problem *problem)
{
	struct filter *opened;
	int error;

	if (filter_missing_capability())
		return problem_of_load(-EPERM, problem);
	opened = calloc(1, sizeof(*opened));
	if (!opened)
		return problem_set(problem, -ENOMEM, "out of memory");
	opened->sources = settings->policy.sources;
	opened->upgrade = upgrade;
	error = pins_stage_begin(problem);
	if (!error)
		error = prepare_upgrade(opened, settings, config, problem);
	if (error) {
		pins_stage_abandon();
		filter_free(opened);
		return error;
	}
	*filter = opened;
	return 0;
}

/* The filter once more, over the same maps, as an array takes it that entry programs behind a dispatcher use.
 */
static int load_as_behind_dispatcher(struct filter *filter)
{
	struct sipdam_bpf *skeleton = open_skeleton(filter->sources, &filter->secret, false);
	int error = skeleton ? set_pin_paths(skeleton->obj) : -errno;

	if (!error)
		error = bpf_program__set_flags(skeleton->progs.sipdam_filter, 0);
	if (!error)
		error = bpf_program__set_expected_attach_type(skeleton->progs.sipdam_filter, 0);
	if (!error)
		error = sipdam_bpf__load(skeleton);
	if (error) {
		sipdam_bpf__destroy(skeleton);
		return error;
	}
	sipdam_bpf__destroy(filter->skeleton);
	filter->skeleton = skeleton;
	return 0;
}

static int put_into(int array, const struct filter *filter)
{
	int program = bpf_program__fd(filter->skeleton->progs.sipdam_filter);
	__u32 zero = 0;
	int error = filter->upgrade ? upgrade_mark(program, NULL) : 0;

	return error ? error : bpf_map_update_elem(array, &zero, &program, BPF_ANY);
}

/* The version of the program that runs now. */
static int write_version(void)
{
	_cleanup_close_ int fd = pins_open("meta", false, NULL);
	struct sipdam_meta meta;
	__u32 zero = 0;

	if (fd < 0 || bpf_map_lookup_elem(fd, &zero, &meta))
		return -EIO;
	snprintf(meta.version, sizeof(meta.version), "%s", SIPDAM_VERSION);
	return bpf_map_update_elem(fd, &zero, &meta, BPF_ANY);
}

/*
 * An array holds only programs that are like the first that had to do with it, which is an entry program.
 * Attached alone that has the attach type of XDP and the flag for multi-buffer packets. Behind libxdp's
 * dispatcher it has neither: the dispatcher has them, and multi-buffer packets come to the filter all the
 * same.
 */
int filter_take_over(struct filter *filter, struct problem *problem)
{
	_cleanup_close_ int array = pins_open(FILTER_ARRAY_PIN, false, problem);
	int error;

	if (array < 0)
		return array;
	error = put_into(array, filter);
	if (error == -EINVAL) {
		error = load_as_behind_dispatcher(filter);
		if (error && filter->upgrade)
			pins_stage_abandon();
		if (error)
			return problem_of_load(error, problem);
		error = put_into(array, filter);
	}
	if (error) {
		if (filter->upgrade)
			pins_stage_abandon();
		return problem_set(problem, error, "putting the filter in force: %s", strerror(-error));
	}
	if (filter->upgrade)
		return upgrade_publish(filter->upgrade, problem);
	error = write_version();
	return error ? problem_set(problem, error, "naming the version that runs: %s", strerror(-error)) : 0;
}

int filter_install(const struct settings *settings, const char *config, bool keep_policy,
		   struct problem *problem)
{
	struct filter *filter;
	int error = filter_prepare(&filter, settings, config, keep_policy, problem);

	if (error)
		return error;
	error = filter_take_over(filter, problem);
	filter_free(filter);
	return error;
}

const void *filter_entry_object(size_t *size)
{
	return entry_bpf__elf_bytes(size);
}
