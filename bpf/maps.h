/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map: what it is for, its bound, who writes it, what happens when it is full and which counter
 * shows it. All are allocated when the program is loaded; nothing a packet does allocates.
 *
 * What nearly every packet asks is a variable in a section of its own, ".data.NAME", of which libbpf makes an array
 * of one entry: reading it is one instruction, where a look-up is ten. It is pinned and kept as the others
 * are, under NAME, and all CPUs share it: the tool writes it, or an exchange of one word.
 */
#ifndef MAPS_H
#define MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "sipdam/state.h"

/* Two policies, of which `active` names the one in force. Both are written by the tool only. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct sipdam_policy);
} policy SEC(".maps");

struct sipdam_front active SEC(".data.active") = {0};

/* The two policies once more, for later versions of the tool. Never read by a packet. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct sipdam_text);
} settings SEC(".maps");

/*
 * Prefix lists, in pieces of lines (sipdam/index.h), each list at two places of which the policy names the
 * one in force. The tool makes and fills pieces and puts them here; a packet never writes one. Full: the
 * tool refuses the entry.
 */
struct list_piece {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SIPDAM_PIECE_LINES);
	__uint(key_size, sizeof(__u32)); /* clang leaves the types of an inner map undefined */
	__uint(value_size, sizeof(struct sipdam_line));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, SIPDAM_LIST_PIECE(SIPDAM_LISTS, 0));
	__type(key, __u32);
	__array(values, struct list_piece);
} lists SEC(".maps");

/*
 * Buckets of sources: `sources` lines of eight words, set before load. Full: the word with the smallest
 * arrival time is replaced; one still in the future counts as SIPDAM_TABLE_SOURCE_DISPLACED.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct sipdam_line);
} sources SEC(".maps");

/* Buckets of networks, an eighth as many lines; full: as sources (SIPDAM_TABLE_NETWORK_DISPLACED). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct sipdam_line);
} networks SEC(".maps");

/* One bucket a class for all unknown sources; cannot fill. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SIPDAM_CLASSES_MAX);
	__type(key, __u32);
	__type(value, struct sipdam_pool);
} pools SEC(".maps");

/*
 * Requests that strangers must send again: as many lines as `sources`, fifteen stamps each. Full: the oldest
 * of the line is forgotten, and its sender has to send once more; nothing is counted, since this is how it
 * works. Touched only while a pool is exhausted.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct sipdam_stamps);
} stamps SEC(".maps");

/* Who has sent again. Full: the oldest of the line is forgotten, and has to send again once more. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SIPDAM_VERIFIED_LINES);
	__type(key, __u32);
	__type(value, struct sipdam_line);
} verified SEC(".maps");

/* Whether one may be among them: cannot fill; with many of them more lines are read in vain. */
struct sipdam_verified_gate verified_gate SEC(".data.verified_gate") = {0};

/*
 * Buckets of sources that are known to refuse for the next moment. Full: the one that ends first is forgotten, and its
 * source judged like others; nothing is counted, since nothing follows from it.
 */
struct sipdam_spent spent SEC(".data.spent") = {0};

/*
 * Messages that may come again by the protocol's timers: requests of sources that have used half of a limit, and
 * refusals by the server. Full: the oldest of the line is forgotten, and its copies are charged
 * (SIPDAM_TABLE_COPY_DISPLACED).
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SIPDAM_COPY_LINES);
	__type(key, __u32);
	__type(value, struct sipdam_line);
} copies SEC(".maps");

/* Verdicts of first fragments for 65,536 datagrams at once; full: see fragments.h. */
#define FRAGMENT_LINES 8192
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FRAGMENT_LINES);
	__type(key, __u32);
	__type(value, struct sipdam_line);
} fragments SEC(".maps");

