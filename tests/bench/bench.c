// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Nanoseconds a packet of the filter, next to a bare drop or pass in the same moment. Cases are interleaved
 * round by round and the median counts, because a shared machine's speed changes under the benchmark. Needs
 * root; everything happens in a network namespace of its own.
 *
 *   bench [ROUNDS [PACKETS-A-ROUND [NAME]]]   default: 31 rounds of 100,000 packets
 *
 * NAME: only the cases whose name has it, and the bare ones.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bans.h"
#include "filter.h"
#include "known.h"
#include "settings.h"
#include "vary.skel.h"

#define ROUNDS_MAX  999
#define FRAME_BYTES 559 /* a SIPp INVITE with its SDP */
#define FRAME_MAX   1514

enum program { BARE_DROP, BARE_PASS, BARE_LINE, FILTER };
enum policy {
	POLICY_DEFAULT,
	POLICY_DENY,
	POLICY_WIDE,
	POLICY_BANS,
	POLICY_WIDE_BANS,
	POLICY_NO_POOL,      /* nothing for strangers, each of whom may send what he likes */
	POLICY_VERIFICATION, /* the same, and they must send again */
	POLICY_LISTED,       /* this and what follows: a deny list of a million, see listings */
	POLICY_LISTED_24,
	POLICY_LISTED_28,
	POLICY_LISTED_IPV6,
	POLICY_LISTED_64,
	POLICY_ALL, /* everything that a stranger's packet can be asked: lists, bans, trust, verification */
	POLICIES
};

/* What the packets are, over UDP or TCP. */
enum kind { KIND_INVITE, KIND_SYN, KIND_DATA, KIND_HELLO, KIND_ACK };

struct sample_case {
	const char *name;
	enum program program;
	enum program bare; /* what it is compared with */
	__u16 port;
	__u32 base, sources;
	enum policy policy;
	__u32 expected; /* verdict of nearly every packet */
	double sample[ROUNDS_MAX];
	double bare_sample[ROUNDS_MAX]; /* of the bare program, right before each */
	__u32 spread; /* of the sources; 0: none */
	bool ipv6;
	enum kind kind;
	__u32 before; /* packets that go before each sample and are not counted */
	bool begins;  /* with sources in each round that were in none before it */
};

#define TEN    0x0a000000u
#define ELEVEN 0x0b000000u
#define TWENTY 0x14000000u
#define DENIED 0xc0000200u /* 192.0.2.0/24 */
#define BANNED 0xac100000u /* 172.16.0.0, and 50,000 from there */

/* Bans in force under POLICY_BANS, and for how long: longer than a benchmark. */
#define BANS         50000
#define BANS_LASTING (24ULL * 3600 * 1000000000)
#define TRUSTED      10000 /* under POLICY_ALL, from the address behind the last banned one */

/* A case that is compared with a bare verdict, which is the verdict expected of nearly every packet. */
#define CASE(label, what, verdict, to, from, many, rules)                                                    \
	{                                                                                                    \
		.name = label, .program = what, .bare = BARE_##verdict, .port = to, .base = from,            \
		.sources = many, .policy = POLICY_##rules, .expected = XDP_##verdict                         \
	}

/* Packets of a flood that lasts, before each sample: of 10,000 sources each has spent its burst of 50 by then. */
#define LASTED 600000

/* A flood from 10,000 sources that lasts: each is refused by its own limit as far as it sends more than that admits. */
#define LASTING_CASE(label, rules)                                                                           \
	{                                                                                                    \
		.name = label, .program = FILTER, .bare = BARE_DROP, .port = 5060, .base = ELEVEN,           \
		.sources = 10000, .policy = POLICY_##rules, .expected = XDP_DROP, .before = LASTED           \
	}

/* A flood from 10,000 sources that begins: none has spent its burst. */
#define BEGINNING_CASE(label)                                                                                \
	{                                                                                                    \
		.name = label, .program = FILTER, .bare = BARE_DROP, .port = 5060, .base = TWENTY,           \
		.sources = 10000, .policy = POLICY_DEFAULT, .expected = XDP_DROP, .begins = true             \
	}

/* Scatters addresses: an odd number, moved to where a prefix ends. */
#define SCATTER 2654435761u

#define MILLION 1000000

