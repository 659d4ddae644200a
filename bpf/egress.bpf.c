// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the server sends: the second program, at tc egress, reads the packets that leave from a protected port
 * and writes down whom the server knows, for the filter to go by. Nobody else can write that: what a stranger
 * sends changes nothing until the server has answered it.
 *
 *   trusted   a registration that succeeded, of a source that was challenged before or is trusted already
 *   peer      who is sent a request, and who calls and is answered
 *   strikes   refusals of REGISTER and INVITE without a success in between, and the same of handshakes of TLS
 *             that a client leaves unfinished
 *
 * On ports of TLS it reads which version the server chooses, for a meter and the gate of tls.min_version.
 *
 * All other packets leave after a glance. It drops answers to strangers over the reflection limit, makes
 * useless what the gate refuses, and has no say in what else becomes of a packet (TC_ACT_UNSPEC).
 */
#define FRAME_LEAVES

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>

#include "answer.h"
#include "connections.h"
#include "copies.h"
#include "failures.h"
#include "gate.h"
#include "handshakes.h"
#include "learn.h"
#include "lists.h"
#include "packet.h"
#include "reflection.h"
#include "stream.h"
#include "tls.h"
#include "verdict.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define SECONDS(n) ((n)*1000000000ULL)

/* For how long a source is a peer: from a request on; while it rings (RFC 3261 16.6, timer C: three minutes);
 * and from a call's beginning or its refreshing on (RFC 4028). */
#define PEER_FOR_REQUEST SECONDS(3600)
#define PEER_FOR_RINGING SECONDS(300)
#define PEER_FOR_CALL    SECONDS(3600)

/* Messages that are read of one packet: a stream's segments of several, and datagrams that leave as one. */
#define MESSAGES_A_PACKET 16

/* Steps through one message: lines, and pieces of long ones. */
#define MESSAGE_STEPS_MAX 256

/* The same of one that is read without a call: the answers that are most have three. */
#define MESSAGE_STEPS_FIRST 4

/*
 * All that is known of one packet; in a map, as the filter's is, and for the same reasons. The packet's
 * source is who it is sent to, from hash_receiver() on.
 */
struct work {
	struct packet packet;
	struct message message;
	__u64 now;    /* nanoseconds */
	__u64 hash;   /* of the receiver's source */
	__u64 stream; /* hash of the connection: both ends */
	__u32 tier;   /* enum sipdam_tier */
	__u32 at;     /* where in the payload the text begins */
	__u32 begins; /* where the message begins */
	__u32 sequence, acknowledged;
	__u16 port;    /* the receiver's */
	__u8 headless; /* 1: a capture lacks its headers */
	__u8 greets;   /* 1: it has a ServerHello */

	/* What need not be cleared. */
	struct clock_cache clock;
	struct window window;
	struct grant grant;     /* `source` is the receiver, whatever becomes of it */
	struct known_slot slot; /* where it is known, if `own` */
	struct answer answer;
	struct answer_text text;
	struct connection segment; /* of TCP */
	struct tls_hello hello;
	__u8 by_calls; /* 1: the receiver is a peer for its calls alone, or nobody yet */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct work);
} egress_room SEC(".maps");

/* ---- whose packet it is ---- */

static __always_inline bool leaves_elsewhere(const struct sipdam_policy *policy, __u8 protocol, __be16 port)
{
	return !is_transport(protocol) || !port_hinted(policy, protocol, __builtin_bswap16(port));
}

/* Is it plainly not from a protected port? Reads nothing but constant offsets. */
static __always_inline bool is_other(frame_t *frame, const struct sipdam_policy *policy)
{
	const __u8 *data = (void *)(long)frame->data;
	const __u8 *end = (void *)(long)frame->data_end;
	const __be16 *type = (const void *)(data + ETH_HLEN - 2);
	const struct ipv4_header *ip = (const void *)(data + ETH_HLEN);
	const struct ipv6_header *ip6 = (const void *)(data + ETH_HLEN);

	if ((const __u8 *)(ip + 1) + PORTS_BYTES > end)
		return false;
	if (*type == __builtin_bswap16(ETH_P_IP))
		return ip->fragment & __builtin_bswap16(IPV4_OFFSET_MASK) ||
		       (ip->version_length == 0x45 &&
			leaves_elsewhere(policy, ip->protocol, *(const __be16 *)(ip + 1)));
	if (*type != __builtin_bswap16(ETH_P_IPV6))
		return !is_vlan(*type);
	if ((const __u8 *)(ip6 + 1) + PORTS_BYTES > end || is_extension(ip6->next))
		return false;
	return leaves_elsewhere(policy, ip6->next, *(const __be16 *)(ip6 + 1));
}