/*
 * Bans, until when and of whom: written by the tool and by packets. Full: a ban is refused where the eight
 * places of its line are taken by bans in force (SIPDAM_TABLE_BAN_REFUSED); one that has ended gives its
 * place up to the next, the longest ended first.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SIPDAM_BAN_LINES);
	__type(key, __u32);
	__type(value, struct sipdam_line);
} bans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SIPDAM_BAN_LINES *SIPDAM_WAYS);
	__type(key, __u32);
	__type(value, struct sipdam_ban);
} ban_records SEC(".maps");

struct sipdam_ban_gate ban_gate SEC(".data.ban_gate") = {0};

/*
 * Whom the limits of single sources refuse most: a record for `sipdam status`, which no verdict depends on. Each
 * CPU writes its own. Full: the slot of who is refused less often goes to the next (SIPDAM_TABLE_REFUSED_DISPLACED).
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SIPDAM_REFUSED_SLOTS);
	__type(key, __u32);
	__type(value, struct sipdam_refused);
} refused SEC(".maps");

/*
 * Known sources, trusted and peers: written by the tool, and by what the server sends. Full: one more is
 * refused, and the tool says so, or SIPDAM_TABLE_GRANT_REFUSED counts it; one whose time has ended gives its
 * place up to the next, and a peer to a trusted source.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SIPDAM_KNOWN_LINES);
	__type(key, __u32);
	__type(value, struct sipdam_line);
} known SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SIPDAM_KNOWN_LINES *SIPDAM_WAYS);
	__type(key, __u32);
	__type(value, struct sipdam_known);
} known_records SEC(".maps");

struct sipdam_ban_gate known_gate SEC(".data.known_gate") = {0};

/* What all CPUs together may grant and answer in a second. Cannot fill. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sipdam_line);
} budgets SEC(".maps");

/*
 * What the server answered to sources lately, challenges and refusals: written by what it sends. Full: the
 * oldest of the line is forgotten (SIPDAM_TABLE_FAILURE_DISPLACED).
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SIPDAM_FAILURE_LINES);
	__type(key, __u32);
	__type(value, struct sipdam_line);
} failures SEC(".maps");

/*
 * Where in a stream of TCP the server's next message begins. Full: the connection longest silent is forgotten, those
 * that are over first (SIPDAM_TABLE_STREAM_DISPLACED), and none is taken up under way any more.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SIPDAM_STREAM_LINES);
	__type(key, __u32);
	__type(value, struct sipdam_line);
} streams SEC(".maps");

/*
 * Connections of TCP on SIP ports: begun by the server's answer to a SYN. Full: an opening gives way to the next
 * one, an open connection to none; where open ones have the whole line, one more is not remembered
 * (SIPDAM_CONNECTION_REFUSED).
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SIPDAM_CONNECTION_LINES);
	__type(key, __u32);
	__type(value, struct sipdam_line);
} connections SEC(".maps");

/* Open connections of sources. Full: the source with the fewest gives way (SIPDAM_CONNECTION_DISPLACED). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SIPDAM_LEVEL_LINES);
	__type(key, __u32);
	__type(value, struct sipdam_line);
} conn_levels SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SIPDAM_CONNECTION_EVENTS);
	__type(key, __u32);
	__type(value, __u64);
} conn_events SEC(".maps");

/* Hellos of TLS by version, on all interfaces. Cannot fill. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sipdam_tls_meter);
} tls_meter SEC(".maps");

/* Which slot of the counters an interface has. Written by the tool only. */
struct sipdam_interfaces interfaces SEC(".data.interfaces") = {0};

/* Counts by interface, and room to work: one look-up gives a packet both. Cannot fill. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SIPDAM_INTERFACES_MAX + 1);
	__type(key, __u32);
	__type(value, struct sipdam_counters);
} counters SEC(".maps");

/* What earlier programs counted in counters of another shape. Written by upgrades only. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SIPDAM_INTERFACES_MAX);
	__type(key, __u32);
	__type(value, struct sipdam_carried);
} carried SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SIPDAM_TABLE_EVENTS);
	__type(key, __u32);
	__type(value, __u64);
} table_events SEC(".maps");

/* What is pinned here: written by the tool, never read by a packet. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sipdam_meta);
} meta SEC(".maps");

/* The hash's keys, for a later program to go on with the same tables. Root alone may read it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sipdam_secret);
} secrets SEC(".maps");

/* Replay and tests hand a packet's time in here and read its verdict; unused by a live program. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sipdam_trial);
} trial SEC(".maps");

/* Fixed at load. */
const volatile __u8 is_trial = 0;        /* 1: clock and wire length come from the trial map */
const volatile __u32 source_mask = 1023; /* lines of sources, less one */
const volatile __u32 network_mask = 1023;
const volatile __u32 stamp_mask = 1023;
const volatile struct sipdam_secret secret = {}; /* keys of the hash; drawn when the tables are made */

#endif
