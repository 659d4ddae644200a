/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What this host's kernel knows of a connection of TCP: for what is rare. A trial knows of no sockets, so that it
 * says the same everywhere.
 */
#ifndef SOCKETS_H
#define SOCKETS_H

#include "maps.h"
#include "packet.h"

/*
 * State of the socket that a segment would go to, an established one before one that listens, as BPF_TCP_*; 0:
 * there is none here, as on a router. A function of its own so that it is verified apart.
 */
__noinline int socket_state(frame_t *frame, const struct packet *packet)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *found;
	struct cursor cursor;
	__be16 ports[2];
	int state;

	if (is_trial || !packet)
		return 0;
	cursor = cursor_open(frame, packet->present, packet->length);
	if (cursor_load(&cursor, packet->transport_offset, ports, PORTS_BYTES))
		return 0;
	if (packet->family == 4) {
		tuple.ipv4.saddr = packet->source.low >> 32;
		tuple.ipv4.daddr = packet->destination.low >> 32;
		tuple.ipv4.sport = ports[0];
		tuple.ipv4.dport = ports[1];
		found = bpf_skc_lookup_tcp(frame, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, &packet->source, sizeof(tuple.ipv6.saddr));
		__builtin_memcpy(tuple.ipv6.daddr, &packet->destination, sizeof(tuple.ipv6.daddr));
		tuple.ipv6.sport = ports[0];
		tuple.ipv6.dport = ports[1];
		found = bpf_skc_lookup_tcp(frame, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!found)
		return 0;
	state = found->state;
	bpf_sk_release(found);
	return state;
}

/* Has its handshake been completed, and is it not over? A forged SYN gets no further than half of one. */
static __always_inline bool is_connected(int state)
{
	return state == BPF_TCP_ESTABLISHED || state == BPF_TCP_FIN_WAIT1 || state == BPF_TCP_FIN_WAIT2 ||
	       state == BPF_TCP_CLOSE_WAIT;
}

#endif
