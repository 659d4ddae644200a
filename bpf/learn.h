/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Becoming known: what a source is granted for what the server has sent to it. The rules of places are those
 * of user/known.c, which writes the same table: a peer has half of a line at most and gives way to a trusted
 * source, which gives way to nobody.
 */
#ifndef LEARN_H
#define LEARN_H

#include "calls.h"
#include "known.h"

/* Sources that may become known in a second, peers and trusted ones each: registrations after an outage come
 * at this rate, and the tables are full after a minute of it and not at once. */
#define GRANTS_A_SECOND 2000
#define GRANTS_AT_ONCE  4000
#define GRANT_INTERVAL  (SIPDAM_TICKS_PER_SECOND / GRANTS_A_SECOND)

/* A place is taken for so long, then written, then given its end. */
#define GRANT_CLAIM_NANOSECONDS 1000000000ULL

/* For how long a peer stays one when its last call is over: as long as the BYE and its answer may come again
 * (RFC 3261 17: 64 times T1). */
#define CALL_GRACE_NANOSECONDS 32000000000ULL

/* A peer's end is moved when it would move by a sixteenth: a word is not written with every packet. */
#define GRANT_STEP_SHIFT 4

struct grant {
	struct ban_request source; /* its name; `lasting` and `most` are not looked at */
	__u64 lasting;             /* nanoseconds from now on */
	__u64 ttl;                 /* nanoseconds: ports that were not seen for so long are forgotten */
	__u16 port;                /* of a device behind it, host byte order; 0: not told */
	__u8 trusted;              /* else a peer */
	__u8 cause;                /* enum sipdam_known_cause */
	__u16 call;                /* of a peer: the call it is one for (calls.h); 0: none */
	__u32 registered;          /* as in a record; 0: not told */
};

enum call_turn {
	CALL_RINGS = 0,
	CALL_IS_ANSWERED = 1,
	CALL_GOES_ON = 2,
	CALL_IS_REFUSED = 3,
	CALL_IS_OVER = 4,
};

/* Where a source is, or may go. */
struct known_slot {
	__u64 word; /* as read */
	__u32 way;
	bool own;
};

static __always_inline __u64 known_word(__u64 hash, bool trusted, __u64 end)
{
	return hash >> SIPDAM_KNOWN_TAG_SHIFT << SIPDAM_KNOWN_TAG_SHIFT | (trusted ? SIPDAM_KNOWN_KIND : 0) |
	       (end + (1ULL << SIPDAM_BAN_UNIT_SHIFT) - 1) >> SIPDAM_BAN_UNIT_SHIFT;
}

static __always_inline bool known_is_of(const struct sipdam_known *record, const struct ban_request *source)
{
	return record && record->high == source->high && record->low == source->low &&
	       record->bits == source->bits;
}

/* What gives its place up before what: one that has ended, the longest first; then a peer; then nobody. */
static __always_inline bool known_goes_before(__u64 word, __u64 other, __u64 now)
{
	if (ban_holds(word, now) && ban_holds(other, now) && (word ^ other) & SIPDAM_KNOWN_KIND)
		return other & SIPDAM_KNOWN_KIND;
	return ban_end_of(word) < ban_end_of(other);
}

/* A function of its own so that the kernel verifies its loop once. */
__noinline int known_find_slot(const struct ban_request *source, struct known_slot *slot)
{
	struct sipdam_line *line = source ? known_line(source->hash) : NULL;

	if (!line || !source || !slot)
		return 0;
#pragma nounroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = line_word(line, way);
		bool own = word && known_tag_is(word, source->hash) &&
			   known_is_of(known_record(source->hash, way), source);

		if (own || !way || known_goes_before(word, slot->word, source->now))
			*slot = (struct known_slot){.word = word, .way = way, .own = own};
		if (own)
			break;
	}
	return 1;
}

/*
 * Is a source known now, and where? Most who are have their own word first among those that look like it; to others
 * known_find_slot() tells.
 */
