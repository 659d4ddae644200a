/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * See lists.h. Lines and books are written as memory, not entry by entry through system calls. Books are
 * pinned as NAME_HALF (the bpffs allows no dot); pieces of lines need no pin, the outer map holds them.
 */
#include "lists.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "indexer.h"
#include "pins.h"

#define PIECE_BYTES (SIPDAM_PIECE_LINES * sizeof(struct sipdam_line))

/* Seeds that are tried; the second is needed for one small list in thousands. */
#define SEEDS_MAX 8

const char *lists_name(int list)
{
	static const char *const names[SIPDAM_LISTS] = {"allow", "deny", "addresses"};

	return names[list];
}

/* ---- books ---- */

static void book_pin(char name[32], int list, __u32 half)
{
	snprintf(name, 32, "%s_%u", lists_name(list), half);
}

/* Records that one system call reads. */
#define READ_BATCH 16384

/* Who may write the map may read it as memory, which takes a tenth of the time. */
static int copy_records(int fd, struct sipdam_entry *entry, size_t count)
{
	size_t bytes = count * sizeof(*entry);
	void *memory = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return -errno;
	memcpy(entry, memory, bytes);
	munmap(memory, bytes);
	return 0;
}

static int read_records(int fd, struct sipdam_entry *entry, size_t count)
{
	_cleanup_free_ __u32 *keys = malloc(READ_BATCH * sizeof(*keys));
	__u32 next = 0, batch;

	if (!keys)
		return -ENOMEM;
	for (size_t done = 0; done < count; done += batch) {
		batch = count - done < READ_BATCH ? count - done : READ_BATCH;
		if (bpf_map_lookup_batch(fd, done ? &next : NULL, &next, keys, entry + done, &batch, NULL) &&
		    (errno != ENOENT || done + batch != count))
			return -errno;
	}
	return 0;
}

int lists_read_book(int list, __u32 half, struct book *book)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);
	struct problem ignored;
	char name[32];
	_cleanup_close_ int fd = -1;
	bool writable;
	int error;

	book_pin(name, list, half);
	fd = pins_open(name, false, &ignored);
	writable = fd >= 0;
	if (fd == -EACCES || fd == -EPERM || fd == -EROFS)
		fd = pins_open(name, true, &ignored);
	if (fd < 0)
		return fd;
	if (bpf_obj_get_info_by_fd(fd, &info, &length))
		return -errno;
	if (info.value_size != sizeof(*book->entry))
		return -EPROTO;
	*book = (struct book){.count = info.max_entries, .room = info.max_entries};
	book->entry = calloc(book->count, sizeof(*book->entry));
	if (!book->entry)
		error = -ENOMEM;
	else if (writable)
		error = copy_records(fd, book->entry, book->count);
	else
		error = read_records(fd, book->entry, book->count);
	if (error)
		book_free(book);
	return error;
}

void lists_forget_book(int list, __u32 half)
{
	char name[32], path[300];

	book_pin(name, list, half);
	if (!pins_path(path, sizeof(path), name))
		unlink(path);
}

/* A map in memory that both sides can see, of zeros. Returns a descriptor or -errno. */
static int make_memory(const char *name, __u32 value_size, __u32 entries)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);

	return bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(__u32), value_size, entries, &opts);
}

bool lists_has_book(int list, __u32 half)
{
	char name[32], path[300];

	book_pin(name, list, half);
	return !pins_path(path, sizeof(path), name) && !access(path, F_OK);
}

int lists_write_book(int list, __u32 half, const struct book *book)
{
	size_t bytes = book->count * sizeof(*book->entry);
	char name[32], path[300];
	_cleanup_close_ int fd = -1;
	void *memory;
	int error;

	lists_forget_book(list, half);
	if (!book->count)
		return 0;
	book_pin(name, list, half);
	error = pins_path(path, sizeof(path), name);
	if (error)
		return error;
	fd = make_memory("book", sizeof(*book->entry), book->count);
	if (fd < 0)
		return fd;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	memcpy(memory, book->entry, bytes);
	munmap(memory, bytes);
	error = bpf_obj_pin(fd, path);
	if (error)
		return error;
	return chmod(path, 0640) ? -errno : 0;
}