static __always_inline void note_message(struct work *work, __u32 found)
{
	work->message.method = SIP_METHOD(found);
	work->message.status = SIP_STATUS(found);
}

/* Reads the headers. True where the packet is from a protected port and address. */
static __always_inline bool is_read(frame_t *frame, const struct sipdam_policy *policy, struct work *work)
{
	struct packet *packet = &work->packet;
	int reason = packet_read(frame, policy, packet);

	work->headless = reason == SIPDAM_REASON_TRUNCATED;
	return reason == SIPDAM_REASON_NONE && packet->family &&
	       packet->fragment != FRAGMENT_FOLLOWER && !packet->cut;
}

/* The same, of most answers by a glance, which tells what they are too. */
static __always_inline bool is_ours(frame_t *frame, const struct sipdam_policy *policy, struct work *work)
{
	__u64 words[GLANCE_WORDS];

	if (packet_glance(frame, policy, &work->packet, words) != GLANCE_OURS)
		return is_read(frame, policy, work);
	note_message(work, sip_glance(words[0], words[1]));
	return true;
}

/* As with what arrives, bytes that a capture lacks are no bytes. */
static __always_inline void begin(frame_t *frame, struct work *work)
{
	struct sipdam_trial *handed_in = trial_record();
	__u32 bytes = frame->len;

	__builtin_memset(work, 0, offsetof(struct work, clock));
	work->packet.present = bytes;
	work->packet.length = bytes;
	if (handed_in && handed_in->wire_length > bytes)
		work->packet.length = handed_in->wire_length;
}

static __always_inline bool is_protected(const struct sipdam_policy *policy, const struct work *work)
{
	return !policy->list_entries[SIPDAM_LIST_ADDRESSES] ||
	       list_has(policy, SIPDAM_LIST_ADDRESSES, &work->packet.source, work->now);
}

/* What the payload begins with, for the counters. A segment that does not begin a message is nothing. */
__noinline int classify(frame_t *frame, struct work *work)
{
	struct cursor cursor;
	const struct packet *packet;
	__u32 found, length;
	__u64 words[2];

	if (!work)
		return 0;
	packet = &work->packet;
	length = packet->payload_length;
	cursor = cursor_open(frame, packet->present, packet->length);
	cursor_glance(&cursor, packet->payload_offset, words);
	found = length < sizeof(words) ? SIP_CUT : sip_glance(words[0], words[1]);
	if (found == SIP_CUT) {
		cursor_window(&cursor, packet->payload_offset, length, &work->window);
		if (!work->window.length || is_stun(&work->window, length))
			return 0;
		found = sip_classify(&work->window, length > WINDOW_BYTES);
	}
	note_message(work, found);
	return 0;
}

/* ---- TLS ---- */

static __always_inline bool is_of_tls(const struct packet *packet)
{
	return packet->port_kind == SIPDAM_PORTS_TLS || packet->port_kind == SIPDAM_PORTS_WSS;
}

/* The reason of a segment of TLS or WebSocket: the gate's for a ServerHello. Most are none: their first bytes
 * tell. */
static __always_inline int judge_opaque(frame_t *frame, const struct sipdam_policy *policy, struct work *work)
{
	enum tls_begins begins;
	int reason;

	if (!is_of_tls(&work->packet))
		return SIPDAM_REASON_EGRESS;
	begins = tls_look(frame, &work->packet);
	if (begins != TLS_BEGINS_SERVER && begins != TLS_BEGINS_CUT)
		return SIPDAM_REASON_EGRESS;
	reason = gate_judge(frame, policy, &work->packet, &work->hello, work->now);
	work->greets = reason == SIPDAM_REASON_EGRESS && work->hello.chosen;
	return reason;
}

/* ---- who is sent to ---- */

/* The receiver takes the source's place: as a source it is limited, banned and known. */
static __always_inline void hash_receiver(struct work *work, const struct sipdam_policy *policy)
{
	work->packet.source = work->packet.destination;
	work->hash = masked_hash(&work->packet.source, &policy->source_mask[family_index(&work->packet)]);
	ban_name(&work->grant.source, &work->packet, policy, work->hash, work->now);
}

static __always_inline __u32 tier_of(struct work *work, const struct sipdam_policy *policy)
{
	struct known_slot *slot = &work->slot;

	slot->own = false;
	if (policy->list_entries[SIPDAM_LIST_ALLOW] &&
	    list_has(policy, SIPDAM_LIST_ALLOW, &work->packet.source, work->now))
		return SIPDAM_TIER_ALLOWED;
	if (!any_is_known(work->now) || !known_finds_slot(&work->grant.source, slot))
		return SIPDAM_TIER_UNKNOWN;
	return slot->word & SIPDAM_KNOWN_KIND ? SIPDAM_TIER_TRUSTED : SIPDAM_TIER_PEER;
}