/* Lists of a million entries: their length, and how the addresses of packets are made to meet them. */
static const struct listing {
	__u32 spread;
	__u32 bits;
	bool ipv6;
} listings[POLICIES] = {
	[POLICY_LISTED] = {SCATTER, 128, false},
	[POLICY_LISTED_24] = {SCATTER << 8, 96 + 24, false},
	[POLICY_LISTED_28] = {SCATTER << 4, 96 + 28, false},
	[POLICY_LISTED_IPV6] = {SCATTER, 128, true},
	[POLICY_LISTED_64] = {SCATTER, 64, true},
	[POLICY_ALL] = {SCATTER, 128, false},
};

/* A flood that lasts from a million sources, each of which meets its own entry. */
#define DENIED_CASE(label, rules, scattered, family6)                                                        \
	{                                                                                                    \
		.name = label, .program = FILTER, .bare = BARE_DROP, .port = 5060, .sources = MILLION,       \
		.policy = POLICY_##rules, .expected = XDP_DROP, .spread = scattered, .ipv6 = family6,        \
		.before = LASTED                                                                             \
	}

/* From one source over TCP. */
#define TCP_CASE(label, what, verdict, rules)                                                                \
	{                                                                                                    \
		.name = label, .program = FILTER, .bare = BARE_##verdict, .port = 5061, .base = TEN,         \
		.sources = 1, .policy = POLICY_##rules, .expected = XDP_##verdict, .kind = KIND_##what       \
	}

static struct sample_case cases[] = {
	CASE("bare XDP_DROP", BARE_DROP, DROP, 5060, TEN, 1, DEFAULT),
	CASE("bare XDP_PASS", BARE_PASS, PASS, 5060, TEN, 1, DEFAULT),
	CASE("one memory line each, 10,000 sources", BARE_LINE, DROP, 5060, ELEVEN, 10000, DEFAULT),
	CASE("one memory line each, 1,000,000", BARE_LINE, DROP, 5060, ELEVEN, 1000000, DEFAULT),
	CASE("one memory line each, 16,000,000", BARE_LINE, DROP, 5060, ELEVEN, 16000000, DEFAULT),
	CASE("not SIP (RTP)", FILTER, PASS, 20000, TEN, 1, DEFAULT),
	CASE("denied address", FILTER, DROP, 5060, DENIED, 1, DENY),
	CASE("banned source", FILTER, DROP, 5060, BANNED, 1, BANS),
	CASE("50,000 banned sources", FILTER, DROP, 5060, BANNED, BANS, BANS),
	CASE("one hot source, dropped", FILTER, DROP, 5060, TEN, 1, DEFAULT),
	CASE("one source, passed", FILTER, PASS, 5060, TEN, 1, WIDE),
	TCP_CASE("TLS, a segment in mid-message", DATA, PASS, WIDE),
	TCP_CASE("TLS, a bare acknowledgement", ACK, PASS, WIDE),
	TCP_CASE("TCP, SYN dropped", SYN, DROP, DEFAULT),
	TCP_CASE("TLS, hello of 20 extensions", HELLO, PASS, WIDE),
	TCP_CASE("TLS, hello dropped", HELLO, DROP, DEFAULT),
	LASTING_CASE("10,000 sources", DEFAULT),
	BEGINNING_CASE("10,000 sources, as a flood begins"),
	CASE("one hot source, others are banned", FILTER, DROP, 5060, TEN, 1, BANS),
	CASE("one source, passed, others are banned", FILTER, PASS, 5060, TEN, 1, WIDE_BANS),
	LASTING_CASE("10,000 sources, others are banned", BANS),
	CASE("1,000,000 sources", FILTER, DROP, 5060, ELEVEN, 1000000, DEFAULT),
	CASE("16,000,000 sources, spoofed", FILTER, DROP, 5060, ELEVEN, 16000000, DEFAULT),
	CASE("10,000, refused by the pool", FILTER, DROP, 5060, ELEVEN, 10000, NO_POOL),
	CASE("10,000, verification", FILTER, DROP, 5060, ELEVEN, 10000, VERIFICATION),
	CASE("1,000,000, verification", FILTER, DROP, 5060, ELEVEN, 1000000, VERIFICATION),
	CASE("16,000,000 spoofed, all stages on", FILTER, DROP, 5060, ELEVEN, 16000000, ALL),
	LASTING_CASE("10,000, not among 1,000,000 listed", LISTED),
	CASE("denied address, of 1,000,000 listed", FILTER, DROP, 5060, SCATTER, 1, LISTED),
	DENIED_CASE("denied, one of 1,000,000 listed", LISTED, SCATTER, false),
	DENIED_CASE("denied by a /24, of 1,000,000", LISTED_24, SCATTER << 8, false),
	DENIED_CASE("denied by a /28, of 1,000,000", LISTED_28, SCATTER << 4, false),
	DENIED_CASE("denied, one of 1,000,000 of IPv6", LISTED_IPV6, SCATTER, true),
	DENIED_CASE("denied by a /64, of 1,000,000", LISTED_64, SCATTER, true),
};
#define CASES (sizeof(cases) / sizeof(*cases))

