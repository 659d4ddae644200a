/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the server sends, a packet at a time, and whom that has made known. */
#ifndef PROG_SENT_H
#define PROG_SENT_H

#include "prog/both.h"

#define TCP    6
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define MILLISECOND (SECOND / 1000)
#define UNIT   (1ULL << SIPDAM_BAN_UNIT_SHIFT)

#define SERVER DESTINATION
#define PHONE  SOURCE
#define PHONE6 SOURCE6

#define ANSWER(status, cseq, more)                                                                           \
	"SIP/2.0 " status " Text\r\nVia: SIP/2.0/UDP 192.0.2.1;rport=5070\r\nCSeq: 7 " cseq "\r\n" more      \
	"Content-Length: 0\r\n\r\n"

/* ---- sending ---- */

/* From which port and to which. */
static inline void set_ports(struct frame *frame, int from, int to)
{
	put16(frame->data + frame->at[LAYER_TRANSPORT], from);
	put16(frame->data + frame->at[LAYER_TRANSPORT] + 2, to);
}

static inline void run_frame(const char *name, __u32 gso_size)
{
	struct __sk_buff context = {.gso_size = gso_size};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = way.lab->frame.data,
		    .data_size_in = way.lab->frame.length, .ctx_in = &context, .ctx_size_in = sizeof(context),
		    .repeat = 1);
	int error;

	*way.lab->trial = (struct sipdam_trial){.now = way.lab->now};
	error = bpf_prog_test_run_opts(egress_program(way.egress), &opts);
	if (error)
		fail_msg("%s: running the program: %s", name, strerror(-error));
	if ((int)opts.retval != -1 || way.lab->trial->reason != SIPDAM_REASON_EGRESS ||
	    way.lab->trial->dropped)
		fail_msg("%s: returned %d, reason %s", name, opts.retval,
			 reason_label(way.lab->trial->reason));
}

/* A packet that leaves from a protected port and is counted once; its method and status are told to a trial.
 */
static inline void sends(const char *name, const struct recipe *recipe, int port, int method, int status)
{
	struct sipdam_counters *slot = &way.lab->expected.slot[0];

	frame_build(&way.lab->frame, recipe);
	set_ports(&way.lab->frame, SIP_PORT, port);
	run_frame(name, 0);
	count_up(&slot->reason[0][SIPDAM_REASON_EGRESS], way.lab->frame.length);
	if (way.lab->trial->method != method || way.lab->trial->status != status || way.lab->trial->class)
		fail_msg("%s: method %s, status %u, class %u", name, method_label(way.lab->trial->method),
			 way.lab->trial->status, way.lab->trial->class);
	lab_compare(way.lab, name);
	if (way.lab->failures)
		fail_msg("%s: at %llu ns", name, (unsigned long long)way.lab->now);
}

/* An answer of the server's over UDP to an address and port. */
static inline void answers_port(const char *to, int port, const char *text)
{
	struct recipe recipe = {.source = strchr(to, ':') ? "2001:db8:ffff::1" : SERVER,
				.destination = to,
				.family = strchr(to, ':') ? 6 : 4,
				.payload = text};

	sends(text, &recipe, port, SIPDAM_METHOD_RESPONSE, atoi(text + 8));
}

static inline void answers(const char *to, const char *text)
{
	answers_port(to, 5070, text);
}

/* ---- what came of it ---- */

enum who { STRANGER, PEER, TRUSTED };

static inline bool find(const char *address, struct known_entry *entry)
{
	struct sipdam_prefix source = lab_source(way.lab, address);
	struct known_entries entries;
	bool found = false;

	assert_int_equal(known_list(&way.lab->known, &way.lab->in_force, way.lab->now, &entries), 0);
	for (size_t i = 0; !found && i < entries.count; i++)
		if (!memcmp(&entries.entry[i].source, &source, sizeof(source))) {
			*entry = entries.entry[i];
			found = true;
		}
	known_entries_free(&entries);
	return found;
}

static inline enum who who_is(const char *address)
{
	struct known_entry entry;

	if (!find(address, &entry))
		return STRANGER;
	return entry.trusted ? TRUSTED : PEER;
}

#define is(address, expected)                                                                                \
	do {                                                                                                 \
		enum who got = who_is(address);                                                              \
		if (got != (expected))                                                                       \
			fail_msg("%s:%d: %s is %d, not " #expected, __FILE__, __LINE__, address, got);       \
	} while (0)

/* It ends so long from now on, in the units of ends. */
static inline void ends_in(const char *address, __u64 lasting)
{
	struct known_entry entry = {};

	assert_true(find(address, &entry));
	if (entry.end < way.lab->now + lasting || entry.end >= way.lab->now + lasting + UNIT)
		fail_msg("%s: ends in %lld ns, not %llu", address, (long long)(entry.end - way.lab->now),
			 (unsigned long long)lasting);
}

static inline int cause_of(const char *address)
{
	struct known_entry entry = {};

	assert_true(find(address, &entry));
	return entry.record.cause;
}

static inline __u64 since_of(const char *address)
{
	struct known_entry entry = {};

	assert_true(find(address, &entry));
	return entry.record.since;
}

/* ---- streams ---- */

static __u32 sequence;
static const char *stream_server = SERVER;

/* A segment of the server's to the phone; it takes the connection on. */
static inline void segment_at(__u32 at, const char *text, int bytes, __u8 flags)
{
	struct recipe recipe = {.source = stream_server,
				.destination = PHONE,
				.protocol = TCP,
				.flags = flags,
				.payload = text,
				.payload_bytes = bytes};
	__u8 *tcp;
	__be32 number = htonl(at);

	frame_build(&way.lab->frame, &recipe);
	set_ports(&way.lab->frame, SIP_PORT, 41000);
	tcp = way.lab->frame.data + way.lab->frame.at[LAYER_TRANSPORT];
	memcpy(tcp + 4, &number, 4);
	run_frame(text ? text : "a segment", 0);
	ledger_read(way.lab, &way.lab->expected);
}

static inline void segment(const char *text)
{
	segment_at(sequence, text, 0, 0);
	sequence += strlen(text);
}

static inline void open_connection(void)
{
	segment_at(sequence++, NULL, 0, FLAG_SYN | FLAG_ACK);
}

#endif