/* Is the receiver a peer for its calls alone, or may become one? Of others calls are not told apart. */
static __always_inline bool is_by_calls(const struct work *work)
{
	const struct sipdam_known *record;

	if (work->tier != SIPDAM_TIER_PEER)
		return work->tier == SIPDAM_TIER_UNKNOWN;
	record = known_record(work->hash, work->slot.way);
	return record && record->cause == SIPDAM_KNOWN_CALL;
}

/* Has it calls that may end? */
static __always_inline bool is_in_calls(const struct work *work)
{
	return work->tier == SIPDAM_TIER_PEER && work->by_calls;
}

/* ---- which call a message is of ---- */

/* Bytes of a Call-ID that are looked at. */
#define CALL_ID_BYTES 64

/* The name of the call by the Call-ID whose header's name ends at a position; CALL_NAMELESS where none is in the text. */
static __always_inline __u32 call_named(const struct answer_text *text, __u32 at)
{
	const __u64 key = secret.word[3] | 1;
	__u64 sum = key;

	if (!at)
		return CALL_NAMELESS;
	at = answer_value(text, at);
	if (!at)
		return CALL_NAMELESS;
#pragma nounroll
	for (int i = 0; i < CALL_ID_BYTES / 8; i++) {
		__u64 word = answer_word(text, at + i * 8);
		__u64 ends = (word - 0x21 * ANSWER_ONES) & ~word & 0x80 * ANSWER_ONES; /* blanks and controls */

		if (ends)
			word &= ((ends & -ends) >> 7) - 1;
		sum = (sum ^ word) * key;
		sum ^= sum >> 32;
		if (ends)
			break;
	}
	return call_name(sum * key);
}

/* ---- what is learned of one message ---- */

static __always_inline __u64 least_of(__u64 one, __u64 other)
{
	return one < other ? one : other;
}

/* What a message is to be granted for, from now on for so long; registered: as in a record, 0 for a peer. */
static __always_inline bool earns(struct work *work, __u32 cause, __u64 lasting, __u32 registered)
{
	struct grant *grant = &work->grant;

	grant->lasting = lasting;
	grant->trusted = cause == SIPDAM_KNOWN_REGISTRATION;
	grant->cause = cause;
	grant->call = 0;
	grant->registered = registered;
	return true;
}

static __always_inline void grant(struct work *work, const struct sipdam_policy *policy)
{
	struct grant *grant = &work->grant;

	grant->ttl = policy->trust_ttl;
	grant->port = grant->trusted ? work->port : 0;
	if (!known_renews(grant, &work->slot))
		known_grant(grant, &work->slot);
	if (grant->cause != SIPDAM_KNOWN_CALL)
		work->by_calls = 0;
	if (grant->trusted || work->tier == SIPDAM_TIER_UNKNOWN)
		work->tier = grant->trusted ? SIPDAM_TIER_TRUSTED : SIPDAM_TIER_PEER;
}

/* A sum of the text, which is zeros behind its end. A function of its own for the verifier. */
__noinline __u64 text_sum(const struct answer_text *text, __u32 length)
{
	const __u64 key = secret.word[3] | 1;
	__u64 sum = length;

	if (!text)
		return 0;
#pragma nounroll
	for (__u32 at = 0; at < ANSWER_BYTES && at < length; at += 8) {
		sum = (sum ^ answer_word(text, at)) * key;
		sum ^= sum >> 32;
	}
	return sum;
}

/*
 * Has the server sent this refusal before, and sends it again because no ACK comes (RFC 3261 17.2.1), or no
 * credentials do? Over UDP, byte by byte the same and by the protocol's timers: who makes the server say the same
 * to one guess after the other is no better off.
 */
static __always_inline bool is_said_before(const struct work *work)
{
	const struct timetable timers = TIMETABLE_ANSWER;
	__u32 units = work->now >> COPY_UNIT_SHIFT;
	__u64 hash = keyed_hash(text_sum(&work->text, work->answer.length),
				sender_hash(&work->packet.source, work->port));
	struct sipdam_line *line = copies_line(hash);
	int copy;

	if (!line || work->packet.protocol != IPPROTO_UDP)
		return false;
	copy = copy_look(line, hash, units, &timers);
	if (copy == COPY_UNKNOWN && copy_remember(line, hash, units))
		count_table_event(SIPDAM_TABLE_COPY_DISPLACED);
	return copy == COPY_FREE;
}

/*
 * One refusal more of a stranger. Whose address was registered within the last day is not banned for what may be
 * sent in its name: while its registration lasts, who has an account can guess as he likes anyway. A function of its
 * own so that it is verified once.
 */
