// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The filter: a packet's way from the wire to its verdict, top to bottom. Each step answers with a
 * reason, 0 while undecided; the first reason ends the way, and verdict() counts it once.
 *
 *   read        is it for a protected port at all, and is it a packet?
 *   listed      allow, deny
 *   banned      for a time
 *   recognise   trusted sources and peers
 *   inherited   fragments go the way of their first
 *   classify    what the payload is
 *   source      the open connections of the source, and its buckets
 *   verify      while a pool is exhausted, strangers must send their requests again
 *   network     the bucket that unknown sources of a network share, and peers but for calls in progress
 *   pools       what all unknown sources share
 *   gate        the least version of TLS, for all that would pass
 *
 * judge() is that list. Nearly every packet is plain: a glance (packet.h) sends it on or reads it whole,
 * and an instance of judge() goes on with it that does for a message over UDP, or for data over TCP, what
 * either may need. All others are read the long way.
 */
#include <linux/bpf.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>

#include "bans.h"
#include "clock.h"
#include "connections.h"
#include "copies.h"
#include "cursor.h"
#include "fragments.h"
#include "gate.h"
#include "handshakes.h"
#include "known.h"
#include "lists.h"
#include "loud.h"
#include "packet.h"
#include "refused.h"
#include "segment.h"
#include "sip.h"
#include "sockets.h"
#include "sources.h"
#include "spent.h"
#include "verdict.h"
#include "verify.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Windows of CR and LF that are read through before a start-line: 9,216 bytes, a jumbo frame. */
#define BLANK_WINDOWS_MAX 144

/* Windows that a method is read through: 1,536 bytes, an Ethernet frame. */
#define METHOD_WINDOWS_MAX 24

/* The one kind of word in the networks' table. */
#define NETWORK_KIND 1

/* Packets that it takes to be sure that they are refused, see is_stormy(). */
#define STORM_MAX 16

/* One in so many refusals from memory is looked at for its source being one that is loud by itself (loud.h). */
#define LOUD_SAMPLE 8

/* Places of a CPU's looks for copies (copies.h). */
#define LOOK_PLACES 16

/*
 * All that is known of one packet. It lies in a map, not on the stack: what is read back from there is
 * any value to the kernel's verifier, which so follows one packet from step to step and not one for each
 * way through the headers. A call of a function would do the same, and costs more.
 */
struct work {
	struct packet packet;
	struct message message;
	__u64 now; /* nanoseconds; 0 until the packet is for us */
	__u64 source_hash;
	__u64 network_hash;
	__u32 tier;      /* enum sipdam_tier */
	__u32 inherited; /* reason of the first fragment */
	__u32 unread;    /* TRUNCATED where the capture hides the payload */
	__u32 found;     /* what a glance told of the payload, a SIP_MESSAGE */
	__u32 capped;    /* 1: it is refused for the connections that its source has open */
	__u32 devices;   /* of a trusted source */
	__u32 verified;  /* enum verification, from step 7 on; not of plain data */

	/* What this CPU keeps between packets, and what need not be cleared. */
	struct clock_cache clock;
	__u64 refusals; /* by the source's own limit */
	struct loud loud[LOUD_PLACES];
	__u32 looks[LOOK_PLACES]; /* for copies, by parts of their sources' hashes */
	__u32 storm; /* how sure it is that the next one is refused by its source's limit, see is_stormy() */
	struct window window;
	struct demand demand;
	struct ban_request offender;
	struct sipdam_limit grown;
	struct bill bill;
	union {
		struct look look;           /* of a segment */
		struct tls_hello hello;     /* of TLS */
		struct verifying verifying; /* of a request over UDP */
		struct connection segment;  /* of TCP, when all else is done */
	};
};
_Static_assert(sizeof(struct work) <= SIPDAM_WORK_WORDS * 8, "struct work fits its room");

/* What a glance tells of a packet. judge() is compiled for the first three, and does for each what it may
 * need. */
enum way {
	WAY_LONG = 0,     /* nothing that would be enough */
	WAY_DATAGRAM = 1, /* a message over UDP, known by its first words */
	WAY_DATA = 2,     /* a segment that is charged for its bytes and for nothing else */
	WAY_SYN = 3,      /* one that asks for a connection and has no bytes: the long way, but in a storm */
	WAY_OTHER = 4,    /* it is for none of our ports */
};

struct run {
	frame_t *frame;
	const struct sipdam_policy *policy;
	struct work *work;
	enum way way; /* a constant */
};

/* Bytes of the first buffer; packet_reaches() asks for more where a header does. */
static __always_inline void begin(frame_t *frame, struct packet *packet)
{
	struct sipdam_trial *handed_in = trial_record();
	__u32 bytes = frame->data_end - frame->data;

	packet->present = bytes;
	packet->length = bytes;
	if (handed_in && handed_in->wire_length > bytes)
		packet->length = handed_in->wire_length;
}

/* Clears what a packet leaves in the work; a packet that a glance reads overwrites all that it uses. */
static __always_inline void begin_work(frame_t *frame, struct work *work)
{
	__builtin_memset(work, 0, offsetof(struct work, clock));
	begin(frame, &work->packet);
}

/* Step 1. The protected addresses are asked last: most packets have been sent on by then. */
static __always_inline int read(const struct run *run)
{
	struct work *work = run->work;
	struct packet *packet = &work->packet;
	int reason = run->way ? SIPDAM_REASON_NONE : packet_read(run->frame, run->policy, packet);

	if (reason == SIPDAM_REASON_NOT_SIP || (reason == SIPDAM_REASON_TRUNCATED && !packet->family))
		return reason;
	work->now = clock_now(&work->clock);
	if (packet->family && run->policy->list_entries[SIPDAM_LIST_ADDRESSES] &&
	    !list_has(run->policy, SIPDAM_LIST_ADDRESSES, &packet->destination, work->now))
		return SIPDAM_REASON_NOT_SIP;
	if (reason == SIPDAM_REASON_MALFORMED)
		work->message.class = SIPDAM_CLASS_MALFORMED;
	if (reason)
		return reason;
	if (!run->way && packet->fragment == FRAGMENT_FOLLOWER) {
		/* A follower has no ports: that it is not for us is known from its first alone. */
		work->inherited = fragment_follows(packet, work->now);
		if (work->inherited == SIPDAM_REASON_NOT_SIP)
			return SIPDAM_REASON_NOT_SIP;
		/* A stream in fragments hides messages in its followers: they pay, each as one that follows
		 * nothing. */
		if (packet->protocol == IPPROTO_TCP && !is_drop(work->inherited))
			work->inherited = SIPDAM_REASON_NONE;
	}
	return SIPDAM_REASON_NONE;
}

static __always_inline void hash_source(struct work *work, const struct sipdam_policy *policy)
{
	const struct packet *packet = &work->packet;

	work->source_hash = masked_hash(&packet->source, &policy->source_mask[family_index(packet)]);
}

/*
 * Will a packet be refused by its source's own limit, so that nothing need be made ready for what comes behind
 * that? As the last ones were: a guess, and only time is lost where it is wrong.
 */
static __always_inline bool is_stormy(const struct work *work)
{
	return work->storm > STORM_MAX / 2;
}

static __always_inline void note_storm(struct work *work, bool refused)
{
	if (refused && work->storm < STORM_MAX)
		work->storm++;
	if (!refused && work->storm)
		work->storm--;
}

/*
 * Is it a stranger's request that its first copy is remembered of, as far as that is known by now? Then the
 * network is not asked in most cases, and a hash of what it says is needed. True where that is so.
 */
static __always_inline bool approach_stamps(const struct run *run)
{
	struct work *work = run->work;
	__u32 class = SIP_CLASS(work->found) & (SIPDAM_CLASSES_MAX - 1);
	const struct sipdam_pool *pool;

	if (run->way != WAY_DATAGRAM || work->tier == SIPDAM_TIER_ALLOWED || !is_request_class(class))
		return false;
	pool = bpf_map_lookup_elem(&pools, &class);
	if (!pool || !verification_is_on(pool, work->now, run->policy))
		return false;
	work->verifying.source = work->source_hash;
	verification_approach(run->frame, &work->packet, &work->verifying, work->now, &work->window);
	return true;
}

