/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the lab's programs share: a clock, reading numbers and addresses, stopping on a signal.
 * For tests, the demo and benchmarks inside private network namespaces; no part of the filter.
 */
#ifndef LAB_H
#define LAB_H

#include <arpa/inet.h>
#include <argp.h>
#include <errno.h>
#include <linux/types.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LAB_SECOND      1000000000ULL
#define LAB_MILLISECOND 1000000ULL

/* An address or a prefix in network byte order; the first 4 or all 16 bytes count. */
struct lab_prefix {
	int family;
	unsigned int bits;
	__u8 bytes[16];
};

static volatile sig_atomic_t lab_stopped;

static inline void lab_on_signal(int signal)
{
	(void)signal;
	lab_stopped = 1;
}

/* From here SIGINT and SIGTERM set lab_stopped and interrupt a system call that waits. */
static inline void lab_stop_on_signals(void)
{
	struct sigaction action = {.sa_handler = lab_on_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* Nanoseconds since boot. */
static inline __u64 lab_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (__u64)time.tv_sec * LAB_SECOND + (__u64)time.tv_nsec;
}

/* Reads an option's whole number between two bounds; ends the program with a usage error otherwise. */
static inline __u64 lab_number(struct argp_state *state, const char *what, const char *text, __u64 least,
			       __u64 most)
{
	char *end;
	__u64 value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < least || value > most)
		argp_error(state, "%s '%s': a whole number from %llu to %llu was expected", what, text, least,
			   most);
	return value;
}

/* Reads "192.0.2.1", "192.0.2.0/24" and the same of IPv6. 0 or -EINVAL. */
static inline int lab_parse_prefix(const char *text, struct lab_prefix *prefix)
{
	struct lab_prefix parsed = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
	char address[INET6_ADDRSTRLEN];
	size_t length = strcspn(text, "/");
	unsigned long most = parsed.family == AF_INET6 ? 128 : 32, bits = most;
	char *end;

	if (length >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, length);
	address[length] = '\0';
	if (inet_pton(parsed.family, address, parsed.bytes) != 1)
		return -EINVAL;
	if (text[length] == '/') {
		bits = strtoul(text + length + 1, &end, 10);
		if (end == text + length + 1 || *end || bits > most)
			return -EINVAL;
	}
	parsed.bits = (unsigned int)bits;
	*prefix = parsed;
	return 0;
}

/* The same for an option; ends the program with a usage error if it is none, or not a single address. */
static inline void lab_prefix_option(struct argp_state *state, const char *what, const char *text,
				     bool single, struct lab_prefix *prefix)
{
	if (lab_parse_prefix(text, prefix))
		argp_error(state, "%s '%s': an IPv4 or IPv6 address%s was expected", what, text,
			   single ? "" : " or prefix");
	if (single && strchr(text, '/'))
		argp_error(state, "%s '%s': one address was expected, not a prefix", what, text);
}

static inline socklen_t lab_sockaddr(const struct lab_prefix *address, __u16 port,
				     struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (address->family == AF_INET) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		memcpy(&v4->sin_addr, address->bytes, sizeof(v4->sin_addr));
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	memcpy(&v6->sin6_addr, address->bytes, sizeof(v6->sin6_addr));
	return sizeof(*v6);
}

/* Whether the address of a socket's peer lies in the prefix; IPv4-mapped addresses count as IPv4. */
static inline bool lab_prefix_holds(const struct lab_prefix *prefix, const struct sockaddr_storage *peer)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)peer;
	const __u8 *bytes = peer->ss_family == AF_INET
				    ? (const __u8 *)&((const struct sockaddr_in *)peer)->sin_addr
				    : v6->sin6_addr.s6_addr;
	int family = peer->ss_family;
	unsigned int whole = prefix->bits / 8, rest = prefix->bits % 8;

	if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		family = AF_INET;
		bytes += 12;
	}
	if (family != prefix->family || memcmp(bytes, prefix->bytes, whole))
		return false;
	return !rest || !((bytes[whole] ^ prefix->bytes[whole]) >> (8 - rest));
}

/* The address as it stands in a URI: IPv6 in brackets. */
#define LAB_URI_HOST (INET6_ADDRSTRLEN + 2)
static inline void lab_uri_host(const struct lab_prefix *address, char text[LAB_URI_HOST])
{
	char plain[INET6_ADDRSTRLEN] = "";
	const char *open = address->family == AF_INET6 ? "[" : "", *close = *open ? "]" : "";

	inet_ntop(address->family, address->bytes, plain, sizeof(plain));
	stpcpy(stpcpy(stpcpy(text, open), plain), close);
}

/* A bijection of 64 bits that looks random (splitmix64): distinct in, distinct out. */
static inline __u64 lab_mix(__u64 value)
{
	value += 0x9e3779b97f4a7c15ULL;
	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
	return value ^ (value >> 31);
}

#endif