static __always_inline bool known_finds_slot(const struct ban_request *source, struct known_slot *slot)
{
	struct sipdam_line *line = known_line(source->hash);
	__u64 word = 0;
	__u32 way;

	if (!line)
		return false;
#pragma nounroll
	for (way = 0; way < SIPDAM_WAYS; way++) {
		word = line_word(line, way);
		if (known_word_is(word, source->hash, source->now))
			break;
	}
	if (way == SIPDAM_WAYS)
		return false;
	slot->word = word;
	slot->way = way;
	slot->own = known_is_of(known_record(source->hash, way), source);
	if (!slot->own)
		known_find_slot(source, slot);
	return slot->own && ban_holds(slot->word, source->now);
}

static __always_inline __u32 peers_of_line(const struct sipdam_line *line, __u64 now)
{
	__u32 peers = 0;

#pragma nounroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = line_word(line, way);

		peers += ban_holds(word, now) && !(word & SIPDAM_KNOWN_KIND);
	}
	return peers;
}

/* May a source that is not known now take this place? */
static __always_inline bool known_may_take(const struct sipdam_line *line, __u64 word,
					   const struct grant *grant)
{
	__u64 now = grant->source.now;

	if (!grant->trusted && peers_of_line(line, now) >= SIPDAM_KNOWN_PEERS_MAX)
		return false;
	return !ban_holds(word, now) || (grant->trusted && !(word & SIPDAM_KNOWN_KIND));
}

/* One grant of this second's. A word that other CPUs changed twice in between is as good as an empty one. */
static __always_inline bool grants_are_left(const struct grant *grant)
{
	const struct sipdam_limit limit = {.interval = GRANT_INTERVAL,
					   .depth = GRANTS_AT_ONCE * GRANT_INTERVAL};
	__u32 word = grant->trusted ? SIPDAM_BUDGET_TRUSTED : SIPDAM_BUDGET_PEERS, zero = 0;
	struct sipdam_line *line = bpf_map_lookup_elem(&budgets, &zero);

	return !line || pool_take(&line->word[word], grant->source.now >> SIPDAM_TICK_SHIFT, &limit, 1) ==
				BUCKET_ADMITS;
}

static __always_inline bool known_open_gate(__u64 end)
{
	return gate_raise(&known_gate, end);
}

/* Which bit stands for a port, as in user/known.c. */
static __always_inline __u64 port_bit(__u16 port)
{
	return 1ULL << (port * 0x9e3779b1U >> 26);
}

/* What was seen lately is what was seen in the time before after half of trust.ttl, and then forgotten. */
static __always_inline void known_see_port(struct sipdam_known *record, const struct grant *grant)
{
	__u64 age = grant->source.now - record->turned, port = grant->port ? port_bit(grant->port) : 0;
	__u32 devices;

	if (age < grant->ttl / 2 && record->devices && (record->ports[0] & port) == port)
		return;
	if (age >= grant->ttl / 2) {
		record->ports[1] = age >= grant->ttl ? 0 : record->ports[0];
		record->ports[0] = 0;
		record->turned = grant->source.now;
	}
	record->ports[0] |= port;
	devices = __builtin_popcountll(record->ports[0] | record->ports[1]);
	record->devices = devices ? devices : 1;
}

/* own: the record was the source's before, and what it says of its registration stays. */
static __always_inline void known_write(struct sipdam_known *record, const struct grant *grant, bool own)
{
	record->high = grant->source.high;
	record->low = grant->source.low;
	record->since = record->turned = grant->source.now;
	record->ports[0] = record->ports[1] = 0;
	record->devices = 1;
	record->tag = grant->source.hash >> SIPDAM_KNOWN_TAG_SHIFT;
	record->bits = grant->source.bits;
	record->cause = grant->cause;
	if (grant->registered || !own)
		record->registered = grant->registered;
	if (grant->trusted)
		known_see_port(record, grant);
	else
		record->calls = grant->call ? calls_with(0, grant->call) : 0;
}

/* When a registration ends, as a record has it: never 0, and no later than it does. */
static __always_inline __u32 registered_until(__u64 now, __u64 lasting)
{
	__u32 units = (now + lasting) >> SIPDAM_REGISTERED_UNIT_SHIFT & SIPDAM_REGISTERED_MASK;

	return units ? units : SIPDAM_REGISTERED_MASK;
}

enum registration {
	REGISTRATION_NONE = 0,
	REGISTRATION_LASTS = 1, /* though trust.ttl has ended what was granted for it: its renewal needs no challenge */
	REGISTRATION_ENDED = 2, /* within the last day */
};

