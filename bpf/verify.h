/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * While the pool of a class is exhausted, strangers have to send a request twice: the first copy is dropped
 * and remembered, the one that the protocol's timers send again is let through to the pool. A flood from
 * forged addresses never sends again. It raises the price of an attack and no more: the pool still bounds.
 */
#ifndef VERIFY_H
#define VERIFY_H

#include "copies.h"
#include "maps.h"
#include "packet.h"
#include "sources.h"
#include "stamp.h"
#include "verdict.h"

/* Bytes of the payload that tell a transaction, and the windows they are read in. */
#define REQUEST_BYTES   256
#define REQUEST_WINDOWS (REQUEST_BYTES / WINDOW_BYTES)

/* A request as the stamps know it. */
#define REQUEST_SUMS 4
struct request {
	__u64 hash;   /* addresses, ports, UDP length, first bytes of the payload */
	__u64 sender; /* source address and port */
	__u64 sum[REQUEST_SUMS];
};

/* What is handed from one step to the next. */
struct verifying {
	__u64 now;  /* nanoseconds */
	__u64 hash; /* as in a request, here and below */
	__u64 sender;
	__u64 source; /* hash of its source, whose line is read beside those of the request */
	__u32 named;  /* 1: hash and sender are known */
};

/*
 * Is this a request that its sender sends again over UDP by RFC 3261 (17.1.1.2, 17.1.2.2) when no answer comes? Not
 * ACK, nor CANCEL, which must not be late (9.1), nor what is no message.
 */
static __always_inline bool has_timers(const struct message *message)
{
	return message->method && message->method != SIPDAM_METHOD_ACK &&
	       message->method != SIPDAM_METHOD_CANCEL && message->method != SIPDAM_METHOD_RESPONSE;
}

/* The same of a packet: of a datagram in fragments it is asked of the first, and the others go its way. */
static __always_inline bool is_sent_again(const struct packet *packet, const struct message *message)
{
	return packet->protocol == IPPROTO_UDP && has_timers(message);
}

static __always_inline struct sipdam_stamps *stamp_line(__u64 hash)
{
	__u32 index = (__u32)hash & stamp_mask;

	return bpf_map_lookup_elem(&stamps, &index);
}

/*
 * Four sums of a payload side by side, since each waits for its multiplications. Whoever can choose the
 * payload may make two of one sum: he might as well send the same one twice. Addresses and ports go through
 * the keyed hash.
 */
static __always_inline void sum_window(__u64 sum[REQUEST_SUMS], const __u64 *word)
{
	const __u64 key = secret.word[3] | 1;

#pragma unroll
	for (int i = 0; i < WINDOW_BYTES / 8; i++)
		sum[i % REQUEST_SUMS] = (sum[i % REQUEST_SUMS] ^ word[i]) * key;
#pragma unroll
	for (int i = 0; i < REQUEST_SUMS; i++)
		sum[i] ^= sum[i] >> 32;
}

/* The window `at` bytes into the payload. A function of its own so that the kernel verifies it once. */
__noinline int request_window(frame_t *frame, const struct packet *packet, __u32 at, struct window *window)
{
	struct cursor cursor;

	if (!packet || !window || at >= packet->payload_length)
		return 0;
	cursor = cursor_open(frame, packet->present, packet->length);
	cursor_window(&cursor, packet->payload_offset + at, packet->payload_length - at, window);
	return 1;
}

/* The same of a payload that is short or not in one piece. A function of its own: it is rare. */
__noinline int request_sum_long(frame_t *frame, const struct packet *packet, struct request *request,
				struct window *window)
{
	if (!packet || !request || !window)
		return 0;
#pragma nounroll
	for (__u32 at = 0; at < REQUEST_BYTES && request_window(frame, packet, at, window); at += WINDOW_BYTES)
		sum_window(request->sum, window->word);
	return 1;
}

/* Whether the first bytes of a payload lie in the first buffer, and their sums. */
static __always_inline bool request_sum(const struct cursor *cursor, const struct packet *packet,
					struct request *request)
{
	const __u64 *from = cursor->data + cursor_capped(packet->payload_offset);
	__u64 sum[REQUEST_SUMS];