/*
 * Finds the lines of memory that a packet will need and begins to read them: several cache misses of a flood
 * from many sources then pass side by side, while the payload is looked at, and not one after the other
 * behind a compare-and-swap. What is computed comes before: behind a miss a CPU does not go on for long.
 */
static __always_inline void approach_tables(const struct run *run)
{
	struct work *work = run->work;
	const struct packet *packet = &work->packet;
	const struct sipdam_line *line;
	bool stamps;

	if (run->way == WAY_DATA)
		return;
	work->verifying.named = 0;
	work->network_hash = masked_hash(&packet->source, &run->policy->network_mask[family_index(packet)]);
	stamps = !is_stormy(work) && approach_stamps(run);
	line = stamps ? NULL : source_line(work->source_hash);
	if (line)
		line_word(line, 0);
	if (is_stormy(work))
		return;
	line = stamps || limit_is_unlimited(&run->policy->network) ? NULL : network_line(work->network_hash);
	if (line)
		line_word(line, 0);
}

/* Step 2. */
static __always_inline int listed(const struct run *run)
{
	const struct sipdam_policy *policy = run->policy;
	const struct packet_address *source = &run->work->packet.source;

	if (policy->list_entries[SIPDAM_LIST_ALLOW] &&
	    list_has(policy, SIPDAM_LIST_ALLOW, source, run->work->now)) {
		run->work->tier = SIPDAM_TIER_ALLOWED;
		return SIPDAM_REASON_NONE;
	}
	if (policy->list_entries[SIPDAM_LIST_DENY] &&
	    list_has(policy, SIPDAM_LIST_DENY, source, run->work->now))
		return SIPDAM_REASON_DENIED;
	return SIPDAM_REASON_NONE;
}

/* Step 3. The source's hash is known. */
static __always_inline int banned(const struct run *run)
{
	struct work *work = run->work;

	if (!bans_are_in_force(work->now) || work->tier == SIPDAM_TIER_ALLOWED || !run->policy->ban_enabled)
		return SIPDAM_REASON_NONE;
	ban_name(&work->offender, &work->packet, run->policy, work->source_hash, work->now);
	return ban_finds(&work->offender) ? SIPDAM_REASON_BANNED : SIPDAM_REASON_NONE;
}

/* Whom the server knows is of another tier. Allowed sources stay that. The source's hash is known. */
static __always_inline void recognise(const struct run *run)
{
	struct work *work = run->work;
	const struct sipdam_line *line;
	int known;

	if (!any_is_known(work->now) || work->tier == SIPDAM_TIER_ALLOWED)
		return;
	line = known_line(work->source_hash);
	if (!line || !known_is_in(line, work->source_hash, work->now))
		return;
	ban_name(&work->offender, &work->packet, run->policy, work->source_hash, work->now);
	known = known_finds(&work->offender);
	work->tier = KNOWN_TIER(known);
	work->devices = KNOWN_DEVICES(known);
}

/* CRs and LFs at the beginning of the window `skip` bytes into the payload. */
__noinline __u32 blank_in_window(frame_t *frame, const struct packet *packet, __u32 skip)
{
	struct window window;
	struct cursor cursor;

	if (!packet || skip >= packet->payload_length)
		return 0;
	cursor = cursor_open(frame, packet->present, packet->length);
	cursor_window(&cursor, packet->payload_offset + skip, packet->payload_length - skip, &window);
	return window_blank(&window);
}

/* Length of the CRs and LFs a payload begins with (RFC 3261 7.5), up to BLANK_WINDOWS_MAX windows. */
__noinline __u32 blank_bytes(frame_t *frame, const struct packet *packet)
{
	__u32 blank = 0;

	for (int i = 0; i < BLANK_WINDOWS_MAX; i++) {
		__u32 found = blank_in_window(frame, packet, blank);

		blank += found;
		if (found != WINDOW_BYTES)
			break;
	}
	return blank;
}

/*
 * What the payload is from byte `skip` on, as a SIP_MESSAGE; SIP_CUT where what is present decides
 * nothing, SIP_BLANK where CR or LF come first, SIP_LONG where the window ends before the method does.
 */
static __always_inline __u32 message_at(frame_t *frame, const struct packet *packet, __u32 skip,
					struct window *window)
{
	struct cursor cursor = cursor_open(frame, packet->present, packet->length);
	__u32 length = packet->payload_length - skip;
	__u64 words[2];
	__u32 glance;

	if (length >= sizeof(words)) {
		cursor_glance(&cursor, packet->payload_offset + skip, words);
		glance = sip_glance(words[0], words[1]);
		if (glance != SIP_CUT)
			return glance;
	}
	cursor_window(&cursor, packet->payload_offset + skip, length, window);
	if (window->length && is_blank(window->word[0]))
		return SIP_BLANK;
	if (is_stun(window, length))
		return SIP_KEEPALIVE;
	if (length > WINDOW_BYTES)
		length = WINDOW_BYTES;
	return sip_classify(window, !packet->payload_whole || window->length < length);
}

/*
 * Reads a method on by one window, `skip` bytes into the payload: `begins` as sip_request_begins takes and gives
 * it. A function of its own so that it is verified once and not for each window.
 */
__noinline int method_goes_on(frame_t *frame, const struct packet *packet, __u32 skip, struct window *window,
			      int begins)
{
	struct cursor cursor;
	__u32 length;

	if (!packet || !window)
		return 0;
	cursor = cursor_open(frame, packet->present, packet->length);
	length = packet->payload_length - skip;
	cursor_window(&cursor, packet->payload_offset + skip, length, window);
	if (length > WINDOW_BYTES)
		length = WINDOW_BYTES;
	return sip_request_begins(window, !packet->payload_whole || window->length < length, begins);
}

/* The same where a method is longer than a window, and so none that is known by name. */
__noinline __u32 message_of_long_method(frame_t *frame, const struct packet *packet, __u32 skip,
					struct window *window)
{
	int begins = 0;

	if (!packet || !window)
		return SIP_MALFORMED;
	for (int i = 0; i < METHOD_WINDOWS_MAX; i++) {
		if (skip >= packet->payload_length)
			return packet->payload_whole ? SIP_MALFORMED : SIP_CUT;
		begins = method_goes_on(frame, packet, skip, window, begins);
		if (begins < SIP_READ_ON)
			break;
		skip += WINDOW_BYTES;
	}
	if (begins == 0)
		return SIP_CUT;
	return begins == 1 ? SIP_MESSAGE(SIPDAM_CLASS_OTHER, SIPDAM_METHOD_OTHER, 0) : SIP_MALFORMED;
}

/*
 * The same behind leading CRs and LFs, and for all that one window does not show. Rare, and a function of its
 * own so that it is verified apart.
 */
__noinline __u32 message_further_on(frame_t *frame, const struct packet *packet, struct window *window)
{
	__u32 message, blank;

	if (!packet || !window)
		return SIP_MALFORMED;
	blank = blank_bytes(frame, packet);
	if (blank >= packet->payload_length)
		return packet->payload_whole ? SIP_KEEPALIVE : SIP_CUT;
	message = message_at(frame, packet, blank, window);
	if (message == SIP_LONG)
		return message_of_long_method(frame, packet, blank, window);
	return message == SIP_BLANK ? SIP_MALFORMED : message;
}

static __always_inline __u32 payload_message(const struct run *run)
{
	const struct packet *packet = &run->work->packet;
	struct window *window = &run->work->window;
	__u32 message;

	if (packet->payload_whole && packet->payload_length <= SIP_KEEPALIVE_BYTES)
		return SIP_KEEPALIVE;
	message = message_at(run->frame, packet, 0, window);
	return SIP_CLASS(message) >= SIP_LONG ? message_further_on(run->frame, packet, window) : message;
}

/* The class of a segment on a port of TLS by its first bytes; NONE where a capture hides them. */
static __always_inline __u32 tls_class(const struct run *run)
{
	enum tls_begins begins = tls_look(run->frame, &run->work->packet);

	if (begins == TLS_BEGINS_HIDDEN)
		return SIPDAM_CLASS_NONE;
	return tls_asks(begins) ? SIPDAM_CLASS_TLS_HELLO : SIPDAM_CLASS_TCP_DATA;
}

