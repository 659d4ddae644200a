/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See pins.h. Paths, modes, the lock and the layout check; what the maps hold is not known here. */
#include "pins.h"

#include <bpf/bpf.h>
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

const char *pins_directory(void)
{
	static char path[256];

	if (snprintf(path, sizeof(path), "%s/%s", pins_bpffs(), SIPDAM_PIN_DIR) >= (int)sizeof(path))
		return SIPDAM_BPFFS "/" SIPDAM_PIN_DIR;
	return path;
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

static int problem_of_access(int error, const char *what, struct problem *problem)
{
	if (error == -EACCES || error == -EPERM)
		return problem_set(problem, error,
				   "%s: no permission: run it as root or as a member of the group "
				   "that owns %s",
				   what, pins_directory());
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
		return problem_of_access(fd, path, problem);
	return fd;
}

static int read_meta(struct sipdam_meta *meta, struct problem *problem)
{
	_cleanup_close_ int fd = pins_open("meta", true, problem);
	struct bpf_map_info info = {};
	__u32 length = sizeof(info), zero = 0;

	if (fd < 0)
		return fd;
	/* The size is checked first: a foreign layout may have a larger record than ours. */
	if (!bpf_obj_get_info_by_fd(fd, &info, &length) && info.value_size == sizeof(*meta) &&
	    !bpf_map_lookup_elem(fd, &zero, meta) && !meta->layout)
		return -ENOENT; /* written last: an attach that did not come to its end */
	if (meta->layout != SIPDAM_LAYOUT)
		return problem_set(problem, -EPROTO,
				   "the state in %s was made by another version of sipdam: end it with "
				   "`sipdam detach --all`, then attach again",
				   pins_directory());
	return 0;
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
	if (error)
		return error;
	if (meta)
		*meta = found;
	return 0;
}

/* What is pinned in it later gets its group, whoever does it. Without the group or the right, root alone reads. */
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
			return problem_of_access(-errno, directory, problem);
		fd = lock_directory(directory, LOCK_EX);
	} while (fd == -ESTALE || (fd == -ENOENT && create));
	if (fd == -ENOENT)
		return problem_set(problem, fd, "nothing is attached: start with `sipdam attach INTERFACE`");
	if (fd < 0)
		return problem_of_access(fd, directory, problem);
	/* Else a change would come half way: maps can be written, pins cannot be made or removed. */
	if (access(directory, W_OK)) {
		int error = -errno;

		close(fd);
		return error == -EROFS ? problem_of_access(error, directory, problem)
				       : problem_set(problem, error,
						     "%s: no permission to change the filter: run it as root",
						     directory);
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

int pins_clear(struct problem *problem)
{
	const char *directory = pins_directory();
	DIR *open_directory = opendir(directory);
	struct dirent *entry;
	char path[600];
	int error = 0;

	if (!open_directory)
		return errno == ENOENT ? 0 : problem_of_access(-errno, directory, problem);
	while ((entry = readdir(open_directory))) {
		if (entry->d_name[0] == '.')
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name) < (int)sizeof(path) &&
		    unlink(path) && !error)
			error = problem_of_access(-errno, path, problem);
	}
	closedir(open_directory);
	return error;
}

int pins_remove(struct problem *problem)
{
	char path[300];
	int error = pins_clear(problem);

	if (!error && rmdir(pins_directory()) && errno != ENOENT)
		error = problem_of_access(-errno, pins_directory(), problem);
	/* Where libxdp keeps its own pins it leaves an empty directory; with programs in it, it stays. */
	if (snprintf(path, sizeof(path), "%s/xdp", pins_bpffs()) < (int)sizeof(path))
		rmdir(path);
	return error;
}