__noinline int strike(struct work *work, const struct sipdam_policy *policy)
{
	if (!work || !policy || !policy->ban_enabled || !policy->ban_failures || is_said_before(work) ||
	    !failure_strikes_out(work->hash, work->now, policy->ban_failures) ||
	    registration_of(&work->grant.source, &work->slot))
		return 0;
	ban_by_policy(&work->grant.source, policy, SIPDAM_BAN_FAILURES);
	return ban_source(&work->grant.source);
}

/* A registration succeeded: one that asked for credentials before, or renews one that lasts. */
static __always_inline bool registered(struct work *work, const struct sipdam_policy *policy)
{
	__u64 lifetime = SECONDS((__u64)answer_lifetime(&work->answer, ANSWER_UNSAID));

	if (work->tier != SIPDAM_TIER_TRUSTED) {
		failure_forgive(work->hash);
		if (!challenge_holds(work->hash, work->now) &&
		    registration_of(&work->grant.source, &work->slot) != REGISTRATION_LASTS)
			return false;
	}
	if (!lifetime) {
		registration_ends(&work->grant.source, &work->slot);
		return false;
	}
	return earns(work, SIPDAM_KNOWN_REGISTRATION, least_of(lifetime, policy->trust_ttl),
		     registered_until(work->now, least_of(lifetime, SIPDAM_REGISTERED_MOST)));
}

static __always_inline bool is_challenge(__u32 status)
{
	return status == 401 || status == 407;
}

static __always_inline bool is_refusal(__u32 status)
{
	return is_challenge(status) || status == 403 || status == 404;
}

/* Does the trust of a source that renews its registration in its last moment end before it can? */
static __always_inline bool ends_before_the_answer(const struct work *work)
{
	return !ban_holds(work->slot.word, work->now + CHALLENGE_NANOSECONDS);
}

/* What becomes of the call that the message is of. One that begins is to be granted for; of the others it returns 0 where
 * it is none of those that make the receiver a peer. A function of its own so that it is verified once. */
__noinline int turn_call(struct work *work, __u32 turn)
{
	__u32 call;

	if (!work)
		return 0;
	call = call_named(&work->text, work->answer.call);
	if (turn != CALL_RINGS && turn != CALL_IS_ANSWERED)
		return known_turn_call(&work->grant.source, &work->slot, call, turn);
	work->grant.call = call | (turn == CALL_IS_ANSWERED ? CALL_ANSWERED : 0);
	if (work->tier == SIPDAM_TIER_PEER && work->slot.own)
		known_begin_call(known_record(work->hash, work->slot.way), work->grant.call);
	return 0;
}

/* Each answers whether there is something to grant: to the trusted no call adds anything. */
static __always_inline bool learn_register(struct work *work, const struct sipdam_policy *policy)
{
	__u32 status = work->answer.status;

	if (status == 200)
		return registered(work, policy);
	if (is_challenge(status) && (work->tier != SIPDAM_TIER_TRUSTED || ends_before_the_answer(work)))
		challenge_note(work->hash, work->now);
	if (is_refusal(status) && work->tier == SIPDAM_TIER_UNKNOWN)
		strike(work, policy);
	return false;
}

static __always_inline bool learn_call(struct work *work, const struct sipdam_policy *policy)
{
	__u32 status = work->answer.status;
	bool rings = status >= 180 && status < 190, answered = status >= 200 && status < 300;
	bool invite = work->answer.method == SIPDAM_METHOD_INVITE;

	if (is_refusal(status) && invite && work->tier == SIPDAM_TIER_UNKNOWN)
		strike(work, policy);
	if (status >= 300 && invite && is_in_calls(work))
		turn_call(work, CALL_IS_REFUSED);
	if ((!rings && !answered) || work->tier == SIPDAM_TIER_TRUSTED)
		return false;
	if (work->tier == SIPDAM_TIER_UNKNOWN)
		failure_forgive(work->hash);
	earns(work, SIPDAM_KNOWN_CALL, answered ? PEER_FOR_CALL : PEER_FOR_RINGING, 0);
	if (work->by_calls)
		turn_call(work, answered && invite ? CALL_IS_ANSWERED : CALL_RINGS);
	return true;
}

static __always_inline bool is_bye(const struct work *work)
{
	return work->answer.method == SIPDAM_METHOD_BYE;
}

/* Whom it sends a request is a peer; but one inside a call of his grants no more than that call, and a BYE ends it. */
static __always_inline bool learn_request(struct work *work)
{
	bool own = is_in_calls(work) && turn_call(work, is_bye(work) ? CALL_IS_OVER : CALL_GOES_ON);

	if (work->tier == SIPDAM_TIER_TRUSTED)
		return false;
	if (is_bye(work))
		return !own && earns(work, SIPDAM_KNOWN_CALL, CALL_GRACE_NANOSECONDS, 0);
	return earns(work, own ? SIPDAM_KNOWN_CALL : SIPDAM_KNOWN_REQUEST, own ? PEER_FOR_CALL : PEER_FOR_REQUEST, 0);
}

