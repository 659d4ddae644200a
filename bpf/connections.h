/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connections of TCP on SIP ports, and how many of them a source has open. What is believed is what the server
 * says, for what arrives may be forged: its answer to a SYN begins a connection, and the client opens it by
 * returning the number that was sent to him; it ends with the server's own FIN or RST. A client's RST is
 * believed while it has the number that the server expects, and until the server sends something all the same; and
 * so many of one source as it may have connections, since a server that has nothing to say does not tell of those
 * that it did not take (for a sum that is wrong), and who sends such would have as many connections as he likes.
 * A connection older than the filter is met when the server sends data on it. Where the server's packets take
 * another way nothing is counted.
 *
 * No segment in the middle of a stream is looked up on its way in. Words: see sipdam/state.h.
 */
#ifndef CONNECTIONS_H
#define CONNECTIONS_H

#include "sources.h"

/* An opening: times and how long it waits for its third segment (cookies are good for two minutes). */
#define OPENING_UNIT_SHIFT 28
#define OPENING_TIME_SHIFT 32
#define OPENING_TIME_MASK  0x3ffu
#define OPENING_NEXT_SHIFT 24
#define OPENING_NEXT_MASK  0xffu
#define OPENING_ISN_MASK   0xffffffu
#define OPENING_UNITS_MAX  ((__u32)(128 * 1000000000ULL >> OPENING_UNIT_SHIFT) + 1)

#define LEVEL_TAG_SHIFT    48
#define LEVEL_LATELY_SHIFT 33
#define LEVEL_BEFORE_SHIFT 18
#define LEVEL_TIME_MASK    0x3ffffu
#define LEVEL_ATTEMPTS     4 /* that other CPUs are faster */

/* Where a word is: its way, and whether there is one. */
#define PLACE_FOUND SIPDAM_WAYS
#define PLACE_WAY   (SIPDAM_WAYS - 1)

/* One segment, of either side. */
struct connection {
	__u64 hash;   /* of both ends */
	__u64 source; /* of the client's source */
	__u64 now;    /* nanoseconds */
	__u64 horizon; /* ticks, as in a demand */
	__u32 sequence, acknowledged;
	__u32 bytes; /* of payload */
	__u16 port;  /* the server's */
	__u8 kind;   /* of that: enum sipdam_port_kind */
	__u8 flags;
	__u8 greets; /* 1: a ServerHello */
};

/*
 * What has become of an open connection. On ports of TLS also of its handshake, by what the server says: it sends
 * a ServerHello soon after it was asked, and acknowledges what the client has to say to that. A server that is late
 * is the one to blame, and so may be one whose certificate a client refuses, with an alert, or the way to a client
 * whom the server must send its answer again, since large packets get lost: of such handshakes nothing is said. Where
 * a life has a time, that of the word is its beginning, and more bits of it are here.
 */
enum connection_life {
	LIFE_SILENT = 0, /* it has carried no byte */
	LIFE_CARRIED = 1,
	LIFE_SPOKEN = 2,   /* it is not to be said who does not finish the handshake */
	LIFE_FINISHED = 3, /* the handshake is */
	LIFE_GREETED = 8,  /* to 15: the server has sent its ServerHello at this time, and the client nothing since */
	LIFE_ASKED = 16,   /* to 31: the client has sent bytes, the first at this time, and the server no hello */
};

/* More bits than a word's time has, and units of those: 4.3 s and 2.1 s. A server that is not late answers in two
 * units at most; one that ends a connection has waited for the client if it did for five. */
#define LIFE_GREETED_BITS 3
#define LIFE_ASKED_BITS   4
#define LIFE_GREETED_MOST 4
#define LIFE_ASKED_MOST   1

/*
 * What a client sends to finish a handshake has this many bytes at least: ChangeCipherSpec and the shortest Finished
 * of TLS 1.2 have 43, a Finished of TLS 1.3 50. Alerts have 7, or 30 encrypted and behind a ChangeCipherSpec.
 */
#define LIFE_FINISHED_BYTES 40

/* What a segment tells of the handshake of its connection. */
enum handshake {
	HANDSHAKE_NONE = 0,
	HANDSHAKE_LEFT = 1,     /* by the client, who is to blame */
	HANDSHAKE_FINISHED = 2, /* now, or the server sends behind a finished one */
};

/* A segment of a packet that has been read. Its numbers are as the sender counts. */
static __always_inline struct connection segment_of(const struct packet *packet, __u64 hash, __u64 source,
						    __u64 now, __u32 sequence, __u32 acknowledged)
{
	return (struct connection){
		.hash = hash,
		.source = source,
		.now = now,
		.sequence = sequence,
		.acknowledged = acknowledged,
		.bytes = packet->payload_length,
		.port = packet->port,
		.kind = packet->port_kind,
		.flags = packet->tcp_flags,
	};
}