/* The request that opens a WebSocket begins so (RFC 6455 4.1), or behind CRs and LFs (RFC 9112 2.2). */
#define WS_REQUEST __builtin_bswap32('G' << 24 | 'E' << 16 | 'T' << 8 | ' ')

/* The same on a port of WebSocket: what comes later are frames, masked. */
static __always_inline __u32 ws_class(const struct run *run)
{
	const struct packet *packet = &run->work->packet;
	struct cursor cursor = cursor_open(run->frame, packet->present, packet->length);
	__u32 skip, word;

	if (packet->payload_length < sizeof(word))
		return SIPDAM_CLASS_TCP_DATA;
	if (cursor_load(&cursor, packet->payload_offset, &word, sizeof(word)))
		return SIPDAM_CLASS_NONE;
	if (is_blank(word)) {
		skip = blank_bytes(run->frame, packet);
		if (skip + sizeof(word) > packet->payload_length)
			return SIPDAM_CLASS_TCP_DATA;
		if (cursor_load(&cursor, packet->payload_offset + skip, &word, sizeof(word)))
			return SIPDAM_CLASS_NONE;
	}
	return word == WS_REQUEST ? SIPDAM_CLASS_WS_UPGRADE : SIPDAM_CLASS_TCP_DATA;
}

/* Does what a segment is of ask the server for a handshake of TLS or WebSocket, behind which all else comes? */
static __always_inline bool asks_for_handshake(const struct message *message)
{
	return message->class == SIPDAM_CLASS_TLS_HELLO || message->class == SIPDAM_CLASS_WS_UPGRADE;
}

/* A segment that costs by its size, and at least one token (or bare ACKs would be free). */
static __always_inline void charge_by_size(struct message *message, __u32 started)
{
	message->class = SIPDAM_CLASS_TCP_DATA;
	message->tokens = started ? started : 1;
}

/* Segments of TLS and WebSocket: what opens a connection costs as a message does, the rest by its size. */
static __always_inline int classify_opaque(const struct run *run, __u32 started)
{
	struct message *message = &run->work->message;

	message->class = run->work->packet.port_kind == SIPDAM_PORTS_WS ? ws_class(run) : tls_class(run);
	if (!message->class && is_short(&run->work->packet))
		return SIPDAM_REASON_TRUNCATED;
	if (asks_for_handshake(message)) {
		message->data_tokens = started - 1;
		return SIPDAM_REASON_NONE;
	}
	charge_by_size(message, started);
	return SIPDAM_REASON_NONE;
}

