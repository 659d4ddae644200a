/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The program against a second telling of the design (model.h) over random policies and packets
 * (generate.h): verdict, reason, class, method and status of every packet must be the same. A difference
 * is shrunk and left as a capture and a configuration that `sipdam replay` takes.
 *
 *     model_test --seed 1 --packets 1000000
 *     model_test --time 1h          seeds of its own
 */
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>

#include "egress.h"
#include "prog/lab.h"
#include "prog/generate.h"
#include "prog/model.h"
#include "unit/capture_file.h"

#define FIXED_SEEDS 90 /* traces of every run */
#define FRESH_SEEDS 8  /* and of a seed that is new each time */

struct meeting {
	struct lab *lab;
	struct egress *egress;
	struct table connections, levels, budgets;
	struct model model;
	struct settings settings[2];
	int in_force; /* which of them, -1: neither */
	struct trace trace;
	__u64 shared_lines; /* traces set aside */
	__u64 packets;
	__u64 reasons[SIPDAM_REASONS_MAX], classes[SIPDAM_CLASSES_MAX];
	__u64 sip; /* packets of a method's class that met a bucket */
};

/* Which packets of a trace are run, in order. */
struct selection {
	int index[TRACE_PACKETS];
	int count;
};

/* Where the two first say different things. */
struct difference {
	int place; /* in the selection; -1: nowhere */
	struct answer model, program;
};

/* ---- policy ---- */

static void load_policy(struct meeting *meeting, int which)
{
	const struct policy_text *policy = &meeting->trace.policy[which];
	struct settings *settings = &meeting->settings[which];
	char path[] = "/tmp/sipdam-model-XXXXXX";
	struct problem problem = {""};
	int fd = mkstemp(path);
	int error;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, policy->text, policy->bytes), policy->bytes);
	close(fd);
	settings_free(settings);
	settings_default(settings);
	error = settings_load(settings, path, &problem);
	unlink(path);
	if (error)
		fail_msg("seed %llu: %s\n%s", meeting->trace.seed, problem.text, policy->text);
	/* A deadline has no place in a file: one trace of five has it, at the instant of a packet. */
	if (meeting->trace.seed % 5 == 0)
		settings->policy.deadline = meeting->trace.packet[TRACE_PACKETS / 2].now;
}

/* Connections are cleared where there was one: their tables are large. */
static void forget_connections(struct meeting *meeting)
{
	if (!meeting->model.connections)
		return;
	memset(meeting->connections.memory, 0, meeting->connections.bytes);
	memset(meeting->levels.memory, 0, meeting->levels.bytes);
	meeting->model.connections = 0;
}

static void use_policy(struct meeting *meeting, int which)
{
	struct problem problem = {""};
	const struct settings *before = meeting->in_force < 0 ? NULL : &meeting->settings[meeting->in_force];

	if (meeting->in_force == which)
		return;
	meeting->in_force = which;
	meeting->model.settings = &meeting->settings[which];
	meeting->lab->changes++;
	if (filter_trial_configure(meeting->lab->filter, &meeting->settings[which], &problem))
		fail_msg("seed %llu: %s", meeting->trace.seed, problem.text);
	/* As user/live.c does: what was counted for another source is nobody's. */
	if (before && memcmp(before->policy.source_prefix, meeting->settings[which].policy.source_prefix,
			     sizeof(before->policy.source_prefix)))
		forget_connections(meeting);
}

/* ---- packets ---- */

static struct answer ask_program(struct lab *lab, const struct generated *packet)
{
	int error;

	*lab->trial = (struct sipdam_trial){
		.now = packet->now, .wire_length = packet->wire_length, .changes = lab->changes};
	error = filter_trial_run(lab->filter, packet->data, packet->length);
	if (error)
		fail_msg("running the program: %s", strerror(-error));
	return (struct answer){lab->trial->dropped, lab->trial->reason, lab->trial->class, lab->trial->method,
			       lab->trial->status};
}

static struct answer ask_model(struct model *model, const struct generated *packet)
{
	model->now = packet->now;
	return model_run(model, (struct span){packet->data,
					      packet->wire_length ? packet->wire_length : packet->length,
					      packet->length});
}