/* It has answered a BYE: that call is over. */
static __always_inline void learn_end(struct work *work)
{
	if (work->answer.status >= 200 && work->answer.status < 300 && is_in_calls(work))
		turn_call(work, CALL_IS_OVER);
}

static __always_inline void learn_of(struct work *work, const struct sipdam_policy *policy)
{
	bool earned = false;

	if (!work->answer.status)
		earned = learn_request(work);
	else if (work->answer.method == SIPDAM_METHOD_REGISTER)
		earned = learn_register(work, policy);
	else if (work->answer.method == SIPDAM_METHOD_INVITE || work->answer.method == SIPDAM_METHOD_UPDATE)
		earned = learn_call(work, policy);
	else if (is_bye(work))
		learn_end(work);
	if (earned)
		grant(work, policy);
}

/* The same as a function of its own, which the kernel verifies once for all messages of a packet. */
__noinline int learn(struct work *work, const struct sipdam_policy *policy)
{
	if (work && policy)
		learn_of(work, policy);
	return 0;
}

/* ---- reading messages ---- */

/* Copies what comes from `at` on into the text, zeros behind it. Returns how many bytes; 0: none. */
static __always_inline int fill_text(frame_t *frame, struct work *work, __u32 at)
{
	__u32 size, last;

	if (at >= work->packet.payload_length)
		return 0;
	size = work->packet.payload_length - at;
	if (size > ANSWER_BYTES)
		size = ANSWER_BYTES;
	if (work->packet.payload_offset + at + size > work->packet.present)
		return 0;
	last = size - 1;
	/* As in cursor_window(). */
	asm volatile("" : "+r"(last));
	if (last >= ANSWER_BYTES ||
	    frame_load_bytes(frame, work->packet.payload_offset + at, work->text.byte, last + 1))
		return 0;
	if (last + 1 < ANSWER_BYTES)
		__builtin_memset(
			__builtin_assume_aligned(&work->text.byte[(last + 1) & (ANSWER_BYTES - 1)], 8), 0,
			ANSWER_PIECE_BYTES + 8);
	work->at = at;
	work->answer.length = last + 1;
	return last + 1;
}

/* The same in the middle of a message; a function of its own, since most messages end before. */
__noinline int read_on(frame_t *frame, struct work *work)
{
	if (!work || !fill_text(frame, work, work->at + work->answer.at))
		return 0;
	work->answer.call = 0;
	work->answer.at = 0;
	return 1;
}

/* Is there more of the message in the packet, and the text near its end? */
static __always_inline bool text_is_short(const struct work *work)
{
	return work->answer.at > ANSWER_BYTES - ANSWER_MARGIN && work->answer.at <= ANSWER_BYTES &&
	       work->answer.length == ANSWER_BYTES && work->at + ANSWER_BYTES < work->packet.payload_length;
}

/* Is known what there is to learn of a datagram? All headers matter of a registration alone, and to whom a call may make
 * a peer, the Call-ID. */
static __always_inline bool is_enough(const struct answer *answer)
{
	if (answer->calls && !answer->call)
		return false;
	return !answer->status ||
	       (answer->method && (answer->method != SIPDAM_METHOD_REGISTER || answer->status != 200));
}

/* One step through a message. to_end: also what is not to be learned from, to know where it ends. False where there is
 * no other step. */
static __always_inline bool read_step(frame_t *frame, struct work *work, bool to_end)
{
	if ((!to_end && is_enough(&work->answer)) || answer_step(&work->text, &work->answer))
		return false;
	return !text_is_short(work) || read_on(frame, work);
}

/* All steps that are left of a message. A function of its own so that its loop is verified once. */
__noinline int read_lines(frame_t *frame, struct work *work, __u32 to_end)
{
	if (!work)
		return 0;
#pragma nounroll
	for (int i = 0; i < MESSAGE_STEPS_MAX && read_step(frame, work, to_end); i++)
		;
	return 0;
}

/* Reads the beginning of the message `at` bytes into the payload. False where none begins there. */
static __always_inline bool begin_message(frame_t *frame, struct work *work, __u32 at)
{
	if (!fill_text(frame, work, at) || !answer_begin(&work->text, work->answer.length, &work->answer))
		return false;
	work->answer.calls = work->by_calls;
	return true;
}

/* Reads all of it. A function of its own so that it is verified once. */
__noinline int read_message(frame_t *frame, struct work *work, __u32 at, __u32 to_end)
{
	if (!work || !begin_message(frame, work, at))
		return 0;
	work->begins = at;
	work->answer.lengths = to_end;
	read_lines(frame, work, to_end);
	return 1;
}

