/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See doctor_host.h. */
#include "doctor_host.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

#define LINE_ROOM 512

/* Least backlogs that a server of thousands of phones does with, which come back all at once after an outage.
 */
#define BACKLOG_LEAST 1024

/* What the tables of the filter take: two lines of 64 bytes for each source, and the rest. */
#define BYTES_A_SOURCE 128LL
#define BYTES_FIXED    (45LL << 20)

/* --- reading --- */

static FILE *open_below(const char *root, const char *path)
{
	char whole[512];
	int length = snprintf(whole, sizeof(whole), "%s%s", root, path);

	return length > 0 && (size_t)length < sizeof(whole) ? fopen(whole, "re") : NULL;
}

static bool exists_below(const char *root, const char *path)
{
	_cleanup_fclose_ FILE *file = open_below(root, path);

	return file != NULL;
}

/* The first line without its end. Returns false, and "", if there is none. */
static bool read_line(const char *root, const char *path, char *line, size_t size)
{
	_cleanup_fclose_ FILE *file = open_below(root, path);

	line[0] = 0;
	if (!file || !fgets(line, (int)size, file))
		return false;
	line[strcspn(line, "\n")] = 0;
	return true;
}

static long long read_number(const char *root, const char *path)
{
	char line[64], *end;
	long long number;

	if (!read_line(root, path, line, sizeof(line)))
		return DOCTOR_UNKNOWN;
	number = strtoll(line, &end, 10);
	return end == line ? DOCTOR_UNKNOWN : number;
}

static long long read_memory(const char *root)
{
	_cleanup_fclose_ FILE *file = open_below(root, "/proc/meminfo");
	char line[LINE_ROOM];
	long long kilobytes;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %lld", &kilobytes) == 1)
			return kilobytes << 10;
	return DOCTOR_UNKNOWN;
}

/* Is the path this mount point, or below it? */
static bool is_below(const char *path, const char *point)
{
	size_t length = strcmp(point, "/") ? strlen(point) : 0;

	return !strncmp(path, point, length) && (!path[length] || path[length] == '/');
}

/* As in doctor_host.bpffs_state: of what is mounted there or above the last counts, which hides the others.
 */
static int read_bpffs(const char *root, const char *where)
{
	_cleanup_fclose_ FILE *file = open_below(root, "/proc/self/mounts");
	char line[LINE_ROOM], at[256], type[64], options[256];
	int state = file ? -ENOENT : -EIO;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*s %255s %63s %255s", at, type, options) != 3 || !is_below(where, at))
			continue;
		if (strcmp(at, where) || strcmp(type, "bpf"))
			state = -ENOENT;
		else
			state = strncmp(options, "ro", 2) ? 0 : -EROFS;
	}
	return state;
}

static bool is_port(const struct sipdam_ports *ports, unsigned int port)
{
	for (__u32 i = 0; i < ports->count; i++)
		if (ports->port[i] == port)
			return true;
	return false;
}

/* One table of /proc/net: TCP sockets listen in state 0A, UDP sockets that are not connected are in 07. */
static void read_sockets(const char *root, const char *path, const struct sipdam_policy *policy, bool udp,
			 struct doctor_host *host)
{
	_cleanup_fclose_ FILE *file = open_below(root, path);
	unsigned int port, state;
	char line[LINE_ROOM];

	if (!file)
		return;
	host->listeners_known = true;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x", &port, &state) != 2 ||
		    state != (udp ? 0x07 : 0x0a))
			continue;
		for (int kind = udp ? SIPDAM_PORTS_UDP : SIPDAM_PORTS_TCP;
		     kind < (udp ? 1 : SIPDAM_PORT_KINDS); kind++)
			if (is_port(&policy->ports[kind], port))
				host->listens[kind] = true;
	}
}

/* Is there a process of this name? */
static bool runs(const char *root, const char *name)
{
	char path[512], comm[64];
	struct dirent *entry;
	bool found = false;
	DIR *directory;

	snprintf(path, sizeof(path), "%s/proc", root);
	directory = opendir(path);
	while (directory && !found && (entry = readdir(directory))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/comm", entry->d_name);
		found = read_line(root, path, comm, sizeof(comm)) && !strcmp(comm, name);
	}
	if (directory)
		closedir(directory);
	return found;
}