/* ---- pieces ---- */

static void close_all(const int *fds, __u32 count)
{
	for (__u32 i = 0; i < count; i++)
		close(fds[i]);
}

/* Without updates in batches, which map-in-map has since Linux 5.15, one by one. */
static int put_one_by_one(int outer, const __u32 *keys, const int *fds, __u32 count)
{
	for (__u32 i = 0; i < count; i++)
		if (bpf_map_update_elem(outer, &keys[i], &fds[i], BPF_ANY))
			return -errno;
	return 0;
}

/* Puts pieces at `first` and behind of the outer map; -errno. */
static int put_pieces(int outer, __u32 first, const int *fds, __u32 count)
{
	__u32 keys[SIPDAM_PIECES_MAX], done = count;

	for (__u32 i = 0; i < count; i++)
		keys[i] = first + i;
	if (!bpf_map_update_batch(outer, keys, fds, &done, NULL))
		return 0;
	if (errno != EINVAL && errno != ENOTSUP && errno != 524 /* ENOTSUPP of the kernel */)
		return -errno;
	return put_one_by_one(outer, keys, fds, count);
}

/* Makes pieces and maps them at `at`, one behind the other. 0 or -errno. */
static int make_pieces(int fds[SIPDAM_PIECES_MAX], __u32 count, char *at)
{
	for (__u32 i = 0; i < count; i++) {
		int error = 0;

		fds[i] = make_memory("list", sizeof(struct sipdam_line), SIPDAM_PIECE_LINES);
		if (fds[i] < 0)
			error = fds[i];
		else if (mmap(at + i * PIECE_BYTES, PIECE_BYTES, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_FIXED, fds[i], 0) == MAP_FAILED)
			error = -errno;
		if (error) {
			close_all(fds, i + (fds[i] >= 0));
			return error;
		}
	}
	return 0;
}

/* Puts as many new pieces as a list needs at its place, mapped at `memory`. */
static int put_new_pieces(int outer, __u32 first, __u32 count, char *memory)
{
	int fds[SIPDAM_PIECES_MAX];
	int error = make_pieces(fds, count, memory);

	if (error)
		return error;
	error = put_pieces(outer, first, fds, count);
	close_all(fds, count);
	return error;
}

static int place_plan(int outer, __u32 first, struct index_plan *plan)
{
	__u32 pieces = (plan->lines + SIPDAM_PIECE_LINES - 1) / SIPDAM_PIECE_LINES;
	size_t bytes;
	void *memory;
	int error;

	if (pieces > SIPDAM_PIECES_MAX)
		return -ENOSPC;
	plan->index.pieces = pieces;
	if (!pieces) /* an empty list is made without memory */
		return 0;
	bytes = pieces * PIECE_BYTES;
	memory = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	error = put_new_pieces(outer, first, pieces, memory);
	if (!error)
		error = indexer_fill(plan, memory);
	munmap(memory, bytes);
	return error;
}

int lists_place(int outer, int list, __u32 half, const struct book *book, __u64 now, __u64 seed,
		struct sipdam_index *index)
{
	__u32 first = SIPDAM_LIST_PIECE(list, half);
	struct index_plan plan;
	int error = -EAGAIN;

	for (int tries = 0; error == -EAGAIN && tries < SEEDS_MAX; tries++, seed += SIPDAM_MIX_1) {
		error = indexer_plan(&plan, book, now, seed);
		if (error)
			return error;
		error = place_plan(outer, first, &plan);
		indexer_free(&plan);
	}
	if (error)
		return error;
	*index = plan.index;
	index->piece = first;
	index->half = half;
	return 0;
}

int lists_retire(int outer, int list, __u32 half, __u32 pieces)
{
	__u32 first = SIPDAM_LIST_PIECE(list, half);

	for (__u32 key = first; key < first + pieces; key++)
		if (bpf_map_delete_elem(outer, &key) && errno != ENOENT)
			return -errno;
	return 0;
}
