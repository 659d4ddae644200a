/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See pins.h. Paths, modes, the lock and the layout check; what the maps hold is not known here. */
#include "pins.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cleanup.h"

#define DIRECTORY_MODE 0750
#define READERS_GROUP  "sipdam" /* may read the counters, where there is such a group */

static const char *pins_bpffs(void)
{
	const char *given = getenv("SIPDAM_BPFFS");

	return given && *given ? given : SIPDAM_BPFFS;
}

/* What an upgrade makes; the bpffs allows no dot in a name. */
#define STAGE_DIR SIPDAM_PIN_DIR "_next"

static bool staging;
static int stage_lock = -1; /* held to the end of the process: it becomes the lock of the first directory */

static const char *home_directory(void)
{
	static char path[256];

	if (snprintf(path, sizeof(path), "%s/%s", pins_bpffs(), SIPDAM_PIN_DIR) >= (int)sizeof(path))
		return SIPDAM_BPFFS "/" SIPDAM_PIN_DIR;
	return path;
}

static const char *stage_directory(void)
{
	static char path[256];

	if (snprintf(path, sizeof(path), "%s/%s", pins_bpffs(), STAGE_DIR) >= (int)sizeof(path))
		return SIPDAM_BPFFS "/" STAGE_DIR;
	return path;
}

const char *pins_directory(void)
{
	return staging ? stage_directory() : home_directory();
}

int pins_path(char *path, size_t size, const char *name)
{
	return snprintf(path, size, "%s/%s", pins_directory(), name) >= (int)size ? -ENAMETOOLONG : 0;
}

static int check_mounted(struct problem *problem)
{
	struct statfs fs;

	if (statfs(pins_bpffs(), &fs) == 0 && fs.f_type == BPF_FS_MAGIC)
		return 0;
	return problem_set(problem, -ENODEV,
			   "no BPF file system at %s, where the filter keeps its state: mount it with "
			   "`mount -t bpf bpf %s`",
			   pins_bpffs(), pins_bpffs());
}

/* Who is in the group may read, and change nothing. */
static int problem_of_access(int error, const char *what, bool read_only, struct problem *problem)
{
	if ((error == -EACCES || error == -EPERM) && !read_only)
		return problem_set(problem, error, "%s: no permission to change the filter: run it as root",
				   what);
	if (error == -EACCES || error == -EPERM)
		return problem_set(problem, error,
				   "%s: no permission: run it as root or as a member of the group "
				   "that owns %s",
				   what, pins_directory());
	if (error == -EROFS)
		return problem_set(problem, error, "%s: %s: make it writable with `mount -o remount,rw %s`",
				   what, strerror(-error), pins_bpffs());
	return problem_set(problem, error, "%s: %s", what, strerror(-error));
}

int pins_open(const char *map, bool read_only, struct problem *problem)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = read_only ? BPF_F_RDONLY : 0);
	char path[300];
	int fd = pins_path(path, sizeof(path), map);

	if (fd == 0)
		fd = bpf_obj_get_opts(path, &opts);
	if (fd < 0)
		return problem_of_access(fd, path, read_only, problem);
	return fd;
}

#define DATA_SECTION ".data."

const char *pins_name(const struct bpf_map *map)
{
	const char *name = bpf_map__name(map);

	if (!bpf_map__is_internal(map))
		return name;
	return strncmp(name, DATA_SECTION, strlen(DATA_SECTION)) ? NULL : name + strlen(DATA_SECTION);
}

struct bpf_map *pins_find_map(const struct bpf_object *object, const char *name)
{
	struct bpf_map *map;

	bpf_object__for_each_map (map, object) {
		const char *pinned = pins_name(map);

		if (pinned && !strcmp(pinned, name))
			return map;
	}
	return NULL;
}

/* Every version's record begins with what the first one's had. */
#define META_LEAST offsetof(struct sipdam_meta, feeds)
#define META_MOST  65536

static bool is_version(const char version[32])
{
	size_t length = strnlen(version, 32);

	return length && length < 32 && strspn(version, "0123456789.abcdefghijklmnopqrstuvwxyz+~-") == length;
}

