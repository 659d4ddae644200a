/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory of messages that may come again by the timers of the protocol, so that a copy is not charged like
 * another message. Pure: lines, hashes and a time in, an answer out. What names a message is its caller's.
 *
 * A copy is one only if it keeps the timetable: T1, twice T1 and so on behind the one before (RFC 3261
 * 17.1.1.2, 17.1.2.2, 17.2.1), as often as the timers send. The first that does not ends it for the message, so
 * that a flood of one packet at any fixed rate gains one packet at most.
 *
 * A line has eight words, tag:32 | ended:1 | copies:4 | time:27 of the last copy, in units of 1.05 ms (2^20 ns),
 * which wrap after 39 hours; 0 is free.
 */
#ifndef COPIES_H
#define COPIES_H

#include "bucket.h"

#define COPY_UNIT_SHIFT   20
#define COPY_TIME_BITS    27
#define COPY_TIME_MASK    ((1u << COPY_TIME_BITS) - 1)
#define COPY_NUMBER_SHIFT COPY_TIME_BITS
#define COPY_NUMBER_MASK  0xfu
#define COPY_ENDED        (1u << 31)
#define COPY_TAG_SHIFT    32

/* RFC 3261 17.1.1.1: T1; after 64 of them a transaction is over, and what comes then begins anew. */
#define COPY_T1         (500 * 1000000ULL)
#define COPY_LIFE_UNITS ((__u32)(64 * COPY_T1 >> COPY_UNIT_SHIFT))

/* What two requests must have in common for one to be a copy, as far as an Ethernet frame goes: what differs may be
 * the response to a challenge, one guess after the other. */
#define COPY_BYTES 1536

/* What a copy's time may differ by: timers are late more often than early. */
#define COPY_EARLY(nanoseconds) ((__u32)((nanoseconds)*4 / 5 >> COPY_UNIT_SHIFT))
#define COPY_LATE(nanoseconds)  ((__u32)((nanoseconds)*13 / 10 >> COPY_UNIT_SHIFT))

/* How a message is sent again. */
struct timetable {
	__u32 copies;    /* that follow the first */
	__u32 doublings; /* of T1 at most */
	__u32 starts;    /* the first copy that is seen may be any of so many: earlier ones were not remembered */
};
#define TIMETABLE_INVITE  ((struct timetable){.copies = 6, .doublings = 5, .starts = 3})  /* timers A and B */
#define TIMETABLE_REQUEST ((struct timetable){.copies = 10, .doublings = 3, .starts = 3}) /* E and F; T2 is 4 s */
#define TIMETABLE_ANSWER  ((struct timetable){.copies = 10, .doublings = 3, .starts = 1}) /* G and H */

enum copy_answer {
	COPY_UNKNOWN = 0, /* no copy of it is known */
	COPY_PAYS = 1,    /* one is, and this comes at the wrong time, or after such a one */
	COPY_FREE = 2,
};

struct copy_slot {
	__u64 word; /* as read */
	__u32 way;
	bool found;
};

static __always_inline __u64 copy_word(__u64 hash, __u32 number, __u32 now)
{
	return hash >> COPY_TAG_SHIFT << COPY_TAG_SHIFT | number << COPY_NUMBER_SHIFT | (now & COPY_TIME_MASK);
}

/* Units since the last copy. now: units, here and below. */
static __always_inline __u32 copy_age(__u64 word, __u32 now)
{
	return (now - (__u32)word) & COPY_TIME_MASK;
}

static __always_inline bool copy_lives(__u64 word, __u32 now)
{
	return word && copy_age(word, now) <= COPY_LIFE_UNITS;
}

/* Its own word, else one that is of no use any more, else the oldest. */
static __always_inline struct copy_slot copy_find(const struct sipdam_line *line, __u64 hash, __u32 now)
{
	struct copy_slot slot = {.word = line_word(line, 0)};

#pragma nounroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = line_word(line, way);

		if (word && !((word ^ hash) >> COPY_TAG_SHIFT))
			return (struct copy_slot){.word = word, .way = way, .found = true};
		if (copy_lives(slot.word, now) &&
		    (!copy_lives(word, now) || copy_age(word, now) > copy_age(slot.word, now))) {
			slot.word = word;
			slot.way = way;
		}
	}
	return slot;
}

/* Which of the copies comes so long after the one before it, whose number is `last`; 0: none. */
static __always_inline __u32 copy_number(const struct timetable *timetable, __u32 last, __u32 age)
{
	__u32 most = last ? last + 1 : timetable->starts;

#pragma nounroll
	for (__u32 number = last + 1; number <= most && number <= timetable->copies; number++) {
		__u32 doublings = number - 1 < timetable->doublings ? number - 1 : timetable->doublings;

		if (age >= COPY_EARLY(COPY_T1 << doublings) && age <= COPY_LATE(COPY_T1 << doublings))
			return number;
	}
	return 0;
}

/* Is the message with this hash a copy? Moves its word on; one that another CPU moved first is none. */
static __always_inline int copy_look(struct sipdam_line *line, __u64 hash, __u32 now,
				     const struct timetable *timetable)
{
	struct copy_slot slot = copy_find(line, hash, now);
	__u32 number = 0;
	bool moved;

	if (!slot.found || !copy_lives(slot.word, now))
		return COPY_UNKNOWN;
	if (!((__u32)slot.word & COPY_ENDED))
		number = copy_number(timetable, (__u32)slot.word >> COPY_NUMBER_SHIFT & COPY_NUMBER_MASK,
				     copy_age(slot.word, now));
	moved = bucket_swap(&line->word[slot.way & (SIPDAM_WAYS - 1)], slot.word,
			    copy_word(hash, number, now) | (number ? 0 : COPY_ENDED));
	return moved && number ? COPY_FREE : COPY_PAYS;
}

/* Remembers a message that was admitted. True where one had to go that might have come again. */
static __always_inline bool copy_remember(struct sipdam_line *line, __u64 hash, __u32 now)
{
	struct copy_slot slot = copy_find(line, hash, now);

	return bucket_swap(&line->word[slot.way & (SIPDAM_WAYS - 1)], slot.word, copy_word(hash, 0, now)) &&
	       !slot.found && copy_lives(slot.word, now);
}

/*
 * Looking costs a hundred nanoseconds, and up to five for a full frame, which a storm must not: of the sources that
 * share one of a CPU's places, so many packets are looked for in a unit of 8.4 ms (2^23 ns), which is a fiftieth of
 * its time at most. A place is unit:24 | looks:8.
 */
#define LOOK_UNIT_SHIFT 23
#define LOOK_BITS       8
#define LOOKS_A_UNIT    16

static __always_inline __u32 look_unit(__u64 now)
{
	return (__u32)(now >> LOOK_UNIT_SHIFT) << LOOK_BITS;
}

static __always_inline bool look_is_left(__u32 place, __u64 now)
{
	return place - look_unit(now) != LOOKS_A_UNIT;
}

/* The place after one more. */
static __always_inline __u32 look_taken(__u32 place, __u64 now)
{
	return place - look_unit(now) < LOOKS_A_UNIT ? place + 1 : look_unit(now) + 1;
}

#endif