static bool same_answer(const struct answer *one, const struct answer *other)
{
	return one->dropped == other->dropped && one->reason == other->reason && one->class == other->class &&
	       one->method == other->method && one->status == other->status;
}

static void count_answer(struct meeting *meeting, const struct answer *answer)
{
	bool method_class = answer->class && answer->class <= SIPDAM_CLASS_RESPONSE;
	bool bucket =
		answer->reason == SIPDAM_REASON_WITHIN_LIMITS || answer->reason == SIPDAM_REASON_ALLOWED ||
		answer->reason == SIPDAM_REASON_TRUSTED || answer->reason == SIPDAM_REASON_PEER ||
		(answer->reason >= SIPDAM_REASON_SOURCE_RATE && answer->reason <= SIPDAM_REASON_UNVERIFIED);

	meeting->packets++;
	meeting->reasons[answer->reason]++;
	meeting->classes[answer->class]++;
	meeting->sip += method_class && bucket;
}

/* What a hand does before a packet comes, to both. */
static void ban_by_hand(struct meeting *meeting, const struct generated *packet)
{
	const struct sipdam_policy *policy = &meeting->model.settings->policy;
	struct bans *bans = &meeting->lab->bans;
	struct sipdam_prefix given, source;
	bool exact;
	int family;

	if (!packet->by_hand[0])
		return;
	assert_int_equal(address_parse_prefix(packet->by_hand, &given), 0);
	family = address_is_ipv4(given.address) ? SIPDAM_FAMILY_IPV4 : SIPDAM_FAMILY_IPV6;
	source = bans_source(policy, &given, &exact);
	meeting->model.now = packet->now;
	if (packet->ban) {
		assert_int_equal(bans_add(bans, &source, packet->now, packet->ban, policy->ban_max), 0);
		model_ban_by_hand(&meeting->model, family, given.address, packet->ban);
	} else {
		bans_remove(bans, &source, packet->now);
		model_pardon(&meeting->model, family, given.address);
	}
}

/*
 * What makes a source known, to both. How many devices a sketch of their ports tells apart is the tool's to
 * say; what follows from it is compared.
 */
static void make_known(struct meeting *meeting, const struct generated *packet)
{
	struct known *known = &meeting->lab->known;
	struct known_grant grant = {.trusted = packet->trusted,
				    .cause = SIPDAM_KNOWN_MANUAL,
				    .lasting = packet->lasting,
				    .ttl = meeting->model.settings->policy.trust_ttl};
	struct sipdam_prefix given;
	struct known_entries entries;
	bool exact;

	if (!packet->known[0])
		return;
	assert_int_equal(address_parse_prefix(packet->known, &given), 0);
	grant.source = bans_source(&meeting->model.settings->policy, &given, &exact);
	for (int device = 0; device < packet->devices; device++) {
		grant.port = (__u16)(1024 + device);
		assert_int_equal(known_add(known, &grant, packet->now), 0);
	}
	assert_int_equal(known_list(known, &meeting->model.settings->policy, packet->now, &entries), 0);
	meeting->model.now = packet->now;
	for (size_t i = 0; i < entries.count; i++)
		if (!memcmp(&entries.entry[i].source, &grant.source, sizeof(grant.source)))
			model_know(&meeting->model,
				   address_is_ipv4(given.address) ? SIPDAM_FAMILY_IPV4 : SIPDAM_FAMILY_IPV6,
				   given.address, packet->trusted, entries.entry[i].record.devices,
				   packet->lasting);
	known_entries_free(&entries);
}

static void swap_bytes(__u8 *one, __u8 *other, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		__u8 kept = one[i];

		one[i] = other[i];
		other[i] = kept;
	}
}

/*
 * What the server sends on a connection before this packet of it comes, an answer to a SYN or a RST; to both.
 * The frame has neither tags nor extension headers.
 */