/* The packaged configuration loads pike below a switch that is off unless it is defined. */
static bool loads_pike(const char *root)
{
	_cleanup_fclose_ FILE *file = open_below(root, "/etc/kamailio/kamailio.cfg");
	bool loaded = false, by_switch = false, on = false;
	char line[LINE_ROOM];

	while (file && fgets(line, sizeof(line), file)) {
		const char *text = line + strspn(line, " \t");

		loaded |= !strncmp(text, "loadmodule", 10) && strstr(text, "pike");
		by_switch |= !strncmp(text, "#!ifdef WITH_ANTIFLOOD", 22);
		on |= !strncmp(text, "#!define WITH_ANTIFLOOD", 23);
	}
	return loaded && (!by_switch || on);
}

void doctor_host_read(const char *root, const struct sipdam_policy *policy, struct doctor_host *host)
{
	read_line(root, "/proc/sys/kernel/osrelease", host->release, sizeof(host->release));
	read_line(root, "/proc/sys/kernel/arch", host->machine, sizeof(host->machine));
	host->bpffs_state = read_bpffs(root, host->bpffs);
	host->jit = read_number(root, "/proc/sys/net/core/bpf_jit_enable");
	host->jit_harden = read_number(root, "/proc/sys/net/core/bpf_jit_harden");
	host->memory = read_memory(root);
	host->syncookies = read_number(root, "/proc/sys/net/ipv4/tcp_syncookies");
	host->syn_backlog = read_number(root, "/proc/sys/net/ipv4/tcp_max_syn_backlog");
	host->somaxconn = read_number(root, "/proc/sys/net/core/somaxconn");
	read_sockets(root, "/proc/net/udp", policy, true, host);
	read_sockets(root, "/proc/net/udp6", policy, true, host);
	read_sockets(root, "/proc/net/tcp", policy, false, host);
	read_sockets(root, "/proc/net/tcp6", policy, false, host);
	host->fail2ban = runs(root, "fail2ban-server");
	host->pike = loads_pike(root);
}

/* --- routes --- */

#define ROUTE_UP     0x0001 /* RTF_UP */
#define ROUTE_REJECT 0x0200 /* RTF_REJECT: unreachable and blackhole */

/* Calls for each default route of one family until the answer is true. */
static bool each_default(const char *root, bool ipv6, bool (*is_wanted)(const char *, void *), void *argument)
{
	_cleanup_fclose_ FILE *file = open_below(root, ipv6 ? "/proc/net/ipv6_route" : "/proc/net/route");
	unsigned int destination, mask, flags;
	char line[LINE_ROOM], name[64];

	while (file && fgets(line, sizeof(line), file)) {
		if (ipv6) {
			if (sscanf(line, "%*s %x %*s %*x %*s %*x %*x %*x %x %63s", &mask, &flags, name) != 3)
				continue;
		} else if (sscanf(line, "%63s %x %*x %x %*d %*d %*d %x", name, &destination, &flags, &mask) !=
				   4 ||
			   destination) {
			continue;
		}
		if (!mask && flags & ROUTE_UP && !(flags & ROUTE_REJECT) && is_wanted(name, argument))
			return true;
	}
	return false;
}

struct route_search {
	const char *interface;
	char other[IF_NAMESIZE];
};

static bool route_is_here(const char *name, void *argument)
{
	struct route_search *search = argument;

	if (search->interface && !strcmp(name, search->interface))
		return true;
	if (!search->other[0] && strcmp(name, "lo"))
		snprintf(search->other, sizeof(search->other), "%.15s", name);
	return false;
}

enum doctor_route doctor_route_read(const char *root, const char *interface, char other[IF_NAMESIZE])
{
	struct route_search search = {.interface = interface};

	if (!exists_below(root, "/proc/net/route") && !exists_below(root, "/proc/net/ipv6_route"))
		return DOCTOR_ROUTE_UNKNOWN;
	if (each_default(root, false, route_is_here, &search) ||
	    each_default(root, true, route_is_here, &search))
		return DOCTOR_ROUTE_HERE;
	if (!search.other[0])
		return DOCTOR_ROUTE_NONE;
	memcpy(other, search.other, IF_NAMESIZE);
	return DOCTOR_ROUTE_ELSEWHERE;
}

int doctor_route_default(const char *root, char interface[IF_NAMESIZE])
{
	return doctor_route_read(root, "", interface) == DOCTOR_ROUTE_ELSEWHERE ? 0 : -ENOENT;
}

/* --- judging --- */

static void judge_kernel(const struct doctor_host *host, struct doctor *doctor)
{
	unsigned int major, minor;

	if (sscanf(host->release, "%u.%u", &major, &minor) != 2)
		doctor_add(doctor, DOCTOR_UNSEEN, "kernel", NULL, NULL, "its version could not be read");
	else if (major < 6 || (major == 6 && minor < 1))
		doctor_add(doctor, DOCTOR_FAULT, "kernel", NULL, NULL,
			   "Linux %s is too old: the filter needs 6.1 or later", host->release);
	else
		doctor_add(doctor, DOCTOR_OK, "kernel", NULL, NULL,
			   "Linux %s%s%s: 6.1 or later, as needed; no compiler is needed", host->release,
			   host->machine[0] ? " on " : "", host->machine);
}