static __always_inline void count_connection(__u32 event)
{
	__u64 *count = bpf_map_lookup_elem(&conn_events, &event);

	if (count)
		(*count)++;
}

static __always_inline __u64 connection_hash(const struct packet_address *server, __u16 server_port,
					     const struct packet_address *client, __u16 client_port)
{
	__u64 from = keyed_hash(server->high, server->low);

	return keyed_hash(client->high ^ ((__u64)client_port << 16 | server_port) ^ from, client->low);
}

/* ---- how many a source has ---- */

/*
 * Units between a time of as many bits as the mask has and now. The clocks of CPUs are a tick apart: a time that
 * is so little ahead of now is now, and not as long ago as there are numbers.
 */
static __always_inline __u64 units_ago(__u64 time, __u64 units, __u32 mask, __u32 ahead)
{
	__u64 age = (units - time) & mask;

	return age > mask - ahead ? 0 : age;
}

/* Spans of connections.forget between a time of so many bits and now: 0 for this one, 1 for the one before. */
static __always_inline __u64 spans_ago(__u32 time, __u32 mask, __u64 now, const struct sipdam_policy *policy)
{
	__u64 units = now >> SIPDAM_CONNECTION_UNIT_SHIFT, span = policy->connections_span;
	__u64 age = units_ago(time, units, mask, 2);

	return units / span - (units - age) / span;
}

struct level {
	__u32 lately, before;
};

static __always_inline struct level level_of(__u64 word, __u64 now, const struct sipdam_policy *policy)
{
	__u64 ago = spans_ago(word & LEVEL_TIME_MASK, LEVEL_TIME_MASK, now, policy);
	__u32 lately = word >> LEVEL_LATELY_SHIFT & SIPDAM_LEVEL_MAX;

	if (ago > 1)
		return (struct level){};
	if (ago)
		return (struct level){.before = lately};
	return (struct level){.lately = lately, .before = word >> LEVEL_BEFORE_SHIFT & SIPDAM_LEVEL_MAX};
}

static __always_inline struct sipdam_line *level_line(__u64 source)
{
	__u32 index = source & (SIPDAM_LEVEL_LINES - 1);

	return bpf_map_lookup_elem(&conn_levels, &index);
}

static __always_inline bool level_is_of(__u64 word, __u64 source)
{
	return word && !((word ^ source) >> LEVEL_TAG_SHIFT);
}

/* Its own word, or that of the source with the fewest connections; as a place. */
__noinline int level_place(const struct sipdam_policy *policy, __u64 source, __u64 now)
{
	struct sipdam_line *line = level_line(source);
	__u32 fewest = ~0u;
	int place = 0;

	if (!line || !policy)
		return 0;
#pragma nounroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = line_word(line, way);
		struct level level = level_of(word, now, policy);

		if (level_is_of(word, source))
			return way | PLACE_FOUND;
		if (level.lately + level.before < fewest) {
			fewest = level.lately + level.before;
			place = way;
		}
	}
	return place;
}

/*
 * Open connections of a source, as far as they are remembered. Every SYN asks: times are divided for its own word
 * alone.
 */
__noinline __u32 level_count(const struct sipdam_policy *policy, __u64 source, __u64 now)
{
	struct sipdam_line *line = level_line(source);

	if (!line || !policy)
		return 0;
#pragma nounroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = line_word(line, way);
		struct level level;

		if (!level_is_of(word, source))
			continue;
		level = level_of(word, now, policy);
		return level.lately + level.before;
	}
	return 0;
}

static __always_inline __u32 level_add(__u32 count, __s32 change)
{
	if (change < 0)
		return count ? count - 1 : 0;
	return count + change <= SIPDAM_LEVEL_MAX ? count + change : SIPDAM_LEVEL_MAX;
}