static void serve(struct meeting *meeting, const struct generated *packet)
{
	bool six = packet->data[12] == 0x86;
	__u8 frame[128], *ip = frame + 14, *tcp = ip + (six ? 40 : 20);
	struct model_packet read = {0};
	__u32 number;

	if (!packet->answered && !packet->ended)
		return;
	assert_in_range(packet->length, 54, sizeof(frame));
	memcpy(frame, packet->data, packet->length);
	swap_bytes(ip + (six ? 8 : 12), ip + (six ? 24 : 16), six ? 16 : 4);
	swap_bytes(tcp, tcp + 2, 2);
	number = ((__u32)tcp[8] << 24 | tcp[9] << 16 | tcp[10] << 8 | tcp[11]) - 1;
	put16(tcp + 4, number >> 16);
	put16(tcp + 6, number & 0xffff);
	tcp[13] = packet->answered ? FLAG_SYN | FLAG_ACK : FLAG_RST | FLAG_ACK;
	*meeting->lab->trial = (struct sipdam_trial){.now = packet->now};
	assert_int_equal(egress_trial_run(meeting->egress, frame, packet->length), 0);
	meeting->model.now = packet->now;
	model_read(&meeting->model, (struct span){packet->data, packet->length, packet->length}, &read);
	if (packet->answered)
		model_answered(&meeting->model, &read);
	else
		model_ended(&meeting->model, &read);
}

/* Runs a selection from empty tables on, to the first difference. */
static struct difference run_selection(struct meeting *meeting, const struct selection *selection, bool count)
{
	struct difference difference;

	lab_forget(meeting->lab);
	forget_connections(meeting);
	memset(meeting->budgets.memory, 0, meeting->budgets.bytes);
	model_clear(&meeting->model);
	for (int place = 0; place < selection->count; place++) {
		const struct generated *packet = &meeting->trace.packet[selection->index[place]];

		use_policy(meeting, selection->index[place] >= meeting->trace.second_from);
		ban_by_hand(meeting, packet);
		make_known(meeting, packet);
		serve(meeting, packet);
		difference.place = place;
		difference.program = ask_program(meeting->lab, packet);
		difference.model = ask_model(&meeting->model, packet);
		if (!same_answer(&difference.model, &difference.program))
			return difference;
		if (count)
			count_answer(meeting, &difference.model);
	}
	difference.place = -1;
	return difference;
}

/* ---- a difference ---- */

/* Without count packets from a place on; true if there is still a difference, which then ends it. */
static bool try_without(struct meeting *meeting, struct selection *selection, int from, int count)
{
	struct selection shorter = {.count = selection->count - count};
	struct difference difference;

	memcpy(shorter.index, selection->index, (size_t)from * sizeof(int));
	memcpy(shorter.index + from, selection->index + from + count,
	       (size_t)(selection->count - from - count) * sizeof(int));
	difference = run_selection(meeting, &shorter, false);
	if (difference.place < 0)
		return false;
	shorter.count = difference.place + 1;
	*selection = shorter;
	return true;
}

/* Leaves out whatever the difference does not need: halves, quarters, single packets. */
static void shrink(struct meeting *meeting, struct selection *selection)
{
	for (int count = selection->count / 2; count > 0; count /= 2) {
		int from = 0;

		while (from + count < selection->count) {
			if (!try_without(meeting, selection, from, count))
				from += count;
		}
	}
}

static void write_capture(const struct meeting *meeting, const struct selection *selection, const char *path)
{
	struct capture_file file = {.stream = fopen(path, "w")};

	if (!file.stream)
		fail_msg("%s: %s", path, strerror(errno));
	capture_file_pcap(&file, CAPTURE_NANOSECONDS, TRACE_FRAME, 1);
	for (int i = 0; i < selection->count; i++) {
		const struct generated *packet = &meeting->trace.packet[selection->index[i]];
		__u64 since = packet->now - meeting->trace.packet[selection->index[0]].now;

		capture_file_packet(&file, (__u32)(since / SECOND), (__u32)(since % SECOND), packet->data,
				    packet->length,
				    packet->wire_length ? packet->wire_length : packet->length);
	}
	capture_file_finish(&file, 0);
}

static void write_policy(const struct policy_text *policy, const char *path)
{
	FILE *file = fopen(path, "w");

	if (!file)
		fail_msg("%s: %s", path, strerror(errno));
	fwrite(policy->text, 1, policy->bytes, file);
	fclose(file);
}

