/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a packet is: its SIP method (for counters) and its class (for limits).
 * Numbers are never reused.
 */
#ifndef SIPDAM_MESSAGE_H
#define SIPDAM_MESSAGE_H

/*
 * Classes, the unit of limits. 0 is none (not SIP). They fit the four low bits of a source word's
 * tag beside the kinds that are no class (see state.h: 13 and 14). "network" says whether the bucket of the source's network is charged too: what
 * opens something is, what carries on is not.
 * X(name, number, label, network)
 */
#define SIPDAM_CLASSES(X)                                                                                    \
	X(INVITE, 1, "invite", 1)                                                                            \
	X(REGISTER, 2, "register", 1)                                                                        \
	X(OPTIONS, 3, "options", 1)                                                                          \
	X(DIALOG, 4, "dialog", 0)                                                                            \
	X(OTHER, 5, "other", 1)                                                                              \
	X(RESPONSE, 6, "response", 0)                                                                        \
	X(KEEPALIVE, 7, "keepalive", 0)                                                                      \
	X(MALFORMED, 8, "malformed", 1)                                                                      \
	X(FRAGMENT, 9, "fragment", 1)                                                                        \
	X(TCP_SYN, 10, "tcp_syn", 1)                                                                         \
	X(TCP_DATA, 11, "tcp_data", 0)                                                                       \
	X(TLS_HELLO, 12, "tls_hello", 1)                                                                     \
	X(WS_UPGRADE, 15, "ws_upgrade", 1)

enum sipdam_class {
	SIPDAM_CLASS_NONE = 0,
#define X(name, number, label, network) SIPDAM_CLASS_##name = number,
	SIPDAM_CLASSES(X)
#undef X
};
#define SIPDAM_CLASSES_MAX 16 /* power of two: an index can be masked */

/* Those of which strangers must prove, while their pool is exhausted, that they are there: a bit each. */
#define SIPDAM_CLASSES_PROVEN                                                                                \
	(1u << SIPDAM_CLASS_INVITE | 1u << SIPDAM_CLASS_REGISTER | 1u << SIPDAM_CLASS_OPTIONS |              \
	 1u << SIPDAM_CLASS_DIALOG | 1u << SIPDAM_CLASS_OTHER | 1u << SIPDAM_CLASS_TCP_DATA |                \
	 1u << SIPDAM_CLASS_TLS_HELLO | 1u << SIPDAM_CLASS_WS_UPGRADE)

/*
 * Methods of the IANA registry (RFC 3261, 3262, 6665, 3903, 6086, 3515, 3428, 3311), and two rows
 * that are not methods: extension methods together, and responses.
 * X(name, number, label, class)
 */
#define SIPDAM_METHODS(X)                                                                                    \
	X(INVITE, 1, "INVITE", INVITE)                                                                       \
	X(ACK, 2, "ACK", DIALOG)                                                                             \
	X(BYE, 3, "BYE", DIALOG)                                                                             \
	X(CANCEL, 4, "CANCEL", DIALOG)                                                                       \
	X(OPTIONS, 5, "OPTIONS", OPTIONS)                                                                    \
	X(REGISTER, 6, "REGISTER", REGISTER)                                                                 \
	X(PRACK, 7, "PRACK", DIALOG)                                                                         \
	X(SUBSCRIBE, 8, "SUBSCRIBE", OTHER)                                                                  \
	X(NOTIFY, 9, "NOTIFY", OTHER)                                                                        \
	X(PUBLISH, 10, "PUBLISH", OTHER)                                                                     \
	X(INFO, 11, "INFO", OTHER)                                                                           \
	X(REFER, 12, "REFER", OTHER)                                                                         \
	X(MESSAGE, 13, "MESSAGE", OTHER)                                                                     \
	X(UPDATE, 14, "UPDATE", OTHER)                                                                       \
	X(OTHER, 15, "other", OTHER)                                                                         \
	X(RESPONSE, 16, "response", RESPONSE)

enum sipdam_method {
	SIPDAM_METHOD_NONE = 0,
#define X(name, number, label, class) SIPDAM_METHOD_##name = number,
	SIPDAM_METHODS(X)
#undef X
};
#define SIPDAM_METHODS_MAX 32 /* power of two: an index can be masked */

enum sipdam_transport {
	SIPDAM_TRANSPORT_UDP = 0,
	SIPDAM_TRANSPORT_TCP = 1, /* also TLS and WebSocket ports */
	SIPDAM_TRANSPORT_NONE = 2,
};
#define SIPDAM_TRANSPORTS 2

#endif