/* What is known of a source's registration. Nothing is of one whose place another source has taken since. */
__noinline int registration_of(const struct ban_request *source, struct known_slot *slot)
{
	const __u32 most = SIPDAM_REGISTERED_MOST >> SIPDAM_REGISTERED_UNIT_SHIFT;
	const struct sipdam_known *record;
	__u32 left;

	if (!source || !slot || !known_find_slot(source, slot) || !slot->own)
		return REGISTRATION_NONE;
	record = known_record(source->hash, slot->way);
	if (!record || !record->registered)
		return REGISTRATION_NONE;
	left = (record->registered - (source->now >> SIPDAM_REGISTERED_UNIT_SHIFT)) & SIPDAM_REGISTERED_MASK;
	if (left && left <= most)
		return REGISTRATION_LASTS;
	return (-left & SIPDAM_REGISTERED_MASK) <= most ? REGISTRATION_ENDED : REGISTRATION_NONE;
}

/*
 * An account of a source has no binding any more: its registration ends now, unless other devices were seen behind
 * the address, whose registrations may be others'.
 */
__noinline int registration_ends(const struct ban_request *source, struct known_slot *slot)
{
	struct sipdam_known *record;

	if (!source || !slot || registration_of(source, slot) != REGISTRATION_LASTS)
		return 0;
	record = known_record(source->hash, slot->way);
	if (record && record->devices <= 1)
		record->registered = registered_until(source->now, 0);
	return 0;
}

static __always_inline __u64 known_calls(const struct sipdam_known *record)
{
	return *(const volatile __u64 *)&record->calls;
}

/* One call more of a peer. Where other CPUs have changed them twice in between, none of them ends anything. */
static __always_inline void known_begin_call(struct sipdam_known *record, __u32 call)
{
	if (!record)
		return;
#pragma nounroll
	for (int attempt = 0; attempt < 2; attempt++) {
		__u64 calls = known_calls(record), with = calls_with(calls, call);

		if (calls == with || bucket_swap(&record->calls, calls, with))
			return;
	}
	record->calls = CALLS_UNTOLD;
}

/* To whom the server sends requests, he is no peer for the length of a call alone. */
static __always_inline void known_note_cause(struct sipdam_known *record, __u32 cause)
{
	if (record->cause != cause && (cause != SIPDAM_KNOWN_CALL || record->cause != SIPDAM_KNOWN_REQUEST))
		record->cause = cause;
}

/*
 * More for one who is known now: nothing is taken from it, neither time nor the higher tier. 0 where another
 * CPU changed the word in between. begun: its call is written down.
 */
static __always_inline bool known_renew(struct sipdam_line *line, const struct known_slot *slot,
					struct sipdam_known *record, const struct grant *grant, bool begun)
{
	bool was_trusted = slot->word & SIPDAM_KNOWN_KIND, rises = grant->trusted && !was_trusted, moves;
	__u64 word = known_word(grant->source.hash, grant->trusted, grant->source.now + grant->lasting);
	__u64 step = grant->trusted ? 0 : grant->lasting >> SIPDAM_BAN_UNIT_SHIFT >> GRANT_STEP_SHIFT;

	if (was_trusted && !grant->trusted)
		return true;
	if (rises)
		record->since = record->turned = grant->source.now;
	if (grant->trusted)
		known_see_port(record, grant);
	else if (grant->call && !begun)
		known_begin_call(record, grant->call);
	if (grant->registered)
		record->registered = grant->registered;
	moves = rises || ban_end_of(word) > ban_end_of(slot->word) + step;
	if (moves || grant->cause == SIPDAM_KNOWN_REQUEST)
		known_note_cause(record, grant->cause);
	/* The call before may have ended since, in this packet or on another CPU: see known_end_peer(). */
	if (!moves)
		return line_word(line, slot->way) == slot->word;
	return bucket_swap(&line->word[slot->way & (SIPDAM_WAYS - 1)], slot->word, word);
}

/* The same where a source is known now and as what it is to be, in the place it was found in just now. False where
 * known_grant() has to look. */