static void judge_jit(const struct doctor_host *host, struct doctor *doctor)
{
	if (host->jit == DOCTOR_UNKNOWN)
		doctor_add(doctor, DOCTOR_UNSEEN, "jit", NULL, NULL,
			   "net.core.bpf_jit_enable cannot be read here (a network namespace, a container)");
	else if (!host->jit)
		doctor_add(
			doctor, DOCTOR_FAULT, "jit", NULL, "sysctl -w net.core.bpf_jit_enable=1",
			"the kernel interprets the filter instead of compiling it: each packet costs several "
			"times as much");
	else if (host->jit_harden == 2)
		doctor_add(doctor, DOCTOR_WARNING, "jit", NULL, "sysctl -w net.core.bpf_jit_harden=1",
			   "programs of root are hardened too, which makes the filter slower");
	else
		doctor_add(doctor, DOCTOR_OK, "jit", NULL, NULL, "the kernel compiles the filter");
}

static void judge_privileges(const struct doctor_host *host, struct doctor *doctor)
{
	if (host->missing)
		doctor_add(doctor, DOCTOR_WARNING, "privileges", NULL, NULL,
			   "this process lacks %s: it cannot attach, and not everything can be seen. Run it "
			   "as root",
			   host->missing);
	else
		doctor_add(doctor, DOCTOR_OK, "privileges", NULL, NULL, "this process may attach");
}

static void judge_bpffs(const struct doctor_host *host, struct doctor *doctor)
{
	char command[192];

	if (!host->bpffs_state) {
		doctor_add(doctor, DOCTOR_OK, "bpffs", NULL, NULL, "mounted at %s", host->bpffs);
	} else if (host->bpffs_state == -ENOENT) {
		snprintf(command, sizeof(command), "mount -t bpf bpf %s", host->bpffs);
		doctor_add(doctor, DOCTOR_FAULT, "bpffs", NULL, command,
			   "the BPF file system is not mounted at %s: the filter's state has no place",
			   host->bpffs);
	} else if (host->bpffs_state == -EROFS) {
		snprintf(command, sizeof(command), "mount -o remount,rw %s", host->bpffs);
		doctor_add(doctor, DOCTOR_FAULT, "bpffs", NULL, command,
			   "the BPF file system at %s is read-only: nothing can be attached", host->bpffs);
	} else {
		doctor_add(doctor, DOCTOR_UNSEEN, "bpffs", NULL, NULL, "what is mounted could not be read");
	}
}

static void judge_memory(const struct doctor_host *host, struct doctor *doctor)
{
	long long need = host->sources * BYTES_A_SOURCE + BYTES_FIXED;
	long long left = host->memory >> 20, mebibytes = need >> 20;

	if (host->memory == DOCTOR_UNKNOWN)
		doctor_add(doctor, DOCTOR_UNSEEN, "memory", NULL, NULL,
			   "what is available could not be read");
	else if (host->attached)
		doctor_add(doctor, DOCTOR_OK, "memory", NULL, NULL,
			   "the filter has its %lld MiB, %lld are left", mebibytes, left);
	else if (host->memory < need)
		doctor_add(doctor, DOCTOR_FAULT, "memory", NULL, NULL,
			   "%lld MiB are available and the filter needs %lld: set a smaller `sources`, half "
			   "of it "
			   "needs half",
			   left, mebibytes);
	else if (host->memory < 2 * need)
		doctor_add(doctor, DOCTOR_WARNING, "memory", NULL, NULL,
			   "%lld MiB are available and the filter needs %lld: an upgrade or a change of "
			   "`sources` needs "
			   "that twice for a moment",
			   left, mebibytes);
	else
		doctor_add(doctor, DOCTOR_OK, "memory", NULL, NULL,
			   "the filter needs %lld MiB of %lld available", mebibytes, left);
}

static bool has_tcp(const struct sipdam_policy *policy)
{
	for (int kind = SIPDAM_PORTS_TCP; kind < SIPDAM_PORT_KINDS; kind++)
		if (policy->ports[kind].count)
			return true;
	return false;
}