/* Answers that something is learned from; of the others nothing is read but their first line. */
static __always_inline bool is_of_interest(const struct work *work, __u32 status)
{
	return (status >= 180 && status < 190) || (status >= 200 && status < 300) || is_refusal(status) ||
	       (status >= 300 && is_in_calls(work));
}

/*
 * What the messages of datagrams tell that the kernel is to cut apart (UDP_SEGMENT): each begins a datagram. A
 * function of its own, since hardly any packet is such a one.
 */
__noinline int read_datagrams(frame_t *frame, const struct sipdam_policy *policy, struct work *work)
{
	__u32 bytes = frame->gso_size, at = 0;

	if (!policy || !work)
		return 0;
#pragma nounroll
	for (int i = 0; i < MESSAGES_A_PACKET; i++) {
		if (read_message(frame, work, at, false) &&
		    (!work->answer.status || is_of_interest(work, work->answer.status)))
			learn(work, policy);
		if (bytes >= work->packet.payload_length - at)
			break;
		at += bytes;
	}
	return 0;
}

/* Are bytes of the payload not there? */
static __always_inline bool lacks_bytes(const struct work *work)
{
	return work->packet.payload_offset + work->packet.payload_length > work->packet.present;
}

/* What the message of a datagram tells. A request tells it by its first line, but to who is in a call. */
static __always_inline void read_datagram(frame_t *frame, const struct sipdam_policy *policy, struct work *work)
{
	int i = 0;

	if (!work->message.method)
		return;
	if (frame->gso_size) {
		read_datagrams(frame, policy, work);
		return;
	}
	work->answer.status = 0;
	work->answer.method = work->message.method;
	if (work->message.method == SIPDAM_METHOD_RESPONSE) {
		if (!is_of_interest(work, work->message.status) || !begin_message(frame, work, 0))
			return;
#pragma nounroll
		while (i < MESSAGE_STEPS_FIRST && read_step(frame, work, false))
			i++;
		if (i == MESSAGE_STEPS_FIRST)
			read_lines(frame, work, false);
	} else if (is_in_calls(work)) {
		if (lacks_bytes(work))
			return;
		read_message(frame, work, 0, false);
	}
	learn_of(work, policy);
}

/* ---- streams ---- */

/* Before the receiver takes the source's place. */
static __always_inline void hash_stream(struct work *work)
{
	const struct packet *packet = &work->packet;

	work->stream = connection_hash(&packet->source, packet->port, &packet->destination, work->port);
}

/* Bytes from the beginning of a message to where the next one begins; 0: not known. */
static __always_inline __u32 message_bytes(const struct work *work)
{
	const struct answer *answer = &work->answer;

	if (!answer->ended || answer->body == ANSWER_UNSAID || answer->body > 1 << 30)
		return 0;
	return work->at + answer->at + answer->body - work->begins;
}

/* CR and LF between messages are an answer to a keepalive (RFC 5626 4.4.1). */
static __always_inline bool is_line_end(const struct work *work)
{
	return work->text.byte[0] == '\r' && work->text.byte[1] == '\n';
}

/*
 * Reads messages from `at` on, as far as the segment goes. Returns where the next one begins; 0: nobody
 * knows. A function of its own so that it is verified apart.
 */
__noinline __u32 read_segment(frame_t *frame, const struct sipdam_policy *policy, struct work *work, __u32 at)
{
	if (!work || !policy)
		return 0;
#pragma nounroll
	for (int i = 0; i < MESSAGES_A_PACKET && at < work->packet.payload_length; i++) {
		__u32 bytes = 2;

		if (read_message(frame, work, at, true)) {
			bytes = message_bytes(work);
			learn(work, policy);
		} else if (!is_line_end(work)) {
			bytes = 0;
		}
		if (!bytes)
			return 0;
		at += bytes;
	}
	return at < work->packet.payload_length ? 0 : at;
}

/* The opening of a connection, from either side: its first message comes next. */
static __always_inline bool is_opening(const struct work *work)
{
	return work->packet.tcp_flags & TCP_SYN;
}

/* Its end, from this side: what comes again of it later is not read. */
static __always_inline bool is_closing(const struct work *work)
{
	return work->packet.tcp_flags & (TCP_FIN | TCP_RST);
}

/* Where in this segment a message begins; behind its end where none does. */
static __always_inline __u32 next_message(const struct work *work, int state, __u32 next)
{
	if (state == STREAM_KNOWN)
		return next - work->sequence;
	return state == STREAM_NEW && work->message.method && !streams_forgotten(false) ? 0 : ~0u;
}