static void print_answer(const char *who, const struct answer *answer)
{
	print_error("%s: %s, reason %s, class %s, method %s, status %u\n", who,
		    answer->dropped ? "drop" : "pass", reason_label(answer->reason),
		    class_label(answer->class), method_label(answer->method), answer->status);
}

static void print_frame(const struct generated *packet)
{
	__u32 shown = packet->length < 256 ? packet->length : 256;
	char line[3 * 16 + 1];

	print_error("frame of %u bytes at %llu ns\n", packet->length, packet->now);
	for (__u32 at = 0; at < shown; at++) {
		sprintf(line + 3 * (at % 16), "%02x ", packet->data[at]);
		if (at % 16 == 15 || at + 1 == shown)
			print_error("  %04x  %s\n", at / 16 * 16, line);
	}
}

/* The files that `sipdam replay` takes; a policy that changes on the way needs two of them. */
static void write_files(const struct meeting *meeting, const struct selection *selection)
{
	const char *folder = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
	const struct trace *trace = &meeting->trace;
	char capture[256], policy[256];
	int last = selection->index[selection->count - 1], first = selection->index[0];

	snprintf(capture, sizeof(capture), "%s/sipdam-model-%llu.pcap", folder, trace->seed);
	write_capture(meeting, selection, capture);
	for (int which = first >= trace->second_from; which <= (last >= trace->second_from); which++) {
		snprintf(policy, sizeof(policy), "%s/sipdam-model-%llu.%d.yaml", folder, trace->seed, which);
		write_policy(&trace->policy[which], policy);
		fputs(trace->policy[which].text, stderr);
		print_error("see: sipdam replay --packets --config %s %s\n", policy, capture);
	}
	if (meeting->settings[0].policy.deadline)
		print_error("there is a deadline on the way, which a replay does not have\n");
	if (first < trace->second_from && last >= trace->second_from)
		print_error("the policy changes on the way: a replay alone cannot show it\n");
	for (int i = 0; i < selection->count; i++) {
		const struct generated *packet = &trace->packet[selection->index[i]];

		if (packet->by_hand[0])
			print_error("before packet %d %s is banned for %llu ns (0: pardoned): a replay alone "
				    "cannot show it\n",
				    i + 1, packet->by_hand, packet->ban);
		if (packet->known[0])
			print_error("before packet %d %s is %s for %llu ns with %d devices: a replay alone "
				    "cannot "
				    "show it\n",
				    i + 1, packet->known, packet->trusted ? "trusted" : "a peer",
				    packet->lasting, packet->devices);
		if (packet->answered || packet->ended)
			print_error("before packet %d the server sends a %s: a replay alone cannot show it\n",
				    i + 1, packet->answered ? "SYN-ACK" : "RST");
	}
}

static void report(struct meeting *meeting, struct selection *selection)
{
	int packet = selection->index[selection->count - 1];
	struct difference difference;

	shrink(meeting, selection);
	difference = run_selection(meeting, selection, false);
	write_files(meeting, selection);
	print_error("seed %llu, packet %d; %d packets are enough, the last of them %d\n", meeting->trace.seed,
		    packet, selection->count, selection->index[selection->count - 1]);
	print_answer("model  ", &difference.model);
	print_answer("program", &difference.program);
	print_frame(&meeting->trace.packet[selection->index[selection->count - 1]]);
	print_error("again: model_test --seed %llu --packets 1\n", meeting->trace.seed);
}

/*
 * Do two sources share a line of the table that is full? Then each may push the other's buckets out, which
 * the model knows nothing of. One of thousands of traces.
 */
static bool line_is_shared(const struct sipdam_line *line)
{
	bool shared = false;

	for (int way = 0; way < SIPDAM_WAYS; way++) {
		if (!line->word[way])
			return false;
		shared |= (line->word[way] ^ line->word[0]) >> (SIPDAM_TAT_BITS + 4) != 0;
	}
	return shared;
}

static bool has_shared_lines(const struct table *table)
{
	const struct sipdam_line *line = table->memory;

	for (size_t i = 0; i < table->bytes / sizeof(*line); i++) {
		if (line_is_shared(&line[i]))
			return true;
	}
	return false;
}

