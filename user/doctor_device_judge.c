/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What doctor_device.c has read of an interface, judged. Pure. */
#include <string.h>

#include "doctor_device.h"

/* Above this, drivers that keep a packet in one page (3,498) or in 3 KiB (3,046) refuse native XDP without
 * frags. */
#define MTU_ONE_BUFFER 3000

/* A ring of fewer packets overflows in a pause of the CPU of 0.3 ms at a million and a half packets a second.
 */
#define RING_LEAST 512

/* Drivers with native XDP, for kernels that do not say it themselves (before 6.3). */
static bool is_known_native(const char *driver)
{
	static const char *const drivers[] = {
		"virtio_net", "veth",          "tun",       "ena",      "gve",       "mana",
		"hv_netvsc",  "xen_netfront",  "vif",       "ixgbe",    "ixgbevf",   "i40e",
		"ice",        "igb",           "igc",       "mlx4_en",  "mlx5_core", "bnxt_en",
		"qede",       "sfc",           "sfc_ef100", "nfp",      "mvneta",    "mvpp2",
		"stmmac",     "fsl_dpaa2_eth", "fsl_enetc", "atlantic", "nicvf",     "bonding",
	};

	for (size_t i = 0; i < sizeof(drivers) / sizeof(*drivers); i++)
		if (!strcmp(driver, drivers[i]))
			return true;
	return false;
}

static bool is_native(const struct doctor_device *device)
{
	return device->xdp_known ? device->xdp & DOCTOR_XDP_BASIC : is_known_native(device->driver);
}

/* What lies over another interface, where the filter belongs. NULL for all others. */
static const char *what_lies_over(const char *driver)
{
	static const struct {
		const char *driver, *what;
	} over[] = {
		{"802.1Q VLAN Support", "a VLAN"}, {"bridge", "a bridge"}, {"macvlan", "a macvlan"},
		{"ipvlan", "an ipvlan"},           {"team", "a team"},     {"vxlan", "a VXLAN"},
	};

	for (size_t i = 0; i < sizeof(over) / sizeof(*over); i++)
		if (!strcmp(driver, over[i].driver))
			return over[i].what;
	return NULL;
}

static void judge_driver(const struct doctor_device *device, struct doctor *doctor)
{
	const char *over = what_lies_over(device->driver);

	if (over)
		doctor_add(doctor, DOCTOR_WARNING, "driver", device->name, NULL,
			   "%s over other interfaces: attach to those below it, where packets of every tag "
			   "are seen "
			   "and dropping is cheap",
			   over);
	else if (!strcmp(device->driver, "veth"))
		doctor_add(doctor, DOCTOR_WARNING, "driver", device->name, NULL,
			   "one end of a veth pair, as containers have: packets have cost the host what XDP "
			   "would save "
			   "before they come here; attach to the host's network card");
	else if (is_native(device))
		doctor_add(doctor, DOCTOR_OK, "driver", device->name, NULL, "%s has native XDP",
			   device->driver);
	else
		doctor_add(doctor, DOCTOR_WARNING, "driver", device->name, NULL,
			   "its driver%s%s %s native XDP: `attach` takes the generic one, which does the "
			   "same and "
			   "costs more",
			   device->driver[0] ? " " : "", device->driver,
			   device->xdp_known ? "has no" : "is not known to have");
}

static void judge_link(const struct doctor_device *device, struct doctor *doctor)
{
	if (!device->up)
		doctor_add(doctor, DOCTOR_WARNING, "link", device->name, "ip link set dev %s up",
			   "the interface is down: nothing arrives");
}