static __always_inline bool known_renews(const struct grant *grant, struct known_slot *slot)
{
	struct sipdam_line *line = known_line(grant->source.hash);
	struct sipdam_known *record = known_record(grant->source.hash, slot->way);
	bool own = slot->own;

	slot->own = false;
	return own && line && record && ban_holds(slot->word, grant->source.now) &&
	       (!grant->trusted || slot->word & SIPDAM_KNOWN_KIND) &&
	       known_open_gate(grant->source.now + grant->lasting + (1ULL << SIPDAM_BAN_UNIT_SHIFT)) &&
	       known_renew(line, slot, record, grant, true);
}

/* A place for one who is not known now. 0 where another CPU took it first. */
static __always_inline bool known_take(struct sipdam_line *line, const struct known_slot *slot,
				       struct sipdam_known *record, const struct grant *grant)
{
	__u64 now = grant->source.now, *word = &line->word[slot->way & (SIPDAM_WAYS - 1)];
	__u64 claimed = known_word(grant->source.hash, false, now + GRANT_CLAIM_NANOSECONDS);

	if (!bucket_swap(word, slot->word, claimed))
		return false;
	known_write(record, grant, slot->own);
	return bucket_swap(word, claimed,
			   known_word(grant->source.hash, grant->trusted, now + grant->lasting));
}

/* The last call of a peer is over. One that begins on another CPU at this moment either finds this end here or is
 * found here. */
static __always_inline void known_end_peer(struct sipdam_line *line, const struct known_slot *slot,
					   const struct sipdam_known *record, const struct ban_request *source)
{
	__u64 word = known_word(source->hash, false, source->now + CALL_GRACE_NANOSECONDS);
	__u64 *place = &line->word[slot->way & (SIPDAM_WAYS - 1)];

	if (ban_end_of(word) < ban_end_of(slot->word) && bucket_swap(place, slot->word, word) && known_calls(record))
		bucket_swap(place, word, slot->word);
}

/* What becomes of a call of a source that is a peer for its calls alone. False where it is none, or this is none of its
 * calls. */
static __always_inline bool known_turn_call(const struct ban_request *source, struct known_slot *slot, __u32 call,
					    __u32 turn)
{
	struct sipdam_line *line = known_line(source->hash);
	struct sipdam_known *record;
	__u64 calls, without;

	if (!line || (!slot->own && !known_find_slot(source, slot)) || !slot->own)
		return false;
	record = known_record(source->hash, slot->way);
	if (!record || slot->word & SIPDAM_KNOWN_KIND || record->cause != SIPDAM_KNOWN_CALL)
		return false;
	calls = known_calls(record);
	if (!calls_find(calls, call))
		return false;
	without = calls_without(calls, call, turn == CALL_IS_REFUSED);
	if (turn != CALL_GOES_ON && without != calls && bucket_swap(&record->calls, calls, without) && !without)
		known_end_peer(line, slot, record, source);
	return true;
}

/*
 * Makes a source known, or for longer. Returns 1 where it is; 0 is counted: the places it may have are
 * taken, too many became known in this second, or other CPUs took the place first, twice. slot: as it was
 * found just now, if it is the source's own; it is so for one grant only.
 */
__noinline int known_grant(const struct grant *grant, struct known_slot *slot)
{
	struct sipdam_line *line = grant ? known_line(grant->source.hash) : NULL;
	bool counted = false;

	if (!line || !grant || !slot)
		return 0;
#pragma nounroll
	for (int attempt = 0; attempt < 2; attempt++) {
		struct sipdam_known *record;
		bool holds, becomes, granted;

		if (!slot->own && !known_find_slot(&grant->source, slot))
			break;
		record = known_record(grant->source.hash, slot->way);
		holds = slot->own && ban_holds(slot->word, grant->source.now);
		if (!record ||
		    !known_open_gate(grant->source.now + grant->lasting + (1ULL << SIPDAM_BAN_UNIT_SHIFT)))
			break;
		if (!holds && !known_may_take(line, slot->word, grant))
			break;
		becomes = !holds || (grant->trusted && !(slot->word & SIPDAM_KNOWN_KIND));
		if (becomes && !counted && !grants_are_left(grant))
			break;
		counted |= becomes;
		granted = holds ? known_renew(line, slot, record, grant, false)
				: known_take(line, slot, record, grant);
		slot->own = false;
		if (granted)
			return 1;
	}
	count_table_event(SIPDAM_TABLE_GRANT_REFUSED);
	return 0;
}

#endif
