/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading a packet's bytes. The only file that knows how they are held: in the program, a first buffer
 * read directly and further buffers copied by the kernel (jumbo frames); outside of it, plain memory,
 * so that the parsers above compile natively for tests and fuzzing.
 */
#ifndef CURSOR_H
#define CURSOR_H

#include <stdbool.h>
#include <linux/types.h>

#ifdef __bpf__
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#else
#include <string.h>
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#undef __noinline
#define __noinline __attribute__((noinline, unused)) static
#endif

/* Headers end before this: Ethernet, four tags, IPv6 and eight extension headers of 2,048 bytes. */
#define CURSOR_OFFSET_MAX 0x7fff

/* A window is what is read of a payload at once: enough for a start-line's beginning. */
#define WINDOW_BYTES 64

/* What a frame is to those who must hand it on: the kernel's context, on its way in or out, or memory. */
#if defined(__bpf__) && defined(FRAME_LEAVES)
typedef struct __sk_buff frame_t;
#define frame_load_bytes    bpf_skb_load_bytes
#define frame_bytes(frame)  ((frame)->len)
#define frame_store_bytes(frame, offset, from, size) bpf_skb_store_bytes(frame, offset, from, size, 0)
#elif defined(__bpf__)
typedef struct xdp_md frame_t;
#define frame_load_bytes    bpf_xdp_load_bytes
#define frame_bytes(frame)  bpf_xdp_get_buff_len(frame)
#define frame_store_bytes   bpf_xdp_store_bytes
#else
typedef struct {
	const __u8 *data;
} frame_t;
#endif

struct cursor {
#ifdef __bpf__
	frame_t *frame;
	void *data; /* first buffer */
	void *data_end;
#else
	const __u8 *data;
#endif
	__u32 present; /* bytes that can be read, over all buffers */
	__u32 length;  /* bytes on the wire: larger than present only in a capture cut short */
	bool near;     /* a constant: the first buffer alone is read */
};

enum cursor_error {
	CURSOR_DONE = 0,
	CURSOR_BEYOND = 1,    /* the packet ends before */
	CURSOR_TRUNCATED = 2, /* the packet has these bytes, the capture does not */
};

struct window {
	__u64 word[WINDOW_BYTES / 8]; /* zeros after length */
	__u32 length;                 /* bytes read */
};

static __always_inline struct cursor cursor_open(frame_t *frame, __u32 present, __u32 length)
{
#ifdef __bpf__
	return (struct cursor){.frame = frame,
			       .data = (void *)(long)frame->data,
			       .data_end = (void *)(long)frame->data_end,
			       .present = present,
			       .length = length};
#else
	return (struct cursor){.data = frame->data, .present = present, .length = length};
#endif
}

/*
 * The same of what lies in the first buffer, for loops: the call that reads further buffers would cost them most of
 * their registers, though it is never made.
 */
static __always_inline struct cursor cursor_near(frame_t *frame, __u32 present, __u32 length)
{
	struct cursor cursor = cursor_open(frame, present, length);

	cursor.near = true;
	return cursor;
}

/* Does the first buffer hold all bytes before this offset? */
static __always_inline bool cursor_holds(const struct cursor *cursor, __u32 end)
{
#ifdef __bpf__
	return end <= (__u32)(cursor->data_end - cursor->data);
#else
	return end <= cursor->present;
#endif
}

/* Why bytes that are not in the first buffer cannot be had, in both worlds. */
static __always_inline int cursor_missing(const struct cursor *cursor, __u32 offset, __u32 size)
{
	return offset + size > cursor->length ? CURSOR_BEYOND : CURSOR_TRUNCATED;
}

#ifdef __bpf__
/*
 * The same offset, capped in the very register that is added to a packet pointer: a compiler short of registers
 * reloads the one it has compared, and Linux before 6.8 has learned nothing of the copy on the stack.
 */
static __always_inline __u64 cursor_capped(__u64 offset)
{
	asm volatile("%0 &= %1" : "+r"(offset) : "i"(CURSOR_OFFSET_MAX));
	return offset;
}
#endif

/*
 * Copies size bytes (a constant) from offset. Returns an enum cursor_error; on failure the target is
 * not to be read. The offset is capped by a constant before it becomes a pointer: the verifier bounds
 * packet pointers by 65,535.
 */