static void judge_mtu(const struct doctor_device *device, struct doctor *doctor)
{
	if (device->mtu <= MTU_ONE_BUFFER)
		doctor_add(doctor, DOCTOR_OK, "mtu", device->name, NULL, "%d", device->mtu);
	else if (device->xdp_known && device->xdp & DOCTOR_XDP_RX_SG)
		doctor_add(doctor, DOCTOR_OK, "mtu", device->name, NULL,
			   "%d: the driver takes XDP with packets over several buffers", device->mtu);
	else if (is_native(device) && device->mode == INTERFACE_MODE_NATIVE)
		doctor_add(doctor, DOCTOR_OK, "mtu", device->name, NULL, "%d: the driver has taken it",
			   device->mtu);
	else if (is_native(device))
		doctor_add(doctor, DOCTOR_WARNING, "mtu", device->name, "ip link set dev %s mtu 1500",
			   "%d is more than the driver %s with native XDP: `attach` takes the generic one",
			   device->mtu, device->xdp_known ? "takes" : "may take");
	else
		doctor_add(doctor, DOCTOR_OK, "mtu", device->name, NULL, "%d", device->mtu);
}

static void judge_offloads(const struct doctor_device *device, struct doctor *doctor)
{
	if (device->lro == 1)
		doctor_add(doctor, DOCTOR_WARNING, "lro", device->name, "ethtool -K %s lro off",
			   "large receive offload is on: most drivers refuse native XDP beside it");
	if (device->gro_hw == 1)
		doctor_add(doctor, DOCTOR_OK, "gro-hw", device->name, NULL,
			   "the card merges TCP segments: the driver ends that while XDP is attached, or "
			   "refuses; then: "
			   "ethtool -K %s rx-gro-hw off",
			   device->name);
	if (device->lro == 0 && device->gro_hw != 1)
		doctor_add(doctor, DOCTOR_OK, "offloads", device->name, NULL, "none that excludes XDP");
	else if (device->lro == DOCTOR_UNKNOWN)
		doctor_add(doctor, DOCTOR_UNSEEN, "offloads", device->name, NULL,
			   "the driver does not name them");
}

/* These need a queue to send by for each one to receive by, and refuse native XDP where there is none. */
static bool needs_half(const char *driver)
{
	return !strcmp(driver, "ena") || !strcmp(driver, "gve");
}

static void judge_queues(const struct doctor_device *device, int cpus, struct doctor *doctor)
{
	int wanted = device->queues_max < cpus ? device->queues_max : cpus;
	char command[96];

	if (!device->queues || !strcmp(device->driver, "veth"))
		return;
	if (needs_half(device->driver) && device->mode != INTERFACE_MODE_NATIVE &&
	    device->queues > device->queues_max / 2) {
		snprintf(command, sizeof(command), "ethtool -L %s combined %d", device->name,
			 device->queues_max / 2);
		doctor_add(doctor, DOCTOR_WARNING, "queues", device->name, command,
			   "%s has native XDP only with half of its %d queues in use", device->driver,
			   device->queues_max);
	} else if (device->queues < wanted && !needs_half(device->driver)) {
		snprintf(command, sizeof(command), "ethtool -L %s combined %d", device->name, wanted);
		doctor_add(doctor, DOCTOR_WARNING, "queues", device->name, command,
			   "%d of %d possible: a flood keeps %d of %d CPUs busy and the others do not help",
			   device->queues, device->queues_max, device->queues, cpus);
	} else {
		doctor_add(doctor, DOCTOR_OK, "queues", device->name, NULL, "%d for %d CPU%s", device->queues,
			   cpus, cpus == 1 ? "" : "s");
	}
}

static void judge_ring(const struct doctor_device *device, struct doctor *doctor)
{
	char command[96];

	if (!device->ring || device->ring >= RING_LEAST || device->ring >= device->ring_max)
		return;
	snprintf(command, sizeof(command), "ethtool -G %s rx %d", device->name,
		 device->ring_max < 4096 ? device->ring_max : 4096);
	doctor_add(doctor, DOCTOR_WARNING, "ring", device->name, command,
		   "queues of %d packets overflow in a short pause of the CPU, and the card drops whatever "
		   "comes",
		   device->ring);
}

