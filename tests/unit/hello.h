/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hellos as they are on the wire: what real clients of OpenSSL and GnuTLS say first, a server of OpenSSL that
 * answers, and how to make one longer. Made when the test runs, not copied.
 */
#ifndef UNIT_HELLO_H
#define UNIT_HELLO_H

#include <errno.h>
#include <gnutls/gnutls.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HELLO_BYTES 4096
#define HELLO_NAME  "sip.example.org"

struct hello {
	size_t bytes;
	unsigned char data[HELLO_BYTES];
};

#define HELLO_NEED(condition)                                                                                \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                      \
			ERR_print_errors_fp(stderr);                                                         \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

/* ---- OpenSSL ---- */

/* A side of a connection whose two ways are memory. min and max: versions as OpenSSL names them. */
static inline SSL *hello_side(SSL_CTX *context, int min, int max)
{
	SSL *side;

	SSL_CTX_set_security_level(context, 0); /* else nothing below TLS 1.2 is offered */
	HELLO_NEED(SSL_CTX_set_min_proto_version(context, min) &&
		   SSL_CTX_set_max_proto_version(context, max));
	side = SSL_new(context);
	HELLO_NEED(side);
	SSL_set_bio(side, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	return side;
}

static inline SSL *hello_client(SSL_CTX *context, int min, int max, const char *name)
{
	SSL *client = hello_side(context, min, max);

	SSL_set_connect_state(client);
	if (name)
		HELLO_NEED(SSL_set_tlsext_host_name(client, name));
	return client;
}

/* What a side has written since. */
static inline struct hello hello_written(SSL *side)
{
	struct hello hello = {0};
	int bytes = BIO_read(SSL_get_wbio(side), hello.data, sizeof(hello.data));

	HELLO_NEED(bytes > 0);
	hello.bytes = (size_t)bytes;
	return hello;
}

/* The first flight of a client; tickets: whether it asks for them. */
static inline struct hello hello_openssl(int min, int max, const char *name, bool tickets)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	struct hello hello;
	SSL *client;

	HELLO_NEED(context);
	if (!tickets)
		SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
	client = hello_client(context, min, max, name);
	SSL_do_handshake(client);
	hello = hello_written(client);
	SSL_free(client);
	SSL_CTX_free(context);
	return hello;
}

static inline void hello_certify(SSL_CTX *context)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();

	HELLO_NEED(key && certificate);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_set_pubkey(certificate, key);
	HELLO_NEED(X509_sign(certificate, key, EVP_sha256()));
	HELLO_NEED(SSL_CTX_use_certificate(context, certificate) && SSL_CTX_use_PrivateKey(context, key));
	X509_free(certificate);
	EVP_PKEY_free(key);
}

/* A server of OpenSSL, freed with the context that SSL_get_SSL_CTX gives. groups: NULL, or whose keys it
 * takes. */
static inline SSL *hello_server(int min, int max, const char *groups)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	SSL *server;

	HELLO_NEED(context);
	hello_certify(context);
	if (groups)
		HELLO_NEED(SSL_CTX_set1_groups_list(context, groups));
	server = hello_side(context, min, max);
	SSL_set_accept_state(server);
	return server;
}

static inline void hello_end(SSL *server)
{
	SSL_CTX *context = SSL_get_SSL_CTX(server);

	SSL_free(server);
	SSL_CTX_free(context);
}

static inline void hello_pass(SSL *from, SSL *to)
{
	char bytes[16384];
	int count = BIO_read(SSL_get_wbio(from), bytes, sizeof(bytes));

	if (count > 0)
		HELLO_NEED(BIO_write(SSL_get_rbio(to), bytes, count) == count);
}

/* A whole handshake, and what comes behind it: tickets of TLS 1.3. False where it fails. */
static inline bool hello_shake(SSL *client, SSL *server)
{
	char byte;

	for (int i = 0; i < 8; i++) {
		SSL_do_handshake(client);
		hello_pass(client, server);
		SSL_do_handshake(server);
		hello_pass(server, client);
	}
	SSL_read(client, &byte, 1);
	return SSL_is_init_finished(client) && SSL_is_init_finished(server);
}

/* The first flight of a client that comes again with the ticket of its last session. */
static inline struct hello hello_resumed(int version)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *server = hello_server(version, version, NULL);
	SSL *client = hello_client(context, version, version, HELLO_NAME);
	SSL_SESSION *session;
	struct hello hello;

	HELLO_NEED(hello_shake(client, server));
	session = SSL_get1_session(client);
	HELLO_NEED(session && SSL_SESSION_is_resumable(session));
	SSL_shutdown(client);
	SSL_free(client);
	client = hello_client(context, version, version, HELLO_NAME);
	HELLO_NEED(SSL_set_session(client, session));
	SSL_do_handshake(client);
	hello = hello_written(client);
	SSL_SESSION_free(session);
	SSL_free(client);
	SSL_CTX_free(context);
	hello_end(server);
	return hello;
}

/* What a server of these versions answers to a first flight: its own, or an alert. */
static inline struct hello hello_answer(const struct hello *hello, int min, int max, const char *groups)
{
	SSL *server = hello_server(min, max, groups);
	struct hello answer;

	HELLO_NEED(BIO_write(SSL_get_rbio(server), hello->data, (int)hello->bytes) == (int)hello->bytes);
	SSL_do_handshake(server);
	answer = hello_written(server);
	hello_end(server);
	ERR_clear_error();
	return answer;
}

/* ---- GnuTLS ---- */

static inline ssize_t hello_pushed(gnutls_transport_ptr_t to, const void *data, size_t bytes)
{
	struct hello *hello = to;

	HELLO_NEED(hello->bytes + bytes <= sizeof(hello->data));
	memcpy(hello->data + hello->bytes, data, bytes);
	hello->bytes += bytes;
	return (ssize_t)bytes;
}