/* So many more, or fewer (-1, 0, 1), of this span and of the one before. 0 where other CPUs were faster. */
__noinline int level_change(const struct sipdam_policy *policy, __u64 source, __u64 now, __s32 lately,
			    __s32 before)
{
	struct sipdam_line *line = level_line(source);

	if (!line || !policy)
		return 0;
#pragma nounroll
	for (int attempt = 0; attempt < LEVEL_ATTEMPTS; attempt++) {
		int place = level_place(policy, source, now);
		__u64 word = line_word(line, place), to;
		struct level level = level_of(word, now, policy);
		bool own = level_is_of(word, source);

		if (!own && lately <= 0)
			return 1;
		if (!own && level.lately + level.before)
			count_connection(SIPDAM_CONNECTION_DISPLACED);
		if (!own)
			level = (struct level){};
		level.lately = level_add(level.lately, lately);
		level.before = level_add(level.before, before);
		to = source >> LEVEL_TAG_SHIFT << LEVEL_TAG_SHIFT | (__u64)level.lately << LEVEL_LATELY_SHIFT |
		     (__u64)level.before << LEVEL_BEFORE_SHIFT |
		     (now >> SIPDAM_CONNECTION_UNIT_SHIFT & LEVEL_TIME_MASK);
		if (bucket_swap(&line->word[place & PLACE_WAY], word, level.lately + level.before ? to : 0))
			return 1;
	}
	return 0;
}

/* ---- one connection ---- */

static __always_inline struct sipdam_line *connection_line(__u64 hash)
{
	__u32 index = hash & (SIPDAM_CONNECTION_LINES - 1);

	return bpf_map_lookup_elem(&connections, &index);
}

static __always_inline __u32 connection_state(__u64 word)
{
	return word >> SIPDAM_CONNECTION_STATE_SHIFT & 3;
}

/* What a word begins with that is this connection's, in this state. */
static __always_inline __u64 connection_head(__u64 hash, __u64 state)
{
	return hash >> SIPDAM_CONNECTION_TAG_SHIFT << SIPDAM_CONNECTION_TAG_SHIFT |
	       state << SIPDAM_CONNECTION_STATE_SHIFT;
}

static __always_inline bool connection_is(__u64 word, __u64 hash, __u64 state)
{
	return !((word ^ connection_head(hash, state)) >> SIPDAM_CONNECTION_STATE_SHIFT);
}

/* Of a sequence number, so that nobody can name another one that looks the same. */
static __always_inline __u64 next_of(__u32 sequence)
{
	return ((sequence ^ secret.word[0]) * (secret.word[3] | 1)) >> 49;
}
_Static_assert(SIPDAM_CONNECTION_NEXT_MASK == 0x7fff, "the highest 15 bits");

/* Which one of the protected ports it is, as a word says it; the first of its kind where it is none any more. */
__noinline __u32 port_number(const struct sipdam_policy *policy, __u32 kind, __u32 port)
{
	__u64 row = kind - SIPDAM_PORTS_TCP;
	__u32 number = 0;

	if (!policy)
		return 0;
	/* Of the kinds that TCP has; for the kernel's verifier in the register that becomes a pointer. */
	asm volatile("%0 &= 3" : "+r"(row));
#pragma nounroll
	for (__u32 i = 0; i < SIPDAM_PORTS_PER_KIND; i++) {
		if (policy->ports[SIPDAM_PORTS_TCP + row].port[i] == port) {
			number = i;
			break;
		}
	}
	return row << SIPDAM_CONNECTION_KIND_SHIFT | number;
}

static __always_inline __u64 open_word(const struct connection *segment, const struct sipdam_policy *policy,
				       __u32 next, __u64 life)
{
	__u64 port = port_number(policy, segment->kind, segment->port);

	return connection_head(segment->hash, SIPDAM_CONNECTION_OPEN) | life << SIPDAM_CONNECTION_LIFE_SHIFT |
	       port << SIPDAM_CONNECTION_PORT_SHIFT |
	       (segment->now >> SIPDAM_CONNECTION_UNIT_SHIFT & SIPDAM_CONNECTION_TIME_MASK)
		       << SIPDAM_CONNECTION_TIME_SHIFT |
	       next_of(next);
}

static __always_inline __u64 life_of(__u64 word)
{
	return word >> SIPDAM_CONNECTION_LIFE_SHIFT & SIPDAM_CONNECTION_LIFE_MASK;
}

static __always_inline __u64 with_life(__u64 word, __u64 life)
{
	return (word & ~((__u64)SIPDAM_CONNECTION_LIFE_MASK << SIPDAM_CONNECTION_LIFE_SHIFT)) |
	       life << SIPDAM_CONNECTION_LIFE_SHIFT;
}

static __always_inline __u64 opening_time(__u64 now)
{
	return (now >> OPENING_UNIT_SHIFT & OPENING_TIME_MASK) << OPENING_TIME_SHIFT;
}

/* What an opening keeps of the number that the server expects. */
static __always_inline __u64 opening_next(__u32 sequence)
{
	return (next_of(sequence) >> 7 & OPENING_NEXT_MASK) << OPENING_NEXT_SHIFT;
}