/* Is it the first segment of a connection, the client's? */
static __always_inline bool asks_for_connection(const struct packet *packet)
{
	return (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/*
 * A segment: the opening of a connection, the beginning of a message on a port of clear SIP, or
 * something in between.
 */
static __always_inline int classify_tcp(const struct run *run)
{
	const struct packet *packet = &run->work->packet;
	struct message *message = &run->work->message;
	__u32 started = segment_tokens(packet->payload_length);
	bool clear = packet->port_kind == SIPDAM_PORTS_TCP;
	/* On a port of clear SIP there may be messages in what the capture lacks. */
	int reason = clear && is_short(packet) ? SIPDAM_REASON_TRUNCATED : SIPDAM_REASON_NONE;
	__u32 found = SIP_MALFORMED;

	if (asks_for_connection(packet)) {
		message->class = SIPDAM_CLASS_TCP_SYN;
		message->data_tokens = started;
		return reason;
	}
	if (!clear)
		return classify_opaque(run, started);
	if (packet->payload_length)
		found = payload_message(run);
	if (SIP_METHOD(found)) {
		message->class = SIP_CLASS(found);
		message->method = SIP_METHOD(found);
		message->status = SIP_STATUS(found);
		message->data_tokens = started - 1;
		return reason;
	}
	if (found == SIP_CUT && reason)
		return reason;
	charge_by_size(message, started);
	return reason;
}

/* A segment that is nothing but data. */
static __always_inline struct message message_of_data(const struct packet *packet)
{
	struct message message = {};

	charge_by_size(&message, segment_tokens(packet->payload_length));
	return message;
}

/* A datagram costs one token of the class of what it was found to be. */
static __always_inline struct message message_of(__u32 found)
{
	return (struct message){.class = SIP_CLASS(found),
				.method = SIP_METHOD(found),
				.status = SIP_STATUS(found),
				.tokens = 1};
}

static __always_inline int classify_udp(const struct run *run)
{
	const struct packet *packet = &run->work->packet;
	__u32 found = payload_message(run);

	if (found == SIP_CUT && is_short(packet))
		return SIPDAM_REASON_TRUNCATED;
	if (found == SIP_CUT)
		found = SIP_MESSAGE(SIPDAM_CLASS_FRAGMENT, SIPDAM_METHOD_NONE, 0);
	run->work->message = message_of(found);
	return SIPDAM_REASON_NONE;
}

/*
 * Step 5, for denied packets too, so that they have their labels in the counters: it changes no state and
 * costs 5 ns. Returns TRUNCATED where a capture holds too little, to be said at its turn.
 */
static __always_inline int classify(const struct run *run)
{
	const struct packet *packet = &run->work->packet;

	if (run->way == WAY_DATA) {
		run->work->message = message_of_data(packet);
		return SIPDAM_REASON_NONE;
	}
	if (run->way == WAY_DATAGRAM) {
		/* Read back from the map, where the kernel's verifier does not know it: once for all methods.
		 */
		run->work->message = message_of(run->work->found);
		return SIPDAM_REASON_NONE;
	}
	run->work->message.tokens = 1;
	if (packet->fragment == FRAGMENT_FOLLOWER || packet->cut) {
		run->work->message.class = SIPDAM_CLASS_FRAGMENT;
		return SIPDAM_REASON_NONE;
	}
	return packet->protocol == IPPROTO_TCP ? classify_tcp(run) : classify_udp(run);
}

static __always_inline bool is_network_class(__u32 class)
{
#define X(name, number, label, network) | (__u32)(network) << (number)
	return (0 SIPDAM_CLASSES(X)) >> (class & (SIPDAM_CLASSES_MAX - 1)) & 1;
#undef X
}

/* The class of a packet's message. */
static __always_inline __u32 class_of(const struct run *run)
{
	return run->way == WAY_DATA ? SIPDAM_CLASS_TCP_DATA
				    : run->work->message.class & (SIPDAM_CLASSES_MAX - 1);
}

static __always_inline const struct sipdam_limits *limits_of(const struct run *run)
{
	return (const struct sipdam_limits *)run->policy->limits[run->work->tier & (SIPDAM_TIERS - 1)];
}

static __always_inline struct demand demand_of(const struct run *run, __u64 hash, __u32 kind, __u32 n)
{
	return (struct demand){
		.hash = hash,
		.now = run->work->now >> SIPDAM_TICK_SHIFT,
		.horizon = run->policy->horizon,
		.kind = kind,
		.n = n,
	};
}

/* Has no class that messages are of a limit? */
static __always_inline bool messages_are_free(const struct sipdam_limits *limits)
{
	__u64 intervals = 0;

#pragma unroll
	for (__u32 class = 1; class <= SEGMENT_CLASSES; class ++)
		intervals |= limits->limit[class].interval;
	return !intervals;
}

/* The limit of a class where several devices register from one address. A function of its own: it divides. */
__noinline int grow_limit(struct work *work, const struct sipdam_policy *policy, __u32 class)
{
	class &= SIPDAM_CLASSES_MAX - 1;
	if (work && policy)
		limit_grow(&work->grown, &policy->limits[SIPDAM_TIER_TRUSTED][class],
			   &policy->limits[SIPDAM_TIER_UNKNOWN][class], work->devices);
	return 0;
}

/* Is the source a site of several devices, whose limits grow with them? */
static __always_inline bool is_site(const struct work *work)
{
	return work->tier == SIPDAM_TIER_TRUSTED && work->devices > 1;
}

/*
 * Has the source one of its limits left for work->demand? A call, where the kernel would have to follow two
 * kinds of limits through the search of a line.
 */
static __always_inline int source_pays_one(const struct run *run, __u32 take)
{
	struct work *work = run->work;
	__u32 class = work->message.class & (SIPDAM_CLASSES_MAX - 1);

	if (!is_site(work))
		return source_pays_part(&limits_of(run)->limit[class], &work->demand, take);
	grow_limit(work, run->policy, class);
	return source_pays_part(&work->grown, &work->demand, take);
}

/*
 * Looks for messages in a segment of clear SIP, beside the one it may begin with. It costs some 600 ns for
 * a full segment, so it comes after the lists, not for sources without limits, and not where the source
 * cannot even pay what is known.
 */
static __always_inline void look_further(const struct run *run)
{
	struct work *work = run->work;
	const struct packet *packet = &work->packet;
	struct message *message = &work->message;
	__u32 skip = 0;

	if (run->way || packet->protocol != IPPROTO_TCP || packet->port_kind != SIPDAM_PORTS_TCP ||
	    !packet->payload_length || packet->fragment == FRAGMENT_FOLLOWER || packet->cut)
		return;
	if (work->tier == SIPDAM_TIER_ALLOWED && messages_are_free(limits_of(run)))
		return;
	work->demand = demand_of(run, work->source_hash, message->class, message->tokens);
	if (!source_pays_one(run, false))
		return;
	__builtin_memset(&work->look, 0, sizeof(work->look));
	if (message->method) {
		work->look.started = 1;
		skip = blank_bytes(run->frame, packet);
	}
	segment_look(run->frame, packet, skip, &work->look);
	message->further = work->look.counts;
}

/* Does a source open one connection more than it may have? What it opens at one instant is not counted yet. */
static __always_inline bool has_too_many(const struct run *run)
{
	const struct work *work = run->work;
	__u32 most = run->policy->connections_per_source;

	if (run->way || work->message.class != SIPDAM_CLASS_TCP_SYN || work->tier == SIPDAM_TIER_ALLOWED)
		return false;
	if (work->tier == SIPDAM_TIER_TRUSTED)
		most = run->policy->connections_trusted;
	return most && level_count(run->policy, work->source_hash, work->now) >= most;
}

/* Most packets cost one class; a segment may cost several. */
static __always_inline bool needs_bill(const struct run *run)
{
	const struct message *message = &run->work->message;

	return !run->way && (message->data_tokens || message->further);
}

static __always_inline void make_bill(struct bill *bill, const struct message *message)
{
	__builtin_memset(bill, 0, sizeof(*bill));
	bill->classes = 1u << (message->class & (SIPDAM_CLASSES_MAX - 1)) |
			(message->data_tokens ? 1u << SIPDAM_CLASS_TCP_DATA : 0);
	for (__u32 class = 1; message->further && class <= SEGMENT_CLASSES; class ++) {
		bill->n[class] = message->further >> SEGMENT_COUNT_SHIFT(class);
		bill->classes |= bill->n[class] ? 1u << class : 0;
	}
	bill->n[message->class & (SIPDAM_CLASSES_MAX - 1)] += message->tokens;
	bill->n[SIPDAM_CLASS_TCP_DATA] += message->data_tokens;
}

static __always_inline __u32 *look_place(struct work *work)
{
	return &work->looks[work->source_hash >> 12 & (LOOK_PLACES - 1)];
}

/*
 * Is it to be looked whether this is a copy: of a request that comes again if no answer does? Not in a storm. A
 * trial's time stands still, and there nothing is hurt.
 */
static __always_inline bool may_be_copy(const struct run *run)
{
	struct work *work = run->work;

	return run->way != WAY_DATA && work->tier != SIPDAM_TIER_ALLOWED &&
	       is_sent_again(&work->packet, &work->message) &&
	       (is_trial || look_is_left(*look_place(work), work->now));
}

static __always_inline bool is_crowded_site(const struct run *run)
{
	struct work *work = run->work;

	grow_limit(work, run->policy, work->message.class);
	return source_is_crowded(&work->grown, &work->demand);
}

/*
 * Step 6 for work->demand of a source that has used half of its limit: a copy of what it has paid for, sent again
 * as the protocol says, costs nothing, or a packet that was lost would cost it others. A function of its own so
 * that it is verified apart.
 */
__noinline int admits_copies(frame_t *frame, const struct sipdam_policy *policy, struct work *work)
{
	struct run run = {.frame = frame, .policy = policy, .work = work};
	const struct timetable invite = TIMETABLE_INVITE, other = TIMETABLE_REQUEST;
	struct sipdam_line *line;
	__u64 hash;
	__u32 units;
	int copy;

	if (!policy || !work)
		return 1;
	if (is_site(work) && (!may_be_copy(&run) || !is_crowded_site(&run)))
		return source_pays_one(&run, true);
	*look_place(work) = look_taken(*look_place(work), work->now);
	if (!work->verifying.named)
		verification_approach(frame, &work->packet, &work->verifying, work->now, &work->window);
	hash = copy_hash(frame, &work->packet, work->verifying.hash, &work->window);
	line = copies_line(hash);
	if (!line)
		return source_pays_one(&run, true);
	units = work->now >> COPY_UNIT_SHIFT;
	copy = copy_look(line, hash, units,
			 work->message.method == SIPDAM_METHOD_INVITE ? &invite : &other);
	if (copy == COPY_FREE)
		return 1;
	if (!source_pays_one(&run, true))
		return 0;
	if (copy == COPY_UNKNOWN && copy_remember(line, hash, units))
		count_table_event(SIPDAM_TABLE_COPY_DISPLACED);
	return 1;
}

/* A bill to the source, all or none; work->demand is of the message's class. */
static __always_inline bool source_pays_bill(const struct run *run)
{
	struct work *work = run->work;
	const struct message *message = &work->message;
	int answer = BILL_OPEN;

	if (!message->further && !is_site(work))
		answer = source_pays_two(limits_of(run), &work->demand, message->data_tokens);
	if (answer != BILL_OPEN)
		return answer;
	make_bill(&work->bill, message);
	return source_pays(limits_of(run),
			   (const struct sipdam_limits *)run->policy->limits[SIPDAM_TIER_UNKNOWN],
			   work->tier == SIPDAM_TIER_TRUSTED ? work->devices : 1, &work->bill, &work->demand);
}

/* Step 6: the source's own buckets, all that the packet costs or none. */
static __always_inline bool source_admits(const struct run *run)
{
	struct work *work = run->work;
	const struct message *message = &work->message;
	const struct sipdam_limit *limit = &limits_of(run)->limit[class_of(run)];
	struct demand demand = demand_of(run, work->source_hash, class_of(run), message->tokens);
	int answer = BUCKET_CROWDED;

	if (needs_bill(run)) {
		work->demand = demand;
		return source_pays_bill(run);
	}
	if (!is_site(work)) {
		if (limit_is_unlimited(limit))
			return true;
		answer = source_takes(limit, &demand, may_be_copy(run) ? half_room(limit) : ROOM_ALL);
	}
	if (answer != BUCKET_CROWDED)
		return answer == BUCKET_ADMITS;
	work->demand = demand;
	return admits_copies(run->frame, run->policy, work);
}

/* Messages of a packet that the bucket of a network counts. */
static __always_inline __u32 network_tokens(const struct run *run)
{
	const struct message *message = &run->work->message;
	__u32 n = is_network_class(class_of(run));

	if (run->way)
		return n;
	for (__u32 class = 1; message->further && class <= SEGMENT_CLASSES; class ++)
		if (is_network_class(class))
			n += message->further >> SEGMENT_COUNT_SHIFT(class) & 0xff;
	return n;
}

static __always_inline bool network_admits(const struct run *run)
{
	const struct sipdam_limit *limit = &run->policy->network;
	__u32 n = network_tokens(run);
	struct demand demand = demand_of(run, run->work->network_hash, NETWORK_KIND, n);

	return !n || limit_is_unlimited(limit) || network_takes(limit, &demand);
}

/*
 * Is it all of calls in progress, for which a peer is as good as a trusted source? A segment that holds
 * anything else is not.
 */
static __always_inline bool is_in_progress(const struct message *message)
{
	const __u64 in_progress = 0xffULL << SEGMENT_COUNT_SHIFT(SIPDAM_CLASS_DIALOG) |
				  0xffULL << SEGMENT_COUNT_SHIFT(SIPDAM_CLASS_RESPONSE);

	return (message->class == SIPDAM_CLASS_DIALOG || message->class == SIPDAM_CLASS_RESPONSE) &&
	       !(message->further & ~in_progress);
}

/* Whom neither network nor pool concern, for what it sends; 0 for strangers. */
static __always_inline int known_reason(const struct run *run)
{
	__u32 tier = run->work->tier;

	if (tier == SIPDAM_TIER_UNKNOWN)
		return SIPDAM_REASON_NONE;
	if (tier == SIPDAM_TIER_ALLOWED)
		return SIPDAM_REASON_ALLOWED;
	if (tier == SIPDAM_TIER_TRUSTED)
		return SIPDAM_REASON_TRUSTED;
	return is_in_progress(&run->work->message) ? SIPDAM_REASON_PEER : SIPDAM_REASON_NONE;
}

static __always_inline const struct sipdam_limit *pool_limit(const struct run *run)
{
	return &run->policy->pool[class_of(run)];
}

static __always_inline struct sipdam_pool *pool_of(const struct run *run)
{
	__u32 class = class_of(run);

	return bpf_map_lookup_elem(&pools, &class);
}

/* What the stamps say of this request, left in the work. */
static __always_inline __u32 ask_stamps(const struct run *run)
{
	struct work *work = run->work;

	work->verifying.now = work->now;
	work->verified =
		run->way == WAY_DATAGRAM && verification_is_first(&work->verifying)
			? VERIFICATION_FIRST
			: verification_of(run->frame, &work->packet, run->policy, &work->verifying, &work->window);
	return work->verified;
}

/* Reads what there is to know of a segment's connection. A function of its own so that it is verified apart. */
__noinline int read_segment(frame_t *frame, const struct sipdam_policy *policy, struct work *work)
{
	struct cursor cursor;
	const struct packet *packet;
	__be32 numbers[2];
	__be16 port;

	if (!policy || !work)
		return 0;
	packet = &work->packet;
	cursor = cursor_open(frame, packet->present, packet->length);
	if (cursor_load(&cursor, packet->transport_offset, &port, sizeof(port)) ||
	    cursor_load(&cursor, packet->transport_offset + PORTS_BYTES, numbers, sizeof(numbers)))
		return 0;
	work->segment = segment_of(
		packet,
		connection_hash(&packet->destination, packet->port, &packet->source, __builtin_bswap16(port)),
		masked_hash(&packet->source, &policy->source_mask[family_index(packet)]), work->now,
		__builtin_bswap32(numbers[0]), __builtin_bswap32(numbers[1]));
	return 1;
}

/*
 * A SYN that its network or the pool has no token for: where this host listens and answers with cookies, its
 * kernel can tell forged ones from others, up to so many as it can answer. A function of its own so that it is
 * verified apart.
 */
__noinline int left_to_cookies(frame_t *frame, const struct sipdam_policy *policy, struct work *work)
{
	__u32 class = SIPDAM_CLASS_TCP_SYN;
	struct sipdam_pool *pool;

	if (!policy || !work || !policy->cookies_on || work->message.class != class ||
	    work->message.data_tokens)
		return 0;
	pool = bpf_map_lookup_elem(&pools, &class);
	if (!pool || (!is_trial && !socket_state(frame, &work->packet)))
		return 0;
	return limit_is_unlimited(&policy->cookies) ||
	       pool_take(&pool->half_tat, work->now >> SIPDAM_TICK_SHIFT, &policy->cookies, 1) == BUCKET_ADMITS;
}

/* Has the pool of a class refused lately, so that strangers must prove that they are there? */
static __always_inline bool pool_needs_proof(const struct run *run, __u32 class)
{
	const struct sipdam_pool *pool = bpf_map_lookup_elem(&pools, &class);

	return pool && verification_is_on(pool, run->work->now, run->policy) &&
	       !limit_is_unlimited(&run->policy->pool[class & (SIPDAM_CLASSES_MAX - 1)]);
}

/* Does this segment hold a request of a class that strangers must send twice? */
static __always_inline bool class_needs_proof(const struct run *run, __u32 class)
{
	const struct message *message = &run->work->message;

	return (message->class == class || message->further >> SEGMENT_COUNT_SHIFT(class) & 0xff) &&
	       pool_needs_proof(run, class);
}

/* Does it draw on the pool of data while that is exhausted? A SYN that carries data is of no connection yet. */
static __always_inline bool data_needs_proof(const struct run *run)
{
	const struct message *message = &run->work->message;

	return (message->class == SIPDAM_CLASS_TCP_DATA ||
		(message->data_tokens && message->class != SIPDAM_CLASS_TCP_SYN)) &&
	       pool_needs_proof(run, SIPDAM_CLASS_TCP_DATA);
}

/* Of any such class? No loop: Linux 6.1 takes one whose counter lies on the stack, as a key must, for endless. */
static __always_inline bool segment_needs_proof(const struct run *run)
{
	if (data_needs_proof(run))
		return true;
	if (asks_for_handshake(&run->work->message))
		return pool_needs_proof(run, run->work->message.class);
	return class_needs_proof(run, SIPDAM_CLASS_INVITE) || class_needs_proof(run, SIPDAM_CLASS_REGISTER) ||
	       class_needs_proof(run, SIPDAM_CLASS_OPTIONS) || class_needs_proof(run, SIPDAM_CLASS_DIALOG) ||
	       class_needs_proof(run, SIPDAM_CLASS_OTHER);
}

/*
 * Has the pool of a packet's class refused it? Then strangers must prove that they are there from now on. A segment of
 * many messages may be refused by a pool that has tokens left.
 */
static __always_inline bool pool_has_refused(const struct run *run)
{
	const struct work *work = run->work;
	struct sipdam_pool *pool;

	if (!run->policy->verify_enabled ||
	    !(SIPDAM_CLASSES_PROVEN >> (work->message.class & (SIPDAM_CLASSES_MAX - 1)) & 1) ||
	    limit_is_unlimited(pool_limit(run)))
		return false;
	pool = pool_of(run);
	if (!pool || pool_conforms(&pool->tat, work->now >> SIPDAM_TICK_SHIFT, pool_limit(run),
				   work->message.tokens))
		return false;
	verification_begin(pool, work->now);
	return true;
}

/*
 * Step 7 for a segment that nothing speaks for but that it came again. A function of its own so that it is verified
 * apart.
 */
__noinline int judge_again(const struct sipdam_policy *policy, struct work *work)
{
	struct run run = {.policy = policy, .work = work};

	if (!policy || !work)
		return SIPDAM_REASON_UNVERIFIED;
	if (!network_admits(&run))
		return SIPDAM_REASON_NETWORK_RATE;
	make_bill(&work->bill, &work->message);
	if (pools_pay((const struct sipdam_limits *)policy->pool, &work->bill, work->now >> SIPDAM_TICK_SHIFT, true))
		return SIPDAM_REASON_WITHIN_LIMITS;
	pool_has_refused(&run);
	return SIPDAM_REASON_POOL_RATE;
}

/*
 * While strangers must send their requests twice, a segment that holds one must be of a connection, and so must
 * one that asks for a handshake, or carries data, while the pool of those is exhausted: or forged ones would drain it,
 * and nobody who forges his address has a connection. It is
 * known by the table, or by this host's kernel; where neither can know, since the server's answers were not seen
 * for an hour and no socket here is asked for, all are let by. Where the table alone can know, as on a router, it may
 * have forgotten one: what comes again, as TCP sends it, goes on to a half of the pools. Returns the reason of what is
 * of no connection; 0: it is judged like others. A function of its own so that it is verified apart.
 */
__noinline int judge_unconnected(frame_t *frame, const struct sipdam_policy *policy, struct work *work)
{
	struct run run = {.frame = frame, .policy = policy, .work = work};
	int state;

	if (!policy || !work || !segment_needs_proof(&run) || !read_segment(frame, policy, work) ||
	    connection_is_known(&work->segment))
		return SIPDAM_REASON_NONE;
	state = socket_state(frame, &work->packet);
	if (is_connected(state) || (!state && !answers_were_seen(work->now)))
		return SIPDAM_REASON_NONE;
	if (state || !segment_comes_again(work->segment.hash, work->segment.sequence, work->now, policy))
		return SIPDAM_REASON_UNVERIFIED;
	return judge_again(policy, work);
}

/*
 * Only segments, and only of what may hold requests in clear, asks for a handshake, or finds no data left. Most of
 * them hold one message, of whose pool the question is cheaper than the call.
 */
static __always_inline bool may_lack_connection(const struct run *run)
{
	const struct work *work = run->work;
	const struct message *message = &work->message;

	if (run->way == WAY_DATA)
		return pool_needs_proof(run, SIPDAM_CLASS_TCP_DATA);
	return !run->way && work->packet.protocol == IPPROTO_TCP &&
	       (message->further ||
		((is_request_class(message->class) || asks_for_handshake(message)) &&
		 pool_needs_proof(run, message->class)) ||
		data_needs_proof(run));
}

/* While the pool of its class is exhausted, a stranger's request goes no further before it comes again. */
static __always_inline bool is_first_copy(const struct run *run)
{
	struct work *work = run->work;
	const struct sipdam_pool *pool;

	if (run->way == WAY_DATA)
		return false;
	work->verified = VERIFICATION_OFF;
	pool = pool_of(run);
	if (!pool || !verification_is_on(pool, work->now, run->policy) ||
	    limit_is_unlimited(pool_limit(run)) || !is_sent_again(&work->packet, &work->message))
		return false;
	return ask_stamps(run) == VERIFICATION_FIRST;
}

/* Step 7, last part; as with sources, all or none. */
static __always_inline bool pools_admit(const struct run *run)
{
	const struct message *message = &run->work->message;
	const struct sipdam_limits *limits = (const struct sipdam_limits *)run->policy->pool;
	__u64 now = run->work->now >> SIPDAM_TICK_SHIFT;

	if (needs_bill(run) && !message->further)
		return pools_pay_two(limits, message->class, message->tokens, message->data_tokens, now);
	if (needs_bill(run))
		return pools_pay(limits, &run->work->bill, now, false);
	if (run->way != WAY_DATA && run->work->verified >= VERIFICATION_AGAIN)
		return recent_pays(pool_limit(run), message->class, now);
	return pool_takes(pool_limit(run), class_of(run), now, message->tokens);
}

/* Passes, and who had to send again for it need not do so for the next. */
static __always_inline int let_in(const struct run *run)
{
	const struct work *work = run->work;

	if (run->way != WAY_DATA && (work->verified == VERIFICATION_NEW || work->verified == VERIFICATION_AGAIN))
		verification_note(&work->verifying);
	return SIPDAM_REASON_WITHIN_LIMITS;
}

/*
 * A pool that refuses makes strangers send again from now on, or be of a connection over TCP, and the very packet
 * that it refused is a first copy, unless its first was before. A function of its own so that it is verified apart.
 */
__noinline int turned_away(frame_t *frame, const struct sipdam_policy *policy, struct work *work)
{
	struct run run = {.frame = frame, .policy = policy, .work = work};

	if (!policy || !work)
		return SIPDAM_REASON_POOL_RATE;
	if (work->message.class == SIPDAM_CLASS_TCP_SYN && left_to_cookies(frame, policy, work))
		return SIPDAM_REASON_WITHIN_LIMITS;
	if (!pool_has_refused(&run) || work->verified || !is_sent_again(&work->packet, &work->message))
		return SIPDAM_REASON_POOL_RATE;
	return ask_stamps(&run) == VERIFICATION_FIRST ? SIPDAM_REASON_UNVERIFIED : SIPDAM_REASON_POOL_RATE;
}

/* The whole way, from the first header to a reason. */
static __always_inline int judge(const struct run *run)
{
	struct work *work = run->work;
	int reason = read(run);
	bool admitted;

	if (reason)
		return reason;
	reason = listed(run);
	if (!reason) {
		hash_source(work, run->policy);
		reason = banned(run);
	}
	if (!reason) {
		approach_tables(run);
		recognise(run);
	}
	work->unread = classify(run);
	if (reason)
		return reason;
	if (work->inherited)
		return work->inherited;
	if (work->unread)
		return work->unread;
	if (has_too_many(run)) {
		work->capped = 1;
		return SIPDAM_REASON_SOURCE_RATE;
	}
	look_further(run);
	admitted = source_admits(run);
	if (run->way != WAY_DATA)
		note_storm(work, !admitted);
	if (!admitted)
		return work->message.class == SIPDAM_CLASS_FRAGMENT ? SIPDAM_REASON_FRAGMENT
								    : SIPDAM_REASON_SOURCE_RATE;
	reason = known_reason(run);
	if (reason)
		return reason;
	if (is_first_copy(run))
		return SIPDAM_REASON_UNVERIFIED;
	if (may_lack_connection(run)) {
		reason = judge_unconnected(run->frame, run->policy, work);
		if (reason)
			return reason;
	}
	if (!network_admits(run))
		return !run->way && left_to_cookies(run->frame, run->policy, work)
			       ? SIPDAM_REASON_WITHIN_LIMITS
			       : SIPDAM_REASON_NETWORK_RATE;
	if (pools_admit(run))
		return let_in(run);
	if (run->way && !run->policy->verify_enabled)
		return SIPDAM_REASON_POOL_RATE;
	return turned_away(run->frame, run->policy, run->work);
}

/* Drops that are the source's own fault: not those for what others send, or for what it is on a list for. */
static __always_inline bool is_strike(int reason)
{
	return (1U << SIPDAM_REASON_SOURCE_RATE | 1U << SIPDAM_REASON_FRAGMENT |
		1U << SIPDAM_REASON_MALFORMED) >>
		       (reason & (SIPDAM_REASONS_MAX - 1)) &
	       1;
}

/*
 * A strike against the source of a packet. Malformed packets come here from before the lists, which are asked
 * now. In monitor mode as well: it shows what would be. 1 where ban.drops have been reached: work->offender
 * is to be banned, from the next packet on. A function of its own so that it is verified apart.
 */
__noinline int strike(struct work *work, const struct sipdam_policy *policy, int reason)
{
	struct run run = {.work = work, .policy = policy};

	/* No host sends from IPv4's place in IPv6, and no IPv4 host is to be banned for it. */
	if (!work || !policy || !work->packet.family ||
	    (work->packet.family == 6 && is_mapped(&work->packet.source)))
		return 0;
	if (reason == SIPDAM_REASON_MALFORMED) {
		if (listed(&run))
			return 0;
		hash_source(work, policy);
		recognise(&run);
	}
	if (work->tier != SIPDAM_TIER_UNKNOWN)
		return 0;
	work->demand = demand_of(&run, work->source_hash, SIPDAM_KIND_STRIKES, 1);
	if (!source_strikes_out(&policy->strikes, &work->demand))
		return 0;
	ban_name(&work->offender, &work->packet, policy, work->source_hash, work->now);
	ban_by_policy(&work->offender, policy, SIPDAM_BAN_DROPS);
	return 1;
}

/* Is it the opening of a connection and nothing more? Then what was said to others of its source stands. */
static __always_inline bool is_bare_syn(const struct packet *packet)
{
	return asks_for_connection(packet) && !packet->payload_length && packet->fragment == FRAGMENT_NONE;
}

/* Does a segment on a port of TLS begin with nothing that opens anything? */
static __always_inline bool goes_on(const struct packet *packet, const __u8 *data, const __u8 *end)
{
	const __u8 *byte = data + (packet->payload_offset & PLAIN_PAYLOAD_MASK);

	return (packet->port_kind == SIPDAM_PORTS_TLS || packet->port_kind == SIPDAM_PORTS_WSS) &&
	       packet->payload_length >= TLS_BEGIN_BYTES && byte + TLS_BEGIN_BYTES <= end &&
	       tls_begins(byte) == TLS_BEGINS_OTHER;
}

/* Of a segment. One without bytes is the same on all ports. */
static __always_inline enum way way_of_segment(const struct packet *packet, const __u8 *data, const __u8 *end)
{
	if (!(packet->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)))
		return !packet->payload_length || goes_on(packet, data, end) ? WAY_DATA : WAY_LONG;
	return is_bare_syn(packet) ? WAY_SYN : WAY_LONG;
}

/* What a glance tells, left in the work as far as a refusal from memory needs it. */
static __always_inline enum way glance_at(const struct run *run, const __u8 *data, const __u8 *end, int look)
{
	struct work *work = run->work;
	__u64 words[GLANCE_WORDS];

	if (look == LOOK_UDP4 || look == LOOK_UDP6) {
		if (glance_source(data, end, look, run->policy, &work->packet, words) != GLANCE_OURS)
			return WAY_LONG;
		work->found = sip_glance(words[0], words[1]);
		return work->found != SIP_CUT ? WAY_DATAGRAM : WAY_LONG;
	}
	if (look == LOOK_TCP4 || look == LOOK_TCP6)
		return glance_segment(data, end, look, run->policy, &work->packet) == GLANCE_OURS
			       ? way_of_segment(&work->packet, data, end)
			       : WAY_LONG;
	return look == LOOK_OTHER ? WAY_OTHER : WAY_LONG;
}

/* The whole packet of that glance. */
static __always_inline void fill(const struct run *run, const __u8 *data, const __u8 *end, int look)
{
	begin(run->frame, &run->work->packet);
	if (look == LOOK_TCP4 || look == LOOK_TCP6)
		glance_fill_segment(data, end, look, &run->work->packet);
	else
		glance_fill(data, end, look, &run->work->packet);
}

/*
 * For trials: a packet read the long way. A function of its own so that the kernel verifies this second
 * reading apart.
 */
__noinline int read_long(frame_t *frame, const struct sipdam_policy *policy, struct work *work)
{
	if (!policy || !work)
		return SIPDAM_REASON_NONE;
	begin_work(frame, work);
	return packet_read(frame, policy, &work->packet);
}

/*
 * In a trial: does the short way say of the packet what the long way says, in a room of its own? No plain
 * payload begins with CR or LF, so that what is behind them is the whole of it.
 */
static __always_inline bool short_way_is_right(const struct run *run, enum way way)
{
	__u32 spare = SIPDAM_INTERFACE_OTHER;
	struct sipdam_counters *room = bpf_map_lookup_elem(&counters, &spare);
	struct work *work;
	int reason;

	if (!room)
		return false;
	work = (struct work *)room->work;
	reason = read_long(run->frame, run->policy, work);
	if (way == WAY_OTHER)
		return reason == SIPDAM_REASON_NOT_SIP;
	if (reason || !packet_same(&run->work->packet, &work->packet))
		return false;
	if (way == WAY_DATAGRAM)
		return message_further_on(run->frame, &work->packet, &work->window) == run->work->found;
	if (way == WAY_DATA && work->packet.payload_length)
		return tls_look(run->frame, &work->packet) == TLS_BEGINS_OTHER;
	return way != WAY_SYN || is_bare_syn(&work->packet);
}

/*
 * What a message is for the memory of spent buckets: its class, of which BYE and PRACK are none of ACK's and CANCEL's.
 * Those are refused without a look for copies, and what is known by it holds for no copy.
 */
static __always_inline __u32 spent_kind(const struct message *message)
{
	return message->class == SIPDAM_CLASS_DIALOG && has_timers(message) ? SIPDAM_CLASS_NONE : message->class;
}

/*
 * The name of a bucket there, for one address: of those that share the bucket, one may be on a list that is asked
 * before it.
 */
static __always_inline __u64 spent_name_of(const struct run *run, const struct message *message)
{
	const struct packet_address *source = &run->work->packet.source;
	struct sipdam_trial *handed_in = trial_record();

	return spent_name(keyed_hash(source->high, source->low), spent_kind(message),
			  handed_in ? handed_in->changes : *(const volatile __u32 *)&active.active & 1);
}

/* In a storm: is the bucket that a packet would ask known to refuse? */
static __always_inline bool is_spent(const struct run *run, const struct message *message)
{
	__u64 name = spent_name_of(run, message);

	return spent_is(spent_set(&spent, name), name, clock_now(&run->work->clock));
}

/*
 * Remembers of the bucket that has refused a packet until when it will: not of a site, whose limit grows with its
 * devices. One that has no word by now is full, and waits for nothing. A function of its own so that it is verified
 * apart.
 */
__noinline int note_spent(const struct sipdam_policy *policy, struct work *work)
{
	struct run run = {.policy = policy, .work = work};
	const struct sipdam_limit *limit;
	const struct sipdam_line *line;
	struct bucket_slot slot;
	__u64 name, wait;
	__u32 class;

	if (!policy || !work || is_site(work))
		return 0;
	class = work->message.class & (SIPDAM_CLASSES_MAX - 1);
	limit = &limits_of(&run)->limit[class];
	line = source_line(work->source_hash);
	if (!line)
		return 0;
	slot = line_own(line, bucket_tag(work->source_hash, class), work->now >> SIPDAM_TICK_SHIFT, policy->horizon);
	wait = slot.ahead + bucket_cost(limit, 1) - limit->depth;
	name = spent_name_of(&run, &work->message);
	spent_note(spent_set(&spent, name), name, work->now, work->now + (wait << SIPDAM_TICK_SHIFT));
	return 0;
}

/* For what a source in a storm is dropped, while its bucket's answer stands; 0: it is judged. */
static __always_inline int refused_again(const struct run *run, const struct message *message)
{
	struct work *work = run->work;
	__u32 class = message->class;
	struct loud *loud = loud_place(work->loud, &work->packet, class);
	__u64 moment = loud_moment(bpf_jiffies64());
	int reason = loud_reason(loud, &work->packet, moment, class);

	if (reason || !is_stormy(work) || !is_spent(run, message))
		return reason;
	note_storm(work, true);
	if (!(work->refusals % LOUD_SAMPLE))
		loud_note(loud, &work->packet, moment, class, SIPDAM_REASON_SOURCE_RATE, true);
	return SIPDAM_REASON_SOURCE_RATE;
}

/*
 * A refusal, after some of which the next packets of its kind are refused unasked. Not where a drop has
 * consequences for its source, or a list of protected addresses is in force: all are judged then. Nor, in a flood of
 * many sources, what may still be looked for among copies.
 */
static __always_inline void note_refused(const struct run *run, int reason, __u32 class)
{
	struct work *work = run->work;
	bool lasts = !run->policy->list_entries[SIPDAM_LIST_ADDRESSES] && limit_is_unlimited(&run->policy->strikes);

	if (reason != SIPDAM_REASON_SOURCE_RATE && reason != SIPDAM_REASON_DENIED)
		return;
	loud_note(loud_place(work->loud, &work->packet, class), &work->packet, loud_moment(work->clock.jiffies),
		  class, reason, lasts);
	if (reason == SIPDAM_REASON_SOURCE_RATE && lasts && is_stormy(work) && !may_be_copy(run))
		note_spent(run->policy, work);
}

/* The way of a packet that a glance has read. */
static __always_inline int judge_plain(struct run run)
{
	struct work *work = run.work;
	int reason;

	run.way = WAY_DATAGRAM;
	work->message = (struct message){};
	work->tier = SIPDAM_TIER_UNKNOWN;
	work->inherited = SIPDAM_REASON_NONE;
	/* From here on it is what the map has, neither in registers nor known to the verifier. */
	asm volatile("" ::: "memory");
	reason = judge(&run);
	note_refused(&run, reason, SIP_CLASS(work->found));
	return reason;
}

/* Is it a segment that may open a connection, or end one? One with bytes in it is in the middle of a stream. */
static __always_inline bool tells_of_connection(const struct packet *packet)
{
	return packet->protocol == IPPROTO_TCP && packet->fragment == FRAGMENT_NONE &&
	       !(packet->tcp_flags & TCP_SYN) &&
	       (!packet->payload_length || packet->tcp_flags & (TCP_FIN | TCP_RST));
}

/* A handshake that a source has left unfinished is a strike. A function of its own so that it is verified apart. */
__noinline int strike_for_handshake(struct work *work, const struct sipdam_policy *policy)
{
	if (!work || !policy || !handshakes_count(policy, work->tier) ||
	    !handshake_strikes_out(work->segment.source, work->now, policy->ban_failures))
		return 0;
	ban_name(&work->offender, &work->packet, policy, work->segment.source, work->now);
	ban_by_policy(&work->offender, policy, SIPDAM_BAN_HANDSHAKES);
	return ban_source(&work->offender);
}

/* How many connections a source of this tier may end by its own word; who has no cap, all. */
static __always_inline const struct sipdam_limit *resets_of(const struct sipdam_policy *policy, __u32 tier)
{
	if (tier == SIPDAM_TIER_ALLOWED)
		return &policy->limits[SIPDAM_TIER_ALLOWED][SIPDAM_CLASS_NONE];
	return tier == SIPDAM_TIER_TRUSTED ? &policy->resets_trusted : &policy->resets;
}

/* What a segment that goes on tells of its connection. A function of its own so that it is verified apart. */
__noinline int learn_connection(frame_t *frame, const struct sipdam_policy *policy, struct work *work)
{
	if (!policy || !work || !read_segment(frame, policy, work))
		return 0;
	if (!(work->packet.tcp_flags & (TCP_FIN | TCP_RST)))
		return connection_acknowledged(&work->segment, policy);
	work->segment.horizon = policy->horizon;
	if (connection_leaves(&work->segment, policy, resets_of(policy, work->tier)) == HANDSHAKE_LEFT)
		strike_for_handshake(work, policy);
	return 0;
}

/* May a packet have a ClientHello? A SYN may, of a client that has been here before (RFC 7413). */
static __always_inline bool may_have_hello(const struct work *work)
{
	const struct packet *packet = &work->packet;

	return work->message.class == SIPDAM_CLASS_TLS_HELLO ||
	       (work->message.class == SIPDAM_CLASS_TCP_SYN && work->message.data_tokens &&
		(packet->port_kind == SIPDAM_PORTS_TLS || packet->port_kind == SIPDAM_PORTS_WSS));
}

/* The way of all others: tags, options, fragments, jumbo frames, and what no glance recognises. */
static __always_inline int judge_any(const struct run *run)
{
	struct work *work = run->work;
	struct packet *packet = &work->packet;
	int reason;

	begin_work(run->frame, work);
	reason = judge(run);
	/* What the cap on connections refuses is not noted: it ends with the next one that is closed. */
	if (is_bare_syn(packet) && !work->capped)
		note_refused(run, reason, SIPDAM_CLASS_TCP_SYN);
	if (may_have_hello(work) && reason && !is_drop(reason))
		reason = gate_judge(run->frame, run->policy, packet, &work->hello, reason);
	if (tells_of_connection(packet) && reason != SIPDAM_REASON_NOT_SIP && packet->payload_offset &&
	    (!is_drop(reason) || spares_all(run->policy, work->now)))
		learn_connection(run->frame, run->policy, work);
	if (packet->fragment == FRAGMENT_FIRST && packet->family)
		fragment_remember(packet, reason, work->now ? work->now : clock_now(&work->clock));
	if (!packet->family)
		packet_reaches(run->frame, packet, ~0u);
	return reason;
}

/*
 * The way of a segment that is nothing but data, of which a glance has told all. Of what it may tell of its
 * connection there is only that it opens it.
 */
static __always_inline int judge_data(struct run run, __be16 client_port)
{
	struct work *work = run.work;
	const struct packet *packet = &work->packet;
	int reason;

	run.way = WAY_DATA;
	work->message = (struct message){};
	work->tier = SIPDAM_TIER_UNKNOWN;
	work->inherited = SIPDAM_REASON_NONE;
	asm volatile("" ::: "memory"); /* as above */
	reason = judge(&run);
	if (!packet->payload_length && (!is_drop(reason) || spares_all(run.policy, work->now)) &&
	    connection_is_half(connection_hash(&packet->destination, packet->port, &packet->source,
					       __builtin_bswap16(client_port))))
		learn_connection(run.frame, run.policy, work);
	return reason;
}

/* One refusal in some is noted in the record. */
static __always_inline void note_refusal(const struct run *run, int reason, __u32 class)
{
	struct work *work = run->work;

	if (reason != SIPDAM_REASON_SOURCE_RATE || work->refusals++ % SIPDAM_REFUSED_SAMPLE)
		return;
	hash_source(work, run->policy);
	refused_note(&work->packet, run->policy, work->source_hash, work->now, class);
}

/* What a drop that is the source's own fault leaves behind: a strike, and one in some in the record. */
static __always_inline void remember_refusal(const struct run *run, int reason)
{
	struct work *work = run->work;

	if (is_strike(reason) && !limit_is_unlimited(&run->policy->strikes) &&
	    strike(work, run->policy, reason))
		ban_source(&work->offender);
	note_refusal(run, reason, work->message.class);
}

/* Once its reason is known. */
static __always_inline int finish(const struct run *run, struct sipdam_counters *count, int reason)
{
	struct work *work = run->work;

	remember_refusal(run, reason);
	return verdict(count, reason, run->policy, work->now, &work->packet, &work->message);
}

/* One more of a storm, as those before it in this tick, when the clock was read. In a trial the packet is whole. */
static __always_inline int finish_again(const struct run *run, struct sipdam_counters *count, int reason,
					__u32 bytes, const struct message *message)
{
	struct work *work = run->work;

	work->now = is_trial ? clock_now(&work->clock) : work->clock.now;
	note_refusal(run, reason, message->class);
	if (is_trial)
		return verdict(count, reason, run->policy, work->now, &work->packet, message);
	return drop_again(count, reason, run->policy, work->now, bytes, message->class, message->method);
}

/* The way of what a glance tells all of. In a trial the packet is whole. */
static __always_inline int filter_datagram(const struct run *run, struct sipdam_counters *count,
					   const __u8 *data, const __u8 *end, int look)
{
	struct message message = message_of(run->work->found);
	int reason = refused_again(run, &message);

	if (reason)
		return finish_again(run, count, reason, end - data, &message);
	fill(run, data, end, look);
	return finish(run, count, judge_plain(*run));
}

static __always_inline int filter_data(const struct run *run, struct sipdam_counters *count, const __u8 *data,
				       const __u8 *end, int look)
{
	fill(run, data, end, look);
	return finish(run, count, judge_data(*run, glance_client_port(data, end, look)));
}

SEC("xdp") /* user/filter.c decides whether it is loaded for multi-buffer packets */
int sipdam_filter(struct xdp_md *context)
{
	const __u8 *data = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	const struct message syn = {.class = SIPDAM_CLASS_TCP_SYN, .tokens = 1};
	struct sipdam_counters *count = counters_of(context->ingress_ifindex);
	int look = packet_look(data, end, &active);
	struct run run = {.frame = context};
	int reason, action;
	enum way way;

	if (!count)
		return XDP_PASS;
	if (look == LOOK_OTHER && !is_trial) {
		count_one(&count->reason[0][SIPDAM_REASON_NOT_SIP], end - data);
		return XDP_PASS;
	}
	run.policy = policy_in_force();
	if (!run.policy)
		return XDP_PASS;
	run.work = (struct work *)count->work;
	way = glance_at(&run, data, end, look);
	if (is_trial && way != WAY_LONG) {
		fill(&run, data, end, look);
		if (!short_way_is_right(&run, way)) /* a test sees that they differ */
			return finish(&run, count, SIPDAM_REASON_NONE);
	}
	if (way == WAY_DATAGRAM)
		return filter_datagram(&run, count, data, end, look);
	if (way == WAY_DATA)
		return filter_data(&run, count, data, end, look);
	reason = way == WAY_SYN ? refused_again(&run, &syn) : SIPDAM_REASON_NONE;
	if (reason)
		return finish_again(&run, count, reason, end - data, &syn);
	reason = judge_any(&run);
	action = finish(&run, count, reason);
	if (reason == SIPDAM_REASON_TLS_VERSION && action == XDP_DROP && !is_trial)
		action = gate_turn_away(context, &run.work->packet, &run.work->hello);
	return action;
}