__noinline int read_stream(frame_t *frame, const struct sipdam_policy *policy, struct work *work)
{
	__u32 length, next = 0, end;
	int state;

	if (!policy || !work)
		return 0;
	length = work->packet.payload_length;
	if (is_opening(work))
		return stream_set(work->stream, work->sequence + 1, false, work->now);
	if (!length && !is_closing(work))
		return 0;
	state = stream_find(work->stream, &next);
	next = next_message(work, state, next);
	if (next < length) {
		end = read_segment(frame, policy, work, next);
		return stream_set(work->stream, work->sequence + end, !end || is_closing(work), work->now);
	}
	return state == STREAM_KNOWN && is_closing(work) ? stream_set(work->stream, 0, true, work->now) : 0;
}

/* ---- the way of a packet ---- */

/* What follows the ports: of TCP the sequence number, and what is acknowledged. Returns false where it is not
 * there. */
static __always_inline bool read_rest(frame_t *frame, struct work *work)
{
	struct cursor cursor = cursor_open(frame, work->packet.present, work->packet.length);
	__u32 offset = work->packet.transport_offset;
	__be32 numbers[2];
	__be16 port;

	if (cursor_load(&cursor, offset + 2, &port, sizeof(port)) ||
	    cursor_load(&cursor, offset + PORTS_BYTES, numbers, sizeof(numbers)))
		return false;
	work->port = __builtin_bswap16(port);
	work->sequence = __builtin_bswap32(numbers[0]);
	work->acknowledged = __builtin_bswap32(numbers[1]);
	return true;
}

static __always_inline bool is_datagram(const struct work *work)
{
	return work->packet.protocol == IPPROTO_UDP;
}

/* Bytes that the receiver gets of it: of a datagram in fragments all. */
static __always_inline __u32 sent_bytes(const struct work *work)
{
	__u32 datagram = work->packet.transport_offset + (work->sequence >> 16); /* the length of UDP */

	return datagram > work->packet.length ? datagram : work->packet.length;
}

/* Is it one answer too many to somebody who may not have asked? Whoever has opened a connection has. */
static __always_inline bool reflects(const struct sipdam_policy *policy, const struct work *work)
{
	return is_datagram(work) && work->message.method == SIPDAM_METHOD_RESPONSE &&
	       work->tier == SIPDAM_TIER_UNKNOWN &&
	       !is_verified(&work->packet.source, __builtin_bswap16(work->port), work->now) &&
	       !reflection_admits(policy, work->hash, work->now, sent_bytes(work));
}

/* The client has left a handshake of TLS. A function of its own so that it is verified apart: hardly any does. */
__noinline int learn_left_handshake(struct work *work, const struct sipdam_policy *policy)
{
	if (!work || !policy || !handshakes_count(policy, tier_of(work, policy)) ||
	    !handshake_strikes_out(work->hash, work->now, policy->ban_failures))
		return 0;
	ban_by_policy(&work->grant.source, policy, SIPDAM_BAN_HANDSHAKES);
	return ban_source(&work->grant.source);
}

/* What a segment tells of its connection, whatever it carries. The receiver is known. */
static __always_inline void learn_connection(const struct sipdam_policy *policy, struct work *work)
{
	int handshake;

	work->segment = segment_of(&work->packet, work->stream, work->hash, work->now, work->sequence,
				   work->acknowledged);
	work->segment.greets = work->greets;
	handshake = connection_sends(&work->segment, policy);
	if (handshake == HANDSHAKE_FINISHED)
		handshake_forgives(work->hash, work->now);
	else if (handshake)
		learn_left_handshake(work, policy);
}

/* The reason of a segment that is not read but for its handshake, and what both tell of its connection. */
static __always_inline int learn_opaque(frame_t *frame, const struct sipdam_policy *policy, struct work *work)
{
	int reason = judge_opaque(frame, policy, work);

	learn_connection(policy, work);
	return reason;
}

/* Does a capture lack bytes that there would be something to learn from? Of some datagrams the first line is enough. */
static __always_inline bool is_unread(const struct work *work)
{
	bool response = work->message.method == SIPDAM_METHOD_RESPONSE;
	bool matters = response ? is_of_interest(work, work->message.status) : is_in_calls(work);
	bool told = is_datagram(work) && work->message.method && !matters;

	return !told && lacks_bytes(work);
}