	if (packet->payload_length < REQUEST_BYTES || packet->payload_offset > CURSOR_OFFSET_MAX ||
	    (const void *)from + REQUEST_BYTES > cursor->data_end)
		return false;
#pragma unroll
	for (int i = 0; i < REQUEST_SUMS; i++)
		sum[i] = request->sum[i];
#pragma unroll
	for (int window = 0; window < REQUEST_WINDOWS; window++)
		sum_window(sum, from + window * (WINDOW_BYTES / 8));
#pragma unroll
	for (int i = 0; i < REQUEST_SUMS; i++)
		request->sum[i] = sum[i];
	return true;
}

/* Reads what the stamps know a request by. */
static __always_inline void request_read(frame_t *frame, const struct packet *packet, struct request *request,
					 struct window *window)
{
	struct cursor cursor = cursor_open(frame, packet->present, packet->length);
	__u32 fields[2] = {}; /* ports, length and checksum as on the wire: the last offloads write or not */
	__u64 *sum = request->sum;

	cursor_load(&cursor, packet->transport_offset, fields, sizeof(fields));
	request->sender = sender_hash(&packet->source, fields[0]);
	sum[0] = fields[0] >> 16 | (__u64)(fields[1] & 0xffff) << 32;
	sum[1] = packet->destination.low;
	sum[2] = packet->destination.high;
	if (!request_sum(&cursor, packet, request))
		request_sum_long(frame, packet, request, window);
	/* What waits for least comes first: the sender is hashed while the payload is. */
	request->hash = keyed_hash(sum[0] + sum[1] + (sum[2] + sum[3]) * (secret.word[2] | 1), request->sender);
}

/*
 * What names a request that may be a copy: its hash, and what is behind the bytes that went into that. A function of
 * its own: it is rare, and takes the longer the longer the request is.
 */
__noinline __u64 copy_hash(frame_t *frame, const struct packet *packet, __u64 hash, struct window *window)
{
	__u64 sum[REQUEST_SUMS] = {};

	if (!packet || !window || packet->payload_length <= REQUEST_BYTES)
		return hash;
#pragma nounroll
	for (__u32 at = REQUEST_BYTES; at < COPY_BYTES && request_window(frame, packet, at, window);
	     at += WINDOW_BYTES)
		sum_window(sum, window->word);
	return keyed_hash(keyed_hash(sum[0] + sum[1], sum[2]) + sum[3], hash);
}

enum verification {
	VERIFICATION_OFF = 0,
	VERIFICATION_FIRST = 1, /* a first copy: to be dropped */
	VERIFICATION_NEW = 2,   /* sent again, by somebody who had not done so within the last minute */
	VERIFICATION_AGAIN = 3, /* sent again, by somebody who had */
	VERIFICATION_FREE = 4,  /* need not be sent again */
};

/* The sender's place in the gate before the lines of senders: by other bits than the line. */
static __always_inline __u8 *sender_span(__u64 sender)
{
	return &verified_gate.span[sender >> 12 & (SIPDAM_VERIFIED_PLACES - 1)];
}

/* The line that a sender is in if it was let in within the last minute; NULL where it was not. now: nanoseconds. */
static __always_inline struct sipdam_line *recent_line(__u64 sender, __u64 now)
{
	return verified_is_near(*(const volatile __u8 *)sender_span(sender), now) ? verified_line(sender) : NULL;
}

/*
 * Names a request and begins to read the lines that tell of it. A function of its own, so that it is verified
 * once. now: nanoseconds. window: room to read in.
 */
__noinline int verification_approach(frame_t *frame, const struct packet *packet, struct verifying *verifying,
				     __u64 now, struct window *window)
{
	struct request request = {};
	struct sipdam_stamps *seen;
	struct sipdam_line *senders, *line;

	if (!packet || !verifying || !window)
		return 0;
	request_read(frame, packet, &request, window);
	verifying->hash = request.hash;
	verifying->sender = request.sender;
	verifying->named = 1;
	seen = stamp_line(request.hash);
	senders = recent_line(request.sender, now);
	line = source_line(verifying->source);
	if (line)
		line_word(line, 0);
	if (seen)
		stamp_read(seen, 0);
	if (senders)
		line_word(senders, 0);
	return 1;
}