/* One trace. False after a difference, which is then reported. */
static bool meet(struct meeting *meeting, __u64 seed)
{
	struct selection selection = {.count = TRACE_PACKETS};
	struct difference difference;

	trace_free(&meeting->trace);
	generate_trace(&meeting->trace, seed, &meeting->lab->frame);
	meeting->in_force = -1;
	for (int i = 0; i < 2; i++)
		load_policy(meeting, i);
	for (int i = 0; i < TRACE_PACKETS; i++)
		selection.index[i] = i;
	difference = run_selection(meeting, &selection, true);
	if (difference.place < 0)
		return true;
	if (has_shared_lines(&meeting->lab->table[0])) {
		meeting->shared_lines++;
		return true;
	}
	selection.count = difference.place + 1;
	report(meeting, &selection);
	return false;
}

/* ---- life ---- */

/* Verdicts of fragments are kept by CPU. */
static void stay_on_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void map_lines(struct lab *lab, struct table *table, const char *name)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	int fd = filter_map(lab->filter, name);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	table->bytes = (size_t)info.max_entries * info.value_size;
	table->memory = mmap(NULL, table->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(table->memory != MAP_FAILED);
}

static int meeting_open(void **state)
{
	struct meeting *meeting = calloc(1, sizeof(*meeting));
	struct lab *lab = calloc(1, sizeof(*lab));
	struct problem problem = {""};
	struct frame frame;

	stay_on_cpu();
	meeting->lab = lab;
	generate_trace(&meeting->trace, 1, &frame);
	load_policy(meeting, 0);
	if (filter_open_trial(&lab->filter, &meeting->settings[0], &problem))
		fail_msg("%s", problem.text);
	lab->trial = filter_trial(lab->filter);
	lab_map_tables(lab);
	if (egress_open_private(&meeting->egress, lab->filter, false, &problem))
		fail_msg("%s", problem.text);
	map_lines(lab, &meeting->connections, "connections");
	map_lines(lab, &meeting->levels, "conn_levels");
	map_lines(lab, &meeting->budgets, "budgets");
	*state = meeting;
	return 0;
}

static int meeting_close(void **state)
{
	struct meeting *meeting = *state;
	void *lab = meeting->lab;

	munmap(meeting->connections.memory, meeting->connections.bytes);
	munmap(meeting->levels.memory, meeting->levels.bytes);
	munmap(meeting->budgets.memory, meeting->budgets.bytes);
	egress_free(meeting->egress);
	trace_free(&meeting->trace);
	model_free(&meeting->model);
	settings_free(&meeting->settings[0]);
	settings_free(&meeting->settings[1]);
	free(meeting);
	return lab_close(&lab);
}

static __u64 fresh_seed(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ((__u64)now.tv_sec * SECOND + (__u64)now.tv_nsec) / 1000 % 1000000000000ULL * 1000;
}

static void meet_seeds(struct meeting *meeting, __u64 first, __u64 count)
{
	for (__u64 i = 0; i < count; i++) {
		if (!meet(meeting, first + i))
			fail_msg("seed %llu: the program and the model differ", first + i);
	}
}

static void same_over_fixed_seeds(void **state)
{
	meet_seeds(*state, 1, FIXED_SEEDS);
}

static void same_over_fresh_seeds(void **state)
{
	__u64 first = fresh_seed();

	print_message("# fresh seeds from %llu on\n", first);
	meet_seeds(*state, first, FRESH_SEEDS);
}