static struct vary_bpf *vary;
static struct filter *filters[POLICIES];

static void die(const char *what, int error)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

static void put16(__u8 *at, unsigned int value)
{
	at[0] = value >> 8;
	at[1] = value;
}

/* The source but for its third and fourth group. */
static const __u8 source6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

static void put_ipv4(__u8 *header, unsigned int bytes, __u8 protocol)
{
	memset(header, 0, 20);
	header[0] = 0x45;
	put16(header + 2, bytes);
	header[8] = 64;
	header[9] = protocol;
}

static void put_ipv6(__u8 *header)
{
	memset(header, 0, 40);
	header[0] = 0x60;
	put16(header + 4, FRAME_BYTES - 54);
	header[6] = 17;
	header[7] = 64;
	memcpy(header + 8, source6, sizeof(source6));
}

/* An INVITE over UDP, source and checksums left to the harness and to nobody. */
static void make_frame(__u8 frame[FRAME_BYTES], __u16 port, bool ipv6)
{
	__u8 *udp = frame + 14 + (ipv6 ? 40 : 20);

	static const char text[] = "INVITE sip:service@192.0.2.1:5060 SIP/2.0\r\n"
				   "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKabcdefgh\r\n"
				   "From: caller <sip:caller@10.0.0.1:5060>;tag=1\r\n"
				   "To: service <sip:service@192.0.2.1:5060>\r\nCall-ID: 1-1@10.0.0.1\r\n"
				   "CSeq: 1 INVITE\r\nMax-Forwards: 70\r\n\r\n";

	memset(frame, ' ', FRAME_BYTES);
	memset(frame, 2, 12);
	put16(frame + 12, ipv6 ? 0x86dd : 0x0800);
	if (ipv6)
		put_ipv6(frame + 14);
	else
		put_ipv4(frame + 14, FRAME_BYTES - 14, 17);
	put16(udp, 5060);
	put16(udp + 2, port);
	put16(udp + 4, FRAME_BYTES - (udp - frame));
	memcpy(udp + 8, text, sizeof(text) - 1);
}

#define HELLO_BYTES      600
#define HELLO_EXTENSIONS 20

/*
 * A ClientHello as a browser sends it: a session's number, 16 cipher suites and 20 extensions, of which the
 * last is the list of versions. The one before is padding, where the harness keeps its state.
 */
static void put_hello(__u8 *hello)
{
	static const __u8 versions[] = {0, 43, 0, 5, 4, 3, 4, 3, 3};
	__u8 *at = hello + 9 + 34;

	memset(hello, 0, HELLO_BYTES);
	memcpy(hello, "\x16\3\1", 3);
	put16(hello + 3, HELLO_BYTES - 5);
	hello[5] = 1;
	put16(hello + 7, HELLO_BYTES - 9);
	put16(hello + 9, 0x0303);
	*at = 32;
	at += 33;
	put16(at, 32);
	at += 34;
	*at = 1;
	at += 2;
	put16(at, HELLO_BYTES - (at + 2 - hello));
	at += 2;
	for (int i = 0; i < HELLO_EXTENSIONS - 2; i++, at += 4 + 8) {
		put16(at, 100 + i);
		put16(at + 2, 8);
	}
	put16(at, 21);
	put16(at + 2, hello + HELLO_BYTES - sizeof(versions) - at - 4);
	memcpy(hello + HELLO_BYTES - sizeof(versions), versions, sizeof(versions));
}