static __always_inline __u64 half_word(const struct connection *segment)
{
	return connection_head(segment->hash, SIPDAM_CONNECTION_HALF) | opening_time(segment->now) |
	       opening_next(segment->acknowledged) | (segment->sequence & OPENING_ISN_MASK);
}

/* Of an opening, or of what is left of a connection. */
static __always_inline __u32 half_age(__u64 word, __u64 now)
{
	return units_ago(word >> OPENING_TIME_SHIFT, now >> OPENING_UNIT_SHIFT, OPENING_TIME_MASK, 1);
}

/* What is left where the server has sent this segment, the last but for what it sends again. */
static __always_inline __u64 last_word(const struct connection *segment)
{
	return segment->flags & TCP_FIN ? connection_head(segment->hash, SIPDAM_CONNECTION_ENDED) |
						  opening_time(segment->now) | 1
					: 0;
}

/* Spans since an open connection was counted. */
static __always_inline __u64 counted_ago(__u64 word, __u64 now, const struct sipdam_policy *policy)
{
	return spans_ago(word >> SIPDAM_CONNECTION_TIME_SHIFT & SIPDAM_CONNECTION_TIME_MASK,
			 SIPDAM_CONNECTION_TIME_MASK, now, policy);
}

/* ---- its life ---- */

static __always_inline bool is_tls(const struct connection *segment)
{
	return segment->kind == SIPDAM_PORTS_TLS || segment->kind == SIPDAM_PORTS_WSS;
}

static __always_inline bool is_greeted(__u64 life)
{
	return (life & ~7ULL) == LIFE_GREETED;
}

/* The same life, and where it has a time it begins now. */
static __always_inline __u64 life_from(__u64 life, __u64 now)
{
	if (life & LIFE_ASKED)
		return LIFE_ASKED | (now >> (SIPDAM_CONNECTION_UNIT_SHIFT - LIFE_ASKED_BITS) & 15);
	if (is_greeted(life))
		return LIFE_GREETED | (now >> (SIPDAM_CONNECTION_UNIT_SHIFT - LIFE_GREETED_BITS) & 7);
	return life;
}

/* Since a life began whose time has so many bits more than the word's; in units of those. */
static __always_inline __u64 life_age(__u64 word, __u32 bits, __u64 now)
{
	__u32 low = (1u << bits) - 1;
	__u64 time = (word >> SIPDAM_CONNECTION_TIME_SHIFT & SIPDAM_CONNECTION_TIME_MASK) << bits | (life_of(word) & low);

	return units_ago(time, now >> (SIPDAM_CONNECTION_UNIT_SHIFT - bits), SIPDAM_CONNECTION_TIME_MASK << bits | low,
			 2);
}

/* Is what the server acknowledges less than it takes to finish a handshake beyond what it did before? */
__noinline int says_little(__u64 word, __u32 acknowledged)
{
#pragma nounroll
	for (__u32 bytes = 1; bytes < LIFE_FINISHED_BYTES; bytes++)
		if (next_of(acknowledged - bytes) == (word & SIPDAM_CONNECTION_NEXT_MASK))
			return 1;
	return 0;
}

/*
 * Does the server say again what it has said to the client's hello? There is one ServerHello, and behind the flight
 * that it begins nothing new that is longer than an alert before the client answers: so what is said later is not new,
 * or comes late.
 */
static __always_inline bool is_said_again(__u64 word, const struct connection *segment)
{
	return segment->greets || (segment->bytes >= LIFE_FINISHED_BYTES &&
				   life_age(word, LIFE_GREETED_BITS, segment->now));
}

/* The life of an open connection after a segment of the server's. further: it acknowledges more than before. */
static __always_inline __u64 life_after(__u64 word, const struct connection *segment, bool further)
{
	__u64 life = life_of(word);

	if (!is_tls(segment))
		return further && !life ? LIFE_CARRIED : life;
	if (further && (life == LIFE_SPOKEN || is_greeted(life)))
		return says_little(word, segment->acknowledged) ? LIFE_SPOKEN : LIFE_FINISHED;
	if (is_greeted(life) && is_said_again(word, segment))
		return LIFE_SPOKEN;
	if (segment->greets && life & LIFE_ASKED)
		return life_age(word, LIFE_ASKED_BITS, segment->now) <= LIFE_ASKED_MOST
			       ? life_from(LIFE_GREETED, segment->now)
			       : LIFE_SPOKEN;
	if (!further || life)
		return life;
	return life_from(segment->greets ? LIFE_GREETED : LIFE_ASKED, segment->now);
}

