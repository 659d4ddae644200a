// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What `sipdam doctor` makes of a host and an interface: files below a folder of the test's own, and facts by
 * hand. */
// uses: user/doctor.c user/doctor_host.c user/doctor_device_judge.c user/utf8.c
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "doctor.h"
#include "doctor_device.h"
#include "doctor_host.h"

static char root[64];
static struct doctor doctor;
static struct doctor_host host;
static struct doctor_device device;
static struct sipdam_policy policy;

/* --- a host of files --- */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
	(void)status, (void)type, (void)at;
	return remove(path);
}

static void put(const char *path, const char *text)
{
	char whole[256], *slash;
	FILE *file;

	snprintf(whole, sizeof(whole), "%s%s", root, path);
	for (slash = strchr(whole + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		mkdir(whole, 0755);
		*slash = '/';
	}
	file = fopen(whole, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* What a host looks like where nothing is wrong. */
static int begin(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/doctor_test.XXXXXX");
	assert_non_null(mkdtemp(root));
	memset(&doctor, 0, sizeof(doctor));
	memset(&policy, 0, sizeof(policy));
	policy.ports[SIPDAM_PORTS_UDP] = (struct sipdam_ports){.count = 1, .port = {5060}};
	policy.ports[SIPDAM_PORTS_TLS] = (struct sipdam_ports){.count = 1, .port = {5061}};
	host = (struct doctor_host){.sources = 1 << 20, .bpffs = "/sys/fs/bpf"};
	device = (struct doctor_device){.name = "eth0",
					.driver = "ice",
					.up = true,
					.mtu = 1500,
					.queues = 4,
					.queues_max = 4,
					.ring = 2048,
					.ring_max = 8160,
					.xdp_known = true,
					.xdp = DOCTOR_XDP_BASIC,
					.mode = INTERFACE_MODE_NONE};
	put("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
	put("/proc/sys/kernel/arch", "x86_64\n");
	put("/proc/sys/net/core/bpf_jit_enable", "1\n");
	put("/proc/sys/net/core/bpf_jit_harden", "0\n");
	put("/proc/sys/net/core/somaxconn", "4096\n");
	put("/proc/sys/net/ipv4/tcp_syncookies", "1\n");
	put("/proc/sys/net/ipv4/tcp_max_syn_backlog", "2048\n");
	put("/proc/meminfo", "MemTotal:       16000000 kB\nMemAvailable:    8000000 kB\n");
	put("/proc/self/mounts", "proc /proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw,mode=700 0 0\n");
	put("/proc/net/udp", "  sl  local_address rem_address   st\n"
			     "  17: 0100007F:13C4 00000000:0000 07 00000000:00000000\n");
	put("/proc/net/tcp", "  sl  local_address rem_address   st\n"
			     "   0: 00000000:13C5 00000000:0000 0A 00000000:00000000\n");
	return 0;
}

static int end(void **state)
{
	(void)state;
	nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static void visit(void)
{
	doctor_host_read(root, &policy, &host);
	doctor_host_judge(&host, &policy, &doctor);
}

static const struct doctor_finding *find(const char *topic)
{
	for (size_t i = 0; i < doctor.count; i++)
		if (!strcmp(doctor.finding[i].topic, topic))
			return &doctor.finding[i];
	return NULL;
}

/* One finding of this topic, of this level, with these words and this command. */
static void found(const char *topic, enum doctor_level level, const char *words, const char *fix)
{
	const struct doctor_finding *finding = find(topic);

	assert_non_null(finding);
	if (finding->level != level || !strstr(finding->text, words) || strcmp(finding->fix, fix))
		fail_msg("%s: %s, \"%s\", \"%s\"", topic, doctor_level_name(finding->level), finding->text,
			 finding->fix);
}

/* All other findings are ok. */
static void alone(const char *topic)
{
	for (size_t i = 0; i < doctor.count; i++)
		if (strcmp(doctor.finding[i].topic, topic) && doctor.finding[i].level != DOCTOR_OK)
			fail_msg("%s: %s", doctor.finding[i].topic, doctor.finding[i].text);
}

static void test_nothing_is_wrong(void **state)
{
	(void)state;
	visit();
	alone("");
	assert_int_equal(doctor.count, 8);
	found("kernel", DOCTOR_OK, "Linux 6.1.0-18-amd64 on x86_64", "");
	found("memory", DOCTOR_OK, "needs 173 MiB of 7812", "");
	found("server", DOCTOR_OK, "every kind", "");
}

static void test_the_kernel(void **state)
{
	(void)state;
	put("/proc/sys/kernel/osrelease", "6.0.19\n");
	visit();
	found("kernel", DOCTOR_FAULT, "too old", "");
	alone("kernel");
}

static void test_the_jit(void **state)
{
	(void)state;
	put("/proc/sys/net/core/bpf_jit_enable", "0\n");
	visit();
	found("jit", DOCTOR_FAULT, "interprets", "sysctl -w net.core.bpf_jit_enable=1");
	alone("jit");
}

static void test_a_hardened_jit(void **state)
{
	(void)state;
	put("/proc/sys/net/core/bpf_jit_harden", "2\n");
	visit();
	found("jit", DOCTOR_WARNING, "hardened", "sysctl -w net.core.bpf_jit_harden=1");
	alone("jit");
}

static void test_privileges(void **state)
{
	(void)state;
	host.missing = "CAP_PERFMON";
	visit();
	found("privileges", DOCTOR_WARNING, "lacks CAP_PERFMON", "");
	alone("privileges");
}

static void test_no_bpffs(void **state)
{
	(void)state;
	put("/proc/self/mounts", "bpf /elsewhere bpf rw 0 0\nsysfs /sys/fs/bpf sysfs rw 0 0\n");
	visit();
	found("bpffs", DOCTOR_FAULT, "not mounted", "mount -t bpf bpf /sys/fs/bpf");
	alone("bpffs");
	/* hidden by what was mounted above it later; not hidden by what was there before, or lies beside it
	 */
	put("/proc/self/mounts", "bpf /sys/fs/bpf bpf rw 0 0\nsysfs /sys sysfs rw 0 0\n");
	doctor.count = 0;
	visit();
	found("bpffs", DOCTOR_FAULT, "not mounted", "mount -t bpf bpf /sys/fs/bpf");
	put("/proc/self/mounts",
	    "/dev/sda / ext4 rw 0 0\nsysfs /sys sysfs rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n"
	    "x /sys/fs/b ext4 rw 0 0\nx /sys/fs/bpf/below ext4 rw 0 0\n");
	doctor.count = 0;
	visit();
	alone("");
}

static void test_a_bpffs_for_reading(void **state)
{
	(void)state;
	put("/proc/self/mounts", "bpf /sys/fs/bpf bpf ro,mode=700 0 0\n");
	visit();
	found("bpffs", DOCTOR_FAULT, "read-only", "mount -o remount,rw /sys/fs/bpf");
	alone("bpffs");
}

/* 173 MiB are 177152 kB. */
static void test_memory(void **state)
{
	static const struct {
		const char *text;
		enum doctor_level level;
	} rows[] = {{"MemAvailable: 177151 kB\n", DOCTOR_FAULT},
		    {"MemAvailable: 177152 kB\n", DOCTOR_WARNING},
		    {"MemAvailable: 354303 kB\n", DOCTOR_WARNING},
		    {"MemAvailable: 354304 kB\n", DOCTOR_OK},
		    {"MemFree: 354304 kB\n", DOCTOR_UNSEEN}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		put("/proc/meminfo", rows[i].text);
		doctor.count = 0;
		visit();
		found("memory", rows[i].level, "", "");
		alone("memory");
	}
	put("/proc/meminfo", "MemAvailable: 100 kB\n");
	doctor.count = 0;
	host.attached = true;
	visit();
	alone("");
}

static void test_cookies(void **state)
{
	(void)state;
	put("/proc/sys/net/ipv4/tcp_syncookies", "0\n");
	visit();
	found("syncookies", DOCTOR_FAULT, "nobody connects", "sysctl -w net.ipv4.tcp_syncookies=1");
	alone("syncookies");
}

/* Without ports over TCP it does not matter. */
static void test_cookies_of_udp(void **state)
{
	(void)state;
	put("/proc/sys/net/ipv4/tcp_syncookies", "0\n");
	policy.ports[SIPDAM_PORTS_TLS].count = 0;
	visit();
	alone("");
	assert_null(find("syncookies"));
	assert_null(find("backlog"));
}

static void test_backlogs(void **state)
{
	(void)state;
	put("/proc/sys/net/core/somaxconn", "128\n");
	visit();
	found("backlog", DOCTOR_WARNING, "128", "sysctl -w net.core.somaxconn=4096");
	alone("backlog");
	put("/proc/sys/net/core/somaxconn", "1024\n");
	put("/proc/sys/net/ipv4/tcp_max_syn_backlog", "1023\n");
	doctor.count = 0;
	visit();
	found("backlog", DOCTOR_WARNING, "1023", "sysctl -w net.ipv4.tcp_max_syn_backlog=4096");
}

static void test_what_listens(void **state)
{
	(void)state;
	/* connected, and an established connection to the port */
	put("/proc/net/udp", "  17: 0100007F:13C4 0200007F:13C4 01 00000000:00000000\n");
	put("/proc/net/tcp", "   0: 0100007F:13C5 0200007F:9999 01 00000000:00000000\n");
	visit();
	found("server", DOCTOR_WARNING, "nobody listens", "sipdam config show");
	alone("server");
	put("/proc/net/udp6", "   1: 00000000000000000000000000000000:13C4 "
			      "00000000000000000000000000000000:0000 07 00000000:00000000\n");
	doctor.count = 0;
	visit();
	found("server", DOCTOR_OK, "nobody on tls 5061", "");
}

static void test_other_protection(void **state)
{
	(void)state;
	put("/proc/77/comm", "fail2ban-server\n");
	put("/etc/kamailio/kamailio.cfg", "#!ifdef WITH_ANTIFLOOD\nloadmodule \"pike.so\"\n#!endif\n");
	visit();
	found("fail2ban", DOCTOR_OK, "not needed", "");
	assert_null(find("pike"));
	put("/etc/kamailio/kamailio.cfg",
	    "#!define WITH_ANTIFLOOD\n#!ifdef WITH_ANTIFLOOD\nloadmodule \"pike.so\"\n");
	visit();
	found("pike", DOCTOR_OK, "not needed", "");
}

/* Nothing can be read at all: nothing is made up. */
static void test_nothing_is_seen(void **state)
{
	(void)state;
	end(NULL);
	visit();
	assert_int_equal(doctor_count(&doctor, DOCTOR_UNSEEN), 7);
	assert_int_equal(doctor_count(&doctor, DOCTOR_FAULT), 0);
	assert_int_equal(doctor_count(&doctor, DOCTOR_WARNING), 0);
}

/* --- routes --- */

#define ROUTES "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"

static void check_route(const char *interface, enum doctor_route route, const char *other)
{
	char found_other[IF_NAMESIZE] = "";

	assert_int_equal(doctor_route_read(root, interface, found_other), route);
	assert_string_equal(found_other, other);
}

static void test_routes(void **state)
{
	char interface[IF_NAMESIZE] = "";

	(void)state;
	check_route("eth0", DOCTOR_ROUTE_UNKNOWN, "");
	put("/proc/net/route", ROUTES "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n");
	check_route("eth0", DOCTOR_ROUTE_NONE, "");
	assert_int_equal(doctor_route_default(root, interface), -ENOENT);
	put("/proc/net/route", ROUTES "eth1\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
				      "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n");
	check_route("eth1", DOCTOR_ROUTE_HERE, "");
	check_route("eth0", DOCTOR_ROUTE_ELSEWHERE, "eth1");
	assert_int_equal(doctor_route_default(root, interface), 0);
	assert_string_equal(interface, "eth1");
	/* IPv6 alone; one that refuses does not count */
	put("/proc/net/route", ROUTES);
	put("/proc/net/ipv6_route", "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
				    "fe800000000000000000000000000001 "
				    "00000400 00000001 00000000 00000003     eth2\n"
				    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
				    "00000000000000000000000000000000 "
				    "ffffffff 00000001 00000000 00000201       lo\n");
	check_route("eth2", DOCTOR_ROUTE_HERE, "");
	check_route("lo", DOCTOR_ROUTE_ELSEWHERE, "eth2");
}

/* --- interfaces --- */

static void judge(void)
{
	doctor.count = 0;
	doctor_device_judge(&device, 4, &doctor);
}

static void test_a_good_interface(void **state)
{
	(void)state;
	judge();
	alone("");
	assert_int_equal(doctor.count, 5);
	found("filter", DOCTOR_OK, "no XDP program", "");
	found("driver", DOCTOR_OK, "ice has native XDP", "");
	assert_string_equal(doctor.finding[0].interface, "eth0");
}

static void test_drivers(void **state)
{
	(void)state;
	device.xdp = 0;
	judge();
	found("driver", DOCTOR_WARNING, "driver ice has no native XDP", "");
	device.xdp_known = false;
	judge();
	alone("");
	snprintf(device.driver, sizeof(device.driver), "r8169");
	judge();
	found("driver", DOCTOR_WARNING, "driver r8169 is not known to have native XDP", "");
	snprintf(device.driver, sizeof(device.driver), "veth");
	judge();
	found("driver", DOCTOR_WARNING, "containers", "");
	snprintf(device.driver, sizeof(device.driver), "802.1Q VLAN Support");
	judge();
	found("driver", DOCTOR_WARNING, "a VLAN over other interfaces", "");
	alone("driver");
}

static void test_mtus(void **state)
{
	(void)state;
	device.mtu = 3000;
	judge();
	alone("");
	device.mtu = 9000;
	judge();
	found("mtu", DOCTOR_WARNING, "9000 is more than the driver takes", "ip link set dev eth0 mtu 1500");
	alone("mtu");
	device.xdp |= DOCTOR_XDP_RX_SG;
	judge();
	alone("");
	device.xdp_known = false;
	judge();
	found("mtu", DOCTOR_WARNING, "may take", "ip link set dev eth0 mtu 1500");
	device.program = DOCTOR_PROGRAM_OURS;
	device.mode = INTERFACE_MODE_NATIVE;
	device.learns = true;
	judge();
	alone("");
}

static void test_offloads(void **state)
{
	(void)state;
	device.lro = 1;
	judge();
	found("lro", DOCTOR_WARNING, "large receive offload", "ethtool -K eth0 lro off");
	alone("lro");
	device.lro = 0;
	device.gro_hw = 1;
	judge();
	alone("");
	found("gro-hw", DOCTOR_OK, "ethtool -K eth0 rx-gro-hw off", "");
	device.lro = device.gro_hw = DOCTOR_UNKNOWN;
	judge();
	found("offloads", DOCTOR_UNSEEN, "", "");
}

static void test_queues(void **state)
{
	(void)state;
	device.queues = 1;
	judge();
	found("queues", DOCTOR_WARNING, "1 of 4 possible", "ethtool -L eth0 combined 4");
	alone("queues");
	device.queues_max = 1; /* no more to be had */
	judge();
	alone("");
	device.queues = 8;
	device.queues_max = 16;
	judge();
	alone("");
	snprintf(device.driver, sizeof(device.driver), "ena");
	judge();
	alone("");
	device.queues = 9;
	judge();
	found("queues", DOCTOR_WARNING, "half of its 16 queues", "ethtool -L eth0 combined 8");
	device.queues = 0;
	judge();
	assert_null(find("queues"));
}

static void test_rings(void **state)
{
	(void)state;
	device.ring = 256;
	judge();
	found("ring", DOCTOR_WARNING, "256", "ethtool -G eth0 rx 4096");
	alone("ring");
	device.ring_max = 256;
	judge();
	assert_null(find("ring"));
}

static void test_the_link(void **state)
{
	(void)state;
	device.up = false;
	judge();
	found("link", DOCTOR_WARNING, "down", "ip link set dev eth0 up");
	alone("link");
}

static void test_programs(void **state)
{
	(void)state;
	device.program = DOCTOR_PROGRAM_FOREIGN;
	device.program_id = 77;
	judge();
	found("conflict", DOCTOR_WARNING, "(id 77)", "ip link set dev eth0 xdp off");
	alone("conflict");
	device.program = DOCTOR_PROGRAM_UNSEEN;
	judge();
	found("filter", DOCTOR_UNSEEN, "only root", "");
	device.program = DOCTOR_PROGRAM_DEAD;
	judge();
	found("filter", DOCTOR_FAULT, "everything passes", "sipdam attach eth0");
	alone("filter");
	device.program = DOCTOR_PROGRAM_OURS;
	device.mode = INTERFACE_MODE_GENERIC;
	device.learns = true;
	judge();
	found("filter", DOCTOR_WARNING, "sipdam attach eth0 --mode native", "");
	alone("filter");
	device.mode = INTERFACE_MODE_NATIVE;
	device.learns = false;
	judge();
	found("answers", DOCTOR_WARNING, "not read", "sipdam attach eth0");
	alone("answers");
}

static void test_answers(void **state)
{
	(void)state;
	doctor_route_judge(&device, DOCTOR_ROUTE_HERE, "", false, &doctor);
	doctor_route_judge(&device, DOCTOR_ROUTE_NONE, "", false, &doctor);
	alone("");
	doctor.count = 0;
	doctor_route_judge(&device, DOCTOR_ROUTE_ELSEWHERE, "eth1", false, &doctor);
	found("answers", DOCTOR_WARNING, "leave by eth1", "sipdam attach eth0 eth1");
	doctor.count = 0;
	doctor_route_judge(&device, DOCTOR_ROUTE_HERE, "", true, &doctor);
	found("answers", DOCTOR_WARNING, "no answer leaves here", "sipdam attach eth0");
}

/* --- how it looks --- */

static void test_rendering(void **state)
{
	char *text = NULL, *json;
	json_t *object;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	doctor_add(&doctor, DOCTOR_OK, "kernel", NULL, NULL, "Linux %s", "6.1");
	doctor_add(&doctor, DOCTOR_WARNING, "queues", "eth0", "ethtool -L %s combined 4",
		   "one of four possible: a flood keeps one of four CPUs busy and the others do not help");
	doctor_add(&doctor, DOCTOR_UNSEEN, "jit", NULL, NULL, "cannot be read");
	doctor_print(&doctor, out);
	fclose(out);
	assert_string_equal(text,
			    "ok       kernel     Linux 6.1\n"
			    "warning  queues     eth0: one of four possible: a flood keeps one of four CPUs\n"
			    "                    busy and the others do not help\n"
			    "                      ethtool -L eth0 combined 4\n"
			    "unseen   jit        cannot be read\n"
			    "\n0 faults, 1 warning; 1 not seen\n");
	free(text);
	object = doctor_json(&doctor);
	json = json_dumps(object, JSON_COMPACT);
	assert_string_equal(
		json,
		"{\"faults\":0,\"warnings\":1,\"unseen\":1,\"findings\":["
		"{\"level\":\"ok\",\"topic\":\"kernel\",\"interface\":null,\"text\":\"Linux 6.1\","
		"\"fix\":null},{\"level\":\"warning\",\"topic\":\"queues\",\"interface\":\"eth0\",\"text\":"
		"\"one of four possible: a flood keeps one of four CPUs busy and the others do not help\","
		"\"fix\":\"ethtool -L eth0 combined 4\"},{\"level\":\"unseen\",\"topic\":\"jit\","
		"\"interface\":null,\"text\":\"cannot be read\",\"fix\":null}]}");
	free(json);
	json_decref(object);
}

/* More than there is room for is lost, and nothing else. */
static void test_too_many(void **state)
{
	(void)state;
	for (int i = 0; i < DOCTOR_FINDINGS_MAX + 3; i++)
		doctor_add(&doctor, DOCTOR_OK, "kernel", NULL, NULL, "%d", i);
	assert_int_equal(doctor.count, DOCTOR_FINDINGS_MAX);
	assert_string_equal(doctor.finding[DOCTOR_FINDINGS_MAX - 1].text, "255");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_is_wrong),
		TEST(test_the_kernel),
		TEST(test_the_jit),
		TEST(test_a_hardened_jit),
		TEST(test_privileges),
		TEST(test_no_bpffs),
		TEST(test_a_bpffs_for_reading),
		TEST(test_memory),
		TEST(test_cookies),
		TEST(test_cookies_of_udp),
		TEST(test_backlogs),
		TEST(test_what_listens),
		TEST(test_other_protection),
		TEST(test_nothing_is_seen),
		TEST(test_routes),
		TEST(test_a_good_interface),
		TEST(test_drivers),
		TEST(test_mtus),
		TEST(test_offloads),
		TEST(test_queues),
		TEST(test_rings),
		TEST(test_the_link),
		TEST(test_programs),
		TEST(test_answers),
		TEST(test_rendering),
		TEST(test_too_many),
	};

	return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