/* What was compared: a third of it SIP that met a bucket, and enough of everything else. */
static void enough_of_everything(void **state)
{
	static const int reasons[] = {
		SIPDAM_REASON_NOT_SIP,     SIPDAM_REASON_ALLOWED,      SIPDAM_REASON_WITHIN_LIMITS,
		SIPDAM_REASON_DENIED,      SIPDAM_REASON_MALFORMED,    SIPDAM_REASON_FRAGMENT,
		SIPDAM_REASON_SOURCE_RATE, SIPDAM_REASON_NETWORK_RATE, SIPDAM_REASON_POOL_RATE,
		SIPDAM_REASON_BANNED,      SIPDAM_REASON_TRUSTED,      SIPDAM_REASON_UNVERIFIED,
	};
	struct meeting *meeting = *state;

	for (size_t i = 0; i < COUNT(reasons); i++) {
		if (meeting->reasons[reasons[i]] * 300 < meeting->packets)
			fail_msg("%llu of %llu packets have reason %s", meeting->reasons[reasons[i]],
				 meeting->packets, reason_label(reasons[i]));
	}
	for (int class = 1; class <= SIPDAM_CLASS_WS_UPGRADE; class ++) {
		if (class > SIPDAM_CLASS_TLS_HELLO && class < SIPDAM_CLASS_WS_UPGRADE)
			continue; /* kinds that are no class */
		if (meeting->classes[class] * 500 < meeting->packets)
			fail_msg("%llu of %llu packets are of class %s", meeting->classes[class],
				 meeting->packets, class_label(class));
	}
	if (meeting->reasons[SIPDAM_REASON_TLS_VERSION] * 1000 < meeting->packets)
		fail_msg("%llu of %llu packets have reason tls_version",
			 meeting->reasons[SIPDAM_REASON_TLS_VERSION], meeting->packets);
	if (meeting->shared_lines > 1)
		fail_msg("%llu traces were set aside", meeting->shared_lines);
	/* A third on average; fresh seeds differ by a hundredth. */
	if (meeting->sip * 10 < meeting->packets * 3)
		fail_msg("%llu of %llu packets are SIP that met a bucket", meeting->sip, meeting->packets);
}

/* ---- long runs ---- */

struct options {
	__u64 seed, packets, seconds;
};

static bool parse_seconds(const char *text, __u64 *seconds)
{
	__u64 nanoseconds;

	if (settings_parse_duration(text, &nanoseconds))
		return false;
	*seconds = nanoseconds / SECOND;
	return true;
}

static bool parse_options(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{"seed", required_argument, NULL, 's'},
		{"packets", required_argument, NULL, 'p'},
		{"time", required_argument, NULL, 't'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 's')
			options->seed = strtoull(optarg, NULL, 0);
		else if (option == 'p')
			options->packets = strtoull(optarg, NULL, 0);
		else if (option != 't' || !parse_seconds(optarg, &options->seconds))
			return false;
	}
	return optind == argc;
}

static void print_shares(const struct meeting *meeting)
{
	printf("%llu packets, %llu %% SIP that met a bucket; %llu traces set aside\n", meeting->packets,
	       meeting->packets ? meeting->sip * 100 / meeting->packets : 0, meeting->shared_lines);
	for (int reason = 1; reason < SIPDAM_REASONS_MAX; reason++) {
		if (meeting->reasons[reason])
			printf("  %-13s %llu\n", reason_label(reason), meeting->reasons[reason]);
	}
	for (int class = 0; class < SIPDAM_CLASSES_MAX; class ++) {
		if (meeting->classes[class])
			printf("  class %-10s %llu\n", class_label(class), meeting->classes[class]);
	}
}

/* Until the packets are run or the time is over. 0, or 1 after the first difference. */
static int run_long(const struct options *options)
{
	struct meeting *meeting;
	time_t end = time(NULL) + (time_t)options->seconds;
	__u64 seed = options->seed;
	bool same = true;
	void *state;

	meeting_open(&state);
	meeting = state;
	printf("seeds from %llu on\n", seed);
	while (same && (!options->packets || meeting->packets < options->packets) &&
	       (!options->seconds || time(NULL) < end))
		same = meet(meeting, seed++);
	print_shares(meeting);
	meeting_close(&state);
	return !same;
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_over_fixed_seeds),
		cmocka_unit_test(same_over_fresh_seeds),
		cmocka_unit_test(enough_of_everything),
	};
	struct options options = {.seed = fresh_seed()};

	if (argc == 1)
		return cmocka_run_group_tests(tests, meeting_open, meeting_close);
	if (!parse_options(argc, argv, &options) || (!options.packets && !options.seconds)) {
		fprintf(stderr, "usage: model_test [--seed N] [--packets N] [--time 1h]\n");
		return 2;
	}
	return run_long(&options);
}