/* The life of one that is found open by a segment of the server's, whose client's first bytes came before. */
static __always_inline __u64 life_found(const struct connection *segment)
{
	if (!is_tls(segment))
		return LIFE_CARRIED;
	return life_from(segment->greets ? LIFE_GREETED : LIFE_ASKED, segment->now);
}

/* Has the client left the handshake, where it is the server that ends the connection? */
static __always_inline bool has_waited_long(__u64 word, __u64 to, __u64 now)
{
	return is_greeted(life_of(word)) && is_greeted(life_of(to)) &&
	       life_age(word, LIFE_GREETED_BITS, now) > LIFE_GREETED_MOST;
}

static __always_inline int handshake_left(void)
{
	count_connection(SIPDAM_CONNECTION_UNFINISHED);
	return HANDSHAKE_LEFT;
}

/* Where in its line this connection is in the state asked for; as a place. */
static __always_inline int place_in_line(const struct sipdam_line *line, __u64 hash, __u32 state)
{
#pragma nounroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++)
		if (connection_is(line_word(line, way), hash, state))
			return way | PLACE_FOUND;
	return 0;
}

/* The same as a function of its own. */
__noinline int connection_place(__u64 hash, __u32 state)
{
	struct sipdam_line *line = connection_line(hash);

	return line ? place_in_line(line, hash, state) : 0;
}

/*
 * Has the server answered a SYN of this connection, as far as its line tells? No is what nearly every segment
 * without bytes is told: asked without a call, and all ways at once.
 */
static __always_inline bool connection_is_half(__u64 hash)
{
	struct sipdam_line *line = connection_line(hash);
	__u64 head = connection_head(hash, SIPDAM_CONNECTION_HALF), found = 0;

	if (!line)
		return false;
	/* What is the same is 0, and one less has the highest bit. */
#pragma unroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++)
		found |= ((line_word(line, way) ^ head) >> SIPDAM_CONNECTION_STATE_SHIFT) - 1;
	return found >> 63;
}

/* ---- what becomes of it ---- */

/* It is counted for its source in another span from now on. */
static __always_inline void count_again(const struct connection *segment, __u64 ago,
					const struct sipdam_policy *policy)
{
	if (ago)
		level_change(policy, segment->source, segment->now, 1, ago == 1 ? -1 : 0);
}

static __always_inline void count_end(const struct connection *segment, __u64 word,
				      const struct sipdam_policy *policy)
{
	__u64 ago = counted_ago(word, segment->now, policy);

	if (!life_of(word))
		count_connection(SIPDAM_CONNECTION_SILENT);
	if (ago <= 1)
		level_change(policy, segment->source, segment->now, ago ? 0 : -1, ago ? -1 : 0);
}

/*
 * How readily a word gives way to an opening: 0 not at all. What is left of a connection is kept for as long as the
 * server may send again what came before its end, which would be taken for a connection that was not known.
 */
static __always_inline __u64 gives_way(__u64 word, __u64 now, const struct sipdam_policy *policy)
{
	__u32 state = connection_state(word);

	if (!word)
		return 3ULL << 32;
	if (state == SIPDAM_CONNECTION_HALF)
		return 1ULL << 32 | half_age(word, now);
	if (state == SIPDAM_CONNECTION_ENDED && half_age(word, now) <= OPENING_UNITS_MAX)
		return 1 + half_age(word, now);
	if (state != SIPDAM_CONNECTION_OPEN || counted_ago(word, now, policy) > 1)
		return 2ULL << 32;
	return 0;
}

/*
 * What is left of a connection that has ended: its next one goes there. Beside it the word would tell of what is
 * over, and the server's last segment would open it again.
 */
static __always_inline bool is_left_of(__u64 word, __u64 hash)
{
	return connection_is(word, hash, SIPDAM_CONNECTION_RESET) ||
	       connection_is(word, hash, SIPDAM_CONNECTION_ENDED);
}

/* Where an opening may go: its own place, or what gives way most readily. */
__noinline int opening_place(const struct connection *segment, const struct sipdam_policy *policy)
{
	struct sipdam_line *line = segment ? connection_line(segment->hash) : NULL;
	__u64 best = 0;
	int place = 0;

	if (!line || !segment || !policy)
		return 0;
#pragma nounroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = line_word(line, way), readiness;

		if (connection_is(word, segment->hash, SIPDAM_CONNECTION_HALF))
			return way | PLACE_FOUND;
		readiness = is_left_of(word, segment->hash) ? 4ULL << 32
							    : gives_way(word, segment->now, policy);
		if (readiness > best) {
			best = readiness;
			place = way | PLACE_FOUND;
		}
	}
	return place;
}