static void judge_cookies(const struct doctor_host *host, struct doctor *doctor)
{
	if (host->syncookies == DOCTOR_UNKNOWN)
		doctor_add(doctor, DOCTOR_UNSEEN, "syncookies", NULL, NULL,
			   "net.ipv4.tcp_syncookies cannot be read");
	else if (!host->syncookies)
		doctor_add(
			doctor, DOCTOR_FAULT, "syncookies", NULL, "sysctl -w net.ipv4.tcp_syncookies=1",
			"off: SYNs from forged addresses within the pool's rate fill the backlog, and nobody "
			"connects");
	else
		doctor_add(doctor, DOCTOR_OK, "syncookies", NULL, NULL,
			   "on: forged SYNs that a full backlog cannot hold cost no memory");
}

static void judge_backlog(const struct doctor_host *host, struct doctor *doctor)
{
	if (host->somaxconn == DOCTOR_UNKNOWN || host->syn_backlog == DOCTOR_UNKNOWN)
		doctor_add(doctor, DOCTOR_UNSEEN, "backlog", NULL, NULL, "its limits cannot be read");
	else if (host->somaxconn < BACKLOG_LEAST)
		doctor_add(doctor, DOCTOR_WARNING, "backlog", NULL, "sysctl -w net.core.somaxconn=4096",
			   "at most %lld connections wait for the server, however many it asks for",
			   host->somaxconn);
	else if (host->syn_backlog < BACKLOG_LEAST)
		doctor_add(doctor, DOCTOR_WARNING, "backlog", NULL,
			   "sysctl -w net.ipv4.tcp_max_syn_backlog=4096",
			   "at most %lld connections may be half open", host->syn_backlog);
	else
		doctor_add(doctor, DOCTOR_OK, "backlog", NULL, NULL,
			   "up to %lld connections half open and %lld waiting, where the server asks for it",
			   host->syn_backlog, host->somaxconn);
}

/* "udp 5060, tls 5061": the kinds whose ports are set and on which nobody listens. False if there are none.
 */
static bool list_silent(const struct doctor_host *host, const struct sipdam_policy *policy, char *text,
			size_t size)
{
	static const char *const names[SIPDAM_PORT_KINDS] = {"udp", "tcp", "tls", "ws", "wss"};
	size_t length = 0;

	text[0] = 0;
	for (int kind = 0; kind < SIPDAM_PORT_KINDS && length < size; kind++)
		if (policy->ports[kind].count && !host->listens[kind])
			length +=
				(size_t)snprintf(text + length, size - length, "%s%s %u", length ? ", " : "",
						 names[kind], policy->ports[kind].port[0]);
	return length > 0;
}

static void judge_listeners(const struct doctor_host *host, const struct sipdam_policy *policy,
			    struct doctor *doctor)
{
	bool any = false;
	char silent[128];

	for (int kind = 0; kind < SIPDAM_PORT_KINDS; kind++)
		any |= host->listens[kind];
	if (!host->listeners_known)
		doctor_add(doctor, DOCTOR_UNSEEN, "server", NULL, NULL,
			   "what listens here could not be read");
	else if (!any)
		doctor_add(doctor, DOCTOR_WARNING, "server", NULL, "sipdam config show",
			   "nobody listens on a protected port here: right where packets are forwarded to "
			   "the server, "
			   "else it has other ports than `ports` says");
	else if (list_silent(host, policy, silent, sizeof(silent)))
		doctor_add(doctor, DOCTOR_OK, "server", NULL, NULL,
			   "listens, but nobody on %s: take ports that are not used out of `ports`", silent);
	else
		doctor_add(doctor, DOCTOR_OK, "server", NULL, NULL,
			   "listens on every kind of protected port");
}

static void judge_others(const struct doctor_host *host, struct doctor *doctor)
{
	if (host->fail2ban)
		doctor_add(doctor, DOCTOR_OK, "fail2ban", NULL, NULL,
			   "runs; for SIP it is not needed beside the filter, whose ban.failures ends the "
			   "guessing of "
			   "passwords without reading a log. Its jails of SIP servers may go");
	if (host->pike)
		doctor_add(doctor, DOCTOR_OK, "pike", NULL, NULL,
			   "Kamailio loads it; it is not needed beside the filter, which drops before "
			   "Kamailio has read. "
			   "It may stay");
}

void doctor_host_judge(const struct doctor_host *host, const struct sipdam_policy *policy,
		       struct doctor *doctor)
{
	judge_kernel(host, doctor);
	judge_privileges(host, doctor);
	judge_bpffs(host, doctor);
	judge_memory(host, doctor);
	judge_jit(host, doctor);
	if (has_tcp(policy)) {
		judge_cookies(host, doctor);
		judge_backlog(host, doctor);
	}
	judge_listeners(host, policy, doctor);
	judge_others(host, doctor);
}