/*
 * The record, or as much of it as there is: 0 whatever the layout, -EPROTO where it is none of ours. Its size
 * is asked first: another layout's may be larger.
 */
static int read_any_meta(int fd, struct sipdam_meta *meta)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info), zero = 0;
	_cleanup_free_ void *value = NULL;

	if (bpf_obj_get_info_by_fd(fd, &info, &length))
		return -errno;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size < META_LEAST || info.value_size > META_MOST)
		return -EPROTO;
	value = calloc(1, info.value_size);
	if (!value)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &zero, value))
		return -errno;
	memset(meta, 0, sizeof(*meta));
	memcpy(meta, value, info.value_size < sizeof(*meta) ? info.value_size : sizeof(*meta));
	if (!meta->layout || (is_version(meta->version) && memchr(meta->config, 0, sizeof(meta->config))))
		return 0;
	memset(meta, 0, sizeof(*meta));
	return -EPROTO;
}

bool pins_is_older(const struct sipdam_meta *meta)
{
	return meta->layout && meta->layout < SIPDAM_LAYOUT;
}

static int problem_of_layout(const struct sipdam_meta *meta, struct problem *problem)
{
	if (!meta->layout)
		return problem_set(problem, -EPROTO,
				   "what is in %s was not made by sipdam, or is damaged: remove it, or let "
				   "`sipdam detach --all` do that",
				   pins_directory());
	if (pins_is_older(meta))
		return problem_set(
			problem, -EPROTO,
			"the filter that runs is of an older version (%s with state %u; this is %s with "
			"state %d): `sipdam attach INTERFACE` upgrades it in place",
			meta->version, meta->layout, SIPDAM_VERSION, SIPDAM_LAYOUT);
	return problem_set(
		problem, -EPROTO,
		"the filter that runs is of a newer version (%s with state %u), whose state this one (%s "
		"with state %d) cannot read: use that version, or end it with `sipdam detach --all`",
		meta->version, meta->layout, SIPDAM_VERSION, SIPDAM_LAYOUT);
}

static int read_meta(struct sipdam_meta *meta, struct problem *problem)
{
	_cleanup_close_ int fd = pins_open("meta", true, problem);
	int error = fd < 0 ? fd : read_any_meta(fd, meta);

	if (error == -EPROTO || (!error && meta->layout && meta->layout != SIPDAM_LAYOUT))
		return problem_of_layout(meta, problem);
	if (!error && !meta->layout)
		return -ENOENT; /* written last: an attach that did not come to its end */
	return error;
}

int pins_check(struct sipdam_meta *meta, struct problem *problem)
{
	struct sipdam_meta found = {};
	int error = check_mounted(problem);

	if (error)
		return error;
	if (access(pins_directory(), F_OK) && errno == ENOENT)
		return problem_set(problem, -ENOENT,
				   "nothing is attached: start with `sipdam attach INTERFACE`");
	error = read_meta(&found, problem);
	if (error == -ENOENT)
		return problem_set(problem, -ENOENT,
				   "nothing is attached: start with `sipdam attach INTERFACE`");
	if (meta && (!error || error == -EPROTO))
		*meta = found;
	return error;
}

int pins_check_change(struct problem *problem)
{
	if (access(pins_directory(), W_OK) && errno == EACCES)
		return problem_of_access(-EACCES, pins_directory(), false, problem);
	return pins_check(NULL, problem);
}

/* What is pinned in it later gets its group, whoever does it. Without the group or the right, root alone
 * reads. */
static void share_with_group(const char *directory)
{
	const struct group *group = getgrnam(READERS_GROUP);

	if (group && !chown(directory, -1, group->gr_gid))
		(void)!chmod(directory, S_ISGID | DIRECTORY_MODE);
}

/* The lock is on the directory itself; it may have been removed by the holder we waited for. */
static int lock_directory(const char *directory, int operation)
{
	struct stat before, now;
	_cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, operation) || fstat(fd, &before))
		return -errno;
	if (stat(directory, &now) || before.st_ino != now.st_ino)
		return -ESTALE;
	return take_fd(&fd);
}