/* What is named by a word of budgets has happened: written once a second at most. */
static __always_inline void moment_note(__u32 which, __u64 now)
{
	__u32 zero = 0;
	struct sipdam_line *line = bpf_map_lookup_elem(&budgets, &zero);
	volatile __u64 *seen = line ? &line->word[which] : NULL;

	if (seen && now - *seen > 1000000000ULL)
		*seen = now;
}

/* Did it within the last hour? */
static __always_inline bool moment_was_lately(__u32 which, __u64 now)
{
	__u32 zero = 0;
	struct sipdam_line *line = bpf_map_lookup_elem(&budgets, &zero);
	__u64 seen = line ? line_word(line, which) : 0;

	/* Signed: the clock of another CPU may be a tick ahead. */
	return seen && (__s64)(now - seen) < (__s64)(3600 * 1000000000ULL);
}

/* Do the server's answers to SYNs pass here? */
static __always_inline bool answers_were_seen(__u64 now)
{
	return moment_was_lately(SIPDAM_BUDGET_ANSWERED, now);
}

/* The server has answered a SYN. */
static __always_inline void connection_begins(struct sipdam_line *line, const struct connection *segment,
					      const struct sipdam_policy *policy)
{
	int place = opening_place(segment, policy);
	__u64 word = line_word(line, place);

	moment_note(SIPDAM_BUDGET_ANSWERED, segment->now);
	if (!(place & PLACE_FOUND)) {
		count_connection(SIPDAM_CONNECTION_REFUSED);
		return;
	}
	if (bucket_swap(&line->word[place & PLACE_WAY], word, half_word(segment)) &&
	    connection_state(word) == SIPDAM_CONNECTION_OPEN && !life_of(word))
		count_connection(SIPDAM_CONNECTION_SILENT);
}

/* A word that is not known to be open becomes so. */
static __always_inline void connection_opens(__u64 *place, __u64 word, const struct connection *segment,
					     __u64 to, const struct sipdam_policy *policy)
{
	if (!bucket_swap(place, word, to))
		return;
	count_connection(SIPDAM_CONNECTION_OPENED);
	level_change(policy, segment->source, segment->now, 1, 0);
}

/*
 * The client has acknowledged something and sent no more: if it is what the server has answered his SYN with,
 * the connection is open. One that was not seen to end before is the same one to the count.
 */
__noinline int connection_acknowledged(const struct connection *segment, const struct sipdam_policy *policy)
{
	struct sipdam_line *line = segment ? connection_line(segment->hash) : NULL;
	int half, open;
	__u64 word, to;

	if (!line || !segment || !policy)
		return 0;
	half = connection_place(segment->hash, SIPDAM_CONNECTION_HALF);
	word = line_word(line, half);
	if (!(half & PLACE_FOUND) || !connection_is(word, segment->hash, SIPDAM_CONNECTION_HALF) ||
	    (word & OPENING_ISN_MASK) != ((segment->acknowledged - 1) & OPENING_ISN_MASK) ||
	    half_age(word, segment->now) > OPENING_UNITS_MAX)
		return 0;
	to = open_word(segment, policy, segment->sequence, LIFE_SILENT);
	open = connection_place(segment->hash, SIPDAM_CONNECTION_OPEN);
	if (!(open & PLACE_FOUND)) {
		connection_opens(&line->word[half & PLACE_WAY], word, segment, to, policy);
		return 1;
	}
	if (!bucket_swap(&line->word[half & PLACE_WAY], word, 0))
		return 0;
	word = line_word(line, open);
	if (connection_is(word, segment->hash, SIPDAM_CONNECTION_OPEN) &&
	    bucket_swap(&line->word[open & PLACE_WAY], word, to))
		count_again(segment, counted_ago(word, segment->now, policy), policy);
	return 1;
}

/* Is a client's segment of a connection that is open, or that it opens itself: what the server sent is known? */
__noinline int connection_is_known(const struct connection *segment)
{
	struct sipdam_line *line = segment ? connection_line(segment->hash) : NULL;
	__u64 word;
	int place;

	if (!line || !segment)
		return 0;
	if (connection_place(segment->hash, SIPDAM_CONNECTION_OPEN) & PLACE_FOUND)
		return 1;
	place = connection_place(segment->hash, SIPDAM_CONNECTION_HALF);
	word = line_word(line, place);
	return place & PLACE_FOUND && (word & OPENING_ISN_MASK) == ((segment->acknowledged - 1) & OPENING_ISN_MASK);
}