static void judge_ours(const struct doctor_device *device, struct doctor *doctor)
{
	if (device->mode == INTERFACE_MODE_GENERIC && is_native(device) && !what_lies_over(device->driver))
		doctor_add(doctor, DOCTOR_WARNING, "filter", device->name, NULL,
			   "attached, generic, where the driver has native XDP: `sipdam detach %s` and "
			   "`sipdam attach "
			   "%s --mode native` say why, or it is cheaper from then on",
			   device->name, device->name);
	else
		doctor_add(doctor, DOCTOR_OK, "filter", device->name, NULL, "attached, %s",
			   device->mode == INTERFACE_MODE_GENERIC ? "generic" : "native");
	if (!device->learns)
		doctor_add(doctor, DOCTOR_WARNING, "answers", device->name, "sipdam attach %s",
			   "what the server sends is not read there, and nobody becomes known by it; "
			   "attaching again "
			   "says why, or helps");
}

static void judge_program(const struct doctor_device *device, struct doctor *doctor)
{
	switch (device->program) {
	case DOCTOR_PROGRAM_NONE:
		doctor_add(doctor, DOCTOR_OK, "filter", device->name, NULL, "no XDP program is attached");
		break;
	case DOCTOR_PROGRAM_OURS:
		judge_ours(device, doctor);
		break;
	case DOCTOR_PROGRAM_DEAD:
		doctor_add(doctor, DOCTOR_FAULT, "filter", device->name, "sipdam attach %s",
			   "the filter's state is gone (its BPF file system was emptied or mounted anew): "
			   "everything "
			   "passes");
		break;
	case DOCTOR_PROGRAM_FOREIGN:
		doctor_add(doctor, DOCTOR_WARNING, "conflict", device->name, "ip link set dev %s xdp off",
			   "another XDP program (id %u) is attached: both run only where libxdp has loaded "
			   "it and the "
			   "kernel can share (6.1 does), else `attach` says no. If it is not needed, take it "
			   "off",
			   device->program_id);
		break;
	case DOCTOR_PROGRAM_UNSEEN:
		doctor_add(doctor, DOCTOR_UNSEEN, "filter", device->name, NULL,
			   "an XDP program (id %u) is attached; whose it is only root can see",
			   device->program_id);
	}
}

void doctor_device_judge(const struct doctor_device *device, int cpus, struct doctor *doctor)
{
	judge_link(device, doctor);
	judge_program(device, doctor);
	judge_driver(device, doctor);
	judge_mtu(device, doctor);
	judge_offloads(device, doctor);
	judge_queues(device, cpus, doctor);
	judge_ring(device, doctor);
}

void doctor_route_judge(const struct doctor_device *device, enum doctor_route route, const char *other,
			bool one_way, struct doctor *doctor)
{
	char command[96];

	if (!strcmp(device->name, "lo"))
		return;
	if (route == DOCTOR_ROUTE_UNKNOWN) {
		doctor_add(doctor, DOCTOR_UNSEEN, "answers", device->name, NULL, "routes could not be read");
	} else if (one_way || route == DOCTOR_ROUTE_ELSEWHERE) {
		snprintf(command, sizeof(command), "sipdam attach %s%s%s", device->name, other[0] ? " " : "",
			 other);
		doctor_add(doctor, DOCTOR_WARNING, "answers", device->name, command,
			   "%s%s: who is trusted is learned from what the server sends, so attach to both",
			   one_way ? "requests come in and no answer leaves here"
				   : "answers to the world leave by ",
			   one_way ? "" : other);
	} else if (route == DOCTOR_ROUTE_NONE) {
		doctor_add(doctor, DOCTOR_OK, "answers", device->name, NULL,
			   "no default route: those of its own network leave here");
	} else {
		doctor_add(doctor, DOCTOR_OK, "answers", device->name, NULL, "leave here too");
	}
}