/* A segment of TCP over IPv4. Returns the frame's length. */
static __u32 make_segment(__u8 *frame, __u16 port, enum kind kind)
{
	__u8 *tcp = frame + 14 + 20;
	__u32 bytes = kind == KIND_SYN || kind == KIND_ACK ? 0 : kind == KIND_HELLO ? HELLO_BYTES : FRAME_BYTES - 54;

	memset(frame, 0xc3, FRAME_MAX);
	memset(frame, 2, 12);
	put16(frame + 12, 0x0800);
	put_ipv4(frame + 14, 40 + bytes, 6);
	memset(tcp, 0, 20);
	put16(tcp, 40000);
	put16(tcp + 2, port);
	tcp[12] = 5 << 4;
	tcp[13] = kind == KIND_SYN ? 0x02 : kind == KIND_ACK ? 0x10 : 0x18;
	if (kind == KIND_HELLO)
		put_hello(tcp + 20);
	return bytes + 54 > FRAME_BYTES ? bytes + 54 : FRAME_BYTES;
}

/* A namespace with a veth pair: the harness is attached there, or each test run patches the kernel. */
static void make_place(void)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	int error;

	if (unshare(CLONE_NEWNET))
		die("making a network namespace (root is needed)", errno);
	if (system("ip link add bench0 type veth peer name bench1 && ip link set bench0 up && ip link set "
		   "bench1 up"))
		die("making a veth pair", EIO);
	error = bpf_xdp_attach(if_nametoindex("bench0"), bpf_program__fd(vary->progs.vary_source),
			       XDP_FLAGS_DRV_MODE, &opts);
	if (error)
		die("attaching the harness", error);
}

/* Test runs come in by the loopback device: it gets the counters' first slot. */
static void count_loopback(struct filter *filter)
{
	struct sipdam_interfaces interfaces = {.ifindex = {1}};
	__u32 zero = 0;

	if (bpf_map_update_elem(filter_map(filter, "interfaces"), &zero, &interfaces, BPF_ANY))
		die("naming the interface", errno);
}

/* Limits that admit everything and are charged all the same: one tick a packet, a bucket of days. */
static void widen(struct sipdam_policy *policy)
{
	const struct sipdam_limit wide = {.interval = 1, .depth = 1ULL << 42};

	for (int class = 1; class < SIPDAM_CLASSES_MAX; class ++) {
		policy->limits[SIPDAM_TIER_UNKNOWN][class] = wide;
		policy->pool[class] = wide;
	}
	policy->network = wide;
	policy->horizon = wide.depth;
}

/* Limits of which the pools' alone are ever met. */
static void no_pool(struct sipdam_policy *policy)
{
	const struct sipdam_limit none = {.interval = 1};

	widen(policy);
	for (int class = 1; class < SIPDAM_CLASSES_MAX; class ++)
		policy->pool[class] = none;
}

/* Some that are trusted, none of whom sends here. */
static void trust_many(struct filter *filter)
{
	struct known known;

	if (known_map(&known, filter_map(filter, "known"), filter_map(filter, "known_records"),
		      filter_map(filter, "known_gate"), filter_map(filter, "secrets")))
		die("mapping the trusted sources", errno);
	for (__u32 n = 0; n < TRUSTED; n++) {
		struct known_grant grant = {.source = {.bits = 128, .address = {[10] = 0xff, [11] = 0xff}},
					    .trusted = true,
					    .cause = SIPDAM_KNOWN_MANUAL,
					    .lasting = BANS_LASTING};
		__be32 address = htonl(BANNED + BANS + n);

		memcpy(grant.source.address + 12, &address, sizeof(address));
		known_add(&known, &grant, book_now());
	}
	known_close(&known);
}

static void ban_many(struct filter *filter, const struct sipdam_policy *policy)
{
	struct bans bans;

	if (bans_map(&bans, filter_map(filter, "bans"), filter_map(filter, "ban_records"),
		     filter_map(filter, "ban_gate"), filter_map(filter, "secrets")))
		die("mapping the bans", errno);
	for (__u32 n = 0; n < BANS; n++) {
		struct sipdam_prefix source = {.bits = 128, .address = {[10] = 0xff, [11] = 0xff}};
		__be32 address = htonl(BANNED + n);

		memcpy(source.address + 12, &address, sizeof(address));
		bans_add(&bans, &source, book_now(), BANS_LASTING, policy->ban_max);
	}
	bans_close(&bans);
}