/*
 * The client's FIN has a sequence number of its own, which is no byte that it carried. Of a handshake that it leaves
 * with it nothing more is said.
 */
static __always_inline bool connection_finishes(__u64 *place, __u64 word, const struct connection *segment)
{
	__u64 to = (word & ~(__u64)SIPDAM_CONNECTION_NEXT_MASK) | next_of(segment->sequence + 1);

	return bucket_swap(place, word, is_greeted(life_of(word)) ? with_life(to, LIFE_SPOKEN) : to);
}

/* Is it one of so many that a source's own word ends in a time? Beside the strikes, where its classes are not. */
static __always_inline bool reset_is_believed(const struct connection *segment, const struct sipdam_limit *limit)
{
	struct demand demand = {.hash = segment->source ^ 1,
				.now = segment->now >> SIPDAM_TICK_SHIFT,
				.horizon = segment->horizon,
				.kind = SIPDAM_KIND_RESETS,
				.n = 1};

	return source_pays_part(limit, &demand, true);
}

/* The client's RST, which the server believes. */
static __always_inline bool connection_resets(__u64 *place, __u64 word, const struct connection *segment,
					      const struct sipdam_policy *policy)
{
	if (!bucket_swap(place, word, word | 1ULL << SIPDAM_CONNECTION_STATE_SHIFT))
		return false;
	count_end(segment, word, policy);
	return true;
}
_Static_assert(SIPDAM_CONNECTION_RESET == (SIPDAM_CONNECTION_OPEN | 1), "one bit more");

/* The client sends a FIN, or a RST. resets: how many of those are believed. Returns an enum handshake. */
__noinline int connection_leaves(const struct connection *segment, const struct sipdam_policy *policy,
				 const struct sipdam_limit *resets)
{
	struct sipdam_line *line = segment ? connection_line(segment->hash) : NULL;
	bool leaves = false;
	__u64 word;
	int place;

	if (!line || !segment || !policy || !resets)
		return 0;
	place = connection_place(segment->hash, SIPDAM_CONNECTION_OPEN);
	word = line_word(line, place);
	if (!(place & PLACE_FOUND) || !connection_is(word, segment->hash, SIPDAM_CONNECTION_OPEN) ||
	    (word & SIPDAM_CONNECTION_NEXT_MASK) != next_of(segment->sequence))
		return 0;
	if (segment->flags & TCP_RST)
		leaves = reset_is_believed(segment, resets) &&
			 connection_resets(&line->word[place & PLACE_WAY], word, segment, policy);
	else if (!segment->bytes)
		leaves = connection_finishes(&line->word[place & PLACE_WAY], word, segment);
	return leaves && is_greeted(life_of(word)) ? handshake_left() : HANDSHAKE_NONE;
}

/*
 * An open word as the server's segment leaves it. What the server has acknowledged beyond what was expected,
 * the connection has carried. A segment without an acknowledgement (a RST may be one) says nothing of that.
 */
static __always_inline __u64 word_after(__u64 word, const struct connection *segment,
					const struct sipdam_policy *policy, bool again)
{
	bool further = (word & SIPDAM_CONNECTION_NEXT_MASK) != next_of(segment->acknowledged);
	__u64 life;

	if (!(segment->flags & TCP_ACK))
		return word;
	life = life_after(word, segment, further);
	if (again || (life >= LIFE_GREETED && life != life_of(word)))
		return open_word(segment, policy, segment->acknowledged, life_from(life, segment->now));
	return (with_life(word, life) & ~(__u64)SIPDAM_CONNECTION_NEXT_MASK) | next_of(segment->acknowledged);
}

/* The server ends an open connection. Returns an enum handshake. */
static __always_inline int connection_ends(__u64 *place, __u64 word, __u64 to, const struct connection *segment,
					   const struct sipdam_policy *policy)
{
	if (!bucket_swap(place, word, last_word(segment)))
		return HANDSHAKE_NONE;
	count_end(segment, with_life(word, life_of(to)), policy);
	return has_waited_long(word, to, segment->now) ? handshake_left() : HANDSHAKE_NONE;
}

/* The server sends on an open connection. Returns an enum handshake. */
static __always_inline int connection_goes_on(__u64 *place, __u64 word, const struct connection *segment,
					      const struct sipdam_policy *policy)
{
	__u64 ago = counted_ago(word, segment->now, policy);
	__u64 to = word_after(word, segment, policy, ago);

	if (segment->flags & (TCP_FIN | TCP_RST))
		return connection_ends(place, word, to, segment, policy);
	if (to != word && bucket_swap(place, word, to))
		count_again(segment, ago, policy);
	return life_of(to) == LIFE_FINISHED && (segment->bytes || life_of(word) != LIFE_FINISHED)
		       ? HANDSHAKE_FINISHED
		       : HANDSHAKE_NONE;
}