/*
 * Is what was approached a first copy by somebody of whom nothing is known, as nearly all of a flood is? Then it is
 * remembered, without a call.
 */
static __always_inline bool verification_is_first(const struct verifying *verifying)
{
	struct sipdam_stamps *seen = stamp_line(verifying->hash);
	__u32 tag = stamp_tag(verifying->hash);

	if (!verifying->named || !seen || recent_line(verifying->sender, verifying->now) || stamp_is_in(seen, tag))
		return false;
	stamp_remember(seen, tag, verifying->now);
	return true;
}

/*
 * Looks a request up, and remembers it if it is a first copy. verifying: what approached it, if anything has.
 * Returns an enum verification. A look-up that fails cannot hold anybody up. A function of its own so that it is
 * verified once.
 */
__noinline int verification_of(frame_t *frame, const struct packet *packet, const struct sipdam_policy *policy,
			       struct verifying *verifying, struct window *window)
{
	struct sipdam_stamps *seen;
	struct sipdam_line *senders;
	__u64 age = ~0ULL;

	if (!packet || !policy || !verifying || !window)
		return VERIFICATION_OFF;
	if (!verifying->named)
		verification_approach(frame, packet, verifying, verifying->now, window);
	seen = stamp_line(verifying->hash);
	senders = recent_line(verifying->sender, verifying->now);
	if (!seen)
		return VERIFICATION_OFF;
	if (senders)
		age = verified_age(senders, verifying->sender, verifying->now);
	if (age <= VERIFIED_FREE)
		return VERIFICATION_FREE;
	if (stamp_look(seen, verifying->hash, verifying->now, policy->verify_min, policy->verify_max) !=
	    STAMP_AGAIN)
		return VERIFICATION_FIRST;
	return age <= VERIFIED_RECENT ? VERIFICATION_AGAIN : VERIFICATION_NEW;
}

/*
 * A sender has sent again and was let in: its next requests are free. Only who is let in is remembered: so
 * many are bounded by the pools, and the memory of them cannot be flooded.
 */
__noinline int verification_note(const struct verifying *verifying)
{
	struct sipdam_line *senders = verifying ? verified_line(verifying->sender) : NULL;

	if (senders) {
		verified_note(senders, verifying->sender, verifying->now);
		*(volatile __u8 *)sender_span(verifying->sender) = verified_span(verifying->now);
	}
	return 0;
}

/*
 * The pool has refused: verification begins, or goes on. The clock is coarse, so that this writes once a tick
 * and CPUs do not take the word from each other at each packet.
 */
static __always_inline void verification_begin(struct sipdam_pool *pool, __u64 now)
{
	if (*(const volatile __u64 *)&pool->exhausted < now)
		*(volatile __u64 *)&pool->exhausted = now;
}

/*
 * One packet of a sender that was verified within the last minute before: those share half of the pool.
 * Returns 1 if it may pass, and takes from both buckets or from none; where another CPU is faster, from one.
 */
__noinline int recent_pays(const struct sipdam_limit *limit, __u32 class, __u64 now)
{
	struct sipdam_pool *pool = bpf_map_lookup_elem(&pools, &class);
	struct sipdam_limit half;

	if (!limit || !pool || limit_is_unlimited(limit))
		return 1;
	half = half_of(limit);
	if (!pool_conforms(&pool->half_tat, now, &half, 1))
		return 0;
	return pool_takes(limit, class, now, 1) && pool_take(&pool->half_tat, now, &half, 1) == BUCKET_ADMITS;
}

/*
 * Has a segment come before, as TCP sends it again? connection: hash of both ends. With the sequence number that names
 * it: what is sent again may be more, or less, and its time and sum are others. Remembered if it has not. now:
 * nanoseconds.
 */
static __always_inline bool segment_comes_again(__u64 connection, __u32 sequence, __u64 now,
						const struct sipdam_policy *policy)
{
	__u64 hash = keyed_hash(connection, sequence);
	struct sipdam_stamps *seen = stamp_line(hash);

	return !seen || stamp_look(seen, hash, now, policy->verify_min, policy->verify_max) == STAMP_AGAIN;
}

#endif