static __always_inline int cursor_load(const struct cursor *cursor, __u32 offset, void *target,
				       const __u32 size)
{
	if (offset > CURSOR_OFFSET_MAX)
		return CURSOR_BEYOND;
#ifdef __bpf__
	void *from = cursor->data + cursor_capped(offset);

	if (from + size <= cursor->data_end) {
		/* Else clang copies byte by byte; the kernel takes unaligned words where the machine does. */
		__builtin_memcpy(target, __builtin_assume_aligned(from, 8), size);
		return CURSOR_DONE;
	}
	if (!cursor->near && !frame_load_bytes(cursor->frame, offset, target, size))
		return CURSOR_DONE;
#else
	if (offset + size <= cursor->present) {
		memcpy(target, cursor->data + offset, size);
		return CURSOR_DONE;
	}
#endif
	return cursor_missing(cursor, offset, size);
}

/*
 * Four bytes at offset, each one by itself and only of the first buffer: for walks in which an offset is made of what
 * lies at the one before, and whose time is what it takes from a load to the next load's address. Hence no mask: the
 * offset is compared in the register that is added to the packet pointer.
 */
static __always_inline int cursor_step(const struct cursor *cursor, __u64 offset, __u8 byte[4])
{
#ifdef __bpf__
	const __u8 *from = cursor->data;

	asm volatile("" : "+r"(offset));
	if (offset > CURSOR_OFFSET_MAX)
		return CURSOR_BEYOND;
	from += offset;
	if ((const void *)(from + 4) > cursor->data_end)
		return CURSOR_BEYOND;
	byte[0] = from[0];
	byte[1] = from[1];
	byte[2] = from[2];
	byte[3] = from[3];
	return CURSOR_DONE;
#else
	return cursor_load(cursor, offset, byte, 4);
#endif
}

/* Writes size bytes at offset, over all buffers, and mends no checksum. Returns an enum cursor_error; on failure nothing is changed. */
static __always_inline int cursor_store(const struct cursor *cursor, __u32 offset, void *from, const __u32 size)
{
#ifdef __bpf__
	return frame_store_bytes(cursor->frame, offset, from, size) ? CURSOR_BEYOND : CURSOR_DONE;
#else
	if (offset + size > cursor->present)
		return CURSOR_BEYOND;
	memcpy((void *)(cursor->data + offset), from, size);
	return CURSOR_DONE;
#endif
}

/* The first two words at offset, where they lie in the first buffer; else zeros. Costs no copy. */
static __always_inline void cursor_glance(const struct cursor *cursor, __u32 offset, __u64 words[2])
{
	words[0] = words[1] = 0;
	if (offset > CURSOR_OFFSET_MAX)
		return;
#ifdef __bpf__
	const __u64 *from = cursor->data + cursor_capped(offset);

	if ((void *)(from + 2) > cursor->data_end)
		return;
	words[0] = from[0];
	words[1] = from[1];
#else
	if (offset + 16 <= cursor->present)
		memcpy(words, cursor->data + offset, 16);
#endif
}

/*
 * Reads up to WINDOW_BYTES of the `available` bytes at offset. Fewer than both only where the capture
 * holds no more.
 */
static __always_inline void cursor_window(const struct cursor *cursor, __u32 offset, __u32 available,
					  struct window *window)
{
	__u32 size = available < WINDOW_BYTES ? available : WINDOW_BYTES;

	if (size == WINDOW_BYTES && cursor_load(cursor, offset, window->word, WINDOW_BYTES) == CURSOR_DONE) {
		window->length = WINDOW_BYTES;
		return;
	}
	__builtin_memset(window->word, 0, sizeof(window->word));
	if (offset >= cursor->present)
		size = 0;
	else if (size > cursor->present - offset)
		size = cursor->present - offset;
#ifdef __bpf__
	__u32 last = size - 1;

	/* Linux before 6.8 learns from "size is not 0" nothing about the least; from the last byte's number
	 * it does. */
	asm volatile("" : "+r"(last));
	if (last < WINDOW_BYTES && frame_load_bytes(cursor->frame, offset, window->word, last + 1))
		size = 0;
#else
	memcpy(window->word, cursor->data + (size ? offset : 0), size);
#endif
	window->length = size;
}

#endif