/* A million entries, each of which one scattered source meets. */
static void deny_million(struct filter *filter, const struct listing *listing)
{
	struct prefix_set set = {};
	struct book none = {}, book;
	struct book_change change = {.origin = SIPDAM_ENTRY_MANUAL, .prefixes = &set};
	int error = 0;

	for (__u32 i = 0; !error && i < MILLION; i++) {
		__u32 scattered = htonl(i * listing->spread);
		struct sipdam_prefix prefix = {.bits = listing->bits, .address = {[10] = 0xff, [11] = 0xff}};

		if (listing->ipv6)
			memcpy(prefix.address, source6, sizeof(source6));
		if (listing->bits == 64)
			prefix.address[15] = 0;
		memcpy(prefix.address + (listing->ipv6 ? 4 : 12), &scattered, sizeof(scattered));
		error = prefix_set_add(&set, &prefix);
	}
	if (!error)
		error = book_apply(&none, &change, 0, &book);
	if (!error)
		error = filter_trial_list(filter, SIPDAM_LIST_DENY, &book);
	if (error)
		die("listing a million", error);
	book_free(&book);
	prefix_set_free(&set);
}

/* Is the case among those asked for? The bare ones always are. */
static bool is_wanted(const struct sample_case *one, const char *name)
{
	return one->program <= BARE_LINE || !name || strstr(one->name, name);
}

static bool is_needed(enum policy policy, const char *name)
{
	for (size_t i = 0; i < CASES; i++)
		if (cases[i].policy == policy && is_wanted(&cases[i], name))
			return true;
	return false;
}

static void open_filters(const char *name)
{
	struct problem problem;
	struct settings settings;

	for (int policy = 0; policy < POLICIES; policy++) {
		if (!is_needed(policy, name))
			continue;
		settings_default(&settings);
		if (policy == POLICY_DENY && (settings_assign(&settings, "deny=[192.0.2.0/24]", &problem) ||
					      settings_finish(&settings, &problem)))
			die(problem.text, EINVAL);
		if (policy == POLICY_WIDE || policy == POLICY_WIDE_BANS)
			widen(&settings.policy);
		if (policy == POLICY_NO_POOL || policy == POLICY_VERIFICATION)
			no_pool(&settings.policy);
		if (policy == POLICY_NO_POOL)
			settings.policy.verify_enabled = 0;
		if (filter_open_private(&filters[policy], &settings, true, &problem))
			die(problem.text, EIO);
		count_loopback(filters[policy]);
		if (policy == POLICY_BANS || policy == POLICY_WIDE_BANS || policy == POLICY_ALL)
			ban_many(filters[policy], &settings.policy);
		if (policy == POLICY_ALL)
			trust_many(filters[policy]);
		if (policy >= POLICY_LISTED)
			deny_million(filters[policy], &listings[policy]);
		settings_free(&settings);
	}
}

static int program_of(const struct sample_case *one)
{
	if (one->program == FILTER)
		return filter_program(filters[one->policy]);
	if (one->program == BARE_LINE)
		return bpf_program__fd(vary->progs.bare_line);
	return bpf_program__fd(one->program == BARE_DROP ? vary->progs.bare_drop : vary->progs.bare_pass);
}

/* Nanoseconds a packet over `packets` of them, and the last one's verdict. */
static double measure_once(const struct sample_case *one, __u32 packets, __u64 seed, __u32 *verdict)
{
	struct {
		__u32 base, sources, spread, requests;
	} varying = {one->base, one->sources, one->spread ? one->spread : 1, one->kind == KIND_INVITE && !one->ipv6};
	__u8 frame[FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = FRAME_BYTES,
		    .repeat = packets);
	int program = program_of(one), error;
	__u32 zero = 0;

	if (one->kind == KIND_INVITE)
		make_frame(frame, one->port, one->ipv6);
	else
		opts.data_size_in = make_segment(frame, one->port, one->kind);
	memcpy(frame + 500, &seed, sizeof(seed));
	if (bpf_map_update_elem(bpf_map__fd(vary->maps.varying), &zero, &varying, BPF_ANY) ||
	    bpf_map_update_elem(bpf_map__fd(vary->maps.under_test), &zero, &program, BPF_ANY))
		die("preparing a case", errno);
	error = bpf_prog_test_run_opts(bpf_program__fd(vary->progs.vary_source), &opts);
	if (error)
		die("running the program", error);
	*verdict = opts.retval;
	return opts.duration;
}