/* The reason of a packet of ours, and what is learned of it. What is not sent nobody learns of. */
static __always_inline int judge(frame_t *frame, const struct sipdam_policy *policy, struct work *work)
{
	if (work->packet.family == 6 && is_mapped(&work->packet.destination))
		return SIPDAM_REASON_EGRESS;
	if (!read_rest(frame, work))
		return is_unread(work) ? SIPDAM_REASON_TRUNCATED : SIPDAM_REASON_EGRESS;
	if (!is_datagram(work))
		hash_stream(work);
	hash_receiver(work, policy);
	if (!is_datagram(work) && work->packet.port_kind != SIPDAM_PORTS_TCP)
		return learn_opaque(frame, policy, work);
	if (!is_datagram(work))
		learn_connection(policy, work);
	work->tier = tier_of(work, policy);
	work->by_calls = is_by_calls(work);
	if (work->tier == SIPDAM_TIER_ALLOWED)
		return SIPDAM_REASON_EGRESS;
	if (reflects(policy, work))
		return SIPDAM_REASON_REFLECTION;
	if (!policy->trust_learn)
		return SIPDAM_REASON_EGRESS;
	if (is_datagram(work))
		read_datagram(frame, policy, work);
	else
		read_stream(frame, policy, work);
	return is_unread(work) ? SIPDAM_REASON_TRUNCATED : SIPDAM_REASON_EGRESS;
}

/* By its reason alone: methods and classes are of what arrives. */
static __always_inline void count_sent(__u32 ifindex, const struct work *work, int reason, int verdict)
{
	__u32 slot = interface_slot(ifindex);
	struct sipdam_counters *count = bpf_map_lookup_elem(&counters, &slot);

	/* The compiler knows which reasons there are, and leaves the mask out that the kernel goes by. */
	asm volatile("" : "+r"(reason));
	if (count)
		count_one(&count->reason[verdict == SIPDAM_VERDICT_WOULD_DROP]
					[reason & (SIPDAM_REASONS_MAX - 1)],
			  work->packet.length);
}

/*
 * Is it a ServerHello that the gate refuses, and that goes out so that its client refuses it? Silence would
 * cost both ends a minute. A trial alters nothing.
 */
static __always_inline bool goes_out_useless(frame_t *frame, const struct work *work, int reason)
{
	return reason == SIPDAM_REASON_TLS_VERSION && !is_trial &&
	       tls_make_useless(frame, &work->packet, &work->hello);
}

/* For trials: does a glance say anything of the packet that its headers do not? */
__noinline int glance_errs(frame_t *frame, const struct sipdam_policy *policy, struct work *work)
{
	struct packet glanced = {};
	__u64 words[GLANCE_WORDS];
	bool ours;

	if (!policy || !work)
		return 0;
	begin(frame, work);
	ours = is_read(frame, policy, work);
	if (is_other(frame, policy))
		return ours;
	glanced.present = work->packet.present;
	glanced.length = work->packet.length;
	return packet_glance(frame, policy, &glanced, words) == GLANCE_OURS &&
	       (!ours || !packet_same(&glanced, &work->packet));
}

SEC("tc")
int sipdam_egress(struct __sk_buff *frame)
{
	const struct sipdam_policy *policy = policy_in_force();
	struct sipdam_trial *report = trial_record();
	int reason = SIPDAM_REASON_EGRESS, verdict = SIPDAM_VERDICT_PASS;
	__u32 zero = 0;
	struct work *work;
	bool other;

	if (!policy)
		return TC_ACT_UNSPEC;
	other = is_other(frame, policy);
	if (other && !is_trial)
		return TC_ACT_UNSPEC;
	work = bpf_map_lookup_elem(&egress_room, &zero);
	if (!work)
		return TC_ACT_UNSPEC;
	if (is_trial) {
		bool errs = glance_errs(frame, policy, work);

		if (report && (other || errs))
			report_trial(report, errs ? SIPDAM_REASON_NONE : SIPDAM_REASON_EGRESS,
				     SIPDAM_VERDICT_PASS, &work->packet, &work->message);
		if (other || errs)
			return TC_ACT_UNSPEC;
	}
	begin(frame, work);
	other = !is_ours(frame, policy, work);
	if (work->headless)
		reason = SIPDAM_REASON_TRUNCATED;
	if (!other) {
		work->now = clock_now(&work->clock);
		other = !is_protected(policy, work);
	}
	if (other)
		work->message.method = SIPDAM_METHOD_NONE;
	if (!other && !is_of_tls(&work->packet) && !work->message.method)
		classify(frame, work);
	if (report) /* while the packet's source is the sender */
		report_trial(report, reason, verdict, &work->packet, &work->message);
	if (other)
		return TC_ACT_UNSPEC;
	reason = judge(frame, policy, work);
	if (is_drop(reason))
		verdict = spares_all(policy, work->now) ? SIPDAM_VERDICT_WOULD_DROP : SIPDAM_VERDICT_DROP;
	count_sent(frame->ifindex, work, reason, verdict);
	if (report) {
		report->reason = reason;
		report->dropped = verdict == SIPDAM_VERDICT_DROP;
	}
	if (verdict != SIPDAM_VERDICT_DROP || goes_out_useless(frame, work, reason))
		return TC_ACT_UNSPEC;
	return TC_ACT_SHOT;
}