static inline ssize_t hello_nothing(gnutls_transport_ptr_t from, void *data, size_t bytes)
{
	(void)from, (void)data, (void)bytes;
	errno = EAGAIN;
	return -1;
}

static inline int hello_no_wait(gnutls_transport_ptr_t from, unsigned int milliseconds)
{
	(void)from, (void)milliseconds;
	return 0;
}

/* The first flight of a client; priority: versions in GnuTLS's words. */
static inline struct hello hello_gnutls(const char *priority, const char *name)
{
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t session;
	struct hello hello = {0};

	HELLO_NEED(!gnutls_certificate_allocate_credentials(&credentials));
	HELLO_NEED(!gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NONBLOCK));
	HELLO_NEED(!gnutls_priority_set_direct(session, priority, NULL));
	HELLO_NEED(!gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials));
	if (name)
		HELLO_NEED(!gnutls_server_name_set(session, GNUTLS_NAME_DNS, name, strlen(name)));
	gnutls_transport_set_ptr(session, &hello);
	gnutls_transport_set_push_function(session, hello_pushed);
	gnutls_transport_set_pull_function(session, hello_nothing);
	gnutls_transport_set_pull_timeout_function(session, hello_no_wait);
	gnutls_handshake(session);
	gnutls_deinit(session);
	gnutls_certificate_free_credentials(credentials);
	HELLO_NEED(hello.bytes);
	return hello;
}

/* ---- hellos from other hellos ---- */

static inline size_t hello_number(const unsigned char *place)
{
	return (size_t)place[0] << 8 | place[1];
}

static inline void hello_put(unsigned char *place, size_t value)
{
	place[0] = (unsigned char)(value >> 8);
	place[1] = (unsigned char)value;
}

/* Where the length of the extensions of a ClientHello is. */
static inline size_t hello_extensions(const struct hello *hello)
{
	size_t at = 43;

	at += 1 + hello->data[at];
	at += 2 + hello_number(hello->data + at);
	return at + 1 + hello->data[at];
}

/* Where an extension is, from its type on; 0: it has none of that type. */
static inline size_t hello_extension(const struct hello *hello, size_t type)
{
	size_t at = hello_extensions(hello), end = at + 2 + hello_number(hello->data + at);

	for (at += 2; at < end; at += 4 + hello_number(hello->data + at + 2))
		if (hello_number(hello->data + at) == type)
			return at;
	return 0;
}

/* All lengths that are about the hello change by so much. */
static inline void hello_grow(struct hello *hello, long by)
{
	size_t at = hello_extensions(hello);

	hello_put(hello->data + at, hello_number(hello->data + at) + (size_t)by);
	hello_put(hello->data + 7, hello_number(hello->data + 7) + (size_t)by);
	hello_put(hello->data + 3, hello_number(hello->data + 3) + (size_t)by);
	hello->bytes += (size_t)by;
}

/* Puts bytes in at a place among the extensions. */
static inline void hello_insert(struct hello *hello, size_t at, const void *data, size_t bytes)
{
	HELLO_NEED(hello->bytes + bytes <= sizeof(hello->data));
	memmove(hello->data + at + bytes, hello->data + at, hello->bytes - at);
	memcpy(hello->data + at, data, bytes);
	hello_grow(hello, (long)bytes);
}

/* Before all others: an extension of a type that nobody knows. */
static inline void hello_add_extension(struct hello *hello, size_t type, size_t bytes)
{
	unsigned char *extension = calloc(1, 4 + bytes);

	hello_put(extension, type);
	hello_put(extension + 2, bytes);
	hello_insert(hello, hello_extensions(hello) + 2, extension, 4 + bytes);
	free(extension);
}

static inline void hello_remove_extension(struct hello *hello, size_t type)
{
	size_t at = hello_extension(hello, type), bytes;

	HELLO_NEED(at);
	bytes = 4 + hello_number(hello->data + at + 2);
	memmove(hello->data + at, hello->data + at + bytes, hello->bytes - at - bytes);
	hello_grow(hello, -(long)bytes);
}

/* As a browser does (RFC 8701): a GREASE extension first, a GREASE version first. */
static inline void hello_grease(struct hello *hello)
{
	size_t at = hello_extension(hello, 43);

	if (at) {
		hello_insert(hello, at + 5, "\x7a\x7a", 2);
		hello_put(hello->data + at + 2, hello_number(hello->data + at + 2) + 2);
		hello->data[at + 4] += 2;
	}
	hello_add_extension(hello, 0x4a4a, 0);
}

/* With a key for X25519MLKEM768 before its own (1,216 bytes), the extension of which is the first or the
 * last. */
static inline void hello_post_quantum(struct hello *hello, bool first)
{
	unsigned char share[4 + 1216] = {0x11, 0xec, 1216 >> 8, 1216 & 0xff}, moved[2048];
	size_t at = hello_extension(hello, 51), bytes;

	HELLO_NEED(at);
	for (size_t i = 4; i < sizeof(share); i++)
		share[i] = (unsigned char)(i * 7);
	hello_insert(hello, at + 6, share, sizeof(share));
	hello_put(hello->data + at + 2, hello_number(hello->data + at + 2) + sizeof(share));
	hello_put(hello->data + at + 4, hello_number(hello->data + at + 4) + sizeof(share));
	bytes = 4 + hello_number(hello->data + at + 2);
	memcpy(moved, hello->data + at, bytes);
	hello_remove_extension(hello, 51);
	at = hello_extensions(hello);
	hello_insert(hello, first ? at + 2 : hello->bytes, moved, bytes);
}

#endif