/* The last packet may be one of the few that a pool lets in: of three runs in a row that is not so. */
static double measure(const struct sample_case *one, __u32 packets, __u64 seed)
{
	__u32 verdict;

	for (int attempt = 0; attempt < 3; attempt++) {
		double nanoseconds = measure_once(one, packets, seed + attempt * 1000003ULL, &verdict);

		if (verdict == one->expected)
			return nanoseconds;
	}
	fprintf(stderr, "bench: %s: verdict %u instead of %u\n", one->name, verdict, one->expected);
	exit(1);
}

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static double percentile(const double *samples, int rounds, int percent)
{
	double sorted[ROUNDS_MAX];

	memcpy(sorted, samples, rounds * sizeof(*sorted));
	qsort(sorted, rounds, sizeof(*sorted), compare);
	return sorted[rounds * percent / 100];
}

/* The bare program that went the same way with as many sources. */
static const struct sample_case *bare_of(const struct sample_case *one)
{
	for (size_t i = 0; i < CASES; i++)
		if (cases[i].program == one->bare)
			return &cases[i];
	return one;
}

static void print(int rounds, __u32 packets, const char *name)
{
	printf("Nanoseconds a packet: median and quietest tenth of %d interleaved rounds of\n"
	       "%u packets; net is what the filter adds to the bare program.\n\n",
	       rounds, packets);
	printf("%-36s %8s %8s %10s %8s\n", "", "median", "p10", "net median", "net p10");
	for (size_t i = 0; i < CASES; i++) {
		const struct sample_case *one = &cases[i];
		double median = percentile(one->sample, rounds, 50), quiet = percentile(one->sample, rounds, 10);

		if (!is_wanted(one, name))
			continue;
		printf("%-36s %8.1f %8.1f", one->name, median, quiet);
		if (one->program >= BARE_LINE)
			printf(" %10.1f %8.1f", median - percentile(one->bare_sample, rounds, 50),
			       quiet - percentile(one->bare_sample, rounds, 10));
		printf("\n");
	}
}

/* Bare packets before a sample: a CPU that waited for memory in the last one is slower for a millisecond. */
#define SETTLED 200000

/* A sample, behind one of the bare program in the same moment, and behind what its flood has left in the caches. */
static void take_sample(struct sample_case *one, int round, __u32 packets)
{
	const struct sample_case *bare = bare_of(one);
	__u64 seed = round * CASES + (one - cases) + 99;
	__u32 before = one->before ? one->before : one->sources > 1 && !one->begins ? packets : 0, verdict;

	if (one->begins)
		one->base += one->sources;
	measure(bare, SETTLED, seed);
	one->bare_sample[round] = measure(bare, packets, seed);
	if (before)
		measure_once(one, before, seed + 999983, &verdict);
	one->sample[round] = measure(one, packets, seed);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 31;
	__u32 packets = argc > 2 ? atoi(argv[2]) : 100000;
	const char *name = argc > 3 ? argv[3] : NULL;
	cpu_set_t cpu;

	if (rounds < 1 || rounds > ROUNDS_MAX || packets < 1000) {
		fprintf(stderr, "bench: 1 to %d rounds of at least 1,000 packets\n", ROUNDS_MAX);
		return 2;
	}
	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
	vary = vary_bpf__open_and_load();
	if (!vary)
		die("loading the harness (root is needed)", errno);
	make_place();
	open_filters(name);
	for (size_t i = 0; i < CASES; i++)
		if (is_wanted(&cases[i], name))
			measure(&cases[i], packets * 10, i + 1); /* fills the tables: not counted */
	for (int round = 0; round < rounds; round++)
		for (size_t i = 0; i < CASES; i++)
			if (is_wanted(&cases[i], name))
				take_sample(&cases[i], round, packets);
	print(rounds, packets, name);
	return 0;
}