/*
 * Has the server taken bytes that came with the third segment of an opening? It acknowledges more than with its
 * answer to the SYN. What is no connection for it yet it answers with that number again.
 */
static __always_inline bool has_taken_bytes(__u64 word, const struct connection *segment)
{
	return segment->flags & TCP_ACK && !((word ^ (segment->sequence - 1)) & OPENING_ISN_MASK) &&
	       (word ^ opening_next(segment->acknowledged)) >> OPENING_NEXT_SHIFT & OPENING_NEXT_MASK;
}

/*
 * The server sends on what is not known to be open: a connection that its client pretended to have reset, or
 * one whose third segment carried the first bytes. That it has data for it, or has taken them, tells the latter.
 */
static __always_inline void connection_returns(__u64 *place, __u64 word, const struct connection *segment,
					       const struct sipdam_policy *policy)
{
	bool half = connection_state(word) == SIPDAM_CONNECTION_HALF;
	__u64 life = half ? life_found(segment) : life_of(word);

	if (segment->flags & (TCP_FIN | TCP_RST)) {
		bucket_swap(place, word, last_word(segment));
		return;
	}
	if (half && !segment->bytes && !has_taken_bytes(word, segment))
		return;
	if (!half && life >= LIFE_GREETED) /* its time is over */
		life = LIFE_SPOKEN;
	connection_opens(place, word, segment, open_word(segment, policy, segment->acknowledged, life), policy);
}

/* Where this connection is in any state, open first; as a place. */
__noinline int connection_place_any(__u64 hash)
{
	struct sipdam_line *line = connection_line(hash);
	__u32 best = 0;
	int place = 0;

	if (!line)
		return 0;
#pragma nounroll
	for (__u32 way = 0; way < SIPDAM_WAYS; way++) {
		__u64 word = line_word(line, way);

		if (connection_is(word, hash, SIPDAM_CONNECTION_OPEN))
			return way | PLACE_FOUND;
		if (!word || !connection_is(word, hash, connection_state(word)))
			continue;
		if (connection_state(word) >= best) {
			best = connection_state(word);
			place = way | PLACE_FOUND;
		}
	}
	return place;
}

/* The same, without a call where it is open, as nearly all are. */
static __always_inline int connection_place_of(const struct sipdam_line *line, __u64 hash)
{
	int place = place_in_line(line, hash, SIPDAM_CONNECTION_OPEN);

	return place ? place : connection_place_any(hash);
}

/*
 * The server sends data on a connection older than the filter: it is open, and carries. Its handshake is finished,
 * unless this is a part of it.
 */
static __always_inline void connection_is_met(struct sipdam_line *line, const struct connection *segment,
					      const struct sipdam_policy *policy)
{
	int place = opening_place(segment, policy);
	__u64 life = LIFE_CARRIED;

	if (is_tls(segment))
		life = segment->greets ? LIFE_SPOKEN : LIFE_FINISHED;
	if (place & PLACE_FOUND)
		connection_opens(&line->word[place & PLACE_WAY], line_word(line, place), segment,
				 open_word(segment, policy, segment->acknowledged, life), policy);
}

/* A segment that the server sends. Returns an enum handshake. */
__noinline int connection_sends(const struct connection *segment, const struct sipdam_policy *policy)
{
	struct sipdam_line *line = segment ? connection_line(segment->hash) : NULL;
	__u64 word;
	int place;

	if (!line || !segment || !policy)
		return 0;
	if (segment->flags & TCP_SYN) {
		if (segment->flags & TCP_ACK)
			connection_begins(line, segment, policy);
		return 0;
	}
	place = connection_place_of(line, segment->hash);
	word = line_word(line, place);
	if (!(place & PLACE_FOUND)) {
		if (segment->bytes && !(segment->flags & (TCP_FIN | TCP_RST)))
			connection_is_met(line, segment, policy);
		return 0;
	}
	if (!connection_is(word, segment->hash, connection_state(word)) ||
	    connection_state(word) == SIPDAM_CONNECTION_ENDED)
		return 0;
	if (connection_state(word) == SIPDAM_CONNECTION_OPEN)
		return connection_goes_on(&line->word[place & PLACE_WAY], word, segment, policy);
	connection_returns(&line->word[place & PLACE_WAY], word, segment, policy);
	return HANDSHAKE_NONE;
}

#endif