int pins_lock(bool create, struct problem *problem)
{
	const char *directory = pins_directory();
	int fd = check_mounted(problem);

	if (fd)
		return fd;
	do {
		if (create && !mkdir(directory, DIRECTORY_MODE))
			share_with_group(directory);
		else if (create && errno != EEXIST)
			return problem_of_access(-errno, directory, false, problem);
		fd = lock_directory(directory, LOCK_EX);
	} while (fd == -ESTALE || (fd == -ENOENT && create));
	if (fd == -ENOENT)
		return problem_set(problem, fd, "nothing is attached: start with `sipdam attach INTERFACE`");
	if (fd < 0)
		return problem_of_access(fd, directory, false, problem);
	/* Else a change would come half way: maps can be written, pins cannot be made or removed. */
	if (access(directory, W_OK)) {
		int error = -errno;

		close(fd);
		return problem_of_access(error, directory, false, problem);
	}
	return fd;
}

int pins_try_lock(void)
{
	int fd;

	do
		fd = lock_directory(pins_directory(), LOCK_EX | LOCK_NB);
	while (fd == -ESTALE);
	return fd;
}

static int clear(const char *directory, struct problem *problem)
{
	DIR *open_directory = opendir(directory);
	struct dirent *entry;
	char path[600];
	int error = 0;

	if (!open_directory)
		return errno == ENOENT ? 0 : problem_of_access(-errno, directory, false, problem);
	while ((entry = readdir(open_directory))) {
		if (entry->d_name[0] == '.')
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name) < (int)sizeof(path) &&
		    unlink(path) && !error)
			error = problem_of_access(-errno, path, false, problem);
	}
	closedir(open_directory);
	return error;
}

int pins_clear(struct problem *problem)
{
	return clear(pins_directory(), problem);
}

/* ---- the second directory ---- */

void pins_stage_abandon(void)
{
	staging = false;
	clear(stage_directory(), NULL);
	rmdir(stage_directory());
}

int pins_stage_path(char *path, size_t size, const char *name)
{
	const char *directory = staging ? home_directory() : stage_directory();

	return snprintf(path, size, "%s/%s", directory, name) >= (int)size ? -ENAMETOOLONG : 0;
}

/* As the first directory is: its group is whoever may read the counters. 0 or -errno. */
static int make_stage(const char *directory)
{
	struct stat home, stage;

	if (stat(home_directory(), &home) || mkdir(directory, DIRECTORY_MODE) || stat(directory, &stage))
		return -errno;
	if ((stage.st_uid != home.st_uid || stage.st_gid != home.st_gid) &&
	    chown(directory, home.st_uid, home.st_gid))
		return -errno;
	return chmod(directory, home.st_mode & 07777) ? -errno : 0;
}

int pins_stage_begin(struct problem *problem)
{
	const char *directory = stage_directory();
	int error;

	pins_stage_abandon();
	error = make_stage(directory);
	if (!error) {
		stage_lock = lock_directory(directory, LOCK_EX);
		error = stage_lock < 0 ? stage_lock : 0;
	}
	if (error)
		return problem_of_access(error, directory, false, problem);
	staging = true;
	return 0;
}

int pins_stage_publish(struct problem *problem)
{
	if (stage_lock < 0)
		stage_lock = lock_directory(stage_directory(), LOCK_EX);
	if (stage_lock < 0)
		return problem_of_access(stage_lock, stage_directory(), false, problem);
	if (renameat2(AT_FDCWD, stage_directory(), AT_FDCWD, home_directory(), RENAME_EXCHANGE))
		return problem_of_access(-errno, stage_directory(), false, problem);
	pins_stage_abandon();
	return 0;
}

int pins_remove(struct problem *problem)
{
	char path[300];
	int error;

	pins_stage_abandon();
	error = pins_clear(problem);

	if (!error && rmdir(pins_directory()) && errno != ENOENT)
		error = problem_of_access(-errno, pins_directory(), false, problem);
	/* Where libxdp keeps its own pins it leaves an empty directory; with programs in it, it stays. */
	if (snprintf(path, sizeof(path), "%s/xdp", pins_bpffs()) < (int)sizeof(path))
		rmdir(path);
	return error;
}
